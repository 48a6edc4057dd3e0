"""What an export contains: texts of one snapshot, with votes, aggregated labels and predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from al_learner.core.errors import DataError
from al_learner.core.interfaces import Codes, Votes
from al_learner.core.labels.new_samples import AggregatedLabels, aggregate
from al_learner.core.labels.votes import Counted, VoteCache, votes_of
from al_learner.core.storage.database import Database, chunked
from al_learner.core.storage.exchange.snapshot import Snapshot, StoredText, snapshot
from al_learner.core.storage.labelforward_tables import CHUNK
from al_learner.core.storage.records import MAX_LABEL_LENGTH

What = Literal["labels", "votes", "texts", "predictions"]
"""What can be exported: texts with an aggregated label, votes, all texts, all texts with predictions."""


@dataclass(frozen=True, slots=True)
class ClassProbabilities:
    """What a classifier says about one text: the probability of each of its classes."""

    clf_id: int
    probabilities: Mapping[str, float]

    @property
    def label(self) -> str:
        """The most probable class; of several, the first in the classifier's order."""
        return max(self.probabilities, key=self.probabilities.__getitem__)

    @property
    def uncertainty(self) -> float:
        """1 minus the highest probability: 0 means certain."""
        return 1 - max(self.probabilities.values())


@dataclass(frozen=True, slots=True)
class ExportedText:
    """One text.

    Attributes
    ----------
    text_id : int
    external_id : str or None
        The id that it had in the file or tool that it came from.
    text : str
    label : str or None
        What its votes aggregate to. None: it has too few votes.
    votes : tuple of (str, str or None)
        Label and annotator of each vote, in voting order. None: nobody is named.
    prediction : ClassProbabilities or None
    """

    text_id: int
    external_id: str | None
    text: str
    label: str | None
    votes: tuple[tuple[str, str | None], ...]
    prediction: ClassProbabilities | None

    @property
    def agreement(self) -> float | None:
        """The share of the votes that are for `label`; None without label or votes."""
        if self.label is None or not self.votes:
            return None
        return sum(label == self.label for label, _ in self.votes) / len(self.votes)

    @property
    def annotator(self) -> str | None:
        """The first named annotator who voted for `label`."""
        return next((annotator for label, annotator in self.votes if label == self.label and annotator), None)


@dataclass(frozen=True)
class Classes:
    """A loaded classifier.

    Attributes
    ----------
    clf_id : int
    names : tuple of str
        Its classes.
    probabilities : callable
        Returns those of some texts, by their ids and wordings, shape (n_texts, n_classes).
    """

    clf_id: int
    names: tuple[str, ...]
    probabilities: Callable[[Sequence[int], Sequence[str]], NDArray[np.floating]]


@dataclass(frozen=True)
class Contents:
    """What is exported.

    Attributes
    ----------
    what : str
        See `What`.
    texts : iterator of ExportedText
        They can be read once, and only while the snapshot is open.
    label_names : tuple of str
        Every label of the project, sorted: those in table labels, and those of votes and predictions.
    classes : tuple of str
        The classes that predictions have probabilities of; empty without predictions.
    annotators : tuple of (str or None)
        All who voted. None: nobody is named.
    """

    what: What
    texts: Iterator[ExportedText]
    label_names: tuple[str, ...]
    classes: tuple[str, ...] = ()
    annotators: tuple[str | None, ...] = ()


@contextmanager
def open_contents(
    what: What,
    database: Database,
    *,
    winners_of: Callable[[Votes], Codes],
    min_label_count: int,
    classes: Classes | None = None,
    text_ids: Sequence[int | str] | None = None,
    is_anonymous: bool = False,
    progress: Callable[[int, int], object] = lambda done, total: None,  # noqa: ARG005 - by default nobody counts
) -> Iterator[Contents]:
    """Open a snapshot and return what is exported of it.

    Parameters
    ----------
    winners_of : callable
        Aggregates votes.
    min_label_count : int
        A text with fewer votes has no label, or keeps the stored one.
    classes : Classes, optional
        Predicts every text.
    text_ids : sequence of int or str, optional
        Only these texts, in this order; a str is an external id.
    is_anonymous : bool
        Leave out who voted.
    progress : callable
        Called with the numbers of texts that were read so far, and of all.

    Raises
    ------
    DataError
        There is no such text.
    """
    with snapshot(database) as stored:
        cache = VoteCache(max_label_length=MAX_LABEL_LENGTH)
        cache.refresh(
            dict.fromkeys(stored.voted_ranges(), 0), stored.voted_texts
        )  # in parts, so that few are in memory
        every = cache.count(min_label_count=1)
        labels = aggregate(cache.count(min_label_count=min_label_count), winners_of)
        having = {"labels": labels.text_ids, "votes": every.text_ids}.get(what)
        wanted = _wanted(stored, text_ids, None if having is None else having.tolist())
        total = stored.n_texts() if wanted is None else len(wanted)

        def texts() -> Iterator[ExportedText]:
            n_done = 0
            for chunk in chunked(stored.texts(wanted), CHUNK):
                yield from _exported(chunk, labels, classes, is_anonymous=is_anonymous)
                n_done += len(chunk)
                progress(n_done, total)

        names = {*stored.label_names(), *every.votes.label_names, *labels.label_names}
        names |= {*(classes.names if classes else ())}
        yield Contents(
            what,
            texts(),
            tuple(sorted(names)),
            classes.names if classes else (),
            (None,) if is_anonymous else _annotators(every),
        )


def _wanted(stored: Snapshot, asked: Sequence[int | str] | None, having: Sequence[int] | None) -> Sequence[int] | None:
    """Return the texts to export: those that are asked for and that have votes or a label, if they must; None: all."""
    if asked is None:
        return having
    named = stored.by_external_id([name for name in asked if isinstance(name, str)])
    if unknown := [name for name in asked if isinstance(name, str) and name not in named]:
        raise DataError(f"no text has the external id {unknown[0]!r}")
    text_ids = [named[i] if isinstance(i, str) else i for i in asked]
    there = {*stored.existing(text_ids)}
    if missing := [text_id for text_id in text_ids if text_id not in there]:
        raise DataError(f"text_id {missing[0]} is not in table text_data")
    can_be = there if having is None else {*having}
    return [text_id for text_id in dict.fromkeys(text_ids) if text_id in can_be]


def _exported(
    rows: Sequence[StoredText], labels: AggregatedLabels, classes: Classes | None, *, is_anonymous: bool
) -> Iterator[ExportedText]:
    ids = np.array([row.text_id for row in rows], np.int64)
    places = np.searchsorted(labels.text_ids, ids)
    is_labelled = np.isin(ids, labels.text_ids)
    predicted = _predicted(rows, classes)
    for row, at, has_label, prediction in zip(rows, places.tolist(), is_labelled.tolist(), predicted, strict=True):
        votes = votes_of(row.labels, row.users, max_label_length=MAX_LABEL_LENGTH)
        yield ExportedText(
            row.text_id,
            row.external_id,
            row.text,
            labels.label_names[labels.codes[at]] if has_label else None,
            tuple((label, None if is_anonymous else user) for label, user in votes),
            prediction,
        )


def _predicted(rows: Sequence[StoredText], classes: Classes | None) -> Iterator[ClassProbabilities | None]:
    if classes is None:
        yield from [None] * len(rows)
        return
    found = classes.probabilities([row.text_id for row in rows], [row.text for row in rows])
    for row in found.tolist():
        yield ClassProbabilities(classes.clf_id, dict(zip(classes.names, row, strict=True)))


def _annotators(every: Counted) -> tuple[str | None, ...]:
    is_named = every.votes.annotator >= 0
    return (*sorted(every.annotators), *(() if is_named.all() else (None,)))
