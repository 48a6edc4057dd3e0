"""Scenario: under `hold`, the worker is killed while a classifier made worse by careless votes waits for its score."""

from __future__ import annotations

import pytest

from tests.faults.test_kills import live_until
from tests.support.faults import LABELS
from tests.support.waiting import wait_until

GOOD, CARELESS = range(1, 201), range(201, 601)


@pytest.mark.parametrize("step", ["before the score", "within the third commit", "before the announcement"])
def test_a_worker_killed_over_a_worse_classifier_leaves_it_to_the_next_to_hold(open_stage, step):
    stage = open_stage(n_texts=600, AL_LEARNER_GATE="hold").fill()
    stage.predictor.start()
    stage.voters.give([(n, stage.texts[n][1]) for n in GOOD])
    with stage.worker():
        stage.predictor.wait_for("wrote", clf_id=1)
    wrong = dict(zip(LABELS, [*LABELS[1:], LABELS[0]], strict=True))
    stage.voters.give([(n, wrong[stage.texts[n][1]]) for n in CARELESS])

    live_until(stage, step)
    with stage.worker():
        wait_until(lambda: stage.runs()[2:] == [("promote", "succeeded")], "the former classifier to be put back")
        stage.predictor.wait_for("wrote", clf_id=stage.value("SELECT max(clf_id) FROM classifiers"))
        announced = stage.query("SELECT announced IS NOT NULL FROM al_runs ORDER BY run_id")
        assert announced == [(True,), (False,), (True,)]
        assert stage.predictor.said("wrote", clf_id=2) == []

        stage.voters.give([(n, stage.texts[n][1]) for n in CARELESS for _ in range(2)])
        wait_until(lambda: stage.new_samples() == 0, "the corrected votes to be taken up")
        stage.assert_well()
