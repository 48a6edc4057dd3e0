"""A run and the predictor's long write of every row at the same time: the predictor never notices."""

from __future__ import annotations

import random
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from al_learner.core.storage.engines import sqlite as sqlite_engine
from tests.support.predictor import write
from tests.support.strategies import Gate, Gated, Meeting
from tests.support.waiting import DEADLINE_S

N_TEXTS = 300
ROUNDS = 6


class Predictor:
    """The write of the stand-in predictor, which waits in the middle, with half of the rows locked."""

    def __init__(self, tables, *, seed=0):
        self._tables, self._random = tables, random.Random(seed)
        self.holds_rows = threading.Event()

    def write(self, go_on=lambda: None):
        """Write half of the rows, wait for `go_on`, and write the others."""

        def half_way():
            self.holds_rows.set()
            go_on()

        scores = dict.fromkeys(range(1, N_TEXTS + 1), ("a", 0.5))
        with psycopg.connect(self._tables.url) as connection:
            write(connection, scores, self._random, half_way)


@pytest.fixture
def voted(postgresql):
    ids = postgresql.add_texts(*(f"text {number} of {'many' if number % 2 else 'few'}" for number in range(N_TEXTS)))
    vote_everywhere(postgresql, ids, "a", "b")
    return postgresql


def vote_everywhere(tables, ids, *names):
    """Give every text so many votes that its label changes, half of the texts to either name."""
    tables.query("BEGIN")
    for number, text_id in enumerate(ids):
        tables.query(
            "UPDATE text_data SET labels = ?, users = ? WHERE text_id = ?", [names[number % 2]], ["x"], text_id
        )
    tables.query("COMMIT")


def assert_all_is_written(tables):
    assert tables.query("SELECT count(*) FROM text_data WHERE uncertainty = 0.5 AND predicted_label = 'a'") == [
        (N_TEXTS,)
    ]
    assert tables.query("SELECT count(*) FROM text_data WHERE taught AND major_label = labels[1]") == [(N_TEXTS,)]


def test_the_first_commit_waits_for_the_predictor(voted, open_project):
    meeting, predictor = Meeting(), Predictor(voted)
    project = open_project(voted, pause=meeting)
    with ThreadPoolExecutor() as pool:
        writing = pool.submit(predictor.write, meeting.wait)
        assert predictor.holds_rows.wait(DEADLINE_S)
        result = project.update()
        writing.result(DEADLINE_S)

    assert result.run is not None
    assert meeting.times > 0
    assert_all_is_written(voted)


def test_the_second_commit_waits_for_the_predictor(voted, open_project, monkeypatch):
    meeting, predictor = Meeting(), Predictor(voted)
    project = open_project(voted, pause=meeting, classifier=Gated())
    with ThreadPoolExecutor() as pool:
        started = []

        def start_the_predictor():
            if not started:  # the twin comes by as well
                started.append(pool.submit(predictor.write, meeting.wait))
                assert predictor.holds_rows.wait(DEADLINE_S)

        monkeypatch.setattr(Gate, "while_it_trains", start_the_predictor)
        result = project.update()
        started[0].result(DEADLINE_S)

    assert result.run is not None
    assert meeting.times > 0
    assert (voted.count("classifiers"), voted.count("countvecs")) == (1, 1)
    assert_all_is_written(voted)


def test_the_predictor_never_meets_a_deadlock(voted, open_project):
    """Both lock rows in different orders, over and over; PostgreSQL would end the predictor's transaction."""
    meeting = Meeting()
    project = open_project(voted, pause=meeting)
    ids = range(1, N_TEXTS + 1)
    with ThreadPoolExecutor() as pool:
        for number in range(ROUNDS):
            vote_everywhere(voted, ids, *("ab" if number % 2 else "ba"))
            meeting.met.clear()
            predictor = Predictor(voted, seed=number)
            writing = pool.submit(predictor.write, meeting.wait)
            assert predictor.holds_rows.wait(DEADLINE_S)
            result = project.update()
            writing.result(DEADLINE_S)
            assert result.run is not None
            assert result.run.new_samples == N_TEXTS

    assert meeting.times >= ROUNDS
    assert_all_is_written(voted)
    assert voted.value("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == 0


def test_a_vote_waits_for_no_training(voted, open_project, monkeypatch):
    """No transaction is open while something trains, so no row is locked."""
    project = open_project(voted, classifier=Gated())

    def vote():
        voted.query("SET lock_timeout = '1s'")
        voted.vote(1, "c", "ben")
        idle = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
        assert voted.value(idle) == 0

    monkeypatch.setattr(Gate, "while_it_trains", vote)

    assert project.update().run is not None


def test_a_run_that_stops_waiting_leaves_nothing(voted, open_project):
    class EnoughError(Exception):
        pass

    def pause(_):
        raise EnoughError

    project = open_project(voted, pause=pause)
    with voted.server.connect(voted.name) as other, other.transaction():
        other.execute("UPDATE text_data SET uncertainty = 0.5 WHERE text_id = 200")
        before = voted.content()
        with pytest.raises(EnoughError):
            project.update()

        assert voted.content() == before


def test_on_sqlite_a_run_waits_for_another_writer(sqlite, open_project, monkeypatch):
    monkeypatch.setattr(sqlite_engine, "BUSY_TIMEOUT_S", 0.05)
    for number in range(10):
        sqlite.add_text(f"text {number}", labels=["a" if number % 2 else "b"])
    meeting = Meeting()
    project = open_project(sqlite, pause=meeting)
    holds = threading.Event()

    def write():
        other = sqlite3.connect(sqlite.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE text_data SET uncertainty = 0.5")
        holds.set()
        meeting.wait()
        other.execute("COMMIT")
        other.close()

    with ThreadPoolExecutor() as pool:
        writing = pool.submit(write)
        assert holds.wait(DEADLINE_S)
        result = project.update()
        writing.result(DEADLINE_S)

    assert result.run is not None
    assert sqlite.query("SELECT count(*) FROM text_data WHERE uncertainty = 0.5 AND taught") == [(10,)]
