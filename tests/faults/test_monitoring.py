"""What monitors and probes are told, while all is well and while something is not."""

from __future__ import annotations

import socket

import pytest

from al_learner.worker import EXIT_ERROR
from tests.support.probe import Probe
from tests.support.servers import free_port
from tests.support.waiting import wait_until

WELL = {
    "database": True,
    "subscribed": True,
    "reconciled": True,
    "rows_free": True,
    "superseded": False,
    "problems": [],
}
WELL["looked"] = True  # the name of reconciled until 0.2
NO_MESSAGES = "the worker receives no messages from Redis"


@pytest.fixture
def probe(stage):
    """A worker that has nothing more to do, asked over HTTP."""
    probe = Probe(free_port())
    with stage.worker(AL_LEARNER_HTTP_PORT=probe.port) as worker:
        worker.wait_for("run.scored")
        stage.predictor.wait_for("wrote")
        yield probe


def test_a_worker_that_is_well_says_so_and_what_it_did(stage, probe):
    stage.vote(3)
    wait_until(lambda: probe.metrics()["al_learner_new_samples"] == 3, "the new samples to be counted")

    metrics = probe.metrics()

    assert probe.health() == (200, WELL)
    assert probe.get("/livez")[0] == 200
    assert probe.get("/nothing")[0] == 404
    assert metrics['al_learner_runs{status="succeeded"}'] == 1
    assert metrics['al_learner_connected{to="database"}'] == metrics['al_learner_connected{to="redis"}'] == 1
    assert metrics["al_learner_announcement_lag_seconds"] == 0
    (seconds, finished) = stage.query("SELECT seconds, extract(epoch FROM finished)::float FROM al_runs")[0]
    assert metrics["al_learner_run_seconds"] == pytest.approx(seconds)
    assert metrics["al_learner_last_success_timestamp_seconds"] == pytest.approx(finished)
    assert probe.command().returncode == 0


def test_a_lost_redis_is_reported_but_is_no_reason_to_restart_the_worker(stage, probe):
    stage.redis.stop()
    lost = WELL | {"subscribed": False, "problems": [NO_MESSAGES]}
    wait_until(lambda: probe.health() == (503, lost), "the loss to be told")

    assert probe.metrics()['al_learner_connected{to="redis"}'] == 0
    assert probe.get("/livez")[0] == 200

    stage.redis.start()
    wait_until(lambda: probe.health() == (200, WELL), "the worker to be well again")


def test_a_lost_database_is_reported_but_is_no_reason_to_restart_the_worker(stage, probe):
    stage.postgres.stop(immediate=True)
    lost = WELL | {"database": False, "rows_free": None, "problems": ["the database cannot be reached"]}
    wait_until(lambda: probe.health() == (503, lost), "the loss to be told")

    health = probe.command()
    assert health.returncode == EXIT_ERROR
    assert '"database": false' in health.stderr
    metrics = probe.metrics()
    assert metrics.pop("al_learner_database_waiting_seconds") >= 0
    assert metrics == {
        'al_learner_connected{to="database"}': 0,
        'al_learner_connected{to="redis"}': 1,
        "al_learner_new_samples": 0,
        "al_learner_batch_size": 10,
        "al_learner_superseded": 0,
        "al_learner_unexpected_errors_total": 0,
    }
    assert probe.get("/livez")[0] == 200

    stage.postgres.start()
    wait_until(lambda: probe.health() == (200, WELL), "the worker to be well again")


def test_a_database_that_is_locked_is_reported_and_livez_does_not_wait_for_it(stage):
    probe = Probe(free_port())
    # A long interval, so that the loop itself does not wait for the lock while the probes ask.
    with stage.worker(AL_LEARNER_HTTP_PORT=probe.port, AL_LEARNER_RECONCILE_S=300) as worker:
        worker.wait_for("run.scored")
        wait_until(lambda: probe.health() == (200, WELL), "the worker to be well")
        with stage.postgres.connect(stage.database) as locking:
            locking.execute("BEGIN")
            locking.execute("LOCK TABLE al_runs IN ACCESS EXCLUSIVE MODE")
            silent = {"database": False, "rows_free": None, "problems": ["the database has not answered for 3 s"]}

            assert probe.health() == (503, WELL | silent)
            assert probe.get("/livez")[0] == 200
            locking.execute("ROLLBACK")
        wait_until(lambda: probe.health() == (200, WELL), "the worker to be well again")


def test_tables_that_are_missing_are_told_apart_from_a_lost_database(open_stage):
    stage, probe = open_stage(), Probe(free_port())
    stage.query("DROP TABLE labels")
    with stage.worker(AL_LEARNER_HTTP_PORT=probe.port) as worker:
        worker.wait_for("database.waiting")
        wait_until(lambda: probe.health()[1]["subscribed"], "the subscription")
        status, health = probe.health()

    missing = "the database is not ready: table labels is missing: db_helper or `al-learner load` creates"
    assert (status, health | {"problems": []}) == (503, WELL | {"rows_free": None})
    assert [problem[: len(missing)] for problem in health["problems"]] == [missing]


def test_a_worker_without_redis_is_well(stage):
    probe = Probe(free_port())
    with stage.worker(AL_LEARNER_HTTP_PORT=probe.port, REDIS_HOST="") as worker:
        worker.wait_for("run.scored")
        assert probe.health() == (200, WELL | {"subscribed": None})


def test_a_silent_connection_keeps_no_probe_waiting(probe):
    with socket.create_connection(("127.0.0.1", probe.port)):
        for path in ("/livez", "/healthz", "/metrics"):
            assert probe.get(path)[0] == 200


def test_an_announcement_that_nobody_receives_grows_old(stage, probe):
    stage.predictor.kill()
    stage.vote()
    wait_until(lambda: probe.metrics().get("al_learner_announcement_lag_seconds", 0) > 0, "the lag to grow")


def test_a_port_that_is_taken_ends_the_worker_with_the_reason(stage):
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with stage.worker(started=stage.command, AL_LEARNER_HTTP_PORT=port) as worker:
            assert worker.wait() == EXIT_ERROR
            assert f"AL_LEARNER_HTTP_PORT = {port}: Address already in use" in worker.log
