"""Query strategies: which texts are labelled next."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from al_learner.core.interfaces.strategy import Codes, Strategy

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


class QueryStrategy(Strategy):
    """Picks the texts to label next, by what a classifier predicts for them.

    ``scores`` has to be written. A strategy that picks texts which depend on each other, for example texts that differ,
    overrides ``query`` too.
    """

    requires: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def scores(self, probabilities: NDArray[np.floating[Any]], rng: np.random.Generator) -> NDArray[np.floating[Any]]:
        """Return how much each text is wanted, by itself. The score of a text must not depend on the other texts.

        Parameters
        ----------
        probabilities : ndarray of shape (n_texts, n_classes), float32 or float64
            Of each text's labels, from 0 to 1; each row sums to 1. It may not be changed.
        rng : numpy.random.Generator
            The only source of randomness.

        Returns
        -------
        scores : ndarray of shape (n_texts,), float
            Finite numbers, of any range. The text with the highest score is wanted most.
        """

    def query(
        self, probabilities: NDArray[np.floating[Any]], X: csr_matrix, size: int, rng: np.random.Generator
    ) -> Codes:
        """Pick texts. By default those with the highest scores; of texts with the same score the first.

        Neither `probabilities` nor `X` may be changed.

        Parameters
        ----------
        probabilities : ndarray of shape (n_texts, n_classes), float32 or float64
            As for ``scores``. In a large project these are not all texts, but those with the highest scores, in the
            order of the project: 20,000, or ten times `size` if that is more.
        X : csr_matrix of shape (n_texts, n_features), float32
            The features of the same texts.
        size : int
            How many texts to pick, 1 or more.
        rng : numpy.random.Generator
            The only source of randomness.

        Returns
        -------
        rows : ndarray of shape (min(size, n_texts),), intp
            Different positions from 0 to n_texts-1, that of the most wanted text first.
        """
        del X
        return (-self.scores(probabilities, rng)).argsort(kind="stable")[:size]


def margins(probabilities: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Return the difference between the two highest probabilities of each row, shape (n_texts,).

    With only one class, the second one is 0.
    """
    top = np.sort(probabilities, axis=1)[:, -2:]
    found: NDArray[np.floating[Any]] = top[:, -1] - top[:, :-1].sum(axis=1)
    return found
