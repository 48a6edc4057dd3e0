"""What query strategies promise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from al_learner.core.interfaces import Codes, QueryStrategy
from al_learner.core.testing.expect import expect

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


def check_query_of_many_texts(strategy: QueryStrategy) -> None:
    """Two labels and many, one text and several, probabilities in single and in double precision."""
    for n_classes in (2, 30):
        for size in (1, 10):
            for dtype in (np.float32, np.float64):
                _picked(strategy, _probabilities(200, n_classes).astype(dtype), _features(200), size)


def check_query_larger_than_the_texts(strategy: QueryStrategy) -> None:
    """If fewer texts are left than are wanted, all of them are picked."""
    for n_texts in (1, 2, 10):
        _picked(strategy, _probabilities(n_texts, 3), _features(n_texts), 10)
        _picked(strategy, _probabilities(n_texts, 3), _features(n_texts), 11)


def check_query_of_equal_probabilities(strategy: QueryStrategy) -> None:
    """A classifier that knows nothing gives all labels the same probability, or all texts the same probabilities."""
    for row in ([0.25, 0.25, 0.25, 0.25], [0.7, 0.1, 0.1, 0.1]):
        _picked(strategy, np.tile(row, (50, 1)), _features(50), 10)


def check_query_of_certain_predictions(strategy: QueryStrategy) -> None:
    """Probabilities may be exactly 0 and 1."""
    _picked(strategy, np.eye(4)[np.arange(50) % 4], _features(50), 10)
    _picked(strategy, np.eye(4)[np.zeros(50, int)], _features(50), 10)


def check_query_of_equal_texts(strategy: QueryStrategy) -> None:
    """Texts with the same words count as different texts. Texts may have no word that the vectorizer knows."""
    X = _features(50)
    _picked(strategy, _probabilities(50, 4), X[np.zeros(50, int)], 10)
    _picked(strategy, np.full((50, 4), 0.25), X[np.zeros(50, int)], 10)
    _picked(strategy, _probabilities(50, 4), X * np.float32(0), 10)
    X.data[:] = 0
    X.eliminate_zeros()
    _picked(strategy, _probabilities(50, 4), X, 10)


def check_same_rng_same_query(strategy: QueryStrategy) -> None:
    """All random numbers come from `rng`."""
    first, again = (_picked(strategy, _probabilities(200, 4), _features(200), 10) for _ in range(2))
    expect(np.array_equal(first, again), "the same rng gives different texts; take all random numbers from rng")


def check_one_score_a_text(strategy: QueryStrategy) -> None:
    """Scores are finite floats, whatever the probabilities."""
    for n_classes in (2, 30):
        for dtype in (np.float32, np.float64):
            _scored(strategy, _probabilities(200, n_classes).astype(dtype))
    _scored(strategy, np.eye(4))
    _scored(strategy, np.full((1, 4), 0.25))


def check_a_score_does_not_depend_on_other_texts(strategy: QueryStrategy) -> None:
    """A large project is read in parts. Random scores depend on nothing but `rng`."""
    probabilities = _probabilities(200, 4)
    together, again = _scored(strategy, probabilities), _scored(strategy, probabilities, seed=1)
    if np.array_equal(together, again):  # they are not random
        parts = [_scored(strategy, probabilities[rows]) for rows in (slice(0, 1), slice(1, 150), slice(150, 200))]
        equal = np.allclose(together, np.concatenate(parts), rtol=1e-9, atol=0)
        expect(equal, "texts have other scores among other texts; a score may depend only on the text's probabilities")


def check_predictions_are_not_changed(strategy: QueryStrategy) -> None:
    """The caller uses probabilities and features again."""
    probabilities, X = _probabilities(200, 4), _features(200)
    kept_probabilities, kept_X = probabilities.copy(), X.copy()
    _scored(strategy, probabilities)
    _picked(strategy, probabilities, X, 10)
    expect(np.array_equal(probabilities, kept_probabilities), "the probabilities are changed")
    expect((kept_X != X).nnz == 0, "query changes X")


CHECKS = (
    check_query_of_many_texts,
    check_query_larger_than_the_texts,
    check_query_of_equal_probabilities,
    check_query_of_certain_predictions,
    check_query_of_equal_texts,
    check_same_rng_same_query,
    check_one_score_a_text,
    check_a_score_does_not_depend_on_other_texts,
    check_predictions_are_not_changed,
)


def _probabilities(n_texts: int, n_classes: int) -> NDArray[np.float64]:
    return np.random.default_rng(0).dirichlet(np.full(n_classes, 0.5), n_texts)


def _features(n_texts: int) -> csr_matrix:
    """Return some words a text, and a column of meaning, which has negative values too."""
    from scipy.sparse import csr_matrix, hstack, random  # heavy

    rng = np.random.default_rng(0)
    words = random(n_texts, 40, density=0.1, format="csr", dtype=np.float32, random_state=0)
    return csr_matrix(hstack([words, rng.normal(size=(n_texts, 1)).astype(np.float32)]))


def _picked(strategy: QueryStrategy, probabilities: NDArray[Any], X: csr_matrix, size: int) -> Codes:
    rows = np.asarray(strategy.query(probabilities, X, size, np.random.default_rng(0)))
    n_texts, wanted = len(probabilities), min(size, len(probabilities))
    expect(rows.ndim == 1 and rows.dtype.kind in "iu", f"positions must be integers, not {rows!r}")
    expect(len(rows) == wanted, f"{len(rows)} texts were picked instead of {wanted}, of {n_texts}")
    outside = rows[(rows < 0) | (rows >= n_texts)].tolist()
    expect(not outside, f"positions must be from 0 to {n_texts - 1}, not {outside}")
    different = len({*rows.tolist()})
    expect(different == wanted, f"only {different} different texts were picked instead of {wanted}")
    return rows


def _scored(strategy: QueryStrategy, probabilities: NDArray[Any], *, seed: int = 0) -> NDArray[np.floating[Any]]:
    scores = np.asarray(strategy.scores(probabilities, np.random.default_rng(seed)))
    is_valid = scores.shape == (len(probabilities),) and scores.dtype.kind == "f" and bool(np.isfinite(scores).all())
    expect(
        is_valid, f"{len(probabilities)} texts need as many finite scores, not {scores.dtype} of shape {scores.shape}"
    )
    return scores
