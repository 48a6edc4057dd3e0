"""Multinomial logistic regression."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from al_learner.core.interfaces import Estimator, Labels, LinearStart, WeighsColumns
from al_learner.plugins.classifiers.newton import fit_softmax

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


class LogReg(WeighsColumns):
    """Multinomial logistic regression with an L2 penalty: accurate and calibrated from some hundreds of texts on."""

    C: float = Field(default=10.0, gt=0, description="Inverse strength of the L2 penalty.")
    class_weight: Literal["balanced"] | None = Field(
        default=None, description="balanced: weigh each class by the inverse of its frequency."
    )
    tol: float = Field(
        default=5e-5, gt=0, description="Stop when the loss is above its minimum by about this share of it."
    )
    max_iter: int = Field(default=200, ge=1, description="Largest number of Newton steps.")

    def fit(self, X: csr_matrix, y: Labels, sample_weight: NDArray[np.float32] | None = None) -> Estimator:
        return self._fit(X, y, None, sample_weight)

    def fit_from(
        self, X: csr_matrix, y: Labels, start: LinearStart, sample_weight: NDArray[np.float32] | None = None
    ) -> Estimator:
        return self._fit(X, y, start, sample_weight)

    def _fit(
        self, X: csr_matrix, y: Labels, start: LinearStart | None, sample_weight: NDArray[np.float32] | None
    ) -> Estimator:
        from sklearn.exceptions import ConvergenceWarning  # heavy
        from sklearn.linear_model import LogisticRegression

        classes, codes = np.unique(y, return_inverse=True)
        weights = np.ones(len(y), np.float32) if sample_weight is None else np.asarray(sample_weight, np.float32)
        if self.class_weight == "balanced":
            of_class = np.bincount(codes, weights)
            weights = weights * (of_class.sum() / (len(classes) * of_class)).astype(np.float32)[codes]
        model = LogisticRegression(C=self.C, class_weight=self.class_weight, tol=self.tol, max_iter=self.max_iter)
        model.classes_ = classes
        model.coef_, model.intercept_, n_iter, has_converged = fit_softmax(
            X, codes, weights, penalty=1 / self.C, start=start, tol=self.tol, max_iter=self.max_iter
        )
        if not has_converged:
            warnings.warn(
                f"logreg did not converge: after {n_iter} of {self.max_iter} Newton steps the loss was above its "
                f"minimum by more than about tol ({self.tol:g}); raise tol or max_iter, or lower C ({self.C:g})",
                ConvergenceWarning,
                stacklevel=2,
            )
        model.n_features_in_ = X.shape[1]
        model.n_iter_ = np.array([n_iter], np.int32)
        return model  # type: ignore[no-any-return]  # scikit-learn has no types
