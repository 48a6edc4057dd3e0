"""The run lock: one run at a time on a database. A connection that serves nothing else holds it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

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
    with translated(), database.engine.connect() as connection:
        connection.detach()  # closed at the end: in the pool it would keep the lock
        with connection.begin():  # it is idle during a training; the setting is new in PostgreSQL 14
            never = sa.func.set_config("idle_session_timeout", "0", False)
            connection.execute(sa.select(never).where(_has_setting("idle_session_timeout")))

        def take() -> bool:
            with connection.begin():
                return bool(connection.scalar(sa.select(sa.func.pg_try_advisory_lock(LOCK_KEY))))

        _wait(take, database, wait_s)
        try:
            yield connection
        finally:  # closing frees the lock too, but later
            if not connection.invalidated:
                with suppress(DBAPIError), connection.begin():  # a lost connection has lost the lock
                    connection.execute(sa.select(sa.func.pg_advisory_unlock(LOCK_KEY)))


@contextmanager
def _hold_on_sqlite(database: Database, wait_s: float) -> Iterator[sa.Connection]:
    sidecar = sqlite3.connect(Path(f"{database.path}.lock"), isolation_level=None, timeout=0)

    def take() -> bool:
        try:
            sidecar.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as exc:
            if "locked" in str(exc):
                return False
            raise DatabaseError(f"{database.path}.lock: {exc}") from exc
        return True

    try:
        _wait(take, database, wait_s)
        with translated(), database.engine.connect() as connection:
            yield connection
    finally:
        sidecar.close()


def _wait(take: Callable[[], bool], database: Database, wait_s: float) -> None:
    deadline = time.monotonic() + wait_s
    while not take():
        if time.monotonic() >= deadline:
            running = Runs(database).last(status=RunStatus.RUNNING)
            holder = f"{running.owner}, since {running.started:%Y-%m-%d %H:%M:%S %Z}" if running else "another process"
            raise BusyError(
                f"a run is in progress, by {holder}; try again when it has ended. "
                "`al-learner status` says if it waits for locked rows"
            )
        time.sleep(POLL_S)


def _has_setting(name: str) -> sa.ColumnElement[bool]:
    settings = sa.table("pg_settings", sa.column("name"))
    return sa.exists().where(settings.c.name == name)
