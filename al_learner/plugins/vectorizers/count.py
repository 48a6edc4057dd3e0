"""Word counts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice

from pydantic import Field

from al_learner.core.interfaces import DocumentFrequency, NgramRange, Transformer, Vectorizer

JOINED = 5_000
"""Number of texts that are tokenized at a time."""


class Count(Vectorizer):
    """Word counts: how often each word of the corpus occurs in a text."""

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
    binary: bool = Field(default=False, description="Use only 0 and 1: whether a word occurs, not how often.")

    def fit(self, texts: Iterable[str]) -> Transformer:
        import numpy as np  # heavy, as is scikit-learn
        from sklearn.feature_extraction.text import CountVectorizer

        vectorizer = CountVectorizer(**self.model_dump(), dtype=np.float32)
        if self.model_copy(update={"lowercase": True, "binary": False}) != Count():
            return vectorizer.fit(texts)  # type: ignore[no-any-return]  # scikit-learn has no types
        # Every word that occurs becomes a column, whichever text it is in. So many texts are joined into one string,
        # and each different part between blanks is searched only once.
        find = re.compile(vectorizer.token_pattern).findall
        words: set[str] = set()
        rest = iter(texts)
        while some := list(islice(rest, JOINED)):
            joined = "\n".join(some)
            apart = {*(joined.lower() if self.lowercase else joined).split()}
            words.update(find("\n".join(apart)))
        if not words:
            raise ValueError("empty vocabulary")
        vectorizer.vocabulary_ = {word: column for column, word in enumerate(sorted(words))}
        vectorizer.fixed_vocabulary_ = False
        return vectorizer  # type: ignore[no-any-return]  # scikit-learn has no types
