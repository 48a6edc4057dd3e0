"""Scenario 3, Redis: stopped, restarted, emptied, paused, its connections cut, messages published while away."""

from __future__ import annotations

import pytest

from tests.support.faults_servers import cut, paused
from tests.support.waiting import wait_until

NEVER_S = 3600
NO_LOOKS_BY_ITSELF = {"AL_LEARNER_RECONCILE_S": NEVER_S, "AL_LEARNER_REANNOUNCE_S": NEVER_S}


@pytest.fixture
def worker(stage):
    """A worker that has nothing more to do."""
    with stage.worker() as worker:
        worker.wait_for("run.scored")
        stage.predictor.wait_for("wrote")
        yield worker


def test_what_is_trained_without_redis_is_announced_when_it_is_back(stage, worker):
    stage.redis.stop()
    worker.wait_for("redis.lost")
    stage.vote()
    worker.wait_for("run.finished", kind="update")
    worker.wait_for("announcement.failed")
    stage.redis.start()

    stage.assert_well()


def test_a_quick_restart_of_redis_is_survived(stage, worker):
    stage.redis.stop()
    stage.redis.start()

    stage.assert_well()
    assert worker.process.poll() is None


def test_the_app_is_unlocked_after_redis_was_emptied(stage, worker):
    with stage.redis.client() as client:
        client.flushall()
    worker.wait_for("app.locked")

    stage.assert_well()


def test_a_redis_that_falls_silent_is_noticed(stage, worker):
    with paused(stage.redis):
        worker.wait_for("redis.lost")
        stage.voters.start(1)
        worker.wait_for("run.started", kind="update")
    stage.voters.stop()

    stage.assert_well()


@pytest.mark.parametrize("kind", ["normal", "pubsub"])
def test_connections_that_redis_closes_are_made_anew(stage, worker, kind):
    for _ in range(3):
        since = len(worker.events)
        wait_until(lambda: cut(stage.redis, kind), "a connection to be there, and to be cut")
        stage.vote()
        worker.wait_for("run.finished", since=since)

    stage.assert_well()


def test_a_reconnected_worker_reads_what_it_has_missed(stage):
    with stage.worker(started=stage.command, **NO_LOOKS_BY_ITSELF) as worker:
        worker.wait_for("run.scored")
        stage.redis.stop()
        worker.wait_for("redis.lost")
        stage.vote()  # nobody hears of it
        assert worker.logged("run.started", kind="update") == []
        stage.redis.start()
        worker.wait_for("run.finished", kind="update")

    with stage.worker():
        stage.assert_well()


def test_what_was_published_while_no_worker_was_there_is_done(stage):
    stage.vote()
    with stage.redis.client() as client:
        assert client.publish("learner", "init") == 0
    with stage.worker(AL_LEARNER_RECONCILE_S=NEVER_S):
        stage.assert_well()


def test_without_redis_the_worker_polls(stage):
    with stage.worker(REDIS_HOST="", REDIS_PORT="") as worker:
        worker.wait_for("redis.not_configured")
        stage.vote()
        worker.wait_for("run.finished", kind="update")

    with stage.worker():
        stage.assert_well()
