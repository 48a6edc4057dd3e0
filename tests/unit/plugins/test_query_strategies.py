"""Which texts the built-in query strategies pick."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_matrix

from al_learner.core.registry import names, strategy

BUILT_IN = ("diverse", "entropy", "least-confidence", "margin", "random")
DETERMINISTIC = ("entropy", "least-confidence", "margin")

SHARES = np.array(
    [
        [0.90, 0.10, 0.00],  # top 0.90, margin 0.80, entropy 0.325
        [0.50, 0.50, 0.00],  # top 0.50, margin 0.00, entropy 0.693
        [0.45, 0.30, 0.25],  # top 0.45, margin 0.15, entropy 1.067
        [0.60, 0.20, 0.20],  # top 0.60, margin 0.40, entropy 0.950
    ]
)


def query(name, probabilities, size, *, X=None, seed=0, **params):
    X = np.zeros((len(probabilities), 1)) if X is None else X
    chosen = strategy("query_strategy", name, **params)
    return chosen.query(probabilities, csr_matrix(X, dtype=np.float32), size, np.random.default_rng(seed))


@st.composite
def probabilities(draw):
    """Draw probabilities, often equal ones, 0 and 1; also of no text that is left but one, and of one class."""
    shape = draw(st.integers(1, 40)), draw(st.integers(1, 6))
    weights = draw(arrays(np.float64, shape, elements=st.sampled_from([0, 0, 1, 1, 2, 0.3])))
    weights[:, 0] += weights.sum(axis=1) == 0
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    return (weights / weights.sum(axis=1, keepdims=True)).astype(dtype)


def test_these_are_built_in():
    assert {*names("query_strategy")} >= {*BUILT_IN}


@pytest.mark.parametrize(
    ("name", "order"), [("least-confidence", [2, 1, 3, 0]), ("margin", [1, 2, 3, 0]), ("entropy", [2, 3, 1, 0])]
)
def test_the_most_uncertain_text_comes_first(name, order):
    assert query(name, SHARES, 4).tolist() == order
    assert query(name, SHARES, 2).tolist() == order[:2]
    assert query(name, SHARES.astype(np.float32), 4).tolist() == order


def test_the_entropy_has_the_natural_logarithm():
    scores = strategy("query_strategy", "entropy").scores(SHARES, np.random.default_rng(0))
    assert scores.round(3).tolist() == [0.325, 0.693, 1.067, 0.950]


@pytest.mark.parametrize("name", [*DETERMINISTIC, "diverse"])
def test_of_equally_uncertain_texts_the_first_are_picked(name):
    assert query(name, np.full((100, 3), 1 / 3), 3).tolist() == [0, 1, 2]


@pytest.mark.parametrize("name", DETERMINISTIC)
@given(probabilities=probabilities(), size=st.integers(1, 50), seed=st.integers(0, 9))
def test_chance_and_features_do_not_matter_where_only_uncertainty_counts(name, probabilities, size, seed):
    X = np.random.default_rng(seed).random((len(probabilities), 5))
    assert query(name, probabilities, size).tolist() == query(name, probabilities, size, X=X, seed=seed).tolist()


@settings(max_examples=50)
@pytest.mark.parametrize("name", BUILT_IN)
@given(probabilities=probabilities(), size=st.integers(1, 50), seed=st.integers(0, 9), n_words=st.integers(1, 9))
def test_whatever_the_predictions_so_many_different_texts_are_picked_as_are_wanted_or_left(
    name, probabilities, size, seed, n_words
):
    X = np.random.default_rng(seed).integers(0, 2, (len(probabilities), n_words))

    rows = query(name, probabilities, size, X=X, seed=seed)

    assert len({*rows.tolist()}) == len(rows) == min(size, len(probabilities))
    assert {*rows.tolist()} <= {*range(len(probabilities))}
    assert rows.tolist() == query(name, probabilities, size, X=X, seed=seed).tolist()


def picked_by_former_versions(name, probabilities, size, rng):
    """Return what `al-learner simulate` picked before query strategies were plug-ins."""
    if name == "random":
        return rng.choice(len(probabilities), size, replace=False)
    top = np.sort(probabilities, axis=1)[:, -2:]
    certainty = top[:, 1] if name == "least-confidence" else top[:, 1] - top[:, 0]
    return certainty.argsort(kind="stable")[:size]


@pytest.mark.parametrize("name", ["least-confidence", "margin", "random"])
@given(seed=st.integers(0, 999), n_classes=st.integers(2, 60), dtype=st.sampled_from([np.float32, np.float64]))
def test_the_texts_are_those_that_former_versions_picked_so_finished_simulations_stay_comparable(
    name, seed, n_classes, dtype
):
    probabilities = np.random.default_rng(seed).dirichlet(np.full(n_classes, 0.3), 300).astype(dtype)
    former, now = np.random.default_rng(seed), np.random.default_rng(seed)
    X = csr_matrix((300, 1), dtype=np.float32)
    for size in (1, 25, 300):
        expected = picked_by_former_versions(name, probabilities, size, former)
        rows = strategy("query_strategy", name).query(probabilities, X, size, now)
        assert rows.tolist() == expected.tolist()


def test_random_texts_differ_with_the_seed_and_every_text_can_be_picked():
    batches = [tuple(query("random", SHARES, 2, seed=seed).tolist()) for seed in range(60)]
    assert {row for batch in batches for row in batch} == {0, 1, 2, 3}
    assert len({*batches}) > 6


TOPICS = np.kron(np.eye(4), np.ones((1, 5)))
"""Four topics of five words each."""


def texts_about(topics):
    rng = np.random.default_rng(0)
    return np.array([TOPICS[topic] * rng.uniform(1, 1.5, 20) for topic in topics])


def test_diverse_picks_a_text_of_every_topic_though_most_unsure_texts_are_of_one():
    topics = np.array([0] * 28 + [1, 2, 3] * 4)
    unsure = np.full((40, 2), 0.5)
    for seed in range(5):
        rows = query("diverse", unsure, 4, X=texts_about(topics), seed=seed)
        assert {*topics[rows].tolist()} == {0, 1, 2, 3}
    assert {*topics[query("margin", unsure, 4)].tolist()} == {0}


def test_diverse_picks_among_the_least_sure_texts_and_the_least_sure_comes_first():
    margins = np.linspace(0.02, 0.9, 40)
    shares = np.column_stack([1 + margins, 1 - margins]) / 2
    X = texts_about(np.arange(40) % 4)

    rows = query("diverse", shares, 4, X=X, candidates_per_text=3)

    assert rows.max() < 12
    assert rows.tolist() == sorted(rows.tolist())
    assert query("diverse", shares, 4, X=X, candidates_per_text=1).tolist() == [0, 1, 2, 3]


def test_diverse_picks_no_text_twice_that_was_loaded_twice():
    X = np.tile(texts_about([0, 0, 1, 2, 3]), (8, 1))

    rows = query("diverse", np.full((40, 2), 0.5), 5, X=X)

    assert len({X[row].tobytes() for row in rows}) == 5


def test_a_text_of_which_the_classifier_is_less_sure_draws_the_centre_of_its_cluster():
    """Two clusters; in each a dense middle of rather sure texts, and unsure ones at the edge."""
    X = np.vstack(
        [np.tile([1.0, 0.0, 0.0, 0.2], (9, 1)), [[1.0, 1.0, 0.0, 0.0]], np.tile([0.0, 0.0, 1.0, 0.0], (10, 1))]
    )
    sure, unsure = [0.999, 0.001], [0.5, 0.5]
    shares = np.array([sure] * 9 + [unsure] + [sure] * 9 + [unsure])

    rows = query("diverse", shares, 2, X=X)

    assert rows[0] == 9
