"""The processes that many projects share."""

from __future__ import annotations

import psutil
import pytest

from al_learner.core.configuration.settings import Settings
from al_learner.core.labels.votes import VotedText, count
from al_learner.core.worker.shared_trainers import SharedTrainers


@pytest.fixture
def trainers():
    made = SharedTrainers(1, 60, None)
    yield made
    made.close()


def test_projects_with_the_same_label_aggregator_share_its_process(trainers):
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    votes = count(
        [VotedText(1, ("a", "a", "b"), ("x", "y", "z"), None, False)], min_label_count=1, max_label_length=50
    ).votes  # fmt: skip
    made = []
    for name in ("one", "two"):
        settings = Settings(database_url=f"sqlite:///{name}.db", label_aggregator="dawid-skene")
        made.append(trainers.compute_of(settings, tick=lambda: None, on_done=lambda: None))
        assert made[-1].winners_of(votes).tolist() == [votes.label_names.index("a")]

    children = psutil.Process().children(recursive=True)
    forked = [child for child in children if child.pid not in before and child.ppid() != psutil.Process().pid]
    assert len(forked) == 1
    for compute in made:
        compute.close()
