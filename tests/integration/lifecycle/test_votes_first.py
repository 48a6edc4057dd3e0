"""A classifier that does not know the votes is replaced at once, however it came to be the newest."""

from __future__ import annotations

from typing import Any

import pytest
from sklearn.dummy import DummyClassifier

from al_learner import Classifier
from tests.support.corpora import add_weather
from tests.support.tables import ON_BOTH

N_TEXTS = 200
TIMES = 20


class MostFrequent(Classifier):
    """Learns nothing from the texts."""

    def fit(self, X: Any, y: Any) -> Any:
        return DummyClassifier(strategy="most_frequent").fit(X, y)


@pytest.fixture
def trained(database, open_project):
    """A project whose first classifier was trained by chance, and whose second on votes."""
    database.add_labels("a", "b")
    database.add_texts("neither rain nor sun", "both rain and sun")
    project = open_project(database)
    assert reconcile_all(project) == ["init", "score"]
    add_weather(database, N_TEXTS, first=2)
    assert reconcile_all(project) == ["update", "score"]
    return database


def reconcile_all(project) -> list[str]:
    """Reconcile until nothing is due. Return what was done."""
    done = []
    while due := project.reconcile(may_announce=False).due:
        done.append(due)
    return done


def runs(tables) -> list[tuple[Any, ...]]:
    return tables.query("SELECT kind, status, texts FROM al_runs ORDER BY run_id")


@ON_BOTH
@pytest.mark.parametrize(
    "harm",
    [
        ["DELETE FROM classifiers"],
        ["DELETE FROM classifiers", "DELETE FROM countvecs"],
        ["DELETE FROM classifiers WHERE clf_id = 2"],
        ["DELETE FROM classifiers WHERE clf_id = 2", "DELETE FROM al_runs"],
        ["DELETE FROM al_runs", "DELETE FROM classifiers"],
        ["INSERT INTO classifiers (clf, download) SELECT clf, 0 FROM classifiers WHERE clf_id = 1"],
    ],
    ids=[
        "no classifier",
        "no model at all",
        "the former classifier",
        "the former classifier, no runs",
        "neither runs nor classifiers",
        "a classifier of another program",
    ],
)
def test_votes_that_the_newest_classifier_does_not_know_are_trained_on_at_once(trained, open_project, harm):
    for statement in harm:
        trained.query(statement)

    project = open_project(trained)
    state = project.read_state()
    done = reconcile_all(project)

    assert (state.due, state.facts.new_samples) == ("update", 0)
    assert state.reason == "the newest classifier was not trained on the votes"
    assert "init" not in done
    assert runs(trained)[-1] == ("update", "succeeded", N_TEXTS)
    assert reconcile_all(project) == []


def test_a_classifier_of_chance_that_a_worker_trained_over_the_votes_is_replaced(trained, open_project):
    """As workers before version 0.2 did."""
    project = open_project(trained)
    project.init(force=True, discard_votes=True)
    trained.query("UPDATE al_runs SET forced = ? WHERE run_id = 3", False)

    assert reconcile_all(project)[-2:] == ["update", "score"]
    assert runs(trained)[-1] == ("update", "succeeded", N_TEXTS)


def test_a_cold_start_over_votes_is_refused_unless_they_are_discarded(trained, open_project):
    project = open_project(trained)

    refused = project.init(force=True)

    assert refused.run is None
    assert refused.reason == (
        "200 texts have votes, and a first classifier does not use votes. "
        "`al-learner train` trains on the votes; --discard-votes trains without them, and they stay stored"
    )
    assert len(runs(trained)) == 2
    assert project.init(force=True, discard_votes=True).run.kind == "init"
    assert "votes" not in project.init().reason  # there is a classifier


def test_without_a_classifier_too_a_cold_start_over_votes_is_refused(trained, open_project):
    trained.query("DELETE FROM classifiers")
    project = open_project(trained)

    assert "--discard-votes" in project.init().reason
    assert project.update().run.texts == N_TEXTS


@pytest.mark.parametrize("act", ["promote", "discard"])
def test_what_a_person_made_the_newest_stays_until_there_are_enough_new_samples(trained, open_project, act):
    project = open_project(trained)
    _ = project.promote(1) if act == "promote" else project.init(force=True, discard_votes=True)
    reconcile_all(project)
    before = runs(trained)

    for _ in range(TIMES):
        assert project.reconcile(may_announce=False).due is None

    assert runs(trained) == before
    add_weather(trained, 10, first=2 + N_TEXTS)
    assert reconcile_all(project)[0] == "update"
    assert runs(trained)[-1] == ("update", "succeeded", N_TEXTS + 10)


def test_what_the_gate_restored_stays_until_there_are_enough_new_samples(trained, open_project):
    add_weather(trained, 10, first=2 + N_TEXTS)
    worse = open_project(trained, classifier=MostFrequent(), gate="hold")
    assert reconcile_all(worse) == ["update"]
    assert [kind for kind, *_ in runs(trained)] == ["init", "update", "update", "promote"]

    for _ in range(TIMES):
        assert worse.reconcile(may_announce=False).due is None

    assert len(runs(trained)) == 4
    assert trained.value("SELECT max(clf_id) FROM classifiers") == 4


@ON_BOTH
def test_the_first_votes_of_a_project_wait_for_a_batch(database, open_project):
    database.add_labels("a", "b")
    add_weather(database, 9)
    project = open_project(database)

    assert reconcile_all(project) == ["init", "score"]
    add_weather(database, 1, first=9)
    assert reconcile_all(project)[0] == "update"


def test_votes_that_allow_no_training_do_not_prevent_a_cold_start(trained, open_project):
    trained.query("DELETE FROM classifiers")
    trained.query("UPDATE text_data SET labels = ?, major_label = 'a' WHERE major_label = 'b'", trained.array(["a"]))
    project = open_project(trained)

    state = project.read_state()

    assert (state.due, state.facts.classes) == ("init", 1)
