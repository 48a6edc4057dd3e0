"""From the votes as they are stored to settled labels and new samples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from al_learner.core.errors import PluginError
from al_learner.core.interfaces import Codes, LabelAggregator, Votes


class VotedText(NamedTuple):
    """A row of text_data, as far as voting goes; `labels` and `users` as anybody may have left them."""

    text_id: int
    labels: Sequence[str | None] | None
    users: Sequence[str | None] | None
    major_label: str | None
    taught: bool


@dataclass(frozen=True)
class Settled:
    """What the votes come to.

    Attributes
    ----------
    text_ids : ndarray of shape (n_labelled,), int64
        Every text with a label: settled now, or stored before.
    labels : ndarray of shape (n_labelled,), object
        Their labels.
    is_new : ndarray of shape (n_labelled,), bool
        The new samples: countable texts that the last classifier does not know, or knows under another label.
    n_votes, n_countable : int
        Votes that count, and texts with enough of them.
    too_long : tuple of str
        Labels that were voted but do not count, because `major_label` cannot hold them.
    """

    text_ids: NDArray[np.int64]
    labels: NDArray[np.object_]
    is_new: NDArray[np.bool_]
    n_votes: int
    n_countable: int
    too_long: tuple[str, ...]

    @property
    def n_new(self) -> int:
        """How many new samples there are."""
        return int(self.is_new.sum())


@dataclass(frozen=True)
class Counted:
    """The votes that count, before anything is settled.

    Attributes
    ----------
    votes : Votes
        Of the countable texts.
    annotators : tuple of str
        Who the codes in `votes.annotator` are.
    countable, kept : tuple of VotedText
        The texts with enough votes, in the order of `votes`; those without that have a label.
    n_votes : int
        Also those of texts that have not enough.
    too_long : tuple of str
        Labels that were voted but do not count.
    """

    votes: Votes
    annotators: tuple[str, ...]
    countable: tuple[VotedText, ...]
    kept: tuple[VotedText, ...]
    n_votes: int
    too_long: tuple[str, ...]


def settle(
    rows: Iterable[VotedText], aggregator: LabelAggregator, *, min_label_count: int, max_label_length: int
) -> Settled:
    """Aggregate the votes of every countable text and tell which are new samples.

    A text with fewer than `min_label_count` votes keeps the label it has.
    """
    counted = count(rows, min_label_count=min_label_count, max_label_length=max_label_length)
    countable, kept, names = counted.countable, counted.kept, counted.votes.label_names
    majors = [names[code] for code in aggregate(aggregator, counted.votes)]
    is_new = [not row.taught or row.major_label != major for row, major in zip(countable, majors, strict=True)]
    order = np.argsort([row.text_id for row in chain(countable, kept)], kind="stable")
    return Settled(
        text_ids=np.array([row.text_id for row in chain(countable, kept)], np.int64)[order],
        labels=np.array([*majors, *(row.major_label for row in kept)], object)[order],
        is_new=np.array([*is_new, *repeat(False, len(kept))], bool)[order],
        n_votes=counted.n_votes,
        n_countable=len(countable),
        too_long=counted.too_long,
    )


def count(rows: Iterable[VotedText], *, min_label_count: int, max_label_length: int) -> Counted:
    """Tell votes from entries that do not count, and countable texts from others.

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


def aggregate(aggregator: LabelAggregator, votes: Votes) -> Codes:
    """Return one label code for each text, shape (n_texts,).

    Raises
    ------
    PluginError
        The aggregator failed, or returned something else.
    """
    if not len(votes.stored):
        return _codes([])
    try:
        won = np.asarray(aggregator.aggregate(votes))
    except Exception as exc:  # whatever a third party's code raises
        raise _failed(aggregator, exc) from exc
    n_labels = len(votes.label_names)
    if won.shape != votes.stored.shape or won.dtype.kind not in "iu" or not ((won >= 0) & (won < n_labels)).all():
        raise PluginError(
            f"label_aggregator {aggregator!r} must return {len(votes.stored)} label codes from 0 to {n_labels - 1}, "
            f"not {won.dtype} of shape {won.shape}"
        )
    return won.astype(np.intp)


def accuracies(aggregator: LabelAggregator, votes: Votes) -> NDArray[np.float64] | None:
    """Return how often each annotator is right, shape (n_annotators,), NaN where unknown; None if it does not tell.

    Raises
    ------
    PluginError
        The aggregator failed, or returned something else.
    """
    try:
        found = aggregator.accuracies(votes)
        shares = None if found is None else np.asarray(found, np.float64)
    except Exception as exc:  # whatever a third party's code raises
        raise _failed(aggregator, exc) from exc
    shape = (int(votes.annotator.max(initial=-1)) + 1,)
    if shares is not None and (shares.shape != shape or (shares < 0).any() or (shares > 1).any()):
        raise PluginError(
            f"label_aggregator {aggregator!r}: accuracies must be {shape[0]} shares from 0 to 1, or NaN, not "
            f"{shares.tolist()}"
        )
    return shares


def _failed(aggregator: LabelAggregator, exc: Exception) -> PluginError:
    return PluginError(f"label_aggregator {aggregator!r} failed: {type(exc).__name__}: {exc}")


def _codes(values: list[int]) -> Codes:
    return np.array(values, np.intp)
