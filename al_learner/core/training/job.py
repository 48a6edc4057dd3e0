"""The job that a trainer gets, and its answers. Plain data goes in; bytes and numbers come out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from al_learner.core.registry import Spec
from al_learner.core.storage.records import Ids, Prior, Trained

Losses = NDArray[np.floating[Any]]
"""The loss of a classifier on each row, nan where it is unknown: shape (n_rows,)."""


@dataclass(frozen=True)
class ColdStart:
    """An init sampler is to pick texts and labels.

    Attributes
    ----------
    labels : mapping of str to str
        The label names, each with its description, which may be empty.
    size : int
        How many texts to pick, if no prior can be made.
    made_for : str
        Digest of what a prior depends on.
    n_labelled : int
        How many texts have labels.
    voted_ids : ndarray of int64
        Texts that somebody has voted on.
    """

    init_sampler: Spec
    labels: Mapping[str, str]
    size: int
    made_for: str
    n_labelled: int
    voted_ids: Ids


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
        Python packages that are installed where the classifier is loaded, such as in the predictor.
    max_artifact_mib : int
        Largest size of a pickled classifier or vectorizer, in MiB.
    last : tuple of int and str, or None
        clf_id and SHA-256 of the last classifier of the same strategy, parameters and vectorizer, to start from.
    cold_start : ColdStart or None
        There are no labelled texts: an init sampler picks some.
    prior : Prior or None
        Texts that nobody voted on.
    new_prior : ColdStart or None
        There is no prior that fits: make one first.
    model_selector : Spec or None
        Computes the losses, for `Trainer.losses`.
    query : str or None
        How the app picks the texts that people vote on; see `Settings.query`.
    """

    classifier: Spec
    vectorizer: Spec
    text_ids: Ids
    init_ids: Ids
    labels: NDArray[np.object_]
    countvec: tuple[int, str] | None
    packages: tuple[str, ...]
    max_artifact_mib: int
    last: tuple[int, str] | None = None
    cold_start: ColdStart | None = None
    prior: Prior | None = None
    new_prior: ColdStart | None = None
    model_selector: Spec | None = None
    query: str | None = None


@dataclass(frozen=True)
class Score:
    """The score of a run: how good its hold-out model is on the hold-out set; see the glossary.

    `precision` is None if nothing could be measured.
    """

    precision: float | None
    metrics: Mapping[str, Any]


class Trainer(Protocol):
    """Does jobs, and all else that needs scikit-learn."""

    def train(self, job: Job) -> Trained:
        """Train on everything. Raises AlLearnerError."""

    def score(self, job: Job) -> Score:
        """Train the hold-out model and measure it. Raises AlLearnerError."""

    def losses(self, job: Job) -> Losses:
        """Return the classifier's loss on each row, by the job's model selector. Raises AlLearnerError."""

    def has_predicted(self, clf: tuple[int, str], countvec: tuple[int, str]) -> bool:
        """Whether the predictions that are stored with a sample of texts are those of a stored model.

        Parameters
        ----------
        clf, countvec : tuple of int and str
            clf_id and countvec_id, each with the SHA-256 that al_runs recorded.

        Raises
        ------
        AlLearnerError
            It cannot be loaded, or cannot predict.
        """
