"""Which stored entries are votes, and which texts have enough of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import NamedTuple

import numpy as np

from al_learner.core.interfaces import Codes, Votes


class VotedText(NamedTuple):
    """The columns of text_data that voting uses. `labels` and `users` are as other services wrote them."""

    text_id: int
    labels: Sequence[str | None] | None
    users: Sequence[str | None] | None
    major_label: str | None
    taught: bool


@dataclass(frozen=True)
class Counted:
    """The votes, before they are aggregated.

    Attributes
    ----------
    votes : Votes
        Of the countable texts.
    annotators : tuple of str
        The names behind the codes in `votes.annotator`.
    countable, kept : tuple of VotedText
        Texts with enough votes, in the order of `votes`; texts with too few votes that have a label.
    n_votes : int
        All votes, also those on texts with too few.
    too_long : tuple of str
        Labels of entries that do not count, for they are too long.
    """

    votes: Votes
    annotators: tuple[str, ...]
    countable: tuple[VotedText, ...]
    kept: tuple[VotedText, ...]
    n_votes: int
    too_long: tuple[str, ...]


def count(rows: Iterable[VotedText], *, min_label_count: int, max_label_length: int) -> Counted:
    """Separate votes from other entries, and countable texts from others.

    A vote is an entry that is not None, not empty and not too long. Every one counts, also a second one of the same
    annotator.
    """
    codes: dict[str, int] = {}
    annotators: dict[str, int] = {}
    too_long: dict[str, None] = {}
    text: list[int] = []
    annotator: list[int] = []
    label: list[int] = []
    countable: list[VotedText] = []
    kept: list[VotedText] = []
    n_votes = 0
    for row in rows:
        votes = []
        for name, user in zip(row.labels or (), chain(row.users or (), repeat(None)), strict=False):
            if not name:
                continue
            if len(name) > max_label_length:
                too_long[name] = None
                continue
            votes.append((name, user))
        n_votes += len(votes)
        if len(votes) < min_label_count:
            if row.major_label is not None:
                kept.append(row)
            continue
        for name, user in votes:
            text.append(len(countable))
            annotator.append(annotators.setdefault(user, len(annotators)) if user else -1)
            label.append(codes.setdefault(name, len(codes)))
        countable.append(row)
    stored = [codes.setdefault(r.major_label, len(codes)) if r.major_label is not None else -1 for r in countable]
    votes_ = Votes(_codes(text), _codes(annotator), _codes(label), tuple(codes), _codes(stored))
    return Counted(votes_, tuple(annotators), tuple(countable), tuple(kept), n_votes, tuple(too_long))


def _codes(values: list[int]) -> Codes:
    return np.array(values, np.intp)
