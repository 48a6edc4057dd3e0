"""al_runs, as one process has it, and as another one has it."""

from __future__ import annotations

import pytest

from al_learner.core.storage.migrations.upgrade import upgrade_runs
from al_learner.core.storage.runs import Runs


@pytest.fixture
def runs(connect, database):
    runs = Runs(connect(database))
    upgrade_runs(runs._database)
    return runs


@pytest.fixture
def others(connect, database, runs):  # noqa: ARG001 - al_runs must be there
    """The runs as another process has them."""
    return Runs(connect(database))
