"""Connections and transactions."""

from __future__ import annotations

import json
import logging
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from al_learner.core.configuration.secrets import masked
from al_learner.core.errors import DatabaseUnavailable, SettingsError
from al_learner.core.events import event
from al_learner.core.storage.engines import postgresql, sqlite
from al_learner.core.storage.engines.errors import RowsLocked, translated
from al_learner.core.storage.records import RowLocks, described
from al_learner.core.storage.schema import Timestamp, labelforward, ours

LOCK_TIMEOUT_MS = 200
"""How long a write waits for a table, and outside text_data for a row.

It is below PostgreSQL's deadlock_timeout, so that the other side never fails.
"""

LOCK_PAUSE_S = (0.1, 1.0)
"""Shortest and longest pause before a write is tried again that waited for a lock in vain; it doubles each time."""

LONG_WAIT_S = 10
"""A write that has waited so long for the locks of others is logged."""

TABLE_LOCKS = ("ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock")
"""Locks on a table that keep others from writing to it."""

_LOCKS = ("pid", "granted", "mode", "relation", "transactionid")
_ACTIVITY = ("pid", "application_name", "usename", "xact_start")

T = TypeVar("T")


def owner() -> str:
    """Return what names this process: its host and its id."""
    return f"{socket.gethostname()}:{os.getpid()}"


class Database:
    """A PostgreSQL or SQLite database.

    Parameters
    ----------
    url : str
        ``postgresql+psycopg://…`` (empty parts: libpq's own variables say) or ``sqlite:///FILE``.
    pause : callable, default=time.sleep
        Called with seconds before a write is tried again. When it raises, no more attempts are made.
    tick : callable
        Called several times a second while PostgreSQL or a lock keeps a statement waiting, in the thread that waits.
        When it raises KeyboardInterrupt, the statement is cancelled.

    Attributes
    ----------
    may_create : bool
        Whether the file of a SQLite database is created if it is missing. Only loading data does that.
    waiting_since : float or None
        When the write began that has waited for longer than `LONG_WAIT_S`, by `time.monotonic`; None if there is none.
    """

    def __init__(
        self,
        url: str,
        *,
        pause: Callable[[float], object] = time.sleep,
        tick: Callable[[], object] = lambda: None,
    ) -> None:
        try:
            parsed = sa.make_url(url)
        except (SQLAlchemyError, ValueError):  # the text of a ValueError shows a part of the URL
            message = "the database URL cannot be read; write postgresql://… or sqlite:///FILE"
            raise SettingsError([message]) from None
        self.is_postgresql = parsed.get_backend_name() == "postgresql"
        self._pause, self._tick = pause, tick
        self.may_create = False
        self.waiting_since: float | None = None
        self._n_lost = 0
        self._own = threading.local()
        if self.is_postgresql:
            self.engine = postgresql.engine(parsed, owner=owner(), tick=tick)
            sa.event.listen(self.engine, "invalidate", self._lost)
        elif parsed.get_backend_name() == "sqlite" and parsed.database not in (None, "", ":memory:"):
            self.path = Path(str(parsed.database)).resolve()  # locks are files beside it: one for all of its names
            self.engine = sqlite.engine(parsed.set(database=str(self.path)))
            sa.event.listen(self.engine, "do_connect", self._check_file)
        else:
            raise SettingsError([f"database {masked(url)!r}: write postgresql://… or sqlite:///FILE (three slashes)"])

    def close(self) -> None:
        """Close every idle connection."""
        self.engine.dispose()

    @contextmanager
    def on_one_connection(self) -> Iterator[None]:
        """Let every `reading` in this thread, but those in chunks, use the same connection.

        So a statement costs one round trip to the server: the connection is tested once, and there is no transaction
        unless it is asked for. Every statement sees what is committed when it begins. None may write.
        """
        with translated(), self.engine.connect() as connection:
            self._own.connection = connection
            try:
                yield
            finally:
                self._own.connection = None

    @contextmanager
    def reading(self, *, chunk: int | None = None, in_transaction: bool = False) -> Iterator[sa.Connection]:
        """Return a connection for reading.

        Parameters
        ----------
        chunk : int, optional
            So many rows at a time come through a server-side cursor.
        in_transaction : bool
            Whether what is set with ``SET LOCAL`` stays for the next statement.

        Raises
        ------
        DatabaseUnavailable
            Also if another session keeps a table locked. The message names table and session.
        """
        shared: sa.Connection | None = getattr(self._own, "connection", None)
        try:
            if shared is not None and not (chunk or shared.in_transaction()):
                if self.is_postgresql:
                    shared.execution_options(isolation_level="READ COMMITTED" if in_transaction else "AUTOCOMMIT")
                with translated(), shared.begin():
                    yield shared
                return
            with translated(), self.engine.connect() as connection:
                connection.execution_options(**{} if chunk is None else {"yield_per": chunk})
                if self.is_postgresql:
                    connection.execution_options(postgresql_readonly=True)
                with connection.begin():
                    yield connection
        except RowsLocked as exc:
            raise DatabaseUnavailable(self._table_locks() or str(exc)) from exc

    def write_once(self, work: Callable[[sa.Connection], T]) -> T:
        """Run `work` once, in a transaction of its own, without a lock timeout. For work that cannot be repeated."""
        with translated(), self.engine.connect() as connection:
            connection.execution_options(al_learner_writes=True)
            with connection.begin():
                return work(connection)

    def write(self, work: Callable[[sa.Connection], T]) -> T:
        """Run `work` in a transaction of its own; repeat it while other writers hold its rows."""
        with translated(), self.engine.connect() as connection:
            return self.write_on(connection, work)

    def write_on(self, connection: sa.Connection, work: Callable[[sa.Connection], T]) -> T:
        """Like `write`, on a given connection, which is never replaced by a new one."""
        with self.writing(connection):
            return self.when_free(connection, lambda: work(connection))

    @contextmanager
    def writing(self, connection: sa.Connection) -> Iterator[None]:
        """Open a transaction on a given connection. Statements that wait for other writers belong into `when_free`."""
        if connection.invalidated:
            raise DatabaseUnavailable("the connection that held the run lock broke; the run has ended")
        connection.execution_options(al_learner_writes=True)
        with translated(), self._until_free(connection.begin, lambda: None):  # SQLite locks the file as it begins
            if self.is_postgresql:
                timeouts = {
                    "lock_timeout": f"{LOCK_TIMEOUT_MS}ms",
                    "statement_timeout": f"{postgresql.WRITE_TIMEOUT_S}s",
                    "idle_in_transaction_session_timeout": "0",
                }
                connection.execute(sa.select(*(sa.func.set_config(*each, True) for each in timeouts.items())))
            yield

    def when_free(
        self,
        connection: sa.Connection,
        work: Callable[[], T],
        *,
        column: sa.Column[int] | None = None,
        ids: Sequence[int] = (),
    ) -> T:
        """Run `work` in a savepoint of the transaction; roll back to it and repeat while other writers hold its rows.

        Parameters
        ----------
        column, ids
            The rows that `work` locks, for the log.
        """

        def attempt() -> T:
            with connection.begin_nested():
                return work()

        return self._until_free(attempt, lambda: None if column is None else self.row_locks(connection, column, ids))

    def row_locks(self, connection: sa.Connection, column: sa.Column[int], ids: Sequence[int]) -> RowLocks | None:
        """Return which rows other sessions keep us from writing now, and these sessions; None if there are none.

        It waits for no lock. On SQLite, where a writer locks the whole file, it finds nothing.
        """
        if not self.is_postgresql or not ids:
            return None
        locks, of_others = _locks_of_others()
        of_others = of_others.where(locks.c.granted)
        on_table = of_others.where(
            locks.c.relation == sa.literal_column(f"'{column.table.name}'::regclass"), locks.c.mode.in_(TABLE_LOCKS)
        )
        if holders := connection.execute(on_table).all():
            return RowLocks.of(column.table.name, ids, holders)
        # A row's xmax is the transaction that locked it last; while it runs, it holds a lock on its own number.
        xmax: sa.ColumnElement[Any] = sa.literal_column(f"{column.table.name}.xmax")
        on_rows = of_others.add_columns(column).join(column.table, xmax == locks.c.transactionid)
        on_rows = on_rows.where(self.among(column, ids))
        rows = connection.execute(on_rows).all()
        return RowLocks.of(column.table.name, sorted({row[-1] for row in rows}), rows) if rows else None

    def _table_locks(self) -> str:
        """Return in words which of our tables other sessions keep us from reading; empty if none, or if that fails.

        A session that only waits for such a lock counts: PostgreSQL lets nobody overtake it.
        """
        if not self.is_postgresql:
            return ""
        locks, of_others = _locks_of_others()
        name: sa.ColumnElement[str] = sa.literal_column("relation::regclass::text")
        names = [*labelforward.tables, *ours.tables]
        query = of_others.add_columns(name).where(locks.c.mode == "AccessExclusiveLock", name.in_(names))
        try:
            with self.engine.connect() as connection:
                rows = connection.execute(query).all()
        except DBAPIError:
            return ""
        locked = {row[-1]: [other for other in rows if other[-1] == row[-1]] for row in rows}
        return "; ".join(f"table {table} is locked by {'; '.join(described(held))}" for table, held in locked.items())

    def _until_free(self, attempt: Callable[[], T], locks: Callable[[], RowLocks | None]) -> T:
        """Repeat an attempt to write while others hold locks. After `LONG_WAIT_S` a warning says which."""
        pause_s, since = LOCK_PAUSE_S[0], time.monotonic()
        try:
            while True:
                try:
                    with translated():
                        return attempt()
                except RowsLocked as exc:
                    if self.waiting_since is None and time.monotonic() - since >= LONG_WAIT_S:
                        self.waiting_since = since
                        event("rows.locked", level=logging.WARNING, seconds=LONG_WAIT_S, locks=str(locks() or exc))
                    self._pause(random.uniform(pause_s / 2, pause_s))  # noqa: S311 - jitter, not a secret
                    self._tick()
                    pause_s = min(2 * pause_s, LOCK_PAUSE_S[1])
        finally:
            if self.waiting_since is not None:
                event("rows.unlocked", seconds=time.monotonic() - since)
            self.waiting_since = None

    def among(self, column: sa.Column[int], ids: Sequence[int]) -> sa.ColumnElement[bool]:
        """Return ``column IN ids`` for any number of ids, as one bound parameter."""
        if self.is_postgresql:
            return column == sa.any_(sa.cast(list(ids), sa.ARRAY(sa.Integer)))
        listed = sa.func.json_each(json.dumps(list(ids))).table_valued("value")
        return column.in_(sa.select(listed.c.value))

    def columns(self, connection: sa.Connection) -> dict[str, set[str]]:
        """Return the columns of every table that the connection sees by its bare name."""
        if self.is_postgresql:
            rows = connection.exec_driver_sql(
                "SELECT relname, attname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid"
                " WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND attnum > 0 AND NOT attisdropped"
                " AND pg_table_is_visible(pg_class.oid) AND relnamespace <> 'pg_catalog'::regnamespace"
            )
        else:
            rows = connection.exec_driver_sql(
                "SELECT tables.name, columns.name"
                " FROM sqlite_master AS tables, pragma_table_info(tables.name) AS columns"
                " WHERE tables.type IN ('table', 'view')"
            )
        found: dict[str, set[str]] = {}
        for table, column in rows:
            found.setdefault(table, set()).add(column)
        return found

    def now(self) -> datetime:
        """Return the time by the database's clock."""
        with self.reading() as connection:
            now: datetime = connection.scalar(sa.select(sa.type_coerce(sa.func.now(), Timestamp)))  # type: ignore[assignment]  # now() is never NULL
            return now

    def change_token(self) -> str | None:
        """Return a token that stays the same as long as no transaction writes; None on SQLite, which has no such token.

        It costs the same for any number of rows. Writes to other databases of the server change it too. So a new token
        means only that the state must be read again. The token of another server, or of a server that was restarted, is
        another one, and so is every token after a lost connection: another server may have the same transaction ids.
        """
        if not self.is_postgresql:
            return None
        with self.reading() as connection:
            snapshot = "SELECT pg_current_snapshot()::text, pg_postmaster_start_time()::text"
            return f"{tuple(connection.exec_driver_sql(snapshot).one())} {self._n_lost}"

    def _lost(self, *_: object) -> None:
        self._n_lost += 1

    def _check_file(self, *_: object) -> None:
        if not (self.may_create or self.path.exists()):
            raise DatabaseUnavailable(
                f"{self.path}: there is no such file: correct the name, or create it with `al-learner load`"
            )


def _locks_of_others() -> tuple[sa.TableClause, sa.Select[Any]]:
    """Return the table of locks, and a query of the other sessions that have or want one."""
    locks = sa.table("pg_locks", *map(sa.column, _LOCKS))
    sessions = sa.table("pg_stat_activity", *map(sa.column, _ACTIVITY))
    query = sa.select(*sessions.c).join_from(sessions, locks, sessions.c.pid == locks.c.pid)
    return locks, query.where(locks.c.pid != sa.func.pg_backend_pid())


def chunked(rows: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of at most `size` rows."""
    rest = iter(rows)
    while chunk := list(islice(rest, size)):
        yield chunk
