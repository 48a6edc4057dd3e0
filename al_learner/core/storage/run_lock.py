"""The run lock: one run at a time on a database. One connection holds it, and does nothing else during the run."""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from al_learner.core.errors import BusyError, DatabaseError, DatabaseUnavailable
from al_learner.core.storage.database import Database
from al_learner.core.storage.engines.errors import translated
from al_learner.core.storage.records import RunStatus
from al_learner.core.storage.run_transactions import TRANSACTION_POOLING, RunTransactions
from al_learner.core.storage.runs import Runs

LOCK_KEY = 0x616C5F6C6561726E  # "al_learn"

HOLDER_SETTING = "al_learner.run_lock"
"""A setting of the session that holds the lock: a random token of the process that took it last in this session."""

SESSION_SETTINGS = {"idle_session_timeout": "0"}
"""Settings of a session that holds a lock, where the server has them. This one is new in PostgreSQL 14.

The server never ends it as idle.
"""

PREPARED = "can hold a lock"
"""What is known of a connection as long as it is in the pool."""

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
    DatabaseUnavailable
        A pooler shares the session with others.
    """
    hold = _hold_on_postgresql if database.is_postgresql else _hold_on_sqlite
    with hold(database, wait_s) as transactions:
        transactions.mark_stale_runs_died()
        yield transactions


@contextmanager
def _hold_on_postgresql(database: Database, wait_s: float) -> Iterator[RunTransactions]:
    token = secrets.token_hex()
    locked, marked = sa.func.pg_try_advisory_lock(LOCK_KEY), sa.func.set_config(HOLDER_SETTING, token, False)
    with translated(), database.engine.connect() as connection:
        if not connection.info.get(PREPARED):
            _prepare(connection, database)
            connection.info[PREPARED] = True

        def take() -> str | None:
            with connection.begin():
                return connection.scalar(sa.select(sa.case((locked, marked))))

        # Where a pooler shares the session, a second process can take the lock there again, and leaves its token.
        is_marked = sa.func.current_setting(HOLDER_SETTING, True) == token
        is_locked = advisory_lock(LOCK_KEY >> 32, LOCK_KEY & 0xFFFFFFFF, pid=sa.func.pg_backend_pid())
        try:
            _wait(take, database, wait_s)
            yield RunTransactions(database, connection, is_held=sa.select(sa.and_(is_marked, is_locked)))
        except DatabaseUnavailable:  # perhaps the session was not ours: look again next time
            connection.info.pop(PREPARED, None)
            raise
        finally:  # whatever happened: a connection that goes back to the pool with the lock would keep it
            if not connection.invalidated:
                _unlock(connection)


def _unlock(connection: sa.Connection) -> None:
    """Free every lock of a session. If that fails, close the connection, which frees them too, but later."""
    try:
        with connection.begin():
            connection.execute(sa.select(sa.func.pg_advisory_unlock_all()))
    except DBAPIError:  # a lost connection has lost the lock
        connection.invalidate()
    except BaseException:
        connection.invalidate()
        raise


@contextmanager
def _hold_on_sqlite(database: Database, wait_s: float) -> Iterator[RunTransactions]:
    found = _wait(lambda: file_lock(Path(f"{database.path}.lock")), database, wait_s)
    with closing(found), translated(), database.engine.connect() as connection:
        yield RunTransactions(database, connection)


def detached(database: Database) -> sa.Connection:
    """Return a connection outside of the pool, which is to hold a lock as long as it is open.

    Raises
    ------
    DatabaseUnavailable
        A pooler shares its session with others.
    """
    connection = database.engine.connect()
    connection.detach()
    try:
        _prepare(connection, database)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sa.Connection, database: Database) -> None:
    """Make a session hold locks until it is told to free them. Raises as `detached`."""
    if _is_shared(connection, database):
        raise DatabaseUnavailable(f"this session cannot hold a lock: {TRANSACTION_POOLING}")
    with connection.begin():
        connection.execute(sa.select(*(_set_if_possible(*setting) for setting in SESSION_SETTINGS.items())))


def advisory_lock(
    classid: int, objid: int | sa.ColumnElement[int], *, pid: sa.ColumnElement[int] | None = None
) -> sa.ColumnElement[bool]:
    """Return whether a session of this database, or the one with this pid, holds an advisory lock."""
    columns = ("locktype", "database", "classid", "objid", "granted", "pid")
    locks: Any = sa.table("pg_locks", *map(sa.column, columns)).c
    here = sa.text("database = (SELECT oid FROM pg_database WHERE datname = current_database())")
    held = sa.exists().where(locks.locktype == "advisory", locks.granted, here)
    held = held.where(locks.classid == classid, locks.objid == objid)
    return held if pid is None else held.where(locks.pid == pid)


def _is_shared(connection: sa.Connection, database: Database) -> bool:
    """Whether a pooler gives the session of a connection to another one as soon as its transaction ends.

    Of an idle pooler the other connection then gets the same session. Of a busy one this connection gets another.
    """
    pid = sa.select(sa.func.pg_backend_pid())
    with connection.begin():
        first = connection.scalar(pid)
    with database.reading() as other:
        of_other = other.scalar(pid)
    with connection.begin():
        return bool(first == of_other or first != connection.scalar(pid))


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


def _set_if_possible(name: str, value: str) -> sa.ColumnElement[Any]:
    """Return what sets a setting for the session, if the server has the setting and allows the value."""
    settings = sa.table("pg_settings", sa.column("name"), sa.column("enumvals", sa.ARRAY(sa.Text))).c
    is_allowed = sa.or_(settings.enumvals.is_(None), sa.literal(value) == sa.any_(settings.enumvals))
    possible = sa.exists().where(settings.name == name, is_allowed)
    return sa.case((possible, sa.func.set_config(name, value, False)))
