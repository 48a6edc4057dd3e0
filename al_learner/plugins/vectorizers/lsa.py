"""Words, and what they mean according to the words beside which they occur in the project's own texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from random import Random

import numpy as np
from pydantic import Field

from al_learner.core.interfaces import Transformer
from al_learner.plugins.vectorizers.meaning import MeaningVectorizer

SAMPLED = 10_000
"""Texts on which the decomposition is computed at most: a random sample of a larger corpus."""


class Lsa(MeaningVectorizer):
    """TF-IDF beside latent semantic analysis of the project's own texts: for languages without word vectors.

    The vectors of the words are the right singular vectors of the TF-IDF matrix of the texts, so words that occur in
    the same texts have similar ones.

    References
    ----------
    Deerwester, Dumais, Furnas, Landauer and Harshman (1990). Indexing by latent semantic analysis. JASIS 41.
    doi:10.1002/(SICI)1097-4571(199009)41:6<391::AID-ASI1>3.0.CO;2-9

    Halko, Martinsson and Tropp (2011). Finding structure with randomness. SIAM Review 53. doi:10.1137/090771806
    """

    random_state: int | None = Field(default=0, ge=0, description="Seed of the random numbers.")

    def fit(self, texts: Iterable[str]) -> Transformer:
        from sklearn.utils.extmath import randomized_svd  # heavy

        sample: list[str] = []
        tfidf, _ = self.fit_words(_sampled(texts, sample, Random(self.random_state)))  # noqa: S311 - no secret
        X = tfidf.transform(sample)
        columns = np.unique(X.indices).astype(np.intp)
        n_dims = min(self.n_dims, len(columns), len(sample))
        _, _, vectors = randomized_svd(X[:, columns], n_dims, random_state=self.random_state)
        return self.transformer(tfidf, columns, vectors.T)


def _sampled(texts: Iterable[str], sample: list[str], rng: Random) -> Iterator[str]:
    """Yield all texts, and leave a random sample of them (algorithm R: every text is in it with the same chance)."""
    for position, text in enumerate(texts):
        if position < SAMPLED:
            sample.append(text)
        elif (place := rng.randrange(position + 1)) < SAMPLED:
            sample[place] = text
        yield text
