"""How good a classifier is: a twin, trained without the slice, measured on it."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from al_learner.core.training.evaluation import in_hold_out_set
from tests.support.corpora import add_weather
from tests.support.strategies import Gate, Gated
from tests.support.tables import ON_BOTH

N_TEXTS = 60
SLICE = np.flatnonzero(in_hold_out_set(np.arange(1, N_TEXTS + 1), "votes")) + 1


@pytest.fixture
def voted(database):
    add_weather(database, N_TEXTS)
    return database


def scores(tables):
    return tables.query("SELECT clf_id, precision_score FROM classifiers ORDER BY 1")


@ON_BOTH
def test_the_score_is_measured_on_the_hold_out_set_and_stored(voted, open_project):
    result = open_project(voted).update()

    assert result.run is not None
    assert result.run.metrics is not None
    assert result.run.metrics["basis"] == "votes"
    assert result.run.metrics["size"] == len(SLICE) > 0
    assert {"precision", "accuracy", "macro_f1", "log_loss"} <= result.run.metrics.keys()
    assert scores(voted) == [(1, result.run.metrics["precision"])] == [(1, 1.0)]


def test_the_hold_out_model_has_not_seen_the_hold_out_set(voted, open_project):
    """Half of the slice gets a label that occurs nowhere else: only who has seen it can know it."""
    secret = SLICE[: len(SLICE) // 2].tolist()
    for text_id in secret:
        voted.query("UPDATE text_data SET labels = ? WHERE text_id = ?", voted.array(["secret"]), text_id)

    result = open_project(voted).update()

    assert result.run is not None
    assert result.run.metrics is not None
    assert result.run.metrics["precision"] == pytest.approx(1 - len(secret) / len(SLICE))
    published = pickle.loads(voted.value("SELECT clf FROM classifiers"))
    assert "secret" in published.classes_


@ON_BOTH
def test_without_votes_the_hold_out_set_of_the_prelabelled_data_is_measured(database, open_project):
    database.add_labels("a", "b")
    database.add_init_data(*((f"{'sun' if n % 2 else 'rain'} {n}", "ab"[n % 2]) for n in range(N_TEXTS)))

    result = open_project(database).init()

    assert result.run is not None
    assert result.run.metrics is not None
    assert result.run.metrics["basis"] == "init-data"
    assert result.run.metrics["size"] == in_hold_out_set(np.arange(1, N_TEXTS + 1), "init-data").sum()
    assert scores(database)[0][1] == result.run.metrics["precision"]


def test_labels_drawn_at_random_have_no_score(database, open_project):
    database.add_texts("one", "two")
    database.add_labels("a", "b")

    result = open_project(database).init()

    assert result.run is not None
    assert "reason" in result.run.metrics
    assert scores(database) == [(1, None)]


def test_an_empty_hold_out_set_gives_no_score_and_is_not_measured_again(database, open_project):
    outside = [text_id for text_id in range(1, 13) if text_id not in SLICE]
    for text_id in database.add_texts(*(f"text {number}" for number in range(12))):
        if text_id in outside:
            database.vote(text_id, "ab"[outside.index(text_id) % 2])
    project = open_project(database, batch_size=2)

    result = project.update()

    assert result.run is not None
    assert result.run.metrics["size"] == 0
    assert scores(database) == [(1, None)]
    assert project.reconcile().due is None


def test_a_class_that_is_only_in_the_hold_out_set_gives_no_score(database, open_project):
    for text_id in database.add_texts(*(f"text {number}" for number in range(N_TEXTS))):
        database.vote(text_id, "b" if text_id in SLICE else "a")

    result = open_project(database).update()

    assert result.run is not None
    assert "reason" in result.run.metrics
    assert scores(database) == [(1, None)]


def test_the_worker_scores_after_it_has_announced(voted, open_project):
    project = open_project(voted)

    assert project.reconcile().due == "update"
    assert scores(voted) == [(1, None)]
    assert project.reconcile().due == "score"
    assert scores(voted) == [(1, 1.0)]
    assert project.reconcile().due is None


@ON_BOTH
def test_a_score_that_was_missed_is_made_up_for_by_the_next_worker(voted, open_project):
    open_project(voted).reconcile()

    assert open_project(voted).reconcile().due == "score"
    assert scores(voted) == [(1, 1.0)]


def test_a_new_classifier_is_more_urgent_than_the_score_of_the_last(voted, open_project):
    project = open_project(voted)
    project.reconcile()
    for number in range(10):
        voted.add_text(f"sun {number}", labels=["b"])

    assert [project.reconcile().due for _ in range(3)] == ["update", "score", None]
    assert [score for _, score in scores(voted)] == [None, 1.0]


def test_a_hold_out_model_that_fails_costs_the_score_and_not_the_classifier(voted, open_project, monkeypatch):
    trained = []

    def fail_the_second_time():
        trained.append(None)
        if len(trained) == 2:
            raise RuntimeError("no luck with the twin")

    monkeypatch.setattr(Gate, "while_it_trains", fail_the_second_time)
    project = open_project(voted, classifier=Gated())

    result = project.update()

    assert result.run is not None
    assert result.run.status == "succeeded"
    assert "no luck with the twin" in result.run.metrics["reason"]
    assert scores(voted) == [(1, None)]
    assert project.reconcile().due is None
