"""Scores and choices that are computed beside the trainings: batches do not wait, and nothing outdated is stored."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future
from functools import partial

import pytest

from al_learner import Project
from al_learner.core.configuration.settings import Settings
from al_learner.core.errors import DatabaseError, DatabaseUnavailable
from al_learner.core.labels.aggregation import winners
from al_learner.core.storage.run_transactions import RunTransactions
from al_learner.core.training.compute import Compute
from al_learner.core.training.in_process_trainer import InProcessTrainer
from tests.support.corpora import add_weather
from tests.support.strategies import Prefers


class Later:
    """A background trainer that works when the test says so."""

    def __init__(self, trainer):
        self._trainer, self._waiting = trainer, deque()

    def submit(self, work):
        self._waiting.append((work, Future()))
        return self._waiting[-1][1]

    def work(self):
        work, outcome = self._waiting.popleft()
        try:
            outcome.set_result(work(self._trainer))
        except DatabaseUnavailable as exc:
            outcome.set_exception(exc)


@pytest.fixture
def open_worker(sqlite):
    """Return a function that opens a project as a worker does, with a background trainer that the test drives."""
    opened = []

    def one(**settings):
        settings = Settings(database_url=sqlite.url, batch_size=10, **settings)
        project = Project.of(settings)
        tables = project._storage.tables
        project.close()
        background = Later(InProcessTrainer(tables))
        winners_of = partial(winners, settings.strategies.label_aggregator)
        compute = Compute(InProcessTrainer(tables), winners_of, background)
        opened.append(Project.of(settings, compute=compute))
        return opened[-1], background

    yield one
    for project in opened:
        project.close()


def dues(project):
    """Do everything that is due; return what it was."""
    done = []
    while (due := project.reconcile().due) is not None:
        done.append(due)
    return done


@pytest.fixture
def scoring(sqlite, open_worker):
    """A worker's project with a classifier whose score has not been computed yet, and its background trainer."""
    add_weather(sqlite, 40)
    project, background = open_worker(classifier="complement-nb")
    assert dues(project) == ["update", "score"]
    return project, background


def scores(tables):
    rows = tables.query("SELECT metrics IS NOT NULL FROM al_runs WHERE status = 'succeeded' ORDER BY run_id")
    return [bool(scored) for (scored,) in rows]


def test_a_batch_does_not_wait_for_the_score_before_it(sqlite, open_worker):
    add_weather(sqlite, 40)
    project, background = open_worker(classifier="complement-nb")
    assert dues(project) == ["update", "score"]
    add_weather(sqlite, 10)

    assert dues(project) == ["update"]
    assert scores(sqlite) == [False, False]

    background.work()
    assert dues(project) == ["score"]
    assert scores(sqlite) == [True, False]

    background.work()
    assert dues(project) == []
    assert scores(sqlite) == [True, True]


def test_a_late_score_is_compared_with_the_classifier_before_its_own(sqlite, scoring):
    project, background = scoring
    background.work()
    dues(project)
    for _ in range(2):
        add_weather(sqlite, 10)
        dues(project)
    background.work()
    dues(project)
    background.work()
    dues(project)

    against = [run.metrics["gate"].get("against") for run in project._storage.runs.recent()]
    assert against == [2, 1, None]


def test_a_batch_does_not_wait_for_a_choice(sqlite, open_worker):
    add_weather(sqlite, 40)
    project, background = open_worker(classifier=Prefers(min_labels=10))
    assert dues(project) == ["update", "score"]
    background.work()
    assert dues(project) == ["choose"]
    add_weather(sqlite, 10)
    assert dues(project) == ["update"]

    background.work()

    assert dues(project) == ["score"]
    choice = project.read_state().choice
    assert (choice.name, choice.labels) == ("sgd", 40)
    add_weather(sqlite, 9)
    background.work()
    assert dues(project) == []  # 1.5 times 40 labels are needed, and there are 59
    add_weather(sqlite, 1)
    assert dues(project) == ["update", "score"]
    background.work()
    assert dues(project) == ["choose"]


def test_a_score_that_somebody_else_stored_meanwhile_stays(sqlite, scoring, open_project):
    project, background = scoring
    assert open_project(sqlite, classifier="complement-nb").reconcile().due == "score"
    sqlite.query("UPDATE classifiers SET precision_score = 0.25")

    background.work()

    assert dues(project) == []
    assert sqlite.value("SELECT precision_score FROM classifiers") == 0.25


def test_a_choice_that_somebody_else_made_meanwhile_stays(sqlite, open_worker, open_project):
    add_weather(sqlite, 40)
    project, background = open_worker(classifier=Prefers(min_labels=10))
    dues(project)
    background.work()
    dues(project)
    by_hand = open_project(sqlite, classifier=Prefers(min_labels=10), batch_size=10)
    add_weather(sqlite, 5)
    by_hand.update(force=True)

    background.work()

    dues(project)
    assert [run.choice and run.choice["labels"] for run in project._storage.runs.recent()] == [45, None]


def test_a_score_of_a_deleted_classifier_is_forgotten(sqlite, scoring):
    project, background = scoring
    sqlite.query("DELETE FROM al_runs")
    sqlite.query("DELETE FROM classifiers")

    background.work()

    assert dues(project)[0] == "update"
    assert scores(sqlite) == [False]


def test_with_hold_the_score_comes_before_anything_else(sqlite, open_worker):
    add_weather(sqlite, 40)
    project, _ = open_worker(classifier=Prefers(min_labels=10), gate="hold")
    assert dues(project) == ["update", "choose"]
    assert scores(sqlite) == [True]
    add_weather(sqlite, 10)

    assert dues(project) == ["update"]
    assert scores(sqlite) == [True, True]


def test_a_score_that_cannot_be_stored_does_not_delay_the_next_batch(sqlite, scoring, monkeypatch):
    def fail(*_, **__):
        raise DatabaseError("the disk is full")

    project, background = scoring
    background.work()
    add_weather(sqlite, 10)
    with monkeypatch.context() as patch:
        patch.setattr(RunTransactions, "score", fail)
        with pytest.raises(DatabaseError):
            project.reconcile()
        assert project.reconcile().due == "update"

    assert dues(project) == ["score"]


def test_a_score_is_kept_while_the_database_cannot_be_reached(sqlite, scoring, monkeypatch):
    def fail(*_, **__):
        raise DatabaseUnavailable("gone")

    project, background = scoring
    background.work()
    with monkeypatch.context() as patch:
        patch.setattr(RunTransactions, "score", fail)
        with pytest.raises(DatabaseUnavailable):
            project.reconcile()

    assert dues(project) == []
    assert scores(sqlite) == [True]


def test_without_a_database_it_is_tried_again(sqlite, scoring, monkeypatch):
    def fail(*_):
        raise DatabaseUnavailable("gone")

    project, background = scoring
    with monkeypatch.context() as patch:
        patch.setattr(InProcessTrainer, "score", fail)
        background.work()
    with pytest.raises(DatabaseUnavailable):
        project.reconcile()

    assert dues(project) == ["score"]
    background.work()
    assert dues(project) == []
    assert scores(sqlite) == [True]
