"""Connections to a SQLite file."""

from __future__ import annotations

import sqlite3
from typing import Any

import sqlalchemy as sa

BUSY_TIMEOUT_S = 5
"""How long a statement waits while another process locks the file. It ends within the worker's grace period."""


def engine(url: sa.URL) -> sa.Engine:
    """Return an engine. A transaction with the option ``al_learner_writes`` locks the file as it begins."""
    made = sa.create_engine(url, hide_parameters=True, connect_args={"timeout": BUSY_TIMEOUT_S})

    @sa.event.listens_for(made, "connect")
    def _connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver must not begin transactions by itself
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.DatabaseError as exc:  # such as "file is not a database"
            raise type(exc)(f"{url.database}: {exc}") from exc

    @sa.event.listens_for(made, "begin")
    def _begin(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get("al_learner_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return made
