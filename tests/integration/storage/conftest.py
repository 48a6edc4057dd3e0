"""al_runs, as one process has it, and as another one has it; and a database that does not exist yet."""

from __future__ import annotations

import pytest

from al_learner.core.storage.database import Database
from al_learner.core.storage.migrations.upgrade import upgrade_runs
from al_learner.core.storage.runs import Runs
from tests.support.tables import Tables


@pytest.fixture(params=["postgresql", "sqlite"])
def database(request: pytest.FixtureRequest) -> Tables:
    """A database with LabelForward's empty tables; every test here runs on both."""
    tables: Tables = request.getfixturevalue(request.param)
    return tables


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
