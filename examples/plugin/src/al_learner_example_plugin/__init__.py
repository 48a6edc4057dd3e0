"""A classifier and an init sampler for al_learner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from al_learner import Classifier, InitSampler

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from al_learner.core.interfaces import Codes, Estimator, Labels


class BernoulliNb(Classifier):
    """Naive Bayes that uses whether a word occurs, not how often: fast, and good with short texts.

    References
    ----------
    McCallum and Nigam (1998). A comparison of event models for naive Bayes text classification. AAAI workshop on
    learning for text categorization.
    """

    alpha: float = Field(default=0.1, gt=0, description="Additive smoothing.")
    fit_prior: bool = Field(
        default=True, description="Learn how frequent each label is. If false, all labels are equally probable."
    )

    def fit(self, X: csr_matrix, y: Labels, sample_weight: NDArray[np.float32] | None = None) -> Estimator:
        """Train on labelled rows; al_learner has selected the columns that occur."""
        from sklearn.naive_bayes import BernoulliNB  # heavy: imported only to train

        estimator: Estimator = BernoulliNB(alpha=self.alpha, fit_prior=self.fit_prior).fit(X, y, sample_weight)
        return estimator


class Diverse(InitSampler):
    """Texts with few words in common: each is the text of a random pool that is least similar to the earlier ones.

    References
    ----------
    Gonzalez (1985). Clustering to minimize the maximum intercluster distance. Theoretical Computer Science 38.
    doi:10.1016/0304-3975(85)90224-5
    """

    pool: int = Field(default=10, ge=1, description="Number of texts that are read for each text that is picked.")

    def sample(
        self, texts: Sequence[str], labels: Sequence[str], size: int, rng: np.random.Generator
    ) -> tuple[Codes, list[str]]:
        """Pick texts that differ. They get the labels in turn, in random order."""
        candidates = self.pick(len(texts), min(size * self.pool, len(texts)), rng)
        words = [frozenset(texts[row].lower().split()) for row in candidates.tolist()]
        picked: list[int] = []
        likeness = np.zeros(len(words))  # of each candidate to the most similar picked text
        for _ in range(min(size, len(words))):
            picked.append(int(likeness.argmin()))
            likeness = np.maximum(likeness, [_jaccard(words[picked[-1]], other) for other in words])
            likeness[picked] = np.inf
        order = rng.permutation(len(labels))
        return np.resize(candidates[picked], size), [labels[order[i % len(labels)]] for i in range(size)]


def _jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    return len(a & b) / max(len(a | b), 1)
