"""Word counts in columns that a hash selects, without a vocabulary."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from al_learner.core.interfaces import NgramRange, Transformer, Vectorizer


class Hashing(Vectorizer):
    """Word counts. A hash of the word selects its column, so there is no vocabulary and the corpus is not read."""

    n_features: int = Field(default=2**18, ge=2, le=2**24, description="Number of columns.")
    lowercase: bool = Field(default=True, description="Convert texts to lower case.")
    ngram_range: NgramRange = Field(default=(1, 1), description="Smallest and largest number of words per column.")
    binary: bool = Field(default=False, description="Use only 0 and 1: whether a word occurs, not how often.")
    norm: Literal["l1", "l2"] | None = Field(default="l2", description="Scale each row to length 1 by this norm.")

    def fit(self, texts: Iterable[str]) -> Transformer:  # noqa: ARG002 - there is nothing to learn
        import numpy as np  # heavy, as is scikit-learn
        from sklearn.feature_extraction.text import HashingVectorizer

        return HashingVectorizer(  # type: ignore[no-any-return]  # scikit-learn has no types
            **self.model_dump(), alternate_sign=False, dtype=np.float32
        )
