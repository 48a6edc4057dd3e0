"""The texts whose two most probable labels are nearly equally probable."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from al_learner.core.interfaces import QueryStrategy, margins


class Margin(QueryStrategy):
    """The texts whose two most probable labels have the smallest difference of probabilities.

    References
    ----------
    Scheffer, Decomain and Wrobel (2001). Active hidden Markov models for information extraction. IDA.
    doi:10.1007/3-540-44816-0_31
    """

    def scores(self, probabilities: NDArray[np.floating[Any]], rng: np.random.Generator) -> NDArray[np.floating[Any]]:
        del rng
        return -margins(probabilities)
