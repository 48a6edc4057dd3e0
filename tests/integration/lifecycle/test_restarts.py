"""What was left to be done for a classifier is done by its own strategies, whatever is configured after a restart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier

from al_learner import Classifier
from tests.support.corpora import add_weather
from tests.support.strategies import Prefers

N_TEXTS = 200


class MostFrequent(Classifier):
    """Learns nothing from the texts."""

    def fit(self, X: Any, y: Any) -> Any:
        return DummyClassifier(strategy="most_frequent").fit(X, y)


class CountsRows(Prefers):
    """Tells as the loss how many rows it was given."""

    def losses(self, X: Any, y: Any, fit: Callable[[Any, Any], Any]) -> Any:
        fit(X, y)
        return np.full(len(y), float(len(y)))


@pytest.fixture
def voted(database):
    add_weather(database, N_TEXTS)
    return database


def precision(tables):
    return tables.value("SELECT precision_score FROM classifiers ORDER BY clf_id DESC LIMIT 1")


@pytest.mark.parametrize(
    "changed",
    [{"classifier": MostFrequent()}, {"vectorizer": "hashing"}, {"classifier": MostFrequent(), "vectorizer": "count"}],
    ids=["another classifier", "another vectorizer", "both"],
)
def test_after_a_restart_a_classifier_is_scored_by_the_strategies_that_trained_it(voted, open_project, changed):
    assert open_project(voted, vectorizer="tfidf").reconcile().due == "update"

    assert open_project(voted, **{"vectorizer": "tfidf", **changed}).reconcile().due == "score"

    assert precision(voted) == 1.0


def test_after_a_restart_the_gate_judges_what_is_stored_not_what_is_configured(voted, open_project):
    open_project(voted).update()
    add_weather(voted, N_TEXTS, first=N_TEXTS)
    assert open_project(voted).reconcile().due == "update"

    restarted = open_project(voted, classifier=MostFrequent())

    assert restarted.reconcile().due == "score"
    assert restarted.model(2)[1].metrics["gate"]["verdict"] == "passed"


@pytest.mark.parametrize("gate", ["warn", "hold"])
def test_after_a_promotion_candidates_are_compared_on_the_votes(voted, open_project, gate):
    """Also where prelabelled texts are there: so few say nothing."""
    voted.add_init_data(("sun", "a"), ("rain", "b"))
    project = open_project(voted)
    project.update()
    project.update(force=True)
    project.promote(1)

    chooser = open_project(voted, classifier=CountsRows(min_labels=10), gate=gate)
    assert chooser.reconcile().due == "choose"

    assert {*chooser.read_state().choice.losses.values()} == {float(N_TEXTS + 2)}


def test_candidates_are_not_compared_on_features_that_the_next_run_does_not_have(voted, open_project):
    open_project(voted, vectorizer="tfidf").update()
    chooser = open_project(voted, vectorizer="count", classifier=CountsRows(min_labels=10))

    assert chooser.reconcile().due is None
    chooser.update(force=True)

    assert chooser.read_state().choice is not None
