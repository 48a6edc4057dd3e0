"""Word counts weighted by how rare a word is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from al_learner.core.interfaces import DocumentFrequency, NgramRange, Transformer, Vectorizer


class Tfidf(Vectorizer):
    """Word counts, weighted by inverse document frequency and scaled to unit length."""

    lowercase: bool = Field(default=True, description="Fold case.")
    ngram_range: NgramRange = Field(default=(1, 1), description="Shortest and longest run of words that is a column.")
    min_df: DocumentFrequency = Field(
        default=1, description="Drop words in fewer texts: a number of texts, or a share."
    )
    max_df: DocumentFrequency = Field(
        default=1.0, description="Drop words in more texts: a number of texts, or a share."
    )
    max_features: int | None = Field(default=None, ge=1, description="Keep only the most frequent words.")
    sublinear_tf: bool = Field(default=False, description="Count 1 + log(n) instead of n.")
    norm: Literal["l1", "l2"] | None = Field(default="l2", description="Scale rows to unit length.")

    def fit(self, texts: Iterable[str]) -> Transformer:
        import numpy as np  # heavy, as is scikit-learn
        from sklearn.feature_extraction.text import TfidfVectorizer

        return TfidfVectorizer(**self.model_dump(), dtype=np.float32).fit(texts)  # type: ignore[no-any-return]  # scikit-learn has no types
