"""al_runs, as one process has it, and as another one has it; and a database that does not exist yet."""

from __future__ import annotations

import pytest

from al_learner.core.storage.database import Database
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


@pytest.fixture
def new_file(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'new.db'}")
    yield database
    database.close()
