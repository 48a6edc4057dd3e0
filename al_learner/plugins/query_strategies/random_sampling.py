"""Random texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from al_learner.core.interfaces import Codes, QueryStrategy

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


class RandomSampling(QueryStrategy):
    """Random texts, whatever the classifier predicts."""

    def scores(self, probabilities: NDArray[np.floating[Any]], rng: np.random.Generator) -> NDArray[np.floating[Any]]:
        return rng.random(len(probabilities))

    def query(
        self, probabilities: NDArray[np.floating[Any]], X: csr_matrix, size: int, rng: np.random.Generator
    ) -> Codes:
        del X
        return rng.choice(len(probabilities), min(size, len(probabilities)), replace=False)
