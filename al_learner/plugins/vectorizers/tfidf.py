"""Word counts, weighted by how rare each word is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from al_learner.core.interfaces import CountsWords, DocumentFrequency, NgramRange, Transformer
from al_learner.plugins.vectorizers.words import analyzer, texts_with, vocabulary


class Tfidf(CountsWords):
    """Word counts, weighted by inverse document frequency and scaled to unit length."""

    lowercase: bool = Field(default=True, description="Convert texts to lower case.")
    ngram_range: NgramRange = Field(default=(1, 1), description="Smallest and largest number of words per column.")
    min_df: DocumentFrequency = Field(
        default=1, description="Drop words that are in fewer texts: a number, or a share of all texts."
    )
    max_df: DocumentFrequency = Field(
        default=1.0, description="Drop words that are in more texts: a number, or a share of all texts."
    )
    max_features: int | None = Field(
        default=None, ge=1, description="Keep only this number of words, the most frequent ones."
    )
    sublinear_tf: bool = Field(default=False, description="Use 1 + log(n) for a word that occurs n times.")
    norm: Literal["l1", "l2"] | None = Field(default="l2", description="Scale each row to length 1 by this norm.")

    def in_parts(self) -> bool:
        return self.max_features is None  # else it matters how often the words occur

    def count(self, texts: Iterable[str]) -> Counter[str]:
        return texts_with(analyzer(self._vectorizer()), texts)

    def fit_counts(self, counts: Mapping[str, int], n_texts: int, sample: Sequence[str]) -> Transformer:
        import numpy as np

        del sample
        vectorizer = self._vectorizer()
        vectorizer.vocabulary_ = vocabulary(counts, n_texts, min_df=self.min_df, max_df=self.max_df)
        n_texts_with = np.array([counts[word] for word in vectorizer.vocabulary_], np.float32)
        vectorizer.idf_ = np.log(np.float32(n_texts + 1) / (n_texts_with + 1)) + 1
        analyzer(vectorizer)  # so that the pickle is the same in every process
        return vectorizer  # type: ignore[no-any-return]  # scikit-learn has no types

    def fit(self, texts: Iterable[str]) -> Transformer:
        return super().fit(texts) if self.in_parts() else self._vectorizer().fit(texts)

    def _vectorizer(self) -> Any:
        import numpy as np  # heavy, as is scikit-learn
        from sklearn.feature_extraction.text import TfidfVectorizer

        return TfidfVectorizer(**self.model_dump(), dtype=np.float32)
