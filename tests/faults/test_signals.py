"""Scenario 7: SIGTERM once and twice, with and without a run or a database, and Ctrl-C on a terminal.

For each kind of end one worker is started as users start it; the others are forked.
"""

from __future__ import annotations

import os
import signal
import socket
import sys

import psutil
import pytest

from tests.support.faults_processes import family, is_running, wait_for_end
from tests.support.waiting import wait_until

GRACE_S = 30
BRIEF_S = 0.5
CTRL_C = b"\x03"

ON_A_TERMINAL = "import os, sys; os.dup2(os.open(sys.argv[1], os.O_RDWR), 0); os.execv(sys.argv[2], sys.argv[2:])"
"""A program that leads its session: the terminal that it opens becomes its own. Then it becomes another program."""


@pytest.fixture
def stage(obedient_stage):
    """A project in which a run is due; its fit waits until it is told to go on."""
    obedient_stage.director.order("hold")
    return obedient_stage


def go_on(stage):
    """Let a new worker bring everything to the end."""
    stage.director.order("")
    with stage.worker():
        stage.assert_well()


def test_a_run_may_end_within_the_grace_period(stage):
    with stage.worker(started=stage.command, AL_LEARNER_GRACE_S=GRACE_S) as worker:
        stage.wait_until_fitting()
        children = family(worker.pid)
        worker.terminate()
        stage.director.order("")
        assert worker.wait() == 0
        wait_for_end(children)

    assert stage.runs() == [("update", "succeeded")]
    assert worker.events[-1]["event"] == "worker.stopped"
    go_on(stage)


def test_a_run_that_outlasts_the_grace_period_is_abandoned_and_done_at_the_next_start(stage):
    with stage.worker(AL_LEARNER_GRACE_S=BRIEF_S) as worker:
        stage.wait_until_fitting()
        children = family(worker.pid)
        worker.terminate()
        assert worker.wait() == 0
        wait_for_end(children)

    assert stage.runs() == [("update", "abandoned")]
    go_on(stage)
    assert stage.runs()[1] == ("update", "succeeded")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_the_worker_at_once(stage, number):
    started = stage.command if number == signal.SIGTERM else None
    with stage.worker(started=started, AL_LEARNER_GRACE_S=GRACE_S) as worker:
        stage.wait_until_fitting()
        children = family(worker.pid)
        worker.process.send_signal(number)
        with pytest.raises(AssertionError, match="waited"):
            wait_until(lambda: not is_running(psutil.Process(worker.pid)), "the end", deadline_s=BRIEF_S)
        worker.process.send_signal(number)
        assert worker.wait() == 128 + number
        wait_for_end(children)

    assert stage.runs() == [("update", "running")]
    go_on(stage)
    assert stage.runs()[:2] == [("update", "died"), ("update", "succeeded")]


def test_a_run_that_is_stopped_while_it_stores_its_classifier_says_so_and_is_done_at_the_next_start(stage):
    stage.director.order("")
    stage.query(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(600); RETURN NEW; END $$"
    )
    stage.query("CREATE TRIGGER wait BEFORE INSERT ON classifiers FOR EACH ROW EXECUTE FUNCTION wait()")
    sleeps = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')"
    with stage.worker(AL_LEARNER_GRACE_S=BRIEF_S) as worker:
        wait_until(lambda: stage.value(sleeps), "the classifier to be sent")
        worker.terminate()
        assert worker.wait() == 0

    assert [event["event"] for event in worker.events[-3:]] == ["run.abandoned", "worker.aborted", "worker.stopped"]
    stage.query("DROP TRIGGER wait ON classifiers")
    go_on(stage)
    assert stage.runs()[:2] == [("update", "died"), ("update", "succeeded")]


def test_a_run_that_waits_for_the_predictors_write_is_abandoned_after_the_grace_period(stage):
    with stage.postgres.connect(stage.database) as connection, connection.transaction():
        connection.execute("SELECT FROM text_data FOR UPDATE")
        with stage.worker(AL_LEARNER_GRACE_S=BRIEF_S) as worker:
            worker.wait_for("redis.subscribed")
            wait_until(lambda: waits_for_a_row(stage), "the first commit to meet a locked row")
            worker.terminate()
            assert worker.wait() == 0

    assert stage.runs() == []
    assert worker.logged("worker.aborted")
    go_on(stage)


@pytest.mark.parametrize("port", ["closed", "silent"])
def test_a_worker_that_waits_for_a_database_ends_on_sigterm(stage, port):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if port == "silent":
            listener.listen()
        place = {"PGHOST": "127.0.0.1", "PGPORT": listener.getsockname()[1]}
        with stage.worker(started=stage.command, **place) as worker:
            worker.wait_for("database.waiting")
            worker.terminate()
            assert worker.wait() == 0
            assert not worker.logged("worker.stuck")

    go_on(stage)


def test_an_idle_worker_ends_silently(stage):
    stage.director.order("")
    with stage.worker(started=stage.command) as worker:
        worker.wait_for("reconcile.idle")
        worker.terminate()
        assert worker.wait() == 0

    assert not prose(worker), worker.log
    assert worker.events[-1]["event"] == "worker.stopped"
    go_on(stage)


@pytest.mark.parametrize("moment", ["start", "fit"])
def test_ctrl_c_on_a_terminal_ends_the_worker_without_a_traceback(stage, terminal, moment):
    stage.director.order("hold" if moment == "fit" else "")
    keyboard, path = terminal
    command = (sys.executable, "-c", ON_A_TERMINAL, path, *stage.command)
    with stage.worker(started=command, AL_LEARNER_GRACE_S=GRACE_S) as worker:
        worker.wait_for("worker.started")
        if moment == "fit":
            stage.wait_until_fitting()
        children = family(worker.pid)
        os.write(keyboard, CTRL_C)  # reaches the worker's children too
        stage.director.order("")
        assert worker.wait() == 0
        wait_for_end(children)

    assert not prose(worker), worker.log
    assert worker.events[-1]["event"] == "worker.stopped"
    if moment == "fit":
        assert stage.runs() == [("update", "succeeded")]
    go_on(stage)


@pytest.fixture
def terminal():
    """A terminal's keyboard, a descriptor to write to, and the terminal's path."""
    keyboard, screen = os.openpty()
    yield keyboard, os.ttyname(screen)
    os.close(keyboard)
    os.close(screen)


def prose(worker):
    """Return what a worker wrote that is no event."""
    return [line for line in worker.log.splitlines() if not line.startswith("{")]


def waits_for_a_row(stage):
    with stage.postgres.connect() as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND application_name LIKE 'al-learner %%'"
            " AND state = 'idle in transaction' AND query LIKE 'ROLLBACK TO SAVEPOINT%%'",  # it pauses after an attempt
            (stage.database,),
        ).fetchone()
    return row is not None and row[0] > 0
