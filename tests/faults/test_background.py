"""What runs beside the trainings: scores, and label aggregators. Neither of them stops the worker or delays a batch."""

from __future__ import annotations

import os
import signal

import psutil
import pytest

from tests.support.faults_processes import wait_for_end
from tests.support.waiting import wait_until

TIMEOUT_S = 12
"""Longer than a process takes to start on a busy machine, which counts."""


@pytest.fixture
def stage(obedient_stage):
    return obedient_stage


def scored(stage):
    return [run_id for (run_id,) in stage.query("SELECT run_id FROM al_runs WHERE metrics IS NOT NULL ORDER BY 1")]


def test_a_batch_gets_its_classifier_while_the_one_before_it_is_scored(stage):
    stage.director.order("scoring: hold")
    with stage.worker() as worker:
        scoring = stage.wait_until_fitting(but=[worker.trainer_pid])
        stage.vote()
        wait_until(lambda: stage.runs() == [("update", "succeeded")] * 2, "the second classifier")
        assert (psutil.Process(scoring).nice(), scored(stage)) == (19, [])

        stage.director.order("")
        wait_until(lambda: scored(stage) == [1, 2], "both scores")
        stage.assert_well()


def test_a_scoring_process_that_is_killed_costs_that_score_alone(stage):
    stage.director.order("scoring: hold")
    with stage.worker() as worker:
        os.kill(stage.wait_until_fitting(but=[worker.trainer_pid]), signal.SIGKILL)
        wait_until(lambda: scored(stage) == [1], "the run to say why it has no score")
        stage.director.order("")
        stage.vote()
        wait_until(lambda: scored(stage) == [1, 2], "the next score")
        stage.assert_well()

    assert "the scoring process was killed by SIGKILL" in stage.value(
        "SELECT metrics ->> 'reason' FROM al_runs ORDER BY run_id LIMIT 1"
    )


def test_a_worker_that_is_stopped_while_it_scores_leaves_no_process(stage):
    stage.director.order("scoring: hold")
    with stage.worker() as worker:
        scoring = psutil.Process(stage.wait_until_fitting(but=[worker.trainer_pid]))
        worker.terminate()
        assert worker.wait() == 0
        wait_for_end([scoring])

    stage.director.order("")
    with stage.worker():
        wait_until(lambda: scored(stage) == [1], "the score, by the next worker")
        stage.assert_well()


@pytest.fixture
def aggregating(stage):
    stage.settings |= stage.staged_aggregator()
    return stage


def test_an_aggregator_runs_beside_the_worker_and_can_be_stopped(aggregating):
    aggregating.director.order("aggregating: hold")
    with aggregating.worker(AL_LEARNER_GRACE_S=0) as worker:
        process = psutil.Process(aggregating.wait_until_fitting(doing="aggregating"))
        assert process.ppid() == worker.pid
        worker.terminate()
        assert worker.wait() == 0
        wait_for_end([process])

    aggregating.director.order("")
    with aggregating.worker():
        aggregating.assert_well()


@pytest.mark.parametrize("order", ["spin in C", "exit", "raise"])
def test_an_aggregator_that_fails_is_tried_again_with_the_next_votes(aggregating, order):
    aggregating.director.order(f"aggregating: {order}")
    with aggregating.worker(AL_LEARNER_TRAIN_TIMEOUT_S=TIMEOUT_S) as worker:
        worker.wait_for("reconcile.failed")
        assert aggregating.runs() == []
        aggregating.director.order("")
        aggregating.vote(1)
        aggregating.assert_well()
        assert worker.process.poll() is None
