"""Scenario 8: the predictor is killed, and the app unlocked again by the next announcement."""

from __future__ import annotations

import pytest

from tests.support.waiting import wait_until

WRITE_S = 1.0


@pytest.fixture
def stage(open_stage):
    """A project whose first classifier was announced, and whose predictor takes its time."""
    stage = open_stage(n_texts=300, write_s=WRITE_S).fill()
    stage.predictor.start()
    return stage


def test_an_app_that_a_killed_predictor_has_locked_is_unlocked_by_another_announcement(stage):
    with stage.worker() as worker:
        stage.predictor.wait_for("writing")
        stage.predictor.kill()
        assert stage.flag() == "unavailable"
        stage.predictor.start()  # as Docker does; it hears of nothing by itself
        worker.wait_for("app.locked")
        stage.predictor.wait_for("wrote", clf_id=1)
        stage.assert_well()

    assert stage.predictor.said("wrote")[0]["clf_id"] == 1


def test_an_app_that_was_locked_before_the_worker_started_is_unlocked(stage):
    with stage.worker():
        stage.predictor.wait_for("writing")
        stage.predictor.kill()
    stage.predictor.start()
    with stage.worker(started=stage.command) as worker:
        worker.wait_for("app.locked")
        stage.assert_well()


def test_a_predictor_that_is_killed_again_and_again_scores_in_the_end(stage):
    stage.voters.start()
    with stage.worker():
        for kills in range(1, 4):
            stage.predictor.wait_for("writing", count=kills)
            stage.predictor.kill()
            stage.predictor.start()
        stage.voters.stop()
        stage.assert_well()


def test_a_run_waits_while_the_predictor_writes_and_neither_notices(stage):
    with stage.worker() as worker:
        worker.wait_for("run.scored")
        stage.voters.start(4)
        stage.predictor.wait_for("wrote", count=4)  # each write meets votes, and the run that they make due
        stage.voters.stop()
        stage.assert_well()


def test_texts_that_were_appended_while_the_predictor_was_away_are_scored_when_it_is_back(stage):
    with stage.worker(AL_LEARNER_REANNOUNCE_S=3600) as worker, stage.redis.client() as client:
        worker.wait_for("run.scored")
        stage.predictor.wait_for("wrote", clf_id=1)
        stage.predictor.kill()
        wait_until(lambda: client.pubsub_numsub("predictor") == [("predictor", 0)], "Redis to notice it")
        stage.query(
            "INSERT INTO text_data (text_data, labeled, selected, taught) VALUES ('one more', false, false, false)"
        )
        stage.voters.publish("init")
        worker.wait_for("announcement.not_received")
        stage.predictor.start()
        stage.predictor.wait_for("wrote", count=2)

    assert stage.query("SELECT count(*) FROM text_data WHERE uncertainty IS NULL") == [(0,)]
