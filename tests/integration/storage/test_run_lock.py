"""One run at a time: the lock, and what happens when its connection breaks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from al_learner.core.errors import BusyError, DatabaseUnavailable
from al_learner.core.storage import run_lock
from al_learner.core.storage.database import owner
from al_learner.core.storage.migrations.upgrade import upgrade_runs
from al_learner.core.storage.run_lock import detached, hold_run_lock
from al_learner.core.storage.runs import Runs
from tests.support.runs import BEGIN, FINISH, trained
from tests.support.waiting import DEADLINE_S, wait_until


def locks(tables):
    """Return the pids of the sessions that hold the run's lock."""
    return [
        pid
        for (pid,) in tables.query(
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
    ]


def test_one_run_at_a_time(runs, others, database):
    with hold_run_lock(runs._database), pytest.raises(BusyError), hold_run_lock(others._database):
        pass

    with hold_run_lock(others._database):
        pass
    assert database.count("al_runs") == 0


def test_who_is_running_is_named(runs, others):
    with hold_run_lock(runs._database) as lock:
        lock.begin("init", **BEGIN, samples=[])
        with pytest.raises(BusyError) as caught, hold_run_lock(others._database):
            pass

    assert owner() in str(caught.value)


def test_a_lock_is_waited_for(runs, others):
    with ThreadPoolExecutor() as pool, hold_run_lock(runs._database):
        waiting = pool.submit(_lock_once, others, DEADLINE_S)
        with pytest.raises(BusyError), hold_run_lock(others._database):
            pass
        assert not waiting.done()
    assert waiting.result(DEADLINE_S) is True


def _lock_once(runs, wait_s):
    with hold_run_lock(runs._database, wait_s=wait_s):
        return True


def test_the_lock_is_free_as_soon_as_a_run_has_ended(runs):
    """A session that is only closed ends some time later, and the next run would find its lock still taken."""
    for _ in range(100):
        with hold_run_lock(runs._database):
            pass


def test_the_lock_is_freed_by_an_error(runs, others):
    with pytest.raises(ZeroDivisionError), hold_run_lock(runs._database):
        _ = 1 / 0

    with hold_run_lock(others._database):
        pass


def test_the_connection_that_held_the_lock_goes_back_to_the_pool_without_it(connect, postgresql):
    runs = Runs(connect(postgresql))
    upgrade_runs(runs._database)

    with hold_run_lock(runs._database):
        (pid,) = locks(postgresql)

    assert locks(postgresql) == []
    assert postgresql.query("SELECT state FROM pg_stat_activity WHERE pid = ?", pid) == [("idle",)]


def test_the_lock_is_freed_if_this_process_is_told_to_stop_while_it_takes_it(connect, postgresql, monkeypatch):
    runs = Runs(connect(postgresql))
    upgrade_runs(runs._database)

    def take_and_stop(take, *_):
        take()
        assert len(locks(postgresql)) == 1
        raise KeyboardInterrupt

    monkeypatch.setattr("al_learner.core.storage.run_lock._wait", take_and_stop)
    with pytest.raises(KeyboardInterrupt), hold_run_lock(runs._database):
        pass

    assert locks(postgresql) == []


def test_a_session_that_lost_the_lock_is_looked_at_again_before_the_next_run(connect, postgresql, monkeypatch):
    runs = Runs(connect(postgresql))
    upgrade_runs(runs._database)
    looked = []
    original = run_lock._is_shared
    monkeypatch.setattr(run_lock, "_is_shared", lambda *where: looked.append(where) or original(*where))

    def hold_each_of_the_pool():
        for _ in range(4):
            with hold_run_lock(runs._database):
                pass
        return len(looked)

    before = hold_each_of_the_pool()
    assert hold_each_of_the_pool() == before
    with pytest.raises(DatabaseUnavailable, match="lost"), hold_run_lock(runs._database):
        raise DatabaseUnavailable("the run lock was lost")

    assert hold_each_of_the_pool() == before + 1


def test_a_session_that_cannot_free_the_lock_ends(connect, postgresql, monkeypatch):
    runs = Runs(connect(postgresql))
    upgrade_runs(runs._database)

    with hold_run_lock(runs._database):
        (pid,) = locks(postgresql)
        monkeypatch.setattr(sa.func, "pg_advisory_unlock_all", lambda: sa.text("1 / 0"), raising=False)

    ended = "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = ?)"
    wait_until(lambda: postgresql.query(ended, pid) == [(True,)], "the session to end")


def test_votes_go_on_while_a_run_holds_the_lock(runs, database):
    text_id = database.add_texts("text")[0]

    with hold_run_lock(runs._database):
        database.vote(text_id, "a")

    assert database.text(text_id, "labels")[0] == database.array(["a"])


def test_a_row_that_is_still_running_has_died_when_the_next_comes(runs, others):
    with hold_run_lock(runs._database) as lock:
        first = lock.begin("init", **BEGIN, samples=[])
        second = lock.begin("update", **BEGIN, samples=[])

    with hold_run_lock(others._database):
        buried = {run.run_id: run for run in others.recent()}

    assert [buried[first].status, buried[second].status] == ["died", "died"]
    assert buried[first].finished is not None
    assert buried[first].error


def test_runs_that_ended_are_not_marked_as_died(runs, others):
    with hold_run_lock(runs._database) as lock:
        lock.end(lock.begin("init", **BEGIN, samples=[]), "failed", "a reason")
        lock.finish(lock.begin("update", **BEGIN, samples=[]), trained(), [], **FINISH)
        lock.end(lock.begin("update", **BEGIN, samples=[]), "abandoned", "another")

    with hold_run_lock(others._database):
        pass

    assert [(run.status, run.error) for run in others.recent()] == [
        ("abandoned", "another"),
        ("succeeded", None),
        ("failed", "a reason"),
    ]


STEPS = {
    "begin": lambda lock, _: lock.begin("update", **BEGIN, samples=[(1, "b")]),
    "finish": lambda lock, run_id: lock.finish(run_id, trained(), [1], **FINISH),
    "score": lambda lock, run_id: lock.score(run_id, 1, 1.0, {}),
    "end": lambda lock, run_id: lock.end(run_id, "failed", "a reason"),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_run_is_over_when_the_connection_of_its_lock_breaks(connect, postgresql, step):
    runs = Runs(connect(postgresql))
    upgrade_runs(runs._database)
    postgresql.add_texts("text")
    with hold_run_lock(runs._database) as lock:
        run_id = lock.begin("update", **BEGIN, samples=[(1, "a")])
        (pid,) = locks(postgresql)
        postgresql.query("SELECT pg_terminate_backend(?, 10000)", pid)
        before = postgresql.content()

        for _ in range(2):  # it does not come back by itself either
            with pytest.raises(DatabaseUnavailable):
                STEPS[step](lock, run_id)

    assert postgresql.content() == before
    with hold_run_lock(runs._database):
        run = runs.last()
    assert run is not None
    assert run.status == "died"


def test_a_server_that_ends_idle_sessions_leaves_the_one_that_holds_the_lock(connect, postgresql):
    postgresql.query(f"ALTER DATABASE {postgresql.name} SET idle_session_timeout = '50ms'")
    runs = Runs(connect(postgresql))
    upgrade_runs(runs._database)
    with hold_run_lock(runs._database) as lock:
        idle = postgresql.server.connect(postgresql.name)
        (pid,) = idle.execute("SELECT pg_backend_pid()").fetchone()
        gone = "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = ?)"
        wait_until(lambda: postgresql.value(gone, pid), "the server to end an idle session")
        idle.close()

        assert lock.begin("init", samples=[], **BEGIN) == 1


def test_a_session_gets_the_settings_that_its_server_has_and_allows(connect, postgresql, monkeypatch):
    settings = {"bytea_output": "escape", "default_toast_compression": "zip", "setting_of_the_future": "1"}
    monkeypatch.setattr(run_lock, "SESSION_SETTINGS", settings)

    with detached(connect(postgresql)) as session:
        found = [session.scalar(sa.text(f"SHOW {name}")) for name in ("bytea_output", "default_toast_compression")]

    assert found == ["escape", "pglz"]


def test_a_lock_that_was_lost_is_free_for_others(connect, postgresql):
    runs = Runs(connect(postgresql))
    upgrade_runs(runs._database)
    with hold_run_lock(runs._database):
        (pid,) = locks(postgresql)
        postgresql.query("SELECT pg_terminate_backend(?, 10000)", pid)
        with hold_run_lock(connect(postgresql)):
            assert locks(postgresql) != [pid]
