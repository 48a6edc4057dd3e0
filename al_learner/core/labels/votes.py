"""Which stored entries are votes, and which texts have enough of them. The votes are kept in arrays between reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, repeat
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from al_learner.core.interfaces import Votes

RANGE = 256
"""Number of consecutive text_ids that are read together when the votes on one of them have changed."""

RANGES_PER_READ = 128
"""Limits how many rows are in memory at a time."""

NAMELESS = -1


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
    text_ids : ndarray of shape (n_countable,), int64
        The countable texts, in the order of `votes`.
    taught : ndarray of shape (n_countable,), bool
    kept_ids : ndarray of shape (n_kept,), int64
        Texts with too few votes that have a label.
    kept_labels : ndarray of shape (n_kept,), object
        Their labels.
    voted_ids : ndarray of shape (n_voted,), int64
        Every text with a vote or a label.
    any_taught : bool
        Whether a classifier was trained on one of all these texts.
    n_votes : int
        All votes, also those on texts with too few.
    too_long : tuple of str
        Labels of entries that do not count, because they are too long.
    """

    votes: Votes
    annotators: tuple[str, ...]
    text_ids: NDArray[np.int64]
    taught: NDArray[np.bool_]
    kept_ids: NDArray[np.int64]
    kept_labels: NDArray[np.object_]
    voted_ids: NDArray[np.int64]
    any_taught: bool
    n_votes: int
    too_long: tuple[str, ...]


@dataclass(frozen=True)
class _Part:
    """Some voted texts, as arrays: the first four by text, the last two by vote. -1: no stored label, no name."""

    text_ids: NDArray[np.int64]
    stored: NDArray[np.int32]
    taught: NDArray[np.bool_]
    n_votes: NDArray[np.int32]
    label: NDArray[np.int32]
    annotator: NDArray[np.int32]
    too_long: tuple[str, ...] = ()


class VoteCache:
    """The votes on all texts. `refresh` reads only ranges of texts whose digest has changed.

    Parameters
    ----------
    max_label_length : int
        A longer entry is not a vote.
    """

    def __init__(self, *, max_label_length: int) -> None:
        self._max_label_length = max_label_length
        self._labels: dict[str, int] = {}
        self._annotators: dict[str, int] = {}
        self._digests: dict[int, int] = {}
        self._parts: dict[int, _Part] = {}

    @property
    def n_texts(self) -> int:
        """How many voted texts there were at the last reading."""
        return sum(len(part.text_ids) for part in self._parts.values())

    def refresh(
        self, digests: Mapping[int, int] | None, read: Callable[[Sequence[int] | None], Iterable[VotedText]]
    ) -> None:
        """Read what has changed.

        Parameters
        ----------
        digests : mapping of int to int, or None
            Digest of each range of `RANGE` text_ids that has voted texts. None: everything is read.
        read : callable
            Returns the voted texts of some ranges, by id; all of them for None.
        """
        if digests is None:
            self._parts, self._digests = {0: self._part(read(None))}, {}
            return
        for number in {*self._parts} - {*digests}:
            del self._parts[number]
            self._digests.pop(number, None)
        changed = sorted(number for number, digest in digests.items() if self._digests.get(number) != digest)
        for start in range(0, len(changed), RANGES_PER_READ):
            wanted = changed[start : start + RANGES_PER_READ]
            found = {
                number: self._part(rows) for number, rows in groupby(read(wanted), lambda row: row.text_id // RANGE)
            }
            for number in wanted:
                self._parts[number] = found.get(number, self._part(()))
                self._digests[number] = digests[number]

    def count(self, *, min_label_count: int) -> Counted:
        """Separate countable texts from others.

        Every entry that is not None, not empty and not too long is a vote, also a second one of the same annotator.
        """
        parts = [self._parts[number] for number in sorted(self._parts)] or [self._part(())]
        text_ids, stored, taught, n_votes, label, annotator = (
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("text_ids", "stored", "taught", "n_votes", "label", "annotator")
        )
        countable = n_votes >= min_label_count
        kept = ~countable & (stored >= 0)
        of_vote = np.repeat(countable, n_votes)
        # Codes of labels and annotators that have no vote on a countable text are left out.
        used, codes = np.unique(np.concatenate([label[of_vote], stored[countable]]), return_inverse=True)
        n_missing = int(np.searchsorted(used, 0))  # 1 if a text has no stored label, which is -1
        named, annotators = np.unique(annotator[of_vote], return_inverse=True)
        n_nameless = int(np.searchsorted(named, 0))
        names, users = np.array([*self._labels, None], object), [*self._annotators]
        n = int(of_vote.sum())
        votes = Votes(
            text=np.repeat(np.arange(countable.sum()), n_votes[countable]),
            annotator=annotators - n_nameless,
            label=codes[:n] - n_missing,
            label_names=tuple(names[used[n_missing:]].tolist()),
            stored=codes[n:] - n_missing,
        )
        return Counted(
            votes=votes,
            annotators=tuple(users[code] for code in named[n_nameless:].tolist()),
            text_ids=text_ids[countable],
            taught=taught[countable],
            kept_ids=text_ids[kept],
            kept_labels=names[stored[kept]],
            voted_ids=text_ids[(n_votes > 0) | (stored >= 0)],
            any_taught=bool(taught[countable | kept].any()),
            n_votes=int(n_votes.sum()),
            too_long=tuple(dict.fromkeys(chain.from_iterable(part.too_long for part in parts))),
        )

    def _part(self, rows: Iterable[VotedText]) -> _Part:
        too_long: dict[str, None] = {}
        texts: list[tuple[int, int, bool, int]] = []
        label: list[int] = []
        annotator: list[int] = []
        labels, annotators = self._labels, self._annotators
        for row in rows:
            n_before = len(label)
            for name, user in zip(row.labels or (), chain(row.users or (), repeat(None)), strict=False):
                if not name:
                    continue
                if len(name) > self._max_label_length:
                    too_long[name] = None
                    continue
                label.append(labels.setdefault(name, len(labels)))
                annotator.append(annotators.setdefault(user, len(annotators)) if user else NAMELESS)
            stored = -1 if row.major_label is None else labels.setdefault(row.major_label, len(labels))
            texts.append((row.text_id, stored, row.taught, len(label) - n_before))
        text_ids, stored_codes, taught, n_votes = zip(*texts, strict=True) if texts else ((), (), (), ())
        return _Part(
            np.array(text_ids, np.int64),
            np.array(stored_codes, np.int32),
            np.array(taught, bool),
            np.array(n_votes, np.int32),
            np.array(label, np.int32),
            np.array(annotator, np.int32),
            tuple(too_long),
        )


def count(rows: Iterable[VotedText], *, min_label_count: int, max_label_length: int) -> Counted:
    """Count the votes of rows that are read once; see `VoteCache.count`."""
    cache = VoteCache(max_label_length=max_label_length)
    cache.refresh(None, lambda _: rows)
    return cache.count(min_label_count=min_label_count)


def votes_of(
    labels: Sequence[str | None] | None, users: Sequence[str | None] | None, *, max_label_length: int
) -> Iterator[tuple[str, str | None]]:
    """Yield label and annotator of each vote on one text: the entries that `VoteCache` counts."""
    for name, user in zip(labels or (), chain(users or (), repeat(None)), strict=False):
        if name and len(name) <= max_label_length:
            yield name, user or None


def flat(entries: Any) -> Any:
    """Return the elements of an array of any dimension, in the order of PostgreSQL's ``unnest``."""
    while entries and isinstance(entries[0], list):
        entries = [*chain.from_iterable(entries)]
    return entries


def intervals(ranges: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield first and last text_id of each interval that consecutive `ranges` make; they come in order."""
    for _, run in groupby(enumerate(ranges), lambda item: item[1] - item[0]):
        numbers = [number for _, number in run]
        yield numbers[0] * RANGE, numbers[-1] * RANGE + RANGE - 1
