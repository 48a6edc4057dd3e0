"""Rows of the database as plain objects, without SQLAlchemy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Self, cast

import numpy as np
from numpy.typing import NDArray

RunKind = Literal["init", "update", "promote"]


class RunStatus(StrEnum):
    """The status of a run."""

    RUNNING = "running"  #: Its process trains; or the process has ended, and nobody has taken the run lock since.
    SUCCEEDED = "succeeded"  #: It stored a classifier.
    FAILED = "failed"  #: It raised an error.
    ABANDONED = "abandoned"  #: Ctrl-C or the end of the grace period interrupted it, or the Dask cluster lost its job.
    DIED = "died"  #: Its process ended, or lost the connection that held the run lock.


Ids = NDArray[np.int64]
"""text_ids or init_ids: a one-dimensional array of int64."""

MAX_LABEL_LENGTH = 50
"""Length of text_data.major_label. A longer label does not count as a vote."""

N_SHOWN = 5
"""How many rows are named that are locked."""

METRIC_DETAILS = ("labels", "per_class", "confusion", "predictions", "sample")
"""The large parts of a score. They are read only where they are needed."""

SIGNATURE_V2 = "v2:"
"""How signatures begin that cover the project and the ids of a model. Those of version 1 are bare hexadecimal."""

Sign = Callable[[str, int, str, int, str], str]
"""Signs a stored model: project_id, clf_id, clf_sha256, countvec_id, countvec_sha256."""


@dataclass(frozen=True)
class Run:
    """A row of al_runs; see the comments in `schema`. `metrics` may come without its details."""

    run_id: int
    kind: RunKind
    status: RunStatus
    forced: bool
    owner: str
    state: str
    error: str | None
    started: datetime
    finished: datetime | None
    announced: datetime | None
    clf_id: int | None
    countvec_id: int | None
    new_samples: int
    texts: int | None
    classes: int | None
    strategies: Mapping[str, Any]
    versions: Mapping[str, str] | None
    clf_sha256: str | None
    countvec_sha256: str | None
    signature: str | None
    seconds: float | None
    metrics: Mapping[str, Any] | None
    choice: Mapping[str, Any] | None
    defaults: Mapping[str, Any] | None
    prior: Mapping[str, Any] | None

    @property
    def origin(self) -> RunKind:
        """The kind of the run that trained the classifier, also if this run only promoted it."""
        promoted = (self.metrics or {}).get("promoted", {})
        return cast(RunKind, promoted.get("kind", self.kind))


@dataclass(frozen=True)
class StoredClassifier:
    """A row of table classifiers, without its bytes."""

    clf_id: int
    created_at: datetime
    precision_score: float | None
    size_bytes: int


@dataclass(frozen=True)
class DeletableClassifier:
    """A stored classifier that nobody needs any more, and the vectorizer that it was trained with."""

    clf_id: int
    countvec_id: int
    size_bytes: int


@dataclass(frozen=True)
class StoredModel:
    """A classifier and its vectorizer that can be trusted: both pickles, and the run that stored them, with metrics."""

    run: Run
    clf: bytes
    countvec: bytes


@dataclass(frozen=True)
class Prior:
    """Texts that nobody voted on, with labels by meaning. They are trained on with a small weight; see the glossary.

    Attributes
    ----------
    made_for : str
        Digest of what it depends on; see `JobBuilder`.
    text_ids : ndarray of shape (n_texts,), int64
    digests : ndarray of shape (n_texts,), int64
        Of the texts, see `LabelForwardTables.digests`.
    labels : ndarray of shape (n_texts,), object
    weight : float
        Of each text; a voted text has 1.
    prior_id : int or None
        None: it is not stored yet.
    """

    made_for: str
    text_ids: Ids
    digests: Ids
    labels: NDArray[np.object_]
    weight: float
    prior_id: int | None = None

    def among(self, chosen: NDArray[np.bool_]) -> Self:
        """Return it with some of its texts."""
        return replace(self, text_ids=self.text_ids[chosen], digests=self.digests[chosen], labels=self.labels[chosen])


@dataclass(frozen=True)
class Trained:
    """The result of a training.

    Attributes
    ----------
    clf : bytes
        The pickled classifier.
    countvec : bytes or None
        The pickled vectorizer if it is new; None if the newest stored one, `countvec_id`, goes with `clf`.
    texts : int
        Labelled texts that were trained on; at a cold start, all texts.
    prior : Prior or None
        A prior that was made for this training, or was used in it.
    prior_texts : int
        How many texts of the prior were trained on.
    notes : tuple of str
        Remarks for the log.
    """

    clf: bytes
    clf_sha256: str
    countvec: bytes | None
    countvec_id: int | None
    countvec_sha256: str
    texts: int
    classes: int
    versions: Mapping[str, str]
    prior: Prior | None = None
    prior_texts: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class LiveWorker:
    """A row of al_workers."""

    worker_id: int
    owner: str
    started: datetime
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class RowLocks:
    """Rows that other sessions keep us from writing.

    Attributes
    ----------
    table : str
    ids : tuple of int
        Primary keys, in order.
    sessions : tuple of str
        The sessions of the server that hold the locks, with what this user may see of them.
    """

    table: str
    ids: tuple[int, ...]
    sessions: tuple[str, ...]

    @classmethod
    def of(cls, table: str, ids: Sequence[int], holders: Iterable[Sequence[Any]]) -> Self:
        """Describe the locks of `holders`, rows as for `described`."""
        return cls(table, tuple(ids), described(holders))

    def __str__(self) -> str:
        first = ", ".join(map(str, self.ids[:N_SHOWN]))
        more = f" and {len(self.ids) - N_SHOWN:,} more" if len(self.ids) > N_SHOWN else ""
        return f"{self.table} {first}{more}: {'; '.join(self.sessions)}"


def described(sessions: Iterable[Sequence[Any]]) -> tuple[str, ...]:
    """Describe sessions: rows that begin with pid, application, user, and start of the transaction."""
    found = {
        f"session {pid} ({application or 'no name'}, user {user})"
        + (f", in a transaction since {since:%Y-%m-%d %H:%M:%S %Z}" if since else "")
        for pid, application, user, since, *_ in sessions
    }
    return tuple(sorted(found))


@dataclass(frozen=True)
class Pruned:
    """What was deleted, or would be with ``dry_run``.

    Attributes
    ----------
    clf_ids, countvec_ids : tuple of int
    """

    clf_ids: tuple[int, ...]
    countvec_ids: tuple[int, ...]
