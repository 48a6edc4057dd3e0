"""What al_learner's worker asks a Dask worker to do for a project, and what the results are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from al_learner.core.registry import Spec
from al_learner.core.storage.records import Ids
from al_learner.core.training.corpus.counts import IdRange
from al_learner.core.training.job import Job, Losses

TaskName = Literal["train", "score", "losses", "has_predicted", "ranges", "count", "merge", "predict"]
"""A method of `Trainer`, or a part of the work on a whole corpus; see `process_tasks`."""

Model = tuple[tuple[int, str], tuple[int, str]]
"""A stored model: clf_id and countvec_id, each with its SHA-256."""


@dataclass(frozen=True)
class Task:
    """What a Dask worker is to do.

    Attributes
    ----------
    database : str
        Its URL, without user and password: every Dask worker has its own.
    timeout_s, memory_mib, niceness
        Of the process there; see `TaskProcess`.
    versions : mapping of str to str
        Of Python and of the packages that must be the same there.
    model : Model, optional
        What predicts, instead of a job.
    vectorizer : Spec, optional
        What counts the words of a part.
    part : IdRange, optional
    """

    name: TaskName
    database: str
    timeout_s: float
    memory_mib: int | None
    niceness: int
    versions: Mapping[str, str]
    job: Job | None = None
    model: Model | None = None
    vectorizer: Spec | None = None
    part: IdRange | None = None


@dataclass(frozen=True)
class LossesResult:
    """The result of `Trainer.losses`."""

    losses: Losses


@dataclass(frozen=True)
class PredictedResult:
    """The result of `Trainer.has_predicted`."""

    has_predicted: bool


@dataclass(frozen=True)
class RangesResult:
    """The corpus as ranges of ids."""

    ranges: tuple[IdRange, ...]


@dataclass(frozen=True)
class Predictions:
    """The probability of each class, for some texts.

    Attributes
    ----------
    text_ids : ndarray of shape (n_texts,), int64
        In ascending order.
    probabilities : ndarray of shape (n_texts, n_classes), float32
    """

    text_ids: Ids
    probabilities: NDArray[np.float32]
