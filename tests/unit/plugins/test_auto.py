import warnings
from functools import partial

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.base import BaseEstimator, ClassifierMixin

from al_learner.core.registry import strategy
from al_learner.core.training.fitting import fit_classifier

BAYES = partial(fit_classifier, strategy("classifier", "complement-nb"))


def texts(counts, *, seed=0):
    """Return a row for each label as often as said, with a word of its own twice in three times, among noise."""
    rng = np.random.default_rng(seed)
    y = np.repeat([f"label {i}" for i in range(len(counts))], counts)
    own = (y[:, None] == np.unique(y)) & (rng.random(len(y)) < 2 / 3)[:, None]
    return csr_matrix(np.hstack([own, rng.poisson(0.5, (len(y), 20))]), dtype=np.float32), y


class Says(ClassifierMixin, BaseEstimator):
    """Finds the label of the word that it sees as probable as it is told to."""

    def __init__(self, y, *, power):
        self.classes_, self.power = np.unique(y), power

    def predict_proba(self, X):
        P = (0.2 + X[:, : len(self.classes_)].toarray()).astype(float) ** self.power
        return P / P.sum(axis=1, keepdims=True)


def losses(X, y, fit, **params):
    return strategy("classifier", "auto", **params).losses(X, y, fit)


def test_to_exaggerate_costs_nothing():
    X, y = texts([30, 30, 30])
    modest, loud = (losses(X, y, lambda _, y, power=power: Says(y, power=power)) for power in (1, 8))

    assert loud == pytest.approx(modest, abs=1e-3)


def test_a_label_that_occurs_once_has_no_loss_and_breaks_nothing():
    X, y = texts([40, 40, 1, 1, 3])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = losses(X, y, BAYES)

    assert np.flatnonzero(np.isnan(found)).tolist() == [80, 81]


@pytest.mark.parametrize("counts", [[1, 1], [1, 1, 1, 1], [2, 1]])
def test_with_too_few_texts_of_a_label_some_losses_are_unknown(counts):
    assert np.isnan(losses(*texts(counts), BAYES)).any()


def test_a_certainty_that_is_wrong_is_a_large_loss_and_no_infinite_one():
    X, y = texts([20, 20])

    class Wrong(Says):
        def predict_proba(self, X):
            return 1 - np.round(super().predict_proba(X))

    found = losses(X, y, lambda _, y: Wrong(y, power=9))

    assert np.isfinite(found).all()
    assert found.mean() > 0.5


def test_no_row_is_trained_on_for_its_own_loss():
    X, y = texts([20, 20])
    sizes = []

    def fit(X, y):
        sizes.append(len(y))
        return BAYES(X, y)

    losses(X, y, fit, n_folds=4)

    assert sizes == [30] * 4


def test_of_many_texts_some_are_used_the_same_for_every_candidate():
    X, y = texts([300, 300])
    first, second = (losses(X, y, fit, max_texts=100) for fit in (BAYES, lambda _, y: Says(y, power=1)))

    assert np.isfinite(first).sum() == 100
    assert np.array_equal(np.isnan(first), np.isnan(second))
    assert not np.array_equal(np.isnan(first), np.isnan(losses(X, y, BAYES, max_texts=100, random_state=1)))


def test_auto_itself_is_not_trained():
    with pytest.raises(TypeError, match="Learner and Project train one of its candidates"):
        strategy("classifier", "auto").fit(*texts([3, 3]))
