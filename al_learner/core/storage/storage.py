"""One database, as the rest of the package uses it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import sqlalchemy as sa

from al_learner.core.storage.database import Database
from al_learner.core.storage.exchange.appending import Loads
from al_learner.core.storage.labelforward_tables import LabelForwardTables
from al_learner.core.storage.runs import Runs


@dataclass(frozen=True)
class Storage:
    """Connections, LabelForward's tables, what is loaded into them, and al_runs."""

    database: Database
    tables: LabelForwardTables
    runs: Runs
    loads: Loads

    @classmethod
    def at(
        cls,
        url: str,
        *,
        pause: Callable[[float], object] = time.sleep,
        tick: Callable[[], object] = lambda: None,
    ) -> Self:
        """Open a database; parameters as for `Database`."""
        database = Database(url, pause=pause, tick=tick)
        return cls(database, LabelForwardTables(database), Runs(database), Loads(database))

    def url(self) -> str:
        """Return the URL of the database without password. On PostgreSQL the connection says where it is."""
        if not self.database.is_postgresql:
            return f"sqlite:///{self.database.path}"
        with self.database.reading() as connection:
            info: Any = connection.connection.driver_connection.info  # type: ignore[union-attr]  # it is open
        place = {"username": info.user, "host": info.host, "port": info.port, "database": info.dbname}
        return sa.URL.create("postgresql", **place).render_as_string()
