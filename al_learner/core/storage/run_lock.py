"""The run lock: one run at a time on a database. A connection that serves nothing else holds it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from al_learner.core.errors import BusyError, DatabaseError
from al_learner.core.storage.database import Database, translated
from al_learner.core.storage.records import RunStatus
from al_learner.core.storage.run_transactions import RunTransactions
from al_learner.core.storage.runs import Runs

LOCK_KEY = 0x616C5F6C6561726E  # "al_learn"

POLL_S = 0.1
"""Pause between two attempts to take a lock that another process holds."""


T = TypeVar("T")


@contextmanager
def hold_run_lock(database: Database, *, wait_s: float = 0) -> Iterator[RunTransactions]:
    """Hold the run lock of a database. Only its holder makes the transactions of a run.

    Runs that are still `running` are marked as `died` first: their process has lost the lock.

    Raises
    ------
    BusyError
        Another process held it for `wait_s` seconds. The error names that process.
    """
    hold = _hold_on_postgresql if database.is_postgresql else _hold_on_sqlite
    with hold(database, wait_s) as connection:
        transactions = RunTransactions(database, connection)
        transactions.mark_stale_runs_died()
        yield transactions


@contextmanager
def _hold_on_postgresql(database: Database, wait_s: float) -> Iterator[sa.Connection]:
    with translated(), detached(database) as connection:

        def take() -> bool | None:
            with connection.begin():
                return connection.scalar(sa.select(sa.func.pg_try_advisory_lock(LOCK_KEY))) or None

        _wait(take, database, wait_s)
        try:
            yield connection
        finally:  # closing frees the lock too, but later
            if not connection.invalidated:
                with suppress(DBAPIError), connection.begin():  # a lost connection has lost the lock
                    connection.execute(sa.select(sa.func.pg_advisory_unlock(LOCK_KEY)))


@contextmanager
def _hold_on_sqlite(database: Database, wait_s: float) -> Iterator[sa.Connection]:
    found = _wait(lambda: file_lock(Path(f"{database.path}.lock")), database, wait_s)
    with closing(found), translated(), database.engine.connect() as connection:
        yield connection


def detached(database: Database) -> sa.Connection:
    """Return a connection outside of the pool, in which it would keep its lock; the server never ends it as idle."""
    connection = database.engine.connect()
    connection.detach()
    with connection.begin():  # the setting is new in PostgreSQL 14
        never = sa.func.set_config("idle_session_timeout", "0", False)
        connection.execute(sa.select(never).where(_has_setting("idle_session_timeout")))
    return connection


def file_lock(path: Path) -> sqlite3.Connection | None:
    """Lock a file, for SQLite, until the returned connection is closed; None if another process holds it.

    Raises
    ------
    DatabaseError
        The file cannot be written.
    """
    connection = sqlite3.connect(path, isolation_level=None, timeout=0)
    try:
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as exc:
        connection.close()
        if "locked" in str(exc):
            return None
        raise DatabaseError(f"{path}: {exc}") from exc
    return connection


def _wait(take: Callable[[], T | None], database: Database, wait_s: float) -> T:
    deadline = time.monotonic() + wait_s
    while (taken := take()) is None:
        if time.monotonic() >= deadline:
            running = Runs(database).last(status=RunStatus.RUNNING)
            holder = f"{running.owner}, since {running.started:%Y-%m-%d %H:%M:%S %Z}" if running else "another process"
            raise BusyError(
                f"a run is in progress, by {holder}; try again when it has ended. "
                "`al-learner status` says if it waits for locked rows"
            )
        time.sleep(POLL_S)
    return taken


def _has_setting(name: str) -> sa.ColumnElement[bool]:
    settings = sa.table("pg_settings", sa.column("name"))
    return sa.exists().where(settings.c.name == name)
