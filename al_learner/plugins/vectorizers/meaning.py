"""What ``words-and-meaning`` and ``lsa`` share: columns of words beside columns of meaning, in plain scikit-learn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from al_learner.core.errors import DataError
from al_learner.core.interfaces import DocumentFrequency, Transformer, Vectorizer

DECIMALS = 4
"""Vectors are rounded to so many decimals. Then rounding errors around 0 do not look like a meaning."""


class MeaningVectorizer(Vectorizer):
    """TF-IDF columns, scaled to length 1, beside columns of meaning, scaled to length `weight`.

    The meaning of a text is the sum of its words' vectors, weighted by TF-IDF.
    """

    lowercase: bool = Field(default=True, description="Convert texts to lower case.")
    min_df: DocumentFrequency = Field(
        default=1, description="Drop words that are in fewer texts: a number, or a share of all texts."
    )
    max_df: DocumentFrequency = Field(
        default=1.0, description="Drop words that are in more texts: a number, or a share of all texts."
    )
    max_features: int | None = Field(
        default=None, ge=1, description="Keep only this number of words, those in the most texts."
    )
    sublinear_tf: bool = Field(default=True, description="Use 1 + log(n) for a word that occurs n times.")
    words: bool = Field(default=True, description="Have columns of words. false: only those of meaning.")
    n_dims: int = Field(default=128, ge=1, le=1024, description="Number of columns of meaning.")
    weight: float = Field(
        default=0.4, gt=0, le=100, description="Length of a text's columns of meaning; that of its words is 1."
    )

    def groups(self, n_features: int) -> Mapping[str, slice]:
        if not self.words:
            return {"meaning": slice(0, n_features)}
        n_words = n_features - self.n_dims
        return {"words": slice(0, n_words), "meaning": slice(n_words, n_features)}

    def fit_words(self, texts: Iterable[str]) -> tuple[Any, NDArray[np.int64]]:
        """Fit a TfidfVectorizer without holding the corpus or its counts in memory.

        Returns
        -------
        tfidf : TfidfVectorizer
        n_texts_with : ndarray of shape (n_words,), int64
            In how many texts each word occurs, by column.

        Raises
        ------
        DataError
            No word is left.
        """
        from sklearn.feature_extraction.text import TfidfVectorizer  # heavy

        tfidf = TfidfVectorizer(
            lowercase=self.lowercase, min_df=self.min_df, max_df=self.max_df, max_features=self.max_features,
            sublinear_tf=self.sublinear_tf, dtype=np.float32,
        )  # fmt: skip
        words_of = tfidf.build_analyzer()
        counts: Counter[str] = Counter()
        n_texts = 0
        for text in texts:
            counts.update({*words_of(text)})
            n_texts += 1
        if not counts:
            raise DataError("no text has a word that the vectorizer can use")
        fewest, most = (df if isinstance(df, int) else df * n_texts for df in (self.min_df, self.max_df))
        kept = [word for word, n in counts.items() if fewest <= n <= most]
        if not kept:
            raise DataError(
                f"min_df={self.min_df} and max_df={self.max_df} drop all {len(counts):,} words of the {n_texts:,} "
                "texts: lower min_df or raise max_df"
            )
        if self.max_features is not None:
            kept = sorted(kept, key=lambda word: (-counts[word], word))[: self.max_features]
        kept.sort()
        tfidf.vocabulary_ = {word: column for column, word in enumerate(kept)}
        n_texts_with = np.array([counts[word] for word in kept])
        tfidf.idf_ = np.log((1 + n_texts) / (1 + n_texts_with)) + 1
        return tfidf, n_texts_with

    def transformer(self, tfidf: Any, columns: NDArray[np.intp], vectors: NDArray[np.floating[Any]]) -> Transformer:
        """Return the artifact.

        Parameters
        ----------
        tfidf : TfidfVectorizer
        columns : ndarray of shape (n_known,), intp
            Sorted: the words that have a vector.
        vectors : ndarray of shape (n_known, at most n_dims), floating
            Stored in half precision. Missing dimensions are filled with zeros.
        """
        from scipy.sparse import csr_matrix  # heavy, as is scikit-learn
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_selection import VarianceThreshold
        from sklearn.pipeline import FeatureUnion, Pipeline
        from sklearn.preprocessing import FunctionTransformer, Normalizer

        known = VarianceThreshold()
        known.n_features_in_ = len(tfidf.vocabulary_)
        known.variances_ = np.zeros(known.n_features_in_, bool)  # only the sign is read
        known.variances_[columns] = True
        svd = TruncatedSVD(self.n_dims)
        svd.n_features_in_ = len(columns)
        stored = np.zeros((len(columns), self.n_dims), np.float16)
        stored[:, : vectors.shape[1]] = vectors.round(DECIMALS)
        svd.components_ = stored.T  # the product needs the transpose, which is then contiguous
        steps = [
            ("known", known),
            ("vectors", svd),
            ("length", Normalizer(copy=False)),
            ("sparse", FunctionTransformer(csr_matrix)),
        ]
        words = FunctionTransformer(accept_sparse=True) if self.words else "drop"  # the words as they are, or not
        groups = [("words", words), ("meaning", Pipeline(steps))]
        union = FeatureUnion(groups, transformer_weights={"meaning": self.weight})
        return Pipeline([("tfidf", tfidf), ("groups", union)])  # type: ignore[no-any-return]  # scikit-learn has no types
