"""Diverse texts, found by clustering."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from al_learner.core.interfaces import Codes, InitSampler

N_HASHES = 2**16
"""Number of columns that words are hashed to. So memory does not grow with the vocabulary."""

MAX_CHARACTERS = 10_000
"""Only so many characters of a text are read. So very long texts do not fill the memory."""


class KMeans(InitSampler):
    """Texts that differ: as many clusters as texts are needed, and the text nearest to each centre.

    TF-IDF is reduced by a truncated SVD and normalized. Then mini-batch k-means clusters the rows. The labels are
    given as by the init sampler `balanced`.

    References
    ----------
    Sculley (2010). Web-scale k-means clustering. WWW. doi:10.1145/1772690.1772862
    """

    max_texts: int = Field(
        default=10_000, ge=2, description="Largest number of texts that are clustered; they are drawn at random."
    )
    n_components: int = Field(default=50, ge=1, description="Number of dimensions to which TF-IDF is reduced.")

    def sample(
        self, texts: Sequence[str], labels: Sequence[str], size: int, rng: np.random.Generator
    ) -> tuple[Codes, list[str]]:
        position_of = {text[:MAX_CHARACTERS]: position for position, text in self.scan(texts, self.max_texts, rng)}
        chosen = list(position_of.values())
        if size < len(chosen):
            nearest = _nearest_to_centres(list(position_of), size, self.n_components, int(rng.integers(2**31)))
            chosen = np.array(chosen)[nearest].tolist()
        # Two centres can have the same nearest text, and texts can be equal. Random texts replace the missing ones.
        others = rng.permutation(np.setdiff1d(np.arange(len(texts)), chosen))
        rows = np.resize(np.concatenate([chosen, others]), size)
        return rows.astype(np.intp), self.deal(labels, size, rng)


def _nearest_to_centres(texts: list[str], n_clusters: int, n_components: int, seed: int) -> NDArray[np.intp]:
    from sklearn.cluster import MiniBatchKMeans  # heavy, as all of these
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
    from sklearn.metrics import pairwise_distances_argmin
    from sklearn.preprocessing import normalize
    from sklearn.utils.extmath import randomized_svd
    from threadpoolctl import threadpool_limits

    counts = HashingVectorizer(n_features=N_HASHES, norm=None, alternate_sign=False).transform(texts)
    if not counts.nnz:
        return np.arange(n_clusters)  # no text has a word
    X = TfidfTransformer(sublinear_tf=True).fit_transform(counts[:, np.unique(counts.indices)])
    with threadpool_limits(limits=1):  # on so little data several threads are slower
        U, s, _ = randomized_svd(X, min(n_components, len(texts)), random_state=seed)
        points = normalize(U * s)
        clusters = MiniBatchKMeans(n_clusters, n_init=3, random_state=seed).fit(points)
        return np.unique(pairwise_distances_argmin(clusters.cluster_centers_, points))
