"""What nobody expected is recorded as it was."""

from __future__ import annotations

import pytest

from tests.support.corpora import add_weather


@pytest.fixture
def voted(database):
    add_weather(database, 12)
    return database


@pytest.mark.parametrize("by_hand", [True, False])
def test_a_run_that_ends_with_an_unexpected_error_has_failed_and_its_message_is_kept(
    voted, open_project, monkeypatch, by_hand
):
    def surprise(job):
        raise RuntimeError(f"no luck with {len(job.labels)} labels")

    project = open_project(voted)
    monkeypatch.setattr(project._compute.trainer, "train", surprise)

    with pytest.raises(RuntimeError, match="no luck"):
        project.update() if by_hand else project.reconcile()

    assert voted.query("SELECT status, error FROM al_runs") == [("failed", "RuntimeError: no luck with 12 labels")]
