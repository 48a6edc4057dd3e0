"""What ``words-and-meaning`` and ``lsa`` share: columns of words beside columns of meaning, in plain scikit-learn."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from al_learner.core.interfaces import CountsWords, DocumentFrequency, Transformer
from al_learner.plugins.vectorizers.words import analyzer, texts_with, vocabulary

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Floats = NDArray[np.float32]

FREQUENT = 10_000
"""The words in the most texts. They can have vectors whether they are in the sample of texts or not."""

POWER_STEPS = 2
"""Power iterations of the decomposition. More of them take longer and did not make classifiers more accurate."""

NOISE = 1e-5
"""Relative rounding error in single precision. Singular values below it are none."""


class MeaningVectorizer(CountsWords):
    """TF-IDF columns, scaled to length 1, beside columns of meaning, scaled to length `weight`.

    The meaning of a text is the sum of its words' vectors, weighted by TF-IDF. Memory is bounded by the vocabulary and
    by a sample of texts.
    """

    n_sampled = 10_000

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
        default=0.8, gt=0, le=100, description="Length of a text's columns of meaning; that of its words is 1."
    )
    random_state: int | None = Field(default=0, ge=0, description="Seed of the random numbers.")

    @abstractmethod
    def word_vectors_of(self, words: Sequence[str], n_texts_with: NDArray[np.int64], X: csr_matrix) -> list[Floats]:
        """Return vectors of words, of one or more kinds, which count equally.

        Parameters
        ----------
        words : sequence of str
        n_texts_with : ndarray of shape (n_words,), int64
            In how many texts of the corpus each occurs.
        X : csr_matrix of shape (n_texts, n_words), float32
            TF-IDF of a sample of texts.

        Returns
        -------
        list of ndarray of shape (n_words, n), float32
            `n_dims` columns together. All zeros for a word without a vector.
        """

    def groups(self, n_features: int) -> Mapping[str, slice]:
        if not self.words:
            return {"meaning": slice(0, n_features)}
        n_words = n_features - self.n_dims
        return {"words": slice(0, n_words), "meaning": slice(n_words, n_features)}

    def count(self, texts: Iterable[str]) -> Counter[str]:
        return texts_with(analyzer(self._tfidf()), texts)

    def fit_counts(self, counts: Mapping[str, int], n_texts: int, sample: Sequence[str]) -> Transformer:
        tfidf = self._tfidf()
        tfidf.vocabulary_ = vocabulary(
            counts, n_texts, min_df=self.min_df, max_df=self.max_df, max_features=self.max_features
        )
        words = [*tfidf.vocabulary_]  # in the order of the columns
        n_texts_with = np.array([counts[word] for word in words])
        tfidf.idf_ = np.log((1 + n_texts) / (1 + n_texts_with)) + 1
        X = tfidf.transform(sample)
        frequent = np.argsort(-n_texts_with, kind="stable")[:FREQUENT]
        columns = np.union1d(X.indices, frequent)
        vectors = self.word_vectors_of([words[column] for column in columns], n_texts_with[columns], X[:, columns])
        analyzer(tfidf)  # so that the pickle is the same in every process
        return self._transformer(tfidf, columns, vectors)

    def _tfidf(self) -> Any:
        from sklearn.feature_extraction.text import TfidfVectorizer  # heavy

        return TfidfVectorizer(
            lowercase=self.lowercase, min_df=self.min_df, max_df=self.max_df, max_features=self.max_features,
            sublinear_tf=self.sublinear_tf, dtype=np.float32,
        )  # fmt: skip

    def _transformer(self, tfidf: Any, columns: NDArray[np.intp], kinds: Sequence[Floats]) -> Transformer:
        """Return the artifact. `kinds` are vectors of the words in some columns."""
        from sklearn.pipeline import FeatureUnion, Pipeline  # heavy
        from sklearn.preprocessing import FunctionTransformer

        words = FunctionTransformer(accept_sparse=True) if self.words else "drop"  # the words as they are, or not
        meaning = [
            (f"meaning-{number}", _sum_of_vectors(len(tfidf.vocabulary_), columns, vectors))
            for number, vectors in enumerate(kinds, 1)
        ]
        length = self.weight / np.sqrt(len(kinds))  # of each kind, so that of all together is `weight`
        union = FeatureUnion(
            [("words", words), *meaning], transformer_weights={name: float(length) for name, _ in meaning}
        )
        return Pipeline([("tfidf", tfidf), ("groups", union)])  # type: ignore[no-any-return]  # scikit-learn has no types


def latent(X: csr_matrix, n_dims: int, random_state: int | None) -> Floats:
    """Return the right singular vectors of a TF-IDF matrix: words that occur in the same texts have similar rows.

    Parameters
    ----------
    X : csr_matrix of shape (n_texts, n_words), float32

    Returns
    -------
    ndarray of shape (n_words, n_dims), float32
        The last columns are 0 if the matrix has fewer singular values.

    References
    ----------
    Deerwester, Dumais, Furnas, Landauer and Harshman (1990). Indexing by latent semantic analysis. JASIS 41.
    doi:10.1002/(SICI)1097-4571(199009)41:6<391::AID-ASI1>3.0.CO;2-9

    Halko, Martinsson and Tropp (2011). Finding structure with randomness. SIAM Review 53. doi:10.1137/090771806
    """
    from sklearn.utils.extmath import randomized_svd  # heavy

    _, values, vectors = randomized_svd(X, min(n_dims, *X.shape), n_iter=POWER_STEPS, random_state=random_state)
    vectors = vectors[values > NOISE * values[0]]
    found = np.zeros((X.shape[1], n_dims), np.float32)
    found[:, : len(vectors)] = vectors.T
    return found


def _sum_of_vectors(n_words: int, columns: NDArray[np.intp], vectors: Floats) -> Any:
    """Return a pipeline from TF-IDF to the weighted sums of vectors, scaled to length 1. They are half precision."""
    from scipy.sparse import csr_matrix  # heavy, as is scikit-learn
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_selection import VarianceThreshold
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer, Normalizer

    has_vector = np.asarray(vectors.any(axis=1))
    has_vector[0] = True  # scikit-learn wants at least one column
    selected = VarianceThreshold()
    selected.n_features_in_ = n_words
    selected.variances_ = np.zeros(n_words, bool)  # one byte a column; only its sign is read
    selected.variances_[columns[has_vector]] = True
    product = TruncatedSVD(vectors.shape[1])
    product.n_features_in_ = int(has_vector.sum())
    product.components_ = vectors[has_vector].astype(np.float16).T  # the product needs the transpose, contiguous
    steps = [("words", selected), ("vectors", product), ("length", Normalizer(copy=False))]
    return Pipeline([*steps, ("sparse", FunctionTransformer(csr_matrix))])
