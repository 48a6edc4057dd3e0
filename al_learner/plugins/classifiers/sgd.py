"""Linear models trained by stochastic gradient descent."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from al_learner.core.interfaces import Estimator, Labels, WeighsColumns

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


class Sgd(WeighsColumns):
    """A linear model for each class against the rest, by stochastic gradient descent: fast with many labelled texts."""

    loss: Literal["log_loss", "modified_huber"] = Field(
        default="log_loss", description="Loss function. Only these two give probabilities."
    )
    penalty: Literal["l2", "l1", "elasticnet"] = Field(
        default="l2", description="Penalty on the size of the coefficients."
    )
    alpha: float = Field(default=1e-4, gt=0, description="Strength of the penalty.")
    class_weight: Literal["balanced"] | None = Field(
        default=None, description="balanced: weigh each class by the inverse of its frequency."
    )
    max_iter: int = Field(default=1000, ge=1, description="Largest number of passes over the data.")
    tol: float = Field(default=1e-6, gt=0, description="Stop when a pass improves the loss by less than this.")
    random_state: int | None = Field(default=0, ge=0, description="Seed for the order of the rows.")

    def fit(self, X: csr_matrix, y: Labels, sample_weight: NDArray[np.float32] | None = None) -> Estimator:
        from sklearn.exceptions import ConvergenceWarning  # heavy
        from sklearn.linear_model import SGDClassifier

        if sample_weight is not None:
            # The loss is a mean over the rows, whatever their weights: with a mean weight of 1, a row of weight 2
            # counts like two rows. The model balances classes by their rows; here, by the weights of their rows.
            codes = np.unique(y, return_inverse=True)[1] if self.class_weight else np.zeros(len(y), np.intp)
            mean = (np.bincount(codes, sample_weight) / np.bincount(codes)).astype(np.float32)
            sample_weight = sample_weight / mean[codes]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the user has chosen max_iter
            model = SGDClassifier(**self.model_dump(exclude={"column_weights"}), n_jobs=-1).fit(
                X, y, sample_weight=sample_weight
            )
        model.coef_ = model.coef_.astype("float32")
        return model  # type: ignore[no-any-return]  # scikit-learn has no types
