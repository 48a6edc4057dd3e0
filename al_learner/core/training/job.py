"""What a trainer is asked and what it answers: plain data goes in, bytes and numbers come out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from al_learner.core.registry import Spec
from al_learner.core.storage.records import Ids, Trained

Losses = NDArray[np.floating[Any]]
"""How far off a classifier is on each row, nan where that cannot be told: shape (n_rows,)."""


@dataclass(frozen=True)
class ColdStart:
    """Texts and labels are to be picked by an init sampler."""

    init_sampler: Spec
    label_names: tuple[str, ...]
    size: int


@dataclass(frozen=True)
class Job:
    """What to train on, and how.

    Attributes
    ----------
    text_ids, init_ids : ndarray of int64
        Rows of text_data and of init_data; both empty for a cold start.
    labels : ndarray of shape (n_text_ids + n_init_ids,), object
    countvec : tuple of int and str, or None
        countvec_id and SHA-256 of the stored vectorizer to use; None: fit a new one.
    packages : tuple of str
        What those who read the result have.
    last : tuple of int and str, or None
        clf_id and SHA-256 of the last classifier of the same strategy, parameters and vectorizer, to start from.
    chooser : Spec or None
        Who tells how far off the classifier is, for `Trainer.losses`.
    """

    classifier: Spec
    vectorizer: Spec
    text_ids: Ids
    init_ids: Ids
    labels: NDArray[np.object_]
    countvec: tuple[int, str] | None
    packages: tuple[str, ...]
    last: tuple[int, str] | None = None
    cold_start: ColdStart | None = None
    chooser: Spec | None = None


@dataclass(frozen=True)
class Score:
    """What a twin, trained without the slice, achieved on it; `precision` is None when nothing could be measured."""

    precision: float | None
    metrics: Mapping[str, Any]


class Trainer(Protocol):
    """Where jobs are done."""

    def train(self, job: Job) -> Trained:
        """Train on everything. Raises AlLearnerError."""

    def score(self, job: Job) -> Score:
        """Train the twin and measure it. Raises AlLearnerError."""

    def losses(self, job: Job) -> Losses:
        """Return how far off the classifier is on each row, as the job's chooser tells. Raises AlLearnerError."""
