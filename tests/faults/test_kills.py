"""Scenario 1: the worker is killed with SIGKILL, at every step of a run and at random moments."""

from __future__ import annotations

import random
import signal
import subprocess

import pytest

from tests.support.faults_launcher import LEAVES_A_RUN, STEPS
from tests.support.faults_processes import family, wait_for_end

SEED = 20240229
N_KILLS = 6
LONGEST_LIFE_S = 1.5
BEFORE_A_CLASSIFIER = [*STEPS][:5]


def live_until(stage, step):
    """Start a worker that kills itself at a step; with it, all that it had started must end."""
    with stage.worker(dies=step) as worker:
        worker.wait_for("worker.started")
        children = family(worker.pid)
        assert worker.wait() == -signal.SIGKILL
        wait_for_end(children)


@pytest.mark.parametrize("step", STEPS)
def test_a_worker_killed_at_any_step_loses_nothing(open_stage, step):
    stage = open_stage().fill()
    stage.predictor.start()
    stage.vote(12)

    live_until(stage, step)
    stage.vote(3)  # while nobody listens
    with stage.worker():
        stage.assert_well()

    died = [("update", "died")] if step in LEAVES_A_RUN else []
    assert stage.runs()[: len(died) + 1] == [*died, ("update", "succeeded")]


def test_a_first_run_that_is_killed_is_tried_again(open_stage):
    stage = open_stage().fill()
    stage.predictor.start()

    for step in BEFORE_A_CLASSIFIER:
        live_until(stage, step)
        stage.vote(1)  # something new, so that the next life need not wait before it tries again
        assert stage.value("SELECT count(*) FROM classifiers") == 0
    with stage.worker():
        stage.assert_well()

    died = [("init", "died")] * len(LEAVES_A_RUN)
    assert stage.runs()[:-1] == [*died, ("init", "succeeded")]


def test_kills_at_random_moments_lose_nothing(open_stage):
    chance = random.Random(SEED)
    stage = open_stage(seed=SEED).fill()
    stage.predictor.start()
    stage.voters.start()

    for _ in range(N_KILLS):
        with stage.worker() as worker:
            worker.wait_for("redis.subscribed")
            children = family(worker.pid)
            with pytest.raises(subprocess.TimeoutExpired):
                worker.process.wait(chance.uniform(0, LONGEST_LIFE_S))
            worker.kill()
            assert worker.wait() == -signal.SIGKILL
            wait_for_end(children)
    stage.voters.stop()
    with stage.worker():
        stage.assert_well()
