"""The texts whose probabilities have the highest entropy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from al_learner.core.interfaces import QueryStrategy


class Entropy(QueryStrategy):
    """The texts whose probabilities have the highest entropy: the least sure ones, if all labels count.

    References
    ----------
    Shannon (1948). A mathematical theory of communication. Bell System Technical Journal 27.
    doi:10.1002/j.1538-7305.1948.tb01338.x
    """

    def scores(self, probabilities: NDArray[np.floating[Any]], rng: np.random.Generator) -> NDArray[np.floating[Any]]:
        from scipy.special import entr  # heavy

        del rng
        scores: NDArray[np.floating[Any]] = entr(probabilities).sum(axis=1)
        return scores
