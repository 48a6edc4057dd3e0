"""Scenario 4: whoever comes first, the worker, the servers, db_helper's data or its message."""

from __future__ import annotations

import pytest

from tests.support.faults_servers import heal
from tests.support.tables import SCHEMA


def test_a_worker_that_comes_before_the_servers_waits_for_them(open_stage):
    stage = open_stage().fill()
    stage.postgres.stop()
    stage.redis.stop()
    with stage.worker(started=stage.command) as worker:
        worker.wait_for("database.waiting")
        worker.wait_for("redis.lost")
        heal(stage.postgres, stage.redis)
        stage.predictor.start()
        stage.assert_well()

    assert stage.runs()[0] == ("init", "succeeded")


def test_a_worker_that_comes_before_the_tables_waits_for_them(open_stage):
    stage = open_stage(template="template1")
    with stage.worker() as worker:
        assert "text_data" in worker.wait_for("database.waiting")["error"]
        stage.query(SCHEMA.read_text())
        stage.fill()
        stage.predictor.start()
        stage.assert_well()


def test_a_worker_waits_for_the_second_half_of_the_data(open_stage):
    stage = open_stage().fill(with_labels=False)
    stage.predictor.start()
    with stage.worker() as worker:
        reason = worker.wait_for("reconcile.idle")["reason"]
        assert "labels is empty" in reason
        assert stage.runs() == []
        stage.add_labels()  # one by one
        worker.wait_for("run.finished", kind="init")
        stage.assert_well()


def test_prelabelled_data_is_not_trained_on_before_the_labels_are_there(open_stage):
    stage = open_stage().fill(with_labels=False)
    stage.predictor.start()
    for text, label in [*stage.texts.values()][:12]:
        stage.query("INSERT INTO init_data (text_data, label) VALUES (%s, %s)", text, label)
    with stage.worker() as worker:
        assert "labels is empty" in worker.wait_for("reconcile.idle")["reason"]
        stage.voters.publish("init")
        assert worker.wait_for("run.finished", kind="init")["texts"] == 12  # as much as labels that are there
        stage.add_labels()
        stage.assert_well()


def test_an_init_that_starts_a_project_is_answered_once(open_stage):
    stage = open_stage().fill(with_labels=False)
    stage.predictor.start()
    with stage.worker(AL_LEARNER_RECONCILE_S=3600, AL_LEARNER_REANNOUNCE_S=3600) as worker:
        worker.wait_for("reconcile.idle")
        n_events = len(worker.events)
        stage.add_labels()
        stage.voters.publish("init")
        worker.wait_for("announced")
        worker.wait_for("run.scored")
        worker.wait_for("reconcile.idle", since=n_events)
        assert len(worker.logged("announced")) == 1
        stage.assert_well()


def test_votes_that_come_before_everything_else_are_trained_on_first(open_stage):
    stage = open_stage().fill(with_labels=False)
    stage.vote()
    with stage.worker() as worker:
        assert worker.wait_for("run.finished")["kind"] == "update"
        stage.add_labels()
        stage.predictor.start()
        stage.assert_well()

    assert {kind for kind, _ in stage.runs()} == {"update"}


@pytest.mark.parametrize("is_early", [True, False], ids=["before it", "after it"])
def test_a_predictor_that_starts_at_any_time_receives_the_announcement(open_stage, is_early):
    stage = open_stage().fill()
    if is_early:
        stage.predictor.start()
    stage.voters.publish("init")  # to nobody
    with stage.worker() as worker:
        worker.wait_for("announced" if is_early else "announcement.not_received")
        if not is_early:
            stage.predictor.start()
        stage.predictor.wait_for("wrote", clf_id=1)
        stage.assert_well()
