"""Gradient-boosted trees by LightGBM."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from al_learner.core.interfaces import Classifier, Estimator, Labels

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


class LightGbm(Classifier):
    """Gradient-boosted trees: often the most accurate from several hundred labelled texts on.

    With LightGBM's own defaults a leaf needs 20 texts. So with fewer than about 200 labels the predictions are not
    better than chance. With smaller leaves the training diverges, unless their values have an L2 penalty. Therefore the
    defaults here are leaves of one text, with such a penalty.
    """

    requires: ClassVar[tuple[str, ...]] = ("scikit-learn", "numpy", "scipy", "lightgbm")

    n_estimators: int = Field(
        default=40, ge=1, description="Number of boosting rounds; each adds one tree for each class."
    )
    learning_rate: float = Field(default=0.2, gt=0, description="Weight of each tree.")
    num_leaves: int = Field(default=7, ge=2, description="Largest number of leaves in a tree.")
    min_child_samples: int = Field(default=1, ge=1, description="Smallest number of texts in a leaf.")
    reg_lambda: float = Field(default=1.0, ge=0, description="L2 penalty on the values of the leaves.")
    class_weight: Literal["balanced"] | None = Field(
        default=None, description="balanced: weigh each class by the inverse of its frequency."
    )
    max_bin: int = Field(
        default=15, ge=2, description="Largest number of different values that are kept for a feature."
    )
    n_jobs: int = Field(
        default=1, ge=1, description="Number of threads. More threads than idle cores make it much slower."
    )
    random_state: int | None = Field(default=0, ge=0, description="Seed of the random numbers.")

    def fit(self, X: csr_matrix, y: Labels, sample_weight: NDArray[np.float32] | None = None) -> Estimator:
        from lightgbm import LGBMClassifier  # heavy

        if sample_weight is not None and self.class_weight == "balanced":
            # The model balances classes by their rows; here, by the weights of their rows.
            codes = np.unique(y, return_inverse=True)[1]
            of_class = np.bincount(codes, sample_weight) / np.bincount(codes)
            sample_weight = sample_weight * (sample_weight.mean() / of_class)[codes]
        model = LGBMClassifier(**self.model_dump(), deterministic=True, force_col_wise=True, verbosity=-1)
        return model.fit(X, y, sample_weight=sample_weight)
