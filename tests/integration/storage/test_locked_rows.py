"""While another session holds rows, a run sends its model once, makes nobody wait, and says what it waits for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from itertools import islice

import psycopg
import pytest

from al_learner.core.storage import database as database_module
from al_learner.core.storage.database import Database
from al_learner.core.storage.run_lock import hold_run_lock
from al_learner.core.storage.schema import text_data
from tests.support.strategies import Gate, Gated
from tests.support.tables import WORKER_ROLE

N_TEXTS = 20
ATTEMPTS = 4


class Holder:
    """Another session, which holds rows until a run has waited for them a few times."""

    def __init__(self, tables) -> None:
        self._connection = psycopg.connect(tables.url, application_name="a click")
        self.pid = self._connection.info.backend_pid
        self.attempts = 0
        self.on_wait: Callable[[], object] = lambda: None

    def hold(self, statement: str = "SELECT FROM text_data WHERE text_id IN (5, 7) FOR UPDATE") -> None:
        self._connection.execute(statement)

    def pause(self, seconds: float) -> None:
        """Stand in for the pause of a project before it tries again."""
        self.attempts += 1
        self.on_wait()
        if self.attempts == ATTEMPTS:
            self._connection.rollback()
        threading.Event().wait(seconds / 10)

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def voted(postgresql):
    for number in range(N_TEXTS):
        postgresql.add_text(f"text {number}", labels=["ab"[number % 2]])
    return postgresql


@pytest.fixture
def holder(voted):
    with closing(Holder(voted)) as holder:
        yield holder


@pytest.fixture
def at_once(monkeypatch):
    """Log a wait at the first attempt."""
    monkeypatch.setattr(database_module, "LONG_WAIT_S", 0)


def test_a_model_is_sent_once_however_long_a_row_is_locked(voted, holder, open_project, monkeypatch):
    monkeypatch.setattr(Gate, "while_it_trains", holder.hold)

    result = open_project(voted, pause=holder.pause, classifier=Gated()).update()

    assert holder.attempts == ATTEMPTS
    assert result.run.clf_id == 1
    assert voted.value("SELECT last_value FROM classifiers_clf_id_seq") == 1
    assert voted.value("SELECT last_value FROM countvecs_countvec_id_seq") == 1
    assert voted.value("SELECT count(*) FROM text_data WHERE taught") == N_TEXTS


def test_a_run_never_waits_for_a_row_while_it_holds_others(voted, holder, open_project, monkeypatch):
    """However long a single lock may take: the rows that it holds are those that the predictor waits for."""
    monkeypatch.setattr(database_module, "LOCK_TIMEOUT_MS", 10 * 60 * 1000)
    holder.hold(f"SELECT FROM text_data WHERE text_id = {N_TEXTS} FOR UPDATE")

    assert open_project(voted, pause=holder.pause).update().run is not None
    assert holder.attempts == ATTEMPTS


def test_no_row_is_locked_while_a_model_is_sent(voted, open_project):
    voted.query(
        "CREATE FUNCTION refuse_locks() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF EXISTS (SELECT FROM pg_locks WHERE pid = pg_backend_pid() AND relation = 'text_data'::regclass"
        " AND mode <> 'AccessShareLock') THEN RAISE 'rows are locked'; END IF; RETURN NEW; END $$"
    )
    for table in ("classifiers", "countvecs"):
        voted.query(f"CREATE TRIGGER refuse BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION refuse_locks()")

    assert open_project(voted).update().run is not None


def test_a_server_that_ends_idle_transactions_does_not_end_a_run_that_waits(voted, holder, open_project, monkeypatch):
    voted.query(f"ALTER DATABASE {voted.name} SET idle_in_transaction_session_timeout = '2s'")
    monkeypatch.setattr(Gate, "while_it_trains", holder.hold)
    holder.on_wait = lambda: voted.query("SELECT pg_sleep(2.2)") if holder.attempts == 1 else None

    assert open_project(voted, pause=holder.pause, classifier=Gated()).update().run is not None
    assert holder.attempts == ATTEMPTS


@pytest.mark.usefixtures("at_once")
def test_a_run_that_waits_names_rows_and_session(voted, holder, open_project, logged):
    project = open_project(voted, pause=holder.pause)
    shown, waiting_since = [], []

    def observe():
        shown.append(open_project(voted).status().row_locks)
        waiting_since.append(project._storage.database.waiting_since)

    holder.on_wait = observe
    holder.hold()
    project.update()

    assert [locks.ids for locks in shown] == [(5, 7)] * ATTEMPTS
    [event] = logged.named("rows.locked")
    assert event["locks"] == str(shown[0])
    assert event["locks"].startswith(
        f"text_data 5, 7: session {holder.pid} (a click, user postgres), in a transaction since 2"
    )
    assert None not in waiting_since
    assert project._storage.database.waiting_since is None
    assert len(logged.named("rows.unlocked")) == 1
    assert open_project(voted).status().row_locks is None


@pytest.mark.parametrize("table", ["classifiers", "countvecs"])
@pytest.mark.parametrize("mode", ["SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE"])
def test_a_run_waits_for_a_locked_table_of_models(voted, holder, open_project, monkeypatch, table, mode):
    locks = iter([f"LOCK TABLE {table} IN {mode} MODE"])  # while the classifier trains, and no hold-out model
    monkeypatch.setattr(Gate, "while_it_trains", lambda: [*map(holder.hold, islice(locks, 1))])

    assert open_project(voted, pause=holder.pause, classifier=Gated()).update().run.clf_id == 1
    assert holder.attempts == ATTEMPTS


@pytest.mark.parametrize("table", ["classifiers", "countvecs"])
@pytest.mark.parametrize("mode", ["SHARE", "EXCLUSIVE"])
def test_a_promotion_waits_for_a_locked_table_of_models(voted, holder, open_project, table, mode):
    project = open_project(voted, pause=holder.pause)
    project.update()
    project.update(force=True)
    holder.hold(f"LOCK TABLE {table} IN {mode} MODE")

    assert project.promote(1).run.clf_id == 3
    assert holder.attempts == ATTEMPTS


@pytest.mark.parametrize("table", ["classifiers", "countvecs"])
def test_a_restoration_waits_for_a_locked_table_of_models(voted, holder, open_project, table):
    project = open_project(voted, pause=holder.pause)
    former = project._models.stored(project.update().run.clf_id)
    worse = project.update(force=True).run
    with hold_run_lock(project._storage.database) as lock:
        holder.hold(f"LOCK TABLE {table} IN SHARE MODE")
        run = lock.score(worse.run_id, worse.clf_id, 0.5, {}, restored=former)

    assert run.clf_id == 3
    assert holder.attempts == ATTEMPTS


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("mode", ["SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE"])
def test_a_locked_table_is_named_like_its_rows(voted, holder, open_project, logged, mode):
    holder.hold(f"LOCK TABLE text_data IN {mode} MODE")

    open_project(voted, pause=holder.pause).update()

    [event] = logged.named("rows.locked")
    assert event["locks"].startswith("text_data 1, 2, 3, 4, 5 and 15 more: session ")


def test_a_user_who_may_not_see_others_still_learns_which_session_it_is(voted, holder):
    voted.query(f"GRANT SELECT ON text_data TO {WORKER_ROLE}")
    database = Database(voted.engine_url.replace("postgres@", f"{WORKER_ROLE}@"))
    holder.hold()

    with closing(database), database.reading() as connection:
        found = database.row_locks(connection, text_data.c.text_id, [1, 5])

    assert found.ids == (5,)
    assert found.sessions == (f"session {holder.pid} (a click, user postgres)",)
