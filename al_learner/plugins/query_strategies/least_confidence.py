"""The texts whose most probable label is least probable."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from al_learner.core.interfaces import QueryStrategy


class LeastConfidence(QueryStrategy):
    """The texts whose most probable label has the lowest probability.

    References
    ----------
    Lewis and Gale (1994). A sequential algorithm for training text classifiers. SIGIR. doi:10.1007/978-1-4471-2099-5_1
    """

    def scores(self, probabilities: NDArray[np.floating[Any]], rng: np.random.Generator) -> NDArray[np.floating[Any]]:
        del rng
        scores: NDArray[np.floating[Any]] = -probabilities.max(axis=1)
        return scores
