"""Word counts."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from al_learner.core.interfaces import DocumentFrequency, NgramRange, Transformer, Vectorizer


class Count(Vectorizer):
    """How often each word of the corpus occurs in a text."""

    lowercase: bool = Field(default=True, description="Fold case.")
    ngram_range: NgramRange = Field(default=(1, 1), description="Shortest and longest run of words that is a column.")
    min_df: DocumentFrequency = Field(
        default=1, description="Drop words in fewer texts: a number of texts, or a share."
    )
    max_df: DocumentFrequency = Field(
        default=1.0, description="Drop words in more texts: a number of texts, or a share."
    )
    max_features: int | None = Field(default=None, ge=1, description="Keep only the most frequent words.")
    binary: bool = Field(default=False, description="Whether a word occurs, not how often.")

    def fit(self, texts: Iterable[str]) -> Transformer:
        import numpy as np  # heavy, as is scikit-learn
        from sklearn.feature_extraction.text import CountVectorizer

        return CountVectorizer(**self.model_dump(), dtype=np.float32).fit(texts)  # type: ignore[no-any-return]
