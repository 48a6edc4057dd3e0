"""Several readings on one connection: what they see, and that others notice nothing."""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import ClassVar

import psycopg
import pytest
import sqlalchemy as sa

from al_learner.plugins.aggregators.majority import Majority
from tests.support.corpora import add_weather
from tests.support.waiting import DEADLINE_S

PID = sa.select(sa.func.pg_backend_pid())


@pytest.fixture
def database(connect, postgresql):
    return connect(postgresql)


def pid_of(database, **how):
    with database.reading(**how) as connection:
        return connection.scalar(PID)


def test_all_readings_use_it_but_those_in_chunks_and_one_within_another(database):
    with database.on_one_connection():
        with database.reading() as connection:
            pid = connection.scalar(PID)
            assert pid_of(database) != pid
        assert {pid_of(database), pid_of(database, in_transaction=True)} == {pid}
        assert pid_of(database, chunk=10) != pid


def test_a_setting_stays_for_a_transaction_alone(database):
    with database.on_one_connection():
        with database.reading(in_transaction=True) as connection:
            connection.execute(sa.text("SET LOCAL enable_sort = off"))
            assert connection.scalar(sa.text("SHOW enable_sort")) == "off"
        with database.reading() as connection:
            first = connection.scalar(sa.text("SELECT now()"))
            assert connection.scalar(sa.text("SELECT now()")) > first, "each statement is a transaction of its own"
            assert connection.scalar(sa.text("SHOW enable_sort")) == "on"


def test_reading_the_state_lets_no_vote_fail_where_transactions_are_serializable(postgresql, open_project):
    add_weather(postgresql, 20)
    postgresql.query(f"ALTER DATABASE {postgresql.name} SET default_transaction_isolation = 'serializable'")
    project = open_project(postgresql)

    with psycopg.connect(postgresql.url) as app, psycopg.connect(postgresql.url) as other:
        app.execute("SELECT count(*) FROM labels")
        app.execute("UPDATE text_data SET labels = array_append(labels, 'a') WHERE text_id = 1")
        other.execute("INSERT INTO labels (label) VALUES ('new')")
        other.commit()
        project.read_state()
        app.commit()

    assert postgresql.value("SELECT labels FROM text_data WHERE text_id = 1") == ["a", "a"]


class Slow(Majority):
    """Takes as long as a test says."""

    wait: ClassVar[Callable[[], object]]

    def aggregate(self, votes):
        type(self).wait()
        return super().aggregate(votes)


def test_an_aggregator_may_take_longer_than_a_session_may_be_idle(postgresql, open_project, monkeypatch):
    add_weather(postgresql, 20)
    postgresql.query(f"ALTER DATABASE {postgresql.name} SET idle_session_timeout = '50ms'")
    project = open_project(postgresql, label_aggregator=Slow())

    def wait():
        idle = psycopg.connect(postgresql.url)
        select.select([idle], [], [], DEADLINE_S)
        with pytest.raises(psycopg.OperationalError):
            idle.execute("SELECT 1")

    monkeypatch.setattr(Slow, "wait", wait, raising=False)
    assert project.read_state().due == "update"
