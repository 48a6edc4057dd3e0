"""Word counts, weighted by how rare each word is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from al_learner.core.interfaces import DocumentFrequency, NgramRange, Transformer, Vectorizer


class Tfidf(Vectorizer):
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

    def fit(self, texts: Iterable[str]) -> Transformer:
        import numpy as np  # heavy, as is scikit-learn
        from sklearn.feature_extraction.text import TfidfVectorizer

        return TfidfVectorizer(**self.model_dump(), dtype=np.float32).fit(texts)  # type: ignore[no-any-return]  # scikit-learn has no types
