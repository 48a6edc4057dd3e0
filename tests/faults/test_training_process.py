"""Scenario 2: the training process is killed, runs out of memory, or never ends; and the worker dies while it fits."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest

from tests.support.faults_processes import family, wait_for_end

TIMEOUT_S = 12
"""Longer than a training process takes to start on a busy machine, which counts."""

MEMORY_MIB = 450

CRASHES = {
    "abort": "was killed by SIGABRT",
    "exit": "ended by itself, with exit code 3",
    "raise SystemExit": "ended by itself, with exit code 3",
    "raise": "this fit was told to fail",
}


@pytest.fixture
def stage(obedient_stage):
    return obedient_stage


def recover(stage, worker):
    """Let fits succeed again, and go on to the end: new votes need not wait until the pause is over."""
    stage.director.order("")
    stage.vote(1)
    stage.assert_well()
    assert worker.process.poll() is None


def errors(stage):
    return [error for (error,) in stage.query("SELECT error FROM al_runs WHERE status = 'failed' ORDER BY run_id")]


def test_a_training_process_killed_while_idle_is_replaced(stage):
    with stage.worker() as worker:
        worker.wait_for("run.scored")
        process = psutil.Process(worker.trainer_pid)
        process.kill()
        wait_for_end([process])
        stage.assert_well()

    assert {status for _, status in stage.runs()} == {"succeeded"}


def test_a_training_process_killed_while_it_fits_costs_that_run_alone(stage):
    stage.director.order("hold")
    with stage.worker() as worker:
        os.kill(stage.wait_until_fitting(), signal.SIGKILL)
        worker.wait_for("run.failed")
        recover(stage, worker)

    assert "was killed by SIGKILL, perhaps because the memory was used up" in errors(stage)[0]
    assert stage.runs()[:2] == [("update", "failed"), ("update", "succeeded")]


@pytest.mark.parametrize("order", CRASHES)
def test_a_fit_that_crashes_costs_that_run_alone(stage, order):
    stage.director.order(order)
    with stage.worker() as worker:
        worker.wait_for("run.failed")
        recover(stage, worker)

    assert CRASHES[order] in errors(stage)[0]


def test_a_fit_that_needs_too_much_memory_costs_that_run_alone(stage):
    stage.director.order("allocate")
    with stage.worker(AL_LEARNER_TRAIN_MEMORY_MIB=MEMORY_MIB) as worker:
        process = psutil.Process(worker.trainer_pid)
        worker.wait_for("run.failed")
        wait_for_end([process])  # what a lack of memory has torn is not used again
        recover(stage, worker)

    assert "AL_LEARNER_TRAIN_MEMORY_MIB" in errors(stage)[0]


def test_a_classifier_that_is_too_large_to_be_read_costs_that_run_alone(stage):
    stage.settings |= {
        "AL_LEARNER_VECTORIZER": "hashing",
        "AL_LEARNER_VECTORIZER_PARAMS": '{"n_features": 2097152}',
        "AL_LEARNER_MAX_ARTIFACT_MIB": "1",
    }
    with stage.worker() as worker:
        worker.wait_for("run.failed")
        assert worker.process.poll() is None

    assert "AL_LEARNER_MAX_ARTIFACT_MIB = 1" in errors(stage)[0]
    assert stage.value("SELECT count(*) FROM classifiers") == 0


def test_a_fit_that_never_ends_is_ended(stage):
    stage.director.order("spin in C")
    with stage.worker(AL_LEARNER_TRAIN_TIMEOUT_S=TIMEOUT_S) as worker:
        process = psutil.Process(stage.wait_until_fitting())
        worker.wait_for("run.failed")
        wait_for_end([process])
        recover(stage, worker)

    assert errors(stage)[0] == f"training took longer than {TIMEOUT_S} s and was killed"


@pytest.mark.parametrize("order", ["spin", "spin in C"])
def test_no_orphan_is_left_when_the_worker_is_killed_while_its_child_fits(stage, order):
    stage.director.order(order)
    with stage.worker(started=stage.command if order == "spin in C" else None) as worker:
        stage.wait_until_fitting()
        children = family(worker.pid)
        worker.kill()
        try:
            wait_for_end(children)
        finally:
            for child in children:
                if child.is_running():
                    child.kill()

    stage.director.order("")
    with stage.worker():
        stage.assert_well()
    assert stage.runs()[:2] == [("update", "died"), ("update", "succeeded")]


def test_what_is_heavy_is_loaded_by_the_training_process_alone(stage):
    stage.settings |= {"AL_LEARNER_CLASSIFIER": "complement-nb", "AL_LEARNER_CLASSIFIER_PARAMS": ""}
    with stage.worker(started=stage.command, AL_LEARNER_GATE="hold") as worker:
        stage.assert_well()
        heavy = [heavy_libraries(pid) for pid in (worker.pid, worker.trainer_pid)]

    assert heavy == [set(), {"scipy", "sklearn"}]


def test_the_training_process_compares_predictions(stage):
    stage.settings |= {"AL_LEARNER_CLASSIFIER": "complement-nb", "AL_LEARNER_CLASSIFIER_PARAMS": ""}
    with stage.worker():
        stage.assert_well()
    stage.predictor.kill()
    stage.query("UPDATE al_runs SET announced = NULL")  # as if the database had failed when it was to be recorded
    with stage.worker(started=stage.command) as worker:
        worker.wait_for("announcement.acknowledged")
        assert worker.logged("announced") == []
        assert heavy_libraries(worker.pid) == set()

    assert stage.query("SELECT count(*) FROM al_runs WHERE announced IS NULL AND status = 'succeeded'") == [(0,)]


def heavy_libraries(pid):
    """Tell which of them a process has loaded code of."""
    maps = Path(f"/proc/{pid}/maps").read_text()
    return {name for name in ("scipy", "sklearn", "lightgbm") if f"/site-packages/{name}/" in maps}
