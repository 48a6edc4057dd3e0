"""Word counts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from pydantic import Field

from al_learner.core.interfaces import CountsWords, DocumentFrequency, NgramRange, Transformer
from al_learner.plugins.vectorizers.words import analyzer, texts_with, vocabulary

JOINED = 5_000
"""Number of texts that are tokenized at a time."""


class Count(CountsWords):
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

    def in_parts(self) -> bool:
        return self.max_features is None  # else it matters how often the words occur

    def count(self, texts: Iterable[str]) -> Counter[str]:
        vectorizer = self._vectorizer()
        if self.model_copy(update={"lowercase": True, "binary": False}) != Count():
            return texts_with(analyzer(vectorizer), texts)
        # Every word becomes a column, whichever texts it is in. So many texts are joined into one string, and each
        # different part between blanks is searched only once.
        find = re.compile(vectorizer.token_pattern).findall
        words: set[str] = set()
        rest = iter(texts)
        while some := list(islice(rest, JOINED)):
            joined = "\n".join(some)
            apart = {*(joined.lower() if self.lowercase else joined).split()}
            words.update(find("\n".join(apart)))
        return Counter(words)

    def fit_counts(self, counts: Mapping[str, int], n_texts: int, sample: Sequence[str]) -> Transformer:
        del sample
        vectorizer = self._vectorizer()
        vectorizer.vocabulary_ = vocabulary(counts, n_texts, min_df=self.min_df, max_df=self.max_df)
        vectorizer.fixed_vocabulary_ = False
        return vectorizer  # type: ignore[no-any-return]  # scikit-learn has no types

    def fit(self, texts: Iterable[str]) -> Transformer:
        return super().fit(texts) if self.in_parts() else self._vectorizer().fit(texts)

    def _vectorizer(self) -> Any:
        import numpy as np  # heavy, as is scikit-learn
        from sklearn.feature_extraction.text import CountVectorizer

        return CountVectorizer(**self.model_dump(), dtype=np.float32)
