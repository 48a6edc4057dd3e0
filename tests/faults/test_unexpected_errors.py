"""Errors that nobody expected: logged once with their place, counted, retried; the worker lives and goes on."""

from __future__ import annotations

import os

import pytest

from al_learner.worker import EXIT_ERROR
from tests.support.faults_servers import full_disk
from tests.support.probe import Probe
from tests.support.servers import free_port
from tests.support.tables import WORKER_ROLE
from tests.support.waiting import wait_until


@pytest.fixture
def worker(stage):
    """A worker that has nothing more to do."""
    with stage.worker() as worker:
        worker.wait_for("run.scored")
        yield worker


def assert_goes_on(stage, worker):
    """Assert that a new batch is trained on by the same process."""
    stage.vote()
    stage.assert_well()
    assert worker.process.poll() is None
    assert worker.stray == []


def test_a_full_disk_is_logged_once_while_it_lasts(stage, worker):
    attempts = "SELECT last_value FROM al_runs_run_id_seq"
    with full_disk(stage.postgres, stage.database, "al_runs"):
        stage.vote()
        error = worker.wait_for("worker.unexpected_error")
        before = stage.value(attempts)
        wait_until(lambda: stage.value(attempts) > before + 2, "more tries")
    assert_goes_on(stage, worker)
    assert len(worker.logged("worker.unexpected_error")) == 1
    assert (error["level"], error["part"]) == ("error", "loop")
    assert error["error"] == "DatabaseError: No space left on device (SQLSTATE 53100)"
    assert "in _reconcile" in error["traceback"]


def test_a_privilege_that_is_taken_away_costs_no_worker(stage):
    stage.query(f"DROP ROLE IF EXISTS {WORKER_ROLE}")
    stage.query(f"CREATE ROLE {WORKER_ROLE} LOGIN SUPERUSER")
    with stage.worker(PGUSER=WORKER_ROLE) as worker:
        worker.wait_for("run.scored")
        stage.query(f"ALTER ROLE {WORKER_ROLE} NOSUPERUSER")
        stage.vote(1)
        error = worker.wait_for("worker.unexpected_error")
        stage.query(f"ALTER ROLE {WORKER_ROLE} SUPERUSER")
        assert_goes_on(stage, worker)
    stage.query(f"DROP OWNED BY {WORKER_ROLE} CASCADE")
    stage.query(f"DROP ROLE {WORKER_ROLE}")
    assert error["error"].endswith("(SQLSTATE 42501)")


def test_a_statement_that_somebody_cancels_costs_no_worker(stage, worker):
    with stage.postgres.connect(stage.database) as holder, holder.transaction():
        holder.execute("LOCK TABLE text_data IN ACCESS EXCLUSIVE MODE")
        stage.query("INSERT INTO labels (label) VALUES ('new')")
        cancel = (
            "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name LIKE 'al-learner %' AND wait_event_type = 'Lock'"
        )
        wait_until(lambda: stage.value(cancel), "a statement to cancel")
        error = worker.wait_for("worker.unexpected_error")
    assert error["error"].endswith("canceling statement due to user request (SQLSTATE 57014)")
    assert_goes_on(stage, worker)


def test_votes_in_an_array_of_two_dimensions_count_one_by_one(stage, worker):
    votes = "labels = '{{sport,sport},{cooking,sport}}', users = '{{a,b},{c,d}}'"
    stage.query(f"UPDATE text_data SET {votes} WHERE text_id = 60")
    stage.vote(stage.batch_size - 1)
    worker.wait_for("run.finished", kind="update")
    assert worker.complaints == []
    assert stage.query("SELECT major_label, taught FROM text_data WHERE text_id = 60") == [("sport", True)]


def test_a_file_that_is_no_database_is_waited_for(stage, tmp_path):
    path = tmp_path / "project.db"
    path.write_bytes(os.urandom(4096))
    with stage.worker(AL_LEARNER_DATABASE_URL=f"sqlite:///{path}") as worker:
        error = worker.wait_for("worker.unexpected_error")
        path.unlink()
        worker.wait_for("database.waiting")  # a new file has no tables
        assert worker.process.poll() is None
    assert error["error"] == f"DatabaseError: {path}: file is not a database"


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("redis://:secret@{place}/0?foo=bar", "one of the options after the ?"),
        ("redis://:secret@{place}/0?socket_timeout=x", "one of the options after the ?"),
        ("redis://:sec#ret@{place}/0", "cannot be read"),
        ("http://:secret@{place}/0", "cannot be read"),
        ("//:secret@{place}", "cannot be read"),
    ],
)
def test_a_redis_url_that_cannot_be_used_ends_the_start_and_its_password_is_not_shown(stage, url, named):
    place = f"127.0.0.1:{stage.redis.port}"
    with stage.worker(REDIS_URL=url.format(place=place)) as worker:
        assert worker.wait() == EXIT_ERROR
    assert worker.log.startswith("error: REDIS_URL ")
    assert named in worker.log
    assert "sec" not in worker.log.replace("SECRET", "")
    assert len(worker.stray) == 1


def test_an_option_that_redis_refuses_later_stops_neither_listener_nor_loop(stage):
    url = f"redis://127.0.0.1:{stage.redis.port}/0?socket_timeout=-1"
    probe = Probe(free_port())
    with stage.worker(REDIS_URL=url, AL_LEARNER_HTTP_PORT=probe.port) as worker:
        error = worker.wait_for("worker.unexpected_error", part="listener")
        problems = ["the worker receives no messages from Redis", "the listener failed; the worker's log says why"]
        wait_until(lambda: probe.health()[1]["problems"] == problems, "the health to say so")
        assert probe.metrics()["al_learner_unexpected_errors_total"] > 0
        worker.wait_for("run.finished", kind="init")
        stage.vote()
        worker.wait_for("run.finished", kind="update")
        assert len(worker.logged("worker.unexpected_error", part="listener")) == 1
    assert error["error"] == "ValueError: Timeout value out of range"


def test_text_instead_of_bytes_from_redis_is_understood(stage):
    with stage.worker(REDIS_URL=f"redis://127.0.0.1:{stage.redis.port}/0?decode_responses=true") as worker:
        worker.wait_for("run.scored")
        assert_goes_on(stage, worker)
