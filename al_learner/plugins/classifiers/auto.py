"""Selects one of the other classifiers by cross-validation."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from al_learner.core.interfaces import Codes, Estimator, Labels, ModelSelector

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Floats = NDArray[np.float64]

LOG_TEMPERATURES = (-4.0, 4.0)
"""Bounds of the search for the logarithm of the temperature."""


class Auto(ModelSelector):
    """Selects the candidate with the lowest cross-validated log loss on the labelled texts.

    Candidates whose packages the predictor does not have are left out, and so are those that weigh a group of columns
    which the vectorizer does not have: `tfidf` has no ``meaning``. The candidates are compared after a classifier
    was announced: the first time with `min_labels` labels, and again whenever there are 1.5 times as many labels as the
    last time. Before the first comparison, the first candidate is trained.

    Each candidate's probabilities are calibrated by temperature scaling before the loss is computed. Otherwise the loss
    would mostly measure how overconfident a classifier is, and a single number can correct that.

    References
    ----------
    Guo, Pleiss, Sun and Weinberger (2017). On calibration of modern neural networks. ICML. arXiv:1706.04599
    """

    candidates: tuple[str, ...] = Field(
        default=(
            'logreg(C=30, naive_bayes=0.3, column_weights={"meaning": 1})',
            'logreg(C=30, naive_bayes=0.3, column_weights={"meaning": 0.5})',
            "complement-nb",
            "logreg(C=10)",
            'sgd(column_weights={"meaning": 0})',
            "lightgbm",
        ),
        min_length=1,
        description="Classifiers, NAME or NAME(parameter=value), the preferred one first.",
    )
    min_labels: int = Field(
        default=150,
        ge=2,
        description="With fewer labelled texts the candidates are not compared, and the first one is trained.",
    )
    n_folds: int = Field(default=5, ge=2, description="Number of folds of the cross-validation.")
    max_texts: int = Field(
        default=5_000, ge=2, description="Largest number of labelled texts that are used; they are drawn at random."
    )
    random_state: int = Field(default=0, ge=0, description="Seed for drawing the texts and for the folds.")

    def losses(self, X: csr_matrix, y: Labels, fit: Callable[[csr_matrix, Labels], Estimator]) -> NDArray[Any]:
        rng = np.random.default_rng(self.random_state)
        rows = np.sort(rng.permutation(len(y))[: self.max_texts])
        found = np.full(len(y), np.nan)
        chosen = X if len(rows) == len(y) else X[rows]  # X is large, and a copy of all rows would stay beside it
        found[rows] = self._cross_validated(chosen, y[rows], fit, rng)
        return found

    def _cross_validated(
        self,
        X: csr_matrix,
        y: Labels,
        fit: Callable[[csr_matrix, Labels], Estimator],
        rng: np.random.Generator,
    ) -> Floats:
        classes, codes = np.unique(y, return_inverse=True)
        logits = np.full((len(y), len(classes)), -np.inf)
        folds = _stratified(codes, self.n_folds, rng)
        for fold in range(self.n_folds):
            held_out, rest = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
            known = np.unique(codes[rest])
            if len(held_out) and len(known) > 1:
                probabilities = fit(X[rest], y[rest]).predict_proba(X[held_out])
                logits[np.ix_(held_out, known)] = np.log(np.clip(probabilities, 1e-15, 1))
        # No candidate can know a label that occurs in no other fold.
        found = np.full(len(y), np.nan)
        is_known = np.flatnonzero(logits[np.arange(len(y)), codes] > -np.inf)
        if len(is_known):
            found[is_known] = _tempered(logits[is_known], codes[is_known])
        return found


def _stratified(codes: Codes, n_folds: int, rng: np.random.Generator) -> Codes:
    """Return a fold for each row. The rows of a class are spread evenly, also if they are fewer than the folds."""
    order = rng.permutation(len(codes))
    order = order[np.argsort(codes[order], kind="stable")]
    folds = np.empty(len(codes), np.intp)
    folds[order] = np.arange(len(codes)) % n_folds
    return folds


def _tempered(logits: Floats, codes: Codes) -> Floats:
    """Return the log loss of each row, at the temperature with the lowest mean."""
    from scipy.optimize import minimize_scalar  # heavy
    from scipy.special import log_softmax

    def losses(log_temperature: float) -> Floats:
        tempered = log_softmax(logits * np.exp(-log_temperature), axis=1)
        return np.asarray(-tempered[np.arange(len(codes)), codes])

    best = minimize_scalar(lambda t: losses(t).mean(), bounds=LOG_TEMPERATURES, method="bounded")
    return losses(best.x)
