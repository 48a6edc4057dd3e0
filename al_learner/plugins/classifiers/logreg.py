"""Multinomial logistic regression."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from al_learner.core.interfaces import Classifier, Estimator, Labels, LinearStart
from al_learner.plugins.classifiers.newton import fit_softmax

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


class LogReg(Classifier):
    """Multinomial logistic regression with an L2 penalty: accurate and well calibrated with a few hundred labels."""

    C: float = Field(default=1.0, gt=0, description="Inverse strength of the L2 penalty.")
    class_weight: Literal["balanced"] | None = Field(
        default=None, description="balanced: weigh each class by the inverse of its frequency."
    )
    tol: float = Field(default=3e-5, gt=0, description="Stop when every component of the mean gradient is smaller.")
    max_iter: int = Field(default=200, ge=1, description="Largest number of Newton steps.")

    def fit(self, X: csr_matrix, y: Labels) -> Estimator:
        return self._fit(X, y, None)

    def fit_from(self, X: csr_matrix, y: Labels, start: LinearStart) -> Estimator:
        return self._fit(X, y, start)

    def _fit(self, X: csr_matrix, y: Labels, start: LinearStart | None) -> Estimator:
        from sklearn.linear_model import LogisticRegression  # heavy

        classes, codes = np.unique(y, return_inverse=True)
        weights = np.ones(len(y), np.float32)
        if self.class_weight == "balanced":
            weights = (len(y) / (len(classes) * np.bincount(codes))).astype(np.float32)[codes]
        model = LogisticRegression(C=self.C, class_weight=self.class_weight, tol=self.tol, max_iter=self.max_iter)
        model.classes_ = classes
        model.coef_, model.intercept_, n_iter = fit_softmax(
            X, codes, weights, penalty=1 / self.C, start=start, tol=self.tol, max_iter=self.max_iter
        )
        model.n_features_in_ = X.shape[1]
        model.n_iter_ = np.array([n_iter], np.int32)
        return model  # type: ignore[no-any-return]  # scikit-learn has no types
