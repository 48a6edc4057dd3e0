"""Words, and what they mean according to pre-trained word vectors."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from al_learner.core.errors import DataError
from al_learner.core.interfaces import Transformer, UsesWordVectors
from al_learner.plugins.vectorizers.meaning import MeaningVectorizer

LOOKED_UP = 15_000
"""Words that are looked up at most, those in the most texts. Rarer ones take long, and change the accuracy little."""


class WordsAndMeaning(MeaningVectorizer, UsesWordVectors):
    """TF-IDF beside the text's mean word vector: knows words that no labelled text contains.

    Algorithm
        1. Each word's vector is scaled to length 1. The mean over all occurrences is subtracted: it says what language
           the texts are in, and nothing about a single one.
        2. The vectors are projected onto their `n_dims` principal axes, weighted by the number of texts of each word.
        3. The meaning of a text is the mean of its words' vectors, weighted by TF-IDF and scaled.

    What is stored contains the vectors of the project's own words. To read it, the source is not needed.

    References
    ----------
    Arora, Liang and Ma (2017). A simple but tough-to-beat baseline for sentence embeddings. ICLR. The weights here are
    inverse document frequencies: on the corpora of this project they were better than that paper's.
    """

    def fit(self, texts: Iterable[str]) -> Transformer:
        tfidf, n_texts_with = self.fit_words(texts)
        columns = np.sort(np.argsort(-n_texts_with, kind="stable")[:LOOKED_UP])
        words = [*tfidf.vocabulary_]  # in the order of the columns
        vectors = self.word_vectors.lookup([words[column] for column in columns])
        length = np.linalg.norm(vectors, axis=1)
        is_known = length > 0
        if not is_known.any():
            raise DataError(
                f"word vectors {self.source!r} know none of the project's {len(words):,} words; they know these "
                f"languages: {', '.join(self.word_vectors.languages)}. Choose another source, or the vectorizer lsa"
            )
        columns, vectors = columns[is_known], vectors[is_known] / length[is_known, np.newaxis]
        frequency = n_texts_with[columns].astype(np.float32)[:, np.newaxis]
        vectors -= (frequency * vectors).sum(axis=0) / frequency.sum()
        _, axes = np.linalg.eigh(vectors.T @ (frequency * vectors))  # by increasing variance
        return self.transformer(tfidf, columns, vectors @ axes[:, ::-1][:, : self.n_dims])
