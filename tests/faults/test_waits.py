"""Locks of others and a silent server: the worker waits, says for what, stays alive, and ends on SIGTERM."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.probe import Probe
from tests.support.servers import free_port
from tests.support.waiting import wait_until


@contextmanager
def locked(stage, table="text_data"):
    """Hold a lock that lets nobody read, as VACUUM FULL and ALTER TABLE do."""
    connected = stage.postgres.connect(stage.database, application_name="a migration")
    with connected as connection, connection.transaction():
        connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield connection


def waits(stage):
    """Tell whether a session of a worker waits for a lock on a table."""
    return stage.value(
        "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'relation' AND NOT granted"
        " AND datname = current_database() AND application_name LIKE 'al-learner %'"
    )


@pytest.mark.parametrize("when", ["start", "later"])
def test_a_worker_that_waits_for_a_locked_table_ends_on_sigterm(stage, when):
    started = stage.command if when == "later" else None
    with stage.worker(started=started) as worker:
        if when == "later":
            worker.wait_for("run.scored")
        with locked(stage):
            stage.query("INSERT INTO labels (label) VALUES ('new')")  # something to read
            wait_until(lambda: waits(stage), "the worker to wait for the lock")
            worker.terminate()
            assert worker.wait() == 0
        assert not worker.logged("worker.stuck")


def test_a_statement_that_waits_is_cancelled_at_the_end_of_the_grace_period(stage):
    with locked(stage), stage.worker(AL_LEARNER_GRACE_S=0.5) as worker:
        wait_until(lambda: waits(stage), "the worker to wait for the lock")
        worker.terminate()
        assert worker.wait() == 0
        assert waits(stage) == 0
        assert worker.logged("worker.aborted")
        assert worker.stray == []


def test_a_worker_that_a_library_keeps_waiting_ends_all_the_same(stage):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        unanswered = {"PGPORT": silent.getsockname()[1], "PGCONNECT_TIMEOUT": 60, "AL_LEARNER_GRACE_S": 0}
        with stage.worker(started=stage.command, **unanswered) as worker:
            connection, _ = silent.accept()
            with connection:
                worker.terminate()
                assert worker.wait() == 0
            assert worker.logged("worker.stuck")


def test_a_worker_that_waits_for_a_locked_table_is_alive_says_so_and_goes_on(stage):
    probe, lives = Probe(free_port()), []
    with stage.worker(AL_LEARNER_HTTP_PORT=probe.port, AL_LEARNER_RECONCILE_S=0.1) as worker:
        worker.wait_for("run.scored")
        with locked(stage) as holder:
            pid = holder.info.backend_pid
            stage.query("INSERT INTO labels (label) VALUES ('new')")
            wait_until(lambda: lives.append(probe.get("/livez")[0]) or worker.logged("database.waiting"), "a warning")
            wait_until(lambda: probe.metrics()["al_learner_database_waiting_seconds"] > 0, "the metric to say so")
        error = worker.logged("database.waiting")[0]["error"]
        assert set(lives) == {200}
        assert error.startswith(f"table text_data is locked by session {pid} (a migration, user postgres), in a trans")
        stage.vote()
        stage.assert_well()


def test_a_table_that_is_locked_at_the_second_commit_costs_no_run(obedient_stage):
    stage = obedient_stage
    stage.director.order("hold")
    with stage.worker() as worker:
        stage.wait_until_fitting()
        with locked(stage, "text_data, classifiers"):
            stage.director.order("")
            wait_until(lambda: waits(stage), "the second commit to wait for the lock")
            since = len(worker.events)
            wait_until(lambda: not waits(stage) and waits_again(stage), "more tries")
            assert len(worker.events) == since
        worker.wait_for("run.finished", kind="update")
    assert stage.runs() == [("update", "succeeded")]


def waits_again(stage):
    return wait_until(lambda: waits(stage), "another try")


@pytest.mark.parametrize("table", ["text_data", "labels"])
def test_a_command_says_which_session_locks_a_table(stage, table):
    with stage.worker() as worker:
        worker.wait_for("run.scored")
    environment = {**os.environ, **stage.postgres.environment(stage.database)}
    with locked(stage, table):
        done = subprocess.run(
            [Path(sys.executable).with_name("al-learner"), "status"],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert f"table {table} is locked by session " in done.stderr
    assert "Traceback" not in done.stderr
