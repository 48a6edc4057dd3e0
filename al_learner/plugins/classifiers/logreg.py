"""Multinomial logistic regression."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from al_learner.core.interfaces import Classifier, Estimator, Labels

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


class LogReg(Classifier):
    """Multinomial logistic regression with an L2 penalty: strong and calibrated from a few hundred labels on."""

    C: float = Field(default=1.0, gt=0, description="Inverse strength of the L2 penalty.")
    class_weight: Literal["balanced"] | None = Field(
        default=None, description="balanced: weigh each class by the inverse of its frequency."
    )
    tol: float = Field(default=1e-4, gt=0, description="The solver stops at a gradient smaller than this.")
    max_iter: int = Field(default=1000, ge=1, description="The solver stops after as many iterations.")

    def fit(self, X: csr_matrix, y: Labels) -> Estimator:
        from sklearn.linear_model import LogisticRegression  # heavy

        return LogisticRegression(  # type: ignore[no-any-return]
            C=self.C, class_weight=self.class_weight, tol=self.tol, max_iter=self.max_iter, solver="newton-cg"
        ).fit(X, y)
