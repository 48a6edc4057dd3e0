"""What the report of a project shows, as plain data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from al_learner.core.errors import AlLearnerError
from al_learner.core.labels.annotators import Agreement
from al_learner.core.lifecycle.status import Status
from al_learner.core.storage.labelforward_tables import TextTable
from al_learner.core.storage.records import Run, RunStatus
from al_learner.core.storage.storage import Storage
from al_learner.core.training.evaluation import Basis

if TYPE_CHECKING:
    from al_learner.core.training.explanation import Effect

N_PAIRS = 10
N_EXAMPLES = 3
N_WORDS = 12


@dataclass(frozen=True)
class ScoredRun:
    """How good a classifier was when it was stored.

    Attributes
    ----------
    labelled : int
        Texts that it was trained on.
    finished : datetime
    accuracy, low, high : float
        The interval is Wilson's, 95%.
    basis : str
        What it was measured on: ``votes`` or ``init-data``.
    """

    clf_id: int
    labelled: int
    finished: datetime
    accuracy: float
    low: float
    high: float
    basis: Basis


@dataclass(frozen=True)
class LabelScore:
    """How good the newest classifier is for a label; None where there is nothing to divide by."""

    label: str
    texts: int
    precision: float | None
    recall: float | None


@dataclass(frozen=True)
class Confusion:
    """Hold-out texts of one label for which another one is predicted.

    Attributes
    ----------
    label, predicted : str
    texts : int
        How many.
    examples : mapping of int to str
        Some of them, by text_id, or by init_id if the score is on prelabelled data.
    """

    label: str
    predicted: str
    texts: int
    examples: Mapping[int, str]


@dataclass(frozen=True)
class Facts:
    """What the report of a project shows.

    Attributes
    ----------
    made : datetime
    status : Status
    scores : tuple of ScoredRun
        The oldest first.
    labelled_by_day : mapping of date to int
        Texts whose label was new or changed, by the day on which a classifier was trained with it, in UTC.
    labels : tuple of LabelScore
        The most frequent label first.
    confusions : tuple of Confusion
        The most frequent one first.
    words : mapping of str to sequence of Effect
        Which words speak most for each label; empty if the classifier cannot be explained.
    no_words : str or None
        Why it cannot.
    agreement : Agreement
    """

    made: datetime
    status: Status
    scores: tuple[ScoredRun, ...]
    labelled_by_day: Mapping[date, int]
    labels: tuple[LabelScore, ...]
    confusions: tuple[Confusion, ...]
    words: Mapping[str, Sequence[Effect]]
    no_words: str | None
    agreement: Agreement


def gather(
    storage: Storage,
    status: Status,
    truth_of: Callable[[Basis], Mapping[int, str]],
    agreement: Agreement,
    top_features: Callable[[], Mapping[str, Sequence[Effect]]],
) -> Facts:
    """Read what the report of a project shows.

    Parameters
    ----------
    truth_of : callable
        Returns the current labels by text_id, or by init_id for ``init-data``.
    top_features : callable
        Returns the words that speak most for each label.
    """
    runs = storage.runs.recent(status=RunStatus.SUCCEEDED)[::-1]
    by_day: Counter[date] = Counter()
    for run in runs:
        if run.kind == "update" and run.finished is not None:
            by_day[run.finished.date()] += run.new_samples
    metrics = _metrics(storage, status.newest)
    words, no_words = _words(top_features) if status.clf_id else ({}, None)
    return Facts(
        made=storage.database.now(),
        status=status,
        scores=tuple(_scored(run) for run in runs if run.finished and (run.metrics or {}).get("accuracy") is not None),
        labelled_by_day=dict(sorted(by_day.items())),
        labels=_labels(metrics),
        confusions=_confusions(storage, metrics, truth_of),
        words=words,
        no_words=no_words,
        agreement=agreement,
    )


def _metrics(storage: Storage, newest: Run | None) -> Mapping[str, Any]:
    """Return the score of the newest classifier with its details; that of its origin if it is a copy."""
    if newest is None or newest.clf_id is None:
        return {}
    detailed = storage.runs.last(clf_id=newest.clf_id, detailed=True)
    return (detailed.metrics if detailed else None) or {}


def _scored(run: Run) -> ScoredRun:
    metrics: Mapping[str, Any] = run.metrics or {}
    low, high = metrics["accuracy_interval"]
    finished = run.finished or run.started
    return ScoredRun(run.clf_id or 0, run.texts or 0, finished, metrics["accuracy"], low, high, metrics["basis"])


def _labels(metrics: Mapping[str, Any]) -> tuple[LabelScore, ...]:
    found = [
        LabelScore(label, row["support"], row["precision"], row["recall"])
        for label, row in metrics.get("per_class", {}).items()
    ]
    return tuple(sorted(found, key=lambda one: (-one.texts, one.label)))


def _confusions(
    storage: Storage, metrics: Mapping[str, Any], truth_of: Callable[[Basis], Mapping[int, str]]
) -> tuple[Confusion, ...]:
    """Return the most frequent errors, by the labels of now, with example texts."""
    predictions = metrics.get("predictions")
    if not predictions:
        return ()
    labels, basis = metrics["labels"], metrics["basis"]
    truth = truth_of(basis)
    pairs: dict[tuple[str, str], list[int]] = {}
    for i, code in zip(predictions["ids"], predictions["labels"], strict=True):
        if truth.get(i, labels[code]) != labels[code]:
            pairs.setdefault((truth[i], labels[code]), []).append(i)
    worst = sorted(pairs.items(), key=lambda pair: (-len(pair[1]), pair[0]))[:N_PAIRS]
    table: TextTable = "text_data" if basis == "votes" else "init_data"
    texts = storage.tables.texts(table, [i for _, ids in worst for i in ids[:N_EXAMPLES]])
    return tuple(
        Confusion(label, predicted, len(ids), {i: texts[i] for i in ids[:N_EXAMPLES] if i in texts})
        for (label, predicted), ids in worst
    )


def _words(
    top_features: Callable[[], Mapping[str, Sequence[Effect]]],
) -> tuple[Mapping[str, Sequence[Effect]], str | None]:
    try:
        return top_features(), None
    except AlLearnerError as exc:
        return {}, str(exc)
