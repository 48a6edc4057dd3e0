"""Of workers with different settings the one that started last wins, as long as it lives."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta

import pytest

from al_learner.core.storage.run_lock import hold_run_lock
from tests.support.corpora import add_weather
from tests.support.tables import ON_BOTH

N_TEXTS = 20


@pytest.fixture
def voted(database):
    add_weather(database, N_TEXTS)
    return database


@pytest.fixture
def open_worker(open_project):
    """Return a function that opens a project and registers it as a worker."""

    def open_one(tables, **settings):
        project = open_project(tables, **settings)
        project.register_worker()
        return project

    return open_one


@ON_BOTH
def test_the_worker_that_started_last_wins(voted, open_worker):
    older, newer = open_worker(voted), open_worker(voted, batch_size=15, min_label_count=2)

    state = older.reconcile()

    assert state.due is None
    assert state.reason == state.facts.superseded
    assert state.reason.startswith("superseded by ")
    assert "batch_size is 10 here and 15 there; min_label_count is 1 here and 2 there" in state.reason
    assert voted.count("al_runs") == 0
    assert newer.read_state().facts.superseded is None


@ON_BOTH
def test_a_superseded_worker_does_not_take_the_run_lock(voted, open_worker):
    older, newer = open_worker(voted), open_worker(voted, batch_size=15)

    with hold_run_lock(newer._storage.database):
        assert older.reconcile().due is None


@ON_BOTH
def test_when_it_ends_the_other_one_goes_on(voted, open_worker):
    older, newer = open_worker(voted), open_worker(voted, batch_size=15)
    assert older.reconcile().due is None

    newer.close()

    assert older.reconcile().due == "update"


def test_on_sqlite_a_worker_that_ends_leaves_no_file(sqlite, open_worker):
    worker = open_worker(sqlite)
    assert len([*sqlite.path.parent.glob("*.worker-*.lock")]) == 1

    worker.close()

    assert [*sqlite.path.parent.glob("*.worker-*.lock")] == []


@ON_BOTH
def test_a_worker_whose_process_was_killed_supersedes_nobody(voted, open_worker):
    older = open_worker(voted)
    code = (
        "import os, signal, sys; from al_learner import Project\n"
        "Project(sys.argv[1], batch_size=15).register_worker(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, voted.url], check=False)
    assert voted.count("al_workers") == 2

    assert older.reconcile().due == "update"
    open_worker(voted)
    assert voted.count("al_workers") == 2


@ON_BOTH
def test_workers_with_the_same_settings_both_work(voted, open_worker):
    first, second = (open_worker(voted, classifier="logreg", min_label_count=1) for _ in range(2))

    assert first.read_state().due == second.read_state().due == "update"


def test_a_worker_that_has_lost_its_connection_stays_the_last(postgresql, open_worker):
    add_weather(postgresql, N_TEXTS)
    older, newer = open_worker(postgresql), open_worker(postgresql, batch_size=15)
    postgresql.query("SELECT pg_terminate_backend(pid, 10000) FROM pg_locks WHERE locktype = 'advisory'")

    assert older.read_state().due == "update"  # the newer one has not noticed yet
    assert newer.read_state().due == "update"
    assert older.read_state().due is None


def test_a_restored_database_does_not_change_who_started_last(voted, open_worker):
    older, newer = open_worker(voted), open_worker(voted, batch_size=15)
    voted.query("DELETE FROM al_workers")

    newer.read_state()
    older.read_state()

    assert older.read_state().due is None
    assert newer.read_state().due == "update"


def test_a_clock_that_was_set_back_does_not_either(voted, open_worker):
    older = open_worker(voted)
    entry = older._workers._entry
    voted.query("UPDATE al_workers SET started = ?", entry.started + timedelta(days=1))

    newer = open_worker(voted, batch_size=15)

    assert older.read_state().due is None
    assert newer.read_state().due == "update"


@ON_BOTH
def test_a_person_with_other_settings_is_warned_and_served(voted, open_worker, open_project, logged):
    open_worker(voted)

    open_project(voted, classifier="sgd").update()

    [warning] = logged.named("settings.differ")
    assert warning["differences"].startswith('classifier is "sgd(')
    assert ' here and "complement-nb(' in warning["differences"]
    assert voted.count("classifiers") == 1
