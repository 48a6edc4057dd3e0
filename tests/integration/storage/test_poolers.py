"""Behind a pooler that gives a session to others after every transaction, no lock protects a run."""

from __future__ import annotations

from contextlib import closing

import psycopg
import pytest

from al_learner import Project
from al_learner.core.errors import DatabaseUnavailable
from al_learner.core.storage import run_lock
from al_learner.core.storage.database import Database
from al_learner.core.storage.run_lock import hold_run_lock
from tests.support.corpora import add_weather
from tests.support.pgbouncer import pgbouncer
from tests.support.runs import BEGIN, FINISH, trained

LOCKS = "SELECT pid FROM pg_locks WHERE locktype = 'advisory'"
NAMED = r"transaction pooling\).*session pooling.*directly"


@pytest.fixture
def voted(postgresql):
    """A database with votes and al_learner's tables."""
    add_weather(postgresql, 20)
    with closing(Project(postgresql.url)) as project:
        project.prepare()
    return postgresql


@pytest.fixture
def by_transaction(voted):
    """The URL of a pooler in transaction mode."""
    with pgbouncer(voted.server, "transaction") as pooler:
        yield pooler.url(voted.name)


@pytest.fixture
def two_pooled(by_transaction, monkeypatch):
    """Two processes' databases behind the pooler, where the check at the start found nothing, as by chance."""
    monkeypatch.setattr(run_lock, "_is_shared", lambda *_: False)
    with closing(Database(by_transaction)) as one, closing(Database(by_transaction)) as other:
        yield one, other


def test_transaction_pooling_is_noticed_before_a_run_lock_is_taken(voted, by_transaction):
    with closing(Project(by_transaction)) as pooled, pytest.raises(DatabaseUnavailable, match=NAMED):
        pooled.update()

    assert voted.count("al_runs") == 0
    assert voted.query(LOCKS) == []  # or the pooler would keep it


def test_transaction_pooling_is_noticed_before_a_worker_counts_as_alive(voted, by_transaction):
    with closing(Project(by_transaction)) as pooled, pytest.raises(DatabaseUnavailable, match=NAMED):
        pooled.register_worker()

    assert voted.count("al_workers") == 0
    assert voted.query(LOCKS) == []


def test_a_busy_pooler_is_noticed_too(voted, by_transaction):
    other = psycopg.connect(by_transaction.replace("+psycopg", ""))

    class Busy(Database):
        def reading(self, **options):
            other.execute("SELECT 1")  # its transaction stays open, in the session that was free
            return super().reading(**options)

    with (
        closing(other),
        closing(Busy(by_transaction)) as pooled,
        pytest.raises(DatabaseUnavailable, match=NAMED),
        hold_run_lock(pooled),
    ):
        pass
    assert voted.query(LOCKS) == []


def test_session_pooling_is_as_good_as_no_pooler(voted):
    with (
        pgbouncer(voted.server, "session") as pooler,
        closing(Project(pooler.url(voted.name), classifier="complement-nb")) as pooled,
    ):
        pooled.register_worker()
        assert pooled.reconcile().due == "update"


def test_a_run_whose_session_was_given_to_another_ends_at_its_next_commit(voted, by_transaction, two_pooled):
    with hold_run_lock(two_pooled[0]) as lock:
        run_id = lock.begin("update", **BEGIN, samples=[(1, "a")])
        before = voted.content()
        with psycopg.connect(by_transaction.replace("+psycopg", "")) as other:
            other.execute("SELECT 1")  # its transaction stays open, in the session that has the lock
            with pytest.raises(DatabaseUnavailable, match=f"lost the run lock.*{NAMED}"):
                lock.finish(run_id, trained(), [1], **FINISH)

        assert voted.content() == before


def test_of_two_runs_that_got_the_same_session_only_the_second_commits(voted, two_pooled):
    """The server takes both for one session, which may take its own lock twice."""
    with hold_run_lock(two_pooled[0]) as first:
        run_id = first.begin("update", **BEGIN, samples=[])
        with hold_run_lock(two_pooled[1]) as second:
            with pytest.raises(DatabaseUnavailable, match=f"lost the run lock.*{NAMED}"):
                first.finish(run_id, trained(), [], **FINISH)
            second.finish(second.begin("update", **BEGIN, samples=[]), trained(), [], **FINISH)

    assert voted.query("SELECT status FROM al_runs ORDER BY run_id") == [("died",), ("succeeded",)]
