"""Unsure texts that differ, found by clustering."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from al_learner.core.interfaces import Codes, QueryStrategy, margins

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

LEAST_WEIGHT = 1e-3
"""Weight of a text of which the classifier is sure. k-means cannot use weights that are all 0."""


class Diverse(QueryStrategy):
    """Unsure texts that differ: the texts with the smallest margins are clustered, and one of each cluster is picked.

    The features are reduced by a truncated SVD and normalized. Mini-batch k-means makes as many clusters as texts are
    wanted. A text has the more weight, the smaller its margin is. The text nearest to each centre is picked. If two
    centres have the same nearest text, the texts with the smallest margins replace the missing ones.

    References
    ----------
    Zhdanov (2019). Diverse mini-batch active learning. arXiv:1901.05954
    """

    candidates_per_text: int = Field(
        default=10, ge=1, description="Number of unsure texts that are clustered for each text that is wanted."
    )
    n_components: int = Field(default=50, ge=1, description="Number of dimensions to which the features are reduced.")

    def scores(self, probabilities: NDArray[np.floating[Any]], rng: np.random.Generator) -> NDArray[np.floating[Any]]:
        del rng
        return -margins(probabilities)

    def query(
        self, probabilities: NDArray[np.floating[Any]], X: csr_matrix, size: int, rng: np.random.Generator
    ) -> Codes:
        scores = self.scores(probabilities, rng)
        unsure = (-scores).argsort(kind="stable")[: self.candidates_per_text * size]
        if size >= len(unsure):
            return unsure
        weights = np.maximum(1 + scores[unsure], LEAST_WEIGHT)
        nearest = _nearest_to_centres(X[unsure], weights, size, self.n_components, int(rng.integers(2**31)))
        others = np.setdiff1d(np.arange(len(unsure)), nearest)
        return unsure[np.union1d(nearest, others[: size - len(nearest)])]


def _nearest_to_centres(
    X: csr_matrix, weights: NDArray[np.floating[Any]], n_clusters: int, n_components: int, seed: int
) -> Codes:
    from sklearn.cluster import MiniBatchKMeans  # heavy, as all of these
    from sklearn.metrics import pairwise_distances_argmin
    from sklearn.preprocessing import normalize
    from sklearn.utils.extmath import randomized_svd
    from threadpoolctl import threadpool_limits

    X = X[:, np.unique(X.indices)]
    if not X.nnz:
        return np.array([], np.intp)  # no text has a word that the vectorizer knows
    with threadpool_limits(limits=1):  # on so little data several threads are slower
        _, _, Vt = randomized_svd(X, min(n_components, *X.shape), random_state=seed)
        points = normalize(X @ Vt.T)  # equal texts have exactly the same point
        clusters = MiniBatchKMeans(n_clusters, n_init=3, random_state=seed).fit(points, sample_weight=weights)
        return np.unique(pairwise_distances_argmin(clusters.cluster_centers_, points))
