"""Fixtures of the tests that look below `Project`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from al_learner.core.storage.database import Database
from tests.support.tables import Tables


@pytest.fixture
def connect() -> Iterator[Callable[..., Database]]:
    """Return a function that opens a `Database` on given tables; all are closed in the end."""
    opened: list[Database] = []

    def connect_to(tables: Tables, **options: Any) -> Database:
        opened.append(Database(tables.engine_url, **options))
        return opened[-1]

    yield connect_to
    for database in opened:
        database.close()
