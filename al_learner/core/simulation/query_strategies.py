"""Which texts of a simulated project are voted on next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from al_learner.core.interfaces import Codes, Estimator

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Query = Literal["least-confidence", "margin", "random"]
"""Which texts are voted on next: lowest top probability, smallest difference of the two top ones, or random."""

QUERIES: tuple[Query, ...] = get_args(Query)


def pick(query: Query, size: int, classifier: Estimator, X: csr_matrix, rng: np.random.Generator) -> Codes:
    """Return the positions of the `size` rows to vote on next; in a tie the first."""
    if query == "random":
        return rng.choice(X.shape[0], size, replace=False)
    top = np.sort(classifier.predict_proba(X), axis=1)[:, -2:]
    certainty = top[:, 1] if query == "least-confidence" else top[:, 1] - top[:, 0]
    return certainty.argsort(kind="stable")[:size]
