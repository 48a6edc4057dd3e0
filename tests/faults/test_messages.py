"""Scenarios 6 and 9, messages: a burst of them, and some that nobody should send."""

from __future__ import annotations

import random

import pytest

from tests.support.faults_processes import rss_mib
from tests.support.waiting import wait_until

NO_LOOKS_BY_ITSELF = {"AL_LEARNER_RECONCILE_S": 3600, "AL_LEARNER_REANNOUNCE_S": 3600}
N_MESSAGES = 10_000
N_FLOODS = 5
END = "the end of the burst"
SEED = 20240301
MORE_MIB = 30
"""By how much the worker's memory may grow."""

HUGE_MIB = 40
"""More than Redis holds back for a subscriber: it closes the connection."""

LOOK = "SELECT DISTINCT labels.label"
"""A statement that the worker makes once a look, and never else."""


@pytest.fixture
def stage(open_stage):
    stage = open_stage(n_texts=100).fill()
    stage.query(f"ALTER DATABASE {stage.database} SET log_statement = 'all'")
    stage.predictor.start()
    return stage


@pytest.fixture
def worker(stage):
    """A worker that has nothing more to do, and does not look by itself."""
    with stage.worker(**NO_LOOKS_BY_ITSELF) as worker:
        worker.wait_for("run.scored")
        stage.predictor.wait_for("wrote")
        yield worker


def looks(stage):
    log = (stage.postgres.folder / "log").read_text(encoding="utf-8", errors="replace")
    return log.count(LOOK)


def flood(stage, *payloads):
    with stage.redis.client() as client, client.pipeline(transaction=False) as pipeline:
        for payload in payloads:
            pipeline.publish("learner", payload)
        pipeline.execute()


def test_every_vote_of_a_burst_counts_and_memory_does_not_grow(stage, worker):
    memory_mib = rss_mib(worker.pid)
    stage.voters.start()
    for _ in range(N_FLOODS):
        n_votes = len(stage.voters.stored)
        flood(stage, *["update"] * (N_MESSAGES // N_FLOODS))
        wait_until(lambda n=n_votes: len(stage.voters.stored) > n + 10, "more votes")
    flood(stage, END)
    worker.wait_for("message.ignored", payload=END)
    stage.voters.stop()
    stage.voters.publish()
    stage.assert_well()

    assert rss_mib(worker.pid) - memory_mib < MORE_MIB


def test_after_a_burst_there_are_at_most_two_reconciliations(stage, worker):
    flood(stage, *["update"] * N_MESSAGES, END)
    worker.wait_for("message.ignored", payload=END)
    before = looks(stage)
    stage.vote()  # is one more hint, and makes a run due
    worker.wait_for("run.started", kind="update")

    assert looks(stage) - before <= 2 + 1
    stage.assert_well()


def test_after_a_burst_during_a_run_there_is_one_reconciliation_beside_what_is_due(stage):
    stage.settings |= stage.staged()
    stage.vote()
    stage.director.order("hold")
    with stage.worker(started=stage.command, **NO_LOOKS_BY_ITSELF) as worker:
        stage.wait_until_fitting()
        stage.vote()
        flood(stage, *["update"] * N_MESSAGES, END)
        worker.wait_for("message.ignored", payload=END)
        before = looks(stage)
        stage.director.order("")
        worker.wait_for("reconcile.idle")
        assert looks(stage) - before == 3  # the votes' run, its score, nothing more
        stage.assert_well()


def test_random_bytes_and_oversize_messages_are_ignored(stage, worker):
    chance = random.Random(SEED)
    memory_mib = rss_mib(worker.pid)
    flood(stage, *(chance.randbytes(chance.randrange(40)) for _ in range(300)), b"", b"\0", b"init\n", "ünit\x1b[2J")
    flood(stage, chance.randbytes(5 * 2**20), "x" * 5 * 2**20)
    for _ in range(3):
        flood(stage, b"y" * HUGE_MIB * 2**20)
    stage.vote()
    worker.wait_for("run.finished", kind="update")
    stage.assert_well()

    assert max(map(len, worker.log.splitlines())) < 1000
    assert rss_mib(worker.pid) - memory_mib < 2 * HUGE_MIB
