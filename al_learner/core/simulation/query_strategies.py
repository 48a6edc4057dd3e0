"""Which texts of a simulated project are voted on next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from al_learner.core.interfaces import Codes, Estimator

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Query = Literal["least-confidence", "margin", "random"]
"""Which texts are voted on next: those with the lowest top probability, the smallest margin, or random ones."""

QUERIES: tuple[Query, ...] = get_args(Query)


def pick(query: Query, size: int, classifier: Estimator, X: csr_matrix, rng: np.random.Generator) -> Codes:
    """Return the positions of the `size` rows to vote on next. In a tie the first rows are taken."""
    if query == "random":
        return rng.choice(X.shape[0], size, replace=False)
    top = np.sort(classifier.predict_proba(X), axis=1)[:, -2:]
    certainty = top[:, 1] if query == "least-confidence" else top[:, 1] - top[:, 0]
    return certainty.argsort(kind="stable")[:size]
