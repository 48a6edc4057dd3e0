"""Words, and what they mean according to the words beside which they occur in the project's own texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from al_learner.plugins.vectorizers.meaning import Floats, MeaningVectorizer, latent

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


class Lsa(MeaningVectorizer):
    """TF-IDF beside latent semantic analysis of the project's own texts: for languages without word vectors.

    References
    ----------
    Deerwester, Dumais, Furnas, Landauer and Harshman (1990). Indexing by latent semantic analysis. JASIS 41.
    doi:10.1002/(SICI)1097-4571(199009)41:6<391::AID-ASI1>3.0.CO;2-9
    """

    def word_vectors_of(self, words: Sequence[str], n_texts_with: NDArray[np.int64], X: csr_matrix) -> list[Floats]:
        del words, n_texts_with
        return [latent(X, self.n_dims, self.random_state)]
