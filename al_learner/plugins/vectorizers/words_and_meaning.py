"""Words, and what they mean: according to pre-trained word vectors, and to the project's own texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from al_learner.core.errors import DataError
from al_learner.core.interfaces import UsesWordVectors
from al_learner.plugins.vectorizers.meaning import FREQUENT, Floats, MeaningVectorizer, latent

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

DECIMALS = 4
"""Pre-trained vectors are rounded to so many decimals. Then rounding errors around 0 do not look like a meaning."""


class WordsAndMeaning(MeaningVectorizer, UsesWordVectors):
    """TF-IDF beside mean word vectors: knows words that no labelled text contains.

    Algorithm
        1. Each word gets the pre-trained vector of `source`, scaled to length 1. The mean over all occurrences is
           subtracted: it says what language the texts are in, and nothing about a single one.
        2. These vectors are projected onto their principal axes, weighted by the number of texts of each word. They
           get half of the `n_dims` columns.
        3. The other half is latent semantic analysis of the project's own texts, as in ``lsa``. Both count equally.
        4. The meaning of a text is the mean of its words' vectors, weighted by TF-IDF and scaled.

    What is stored contains the vectors of the project's own words. To read it, the source is not needed.

    References
    ----------
    Arora, Liang and Ma (2017). A simple but tough-to-beat baseline for sentence embeddings. ICLR. The weights here are
    inverse document frequencies: on the corpora of this project they were better than that paper's.
    """

    n_dims: int = Field(default=128, ge=2, le=1024, description="Number of columns of meaning, of both kinds together.")

    def word_vectors_of(self, words: Sequence[str], n_texts_with: NDArray[np.int64], X: csr_matrix) -> list[Floats]:
        n_pretrained = self.n_dims // 2
        pretrained = self._pretrained(words, n_texts_with, n_pretrained)
        return [pretrained, latent(X, self.n_dims - n_pretrained, self.random_state)]

    def _pretrained(self, words: Sequence[str], n_texts_with: NDArray[np.int64], n_dims: int) -> Floats:
        # The rarer ones take long to look up, and change the accuracy little.
        rows = np.argsort(-n_texts_with, kind="stable")[:FREQUENT]
        vectors = self.word_vectors.lookup([words[row] for row in rows])
        length = np.linalg.norm(vectors, axis=1)
        is_known = length > 0
        if not is_known.any():
            languages = ", ".join(self.word_vectors.languages) or "those of their model"
            raise DataError(
                f"word vectors {self.source!r} know none of the {len(rows):,} most frequent words of the texts; they "
                f"know these languages: {languages}. Choose another source, or the vectorizer lsa"
            )
        rows, vectors = rows[is_known], vectors[is_known] / length[is_known, np.newaxis]
        frequency = n_texts_with[rows].astype(np.float32)[:, np.newaxis]
        vectors -= (frequency * vectors).sum(axis=0) / frequency.sum()
        _, axes = np.linalg.eigh(vectors.T @ (frequency * vectors))  # by increasing variance
        axes = axes[:, ::-1][:, :n_dims]
        found = np.zeros((len(words), n_dims), np.float32)
        found[rows, : axes.shape[1]] = (vectors @ axes).round(DECIMALS)
        return found
