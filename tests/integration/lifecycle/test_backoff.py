"""A run that failed is tried again after a pause, or at once when something changes."""

from __future__ import annotations

import pytest

from al_learner.core.errors import PluginError
from tests.support.corpora import add_weather
from tests.support.strategies import Broken


@pytest.fixture
def failed(database, open_project):
    """A project whose first run has just failed."""
    add_weather(database, 20)
    project = open_project(database, classifier=Broken(), train_memory_mib=1_000)
    with pytest.raises(PluginError):
        project.reconcile()
    assert project.read_state().due is None
    return database


@pytest.mark.parametrize(
    "changed",
    [{"train_timeout_s": 7_200}, {"train_memory_mib": 2_000}, {"max_artifact_mib": 300}, {"min_label_count": 1}],
)
def test_other_limits_end_the_pause(failed, open_project, changed):
    project = open_project(failed, **{"classifier": Broken(), "train_memory_mib": 1_000, **changed})

    is_same = changed == {"min_label_count": 1}
    assert project.read_state().due == (None if is_same else "update")
