"""Which texts are voted on next."""

import numpy as np

from al_learner.core.simulation.query_strategies import pick


class Unsure:
    """A classifier whose probabilities are the features."""

    classes_ = np.array(["a", "b", "c"])

    def predict_proba(self, X):
        return X


def test_the_least_confident_texts_have_the_lowest_top_probability():
    X = np.array([[0.9, 0.1, 0.0], [0.5, 0.5, 0.0], [0.45, 0.3, 0.25], [0.6, 0.4, 0.0]])
    assert pick("least-confidence", 2, Unsure(), X, np.random.default_rng(0)).tolist() == [2, 1]


def test_the_smallest_margin_is_between_the_two_top_probabilities():
    X = np.array([[0.9, 0.1, 0.0], [0.5, 0.5, 0.0], [0.45, 0.3, 0.25], [0.6, 0.4, 0.0]])
    assert pick("margin", 2, Unsure(), X, np.random.default_rng(0)).tolist() == [1, 2]


def test_among_equals_the_first_texts_are_asked_about():
    X = np.full((10, 3), 1 / 3)
    assert pick("least-confidence", 3, Unsure(), X, np.random.default_rng(0)).tolist() == [0, 1, 2]


def test_a_random_query_picks_different_texts_and_the_same_with_the_same_seed():
    X = np.zeros((10, 3))
    first, again = (pick("random", 5, Unsure(), X, np.random.default_rng(1)) for _ in range(2))
    assert first.tolist() == again.tolist()
    assert len({*first.tolist()}) == 5
