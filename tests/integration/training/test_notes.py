"""What a classifier warns of while it is trained is told once, as a note of its run."""

from __future__ import annotations

import pytest

from tests.support.corpora import add_weather


@pytest.mark.filterwarnings("ignore:logreg did not converge")  # as a process whose filters hide it
def test_a_classifier_that_did_not_converge_is_stored_and_the_log_says_so(database, open_project, logged):
    add_weather(database, 60)

    open_project(database, classifier="logreg", classifier_params={"max_iter": 1}).update()

    [told] = logged.named("run.note")
    assert "logreg did not converge: after 1 of 1 Newton steps" in told["note"]
    assert [run["clf_id"] for run in logged.named("run.finished")] == [1]
