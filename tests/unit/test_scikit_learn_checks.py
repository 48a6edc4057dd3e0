"""scikit-learn's own checks of estimators, on a `Learner` that reads rows of numbers as texts."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.estimator_checks import estimator_checks_generator
from sklearn.utils.validation import check_is_fitted, validate_data

from al_learner import Learner

LEFT_OUT = {
    "check_array_api_input": "texts are no arrays of numbers",
    "check_sample_weight_equivalence_on_dense_data": "it asks for 1e-7; logreg stops nearer to its own tolerance, 5e-5",
}
"""Checks that cannot be made, and why. All others pass."""

STEPS = 20


class OfRows(ClassifierMixin, BaseEstimator):
    """A `Learner` of rows of numbers. Each column is a word, repeated as often as its number is large."""

    def __init__(self, classifier="logreg", vectorizer="count"):
        self.classifier = classifier
        self.vectorizer = vectorizer

    def fit(self, X, y, sample_weight=None):
        X, y = validate_data(self, X, y)
        learner = Learner(classifier=self.classifier, vectorizer=self.vectorizer)
        self.learner_ = learner.fit(texts(X), y, sample_weight)
        self.classes_ = self.learner_.classes_
        return self

    def predict(self, X):
        check_is_fitted(self)
        return self.learner_.predict(texts(validate_data(self, X, reset=False)))

    def predict_proba(self, X):
        check_is_fitted(self)
        return self.learner_.predict_proba(texts(validate_data(self, X, reset=False)))

    def decision_function(self, X):
        check_is_fitted(self)
        return self.learner_.decision_function(texts(validate_data(self, X, reset=False)))


def texts(X):
    counts = np.round(STEPS * (1 + np.tanh(X / 4))).astype(int) + 1
    return [" ".join(f"column{at} " * n for at, n in enumerate(row)) for row in counts]


CHECKS = [
    (estimator, check)
    for estimator, check in estimator_checks_generator(OfRows())
    if getattr(check, "func", check).__name__ not in LEFT_OUT
]


@pytest.mark.parametrize(("estimator", "check"), CHECKS, ids=lambda one: getattr(one, "func", one.__class__).__name__)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def test_what_is_left_out_is_still_a_check():
    names = {getattr(check, "func", check).__name__ for _, check in estimator_checks_generator(OfRows())}
    assert {*LEFT_OUT} <= names
    assert len(names) > 40
