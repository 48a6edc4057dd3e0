"""al_runs, the lock, and a run's commits."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic import command
from alembic.config import Config

from al_learner.core.artifacts.pickling import sha256
from al_learner.core.errors import BusyError, DatabaseError, DatabaseUnavailable, MigrationError
from al_learner.core.storage.database import OWNER, Database
from al_learner.core.storage.migrations.upgrade import upgrade_runs
from al_learner.core.storage.records import Trained
from al_learner.core.storage.run_lock import hold_run_lock
from al_learner.core.storage.runs import Runs
from tests.support.tables import WORKER_ROLE
from tests.support.waiting import DEADLINE_S, wait_until

BEGIN = {"forced": False, "state": "digest", "strategies": {"classifier": {"name": "logreg", "params": {"C": 1.0}}}}
FINISH = {"signature": None, "seconds": 0.5}


def trained(*, countvec=b"vectorizer", countvec_id=None):
    return Trained(
        clf=b"classifier",
        clf_sha256=sha256(b"classifier"),
        countvec=countvec,
        countvec_id=countvec_id,
        countvec_sha256=sha256(b"vectorizer"),
        texts=3,
        classes=2,
        versions={"numpy": "2.4.6"},
    )


@pytest.fixture
def runs(connect, database):
    runs = Runs(connect(database))
    upgrade_runs(runs._database)
    return runs


@pytest.fixture
def others(connect, database, runs):  # noqa: ARG001 - al_runs must be there
    """The runs as another process has them."""
    return Runs(connect(database))


def locks(tables):
    """Return the pids of the sessions that hold the run's lock."""
    return [
        pid
        for (pid,) in tables.query(
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
    ]


# -- al_runs itself -----------------------------------------------------------------------------------------------


def test_the_second_upgrade_finds_nothing_to_do(connect, database):
    runs = Runs(connect(database))

    assert upgrade_runs(runs._database) is True
    assert upgrade_runs(runs._database) is False
    assert runs.last() is None


def test_an_upgrade_keeps_the_rows(runs, database):
    with hold_run_lock(runs._database) as lock:
        lock.begin("init", **BEGIN, samples=[])

    upgrade_runs(runs._database)

    assert database.count("al_runs") == 1


def test_an_al_runs_of_the_first_version_is_upgraded_and_keeps_its_rows(connect, database):
    older = connect(database)
    older.write(lambda connection: _migrate_to(connection, "0001"))
    database.query(
        "INSERT INTO al_runs (kind, status, forced, owner, state, new_samples, strategies)"
        " VALUES ('update', 'succeeded', false, 'host:1', 'digest', 3, '{}')"
    )

    runs = Runs(connect(database))

    assert upgrade_runs(runs._database) is True
    run = runs.last()
    assert run is not None
    assert (run.run_id, run.new_samples, run.choice) == (1, 3, None)
    assert upgrade_runs(runs._database) is False


def _migrate_to(connection, version):
    config = Config()
    config.set_main_option("script_location", "al_learner.core.storage:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, version)


def test_two_workers_may_upgrade_at_the_same_time(connect, database):
    both = threading.Barrier(2)

    def upgrade(runs):
        both.wait(DEADLINE_S)
        return upgrade_runs(runs._database)

    with ThreadPoolExecutor() as pool:
        upgrades = [pool.submit(upgrade, Runs(connect(database))) for _ in range(2)]
        assert any(done.result(DEADLINE_S) for done in upgrades)

    assert database.query("SELECT version_num FROM al_learner_version") == [("0003",)]
    assert database.count("al_runs") == 0


def test_an_upgrade_touches_no_table_of_labelforward(connect, database):
    database.add_texts("text")
    database.add_labels("label")
    before = {table: rows for table, rows in database.content().items() if table != "commits of others"}

    upgrade_runs(connect(database))

    assert {table: rows for table, rows in database.content().items() if table in before} == before


def test_an_al_runs_of_a_newer_version_is_refused(runs, database):
    database.query("UPDATE al_learner_version SET version_num = '9999'")

    with pytest.raises(MigrationError, match="9999"):
        upgrade_runs(runs._database)


def test_a_user_who_may_not_create_tables_gets_the_command(postgresql):
    plain = Database(postgresql.engine_url.replace("postgres@", f"{WORKER_ROLE}@"))
    try:
        with pytest.raises(MigrationError, match="al-learner db upgrade"):
            upgrade_runs(plain)
    finally:
        plain.close()

    assert postgresql.query("SELECT FROM pg_class WHERE relname IN ('al_runs', 'al_learner_version')") == []


# -- the lock -----------------------------------------------------------------------------------------------------


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

    assert OWNER in str(caught.value)


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


def test_the_connection_that_held_the_lock_is_not_used_again(connect, postgresql):
    """A connection that went back to its pool would keep the lock."""
    runs = Runs(connect(postgresql))
    upgrade_runs(runs._database)

    with hold_run_lock(runs._database):
        (pid,) = locks(postgresql)

    wait_until(lambda: not postgresql.query("SELECT FROM pg_stat_activity WHERE pid = ?", pid), "the session to end")


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


# -- first commit -------------------------------------------------------------------------------------------------


def test_the_first_commit_writes_labels_and_that_they_are_not_taught_and_nothing_else(runs, database):
    ids = [database.add_text(text, labels=["a"], users=["anna"], major_label="a", taught=True) for text in "abc"]
    columns = "text_data, labeled, selected, labels, users, uncertainty, predicted_label"
    before = [database.text(text_id, columns) for text_id in ids]
    untouched = database.text(ids[2], "*")

    with hold_run_lock(runs._database) as lock:
        lock.begin("update", **BEGIN, samples=[(ids[0], "b"), (ids[1], "שלום 😀")])

    assert database.text(ids[0]) == ("b", False)
    assert database.text(ids[1]) == ("שלום 😀", False)
    assert [database.text(text_id, columns) for text_id in ids] == before
    assert database.text(ids[2], "*") == untouched


def test_the_first_commit_records_the_run(runs):
    with hold_run_lock(runs._database) as lock:
        run_id = lock.begin("update", **BEGIN, samples=[])
        run = runs.last()

    assert run is not None
    assert (run.run_id, run.kind, run.status, run.forced, run.owner) == (run_id, "update", "running", False, OWNER)
    assert (run.state, run.strategies, run.new_samples) == ("digest", BEGIN["strategies"], 0)
    assert run.started.tzinfo is not None
    assert (run.finished, run.announced, run.clf_id, run.error, run.metrics) == (None, None, None, None, None)


def test_the_first_commit_takes_thousands_of_samples(runs, database):
    ids = database.add_texts(*["text"] * 3000)

    with hold_run_lock(runs._database) as lock:
        lock.begin("update", **BEGIN, samples=[(text_id, f"label {text_id}") for text_id in ids])

    assert database.query("SELECT major_label FROM text_data ORDER BY text_id") == [(f"label {i}",) for i in ids]


# -- second commit ------------------------------------------------------------------------------------------------


@pytest.fixture
def ids(database):
    return database.add_texts("one", "two", "three", "four")


def test_the_second_commit_stores_the_model_and_teaches_exactly_the_texts_it_was_given(runs, database, ids):
    with hold_run_lock(runs._database) as lock:
        run_id = lock.begin("update", **BEGIN, samples=[(text_id, "a") for text_id in ids[:3]])
        returned = lock.finish(run_id, trained(), ids[:2], signature="s", seconds=0.5)

    assert database.query("SELECT clf_id, clf, download FROM classifiers") == [(1, b"classifier", 0)]
    assert database.query("SELECT countvec FROM countvecs") == [(b"vectorizer",)]
    assert [database.text(text_id) for text_id in ids] == [("a", True), ("a", True), ("a", False), (None, False)]
    run = runs.last(clf_id=1)
    assert run == returned
    assert run is not None
    assert (run.status, run.countvec_id, run.texts, run.classes, run.seconds) == ("succeeded", 1, 3, 2, 0.5)
    assert (run.clf_sha256, run.countvec_sha256) == (sha256(b"classifier"), sha256(b"vectorizer"))
    assert (run.signature, run.versions, run.announced) == ("s", {"numpy": "2.4.6"}, None)
    assert run.finished is not None


def test_the_second_commit_keeps_the_vectorizer_it_was_trained_with(runs, database):
    countvec_id = database.add_countvec(b"vectorizer")

    with hold_run_lock(runs._database) as lock:
        lock.finish(
            lock.begin("update", **BEGIN, samples=[]), trained(countvec=None, countvec_id=countvec_id), [], **FINISH
        )

    assert database.count("countvecs") == 1
    run = runs.of_countvec(countvec_id)
    assert run is not None
    assert run.countvec_id == countvec_id


def test_votes_that_arrive_between_the_commits_are_kept(runs, database, ids):
    with hold_run_lock(runs._database) as lock:
        run_id = lock.begin("update", **BEGIN, samples=[(ids[0], "a")])
        database.vote(ids[0], "b", "ben")
        lock.finish(run_id, trained(), ids[:1], **FINISH)

    assert database.text(ids[0], "labels, users") == (database.array(["b"]), database.array(["ben"]))


def test_when_the_second_commit_fails_nothing_of_it_is_stored(runs, database, ids):
    with hold_run_lock(runs._database) as lock:
        run_id = lock.begin("update", **BEGIN, samples=[(text_id, "a") for text_id in ids])
        database.refuse_teaching()
        before = {name: rows for name, rows in database.content().items() if name != "commits of others"}

        with pytest.raises(DatabaseError, match="refused"):
            lock.finish(run_id, trained(), ids, **FINISH)

    after = database.content()
    assert {name: after[name] for name in before} == before
    assert (database.count("classifiers"), database.count("countvecs")) == (0, 0)
    assert runs.last(status="running") is not None


# -- third commit, and no commit ----------------------------------------------------------------------------------


def test_a_choice_is_kept_beside_the_run_and_the_newest_is_found(runs):
    assert runs.newest_choice() is None
    with hold_run_lock(runs._database) as lock:
        for name in ("first", "second", None):
            run_id = lock.begin("update", **BEGIN, samples=[])
            lock.finish(run_id, trained(), [], **FINISH)
            if name:
                lock.choose(run_id, {"name": name})

    assert runs.newest_choice() == {"name": "second"}
    assert [run.choice for run in runs.recent()] == [None, {"name": "second"}, {"name": "first"}]


def test_the_third_commit_stores_the_score(runs, database):
    with hold_run_lock(runs._database) as lock:
        run_id = lock.begin("update", **BEGIN, samples=[])
        clf_id = lock.finish(run_id, trained(), [], **FINISH).clf_id
        assert clf_id is not None
        other = database.add_clf(b"another")
        lock.score(run_id, clf_id, 0.75, {"basis": "votes", "size": 4})

    assert database.query("SELECT clf_id, precision_score FROM classifiers ORDER BY 1") == [
        (clf_id, 0.75),
        (other, None),
    ]
    run = runs.last()
    assert run is not None
    assert run.metrics == {"basis": "votes", "size": 4}


def test_only_waiting_runs_are_marked_as_announced(runs):
    with hold_run_lock(runs._database) as lock:
        lock.end(lock.begin("init", **BEGIN, samples=[]), "failed", "a reason")
        lock.finish(lock.begin("init", **BEGIN, samples=[]), trained(), [], **FINISH)
        runs.mark_announced(2)
        first = runs.recent()
        for _ in range(2):
            lock.finish(lock.begin("update", **BEGIN, samples=[]), trained(), [], **FINISH)
        runs.mark_announced(3)

    later, newest, older, failed = runs.recent()
    assert later.announced is None
    assert newest.announced is not None
    assert older.announced == first[0].announced is not None
    assert failed.announced is None


# -- no reconnect within a run ------------------------------------------------------------------------------------


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


def test_a_lock_that_was_lost_is_free_for_others(connect, postgresql):
    runs = Runs(connect(postgresql))
    upgrade_runs(runs._database)
    with hold_run_lock(runs._database):
        (pid,) = locks(postgresql)
        postgresql.query("SELECT pg_terminate_backend(?, 10000)", pid)
        with hold_run_lock(connect(postgresql)):
            assert locks(postgresql) != [pid]
