"""al_runs, and the lock that lets one run at a time through."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from al_learner.core.commits import Run, RunKind, RunLock
from al_learner.core.database import Database, translated
from al_learner.core.errors import BusyError, DatabaseError, MigrationError
from al_learner.core.schema import al_runs

VERSION = "0002"
"""The newest migration of al_runs."""

INSUFFICIENT_PRIVILEGE = "42501"

LOCK_KEY = 0x616C5F6C6561726E  # "al_learn"
UPGRADE_KEY = LOCK_KEY + 1

DETAILS = ("labels", "per_class", "confusion", "predictions", "sample")
"""The large parts of a score, which are read only where they are needed."""

POLL_S = 0.1
"""How often a lock that somebody else holds is asked for again."""


class Runs:
    """The table al_runs, and the run's lock."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def upgrade(self) -> bool:
        """Create al_runs, or migrate it to this version. Return whether there was something to do.

        Raises
        ------
        MigrationError
            It is of a newer version, or may not be changed by this user.
        """
        found = self._version()
        if found == VERSION:
            return False
        if found is not None and found > VERSION:
            raise MigrationError(f"al_runs has version {found}; this al_learner knows {VERSION}: install a newer one")
        try:
            self._database.write(self._migrate)
        except DatabaseError as exc:
            if exc.sqlstate == INSUFFICIENT_PRIVILEGE:
                raise MigrationError(
                    f"al_runs must be made or migrated, and this user may not: run `al-learner db upgrade` as the "
                    f"owner of the database ({exc})"
                ) from exc
            raise
        return True

    def last(self, **which: Any) -> Run | None:
        """Return the newest run, or the newest of some; parameters as in `recent`."""
        return next(iter(self.recent(limit=1, **which)), None)

    def recent(
        self,
        *,
        limit: int | None = None,
        status: str | None = None,
        kind: RunKind | None = None,
        clf_id: int | None = None,
        after: Run | None = None,
        detailed: bool = False,
    ) -> list[Run]:
        """Return runs, the newest first; `detailed`: with everything in `metrics`, also what is large."""
        columns = [column for column in al_runs.columns if column is not al_runs.c.metrics]
        metrics = al_runs.c.metrics if detailed else self._without_details()
        query = sa.select(*columns, metrics.label("metrics")).order_by(al_runs.c.run_id.desc()).limit(limit)
        if status is not None:
            query = query.where(al_runs.c.status == status)
        if kind is not None:
            query = query.where(al_runs.c.kind == kind)
        if clf_id is not None:
            query = query.where(al_runs.c.clf_id == clf_id)
        if after is not None:
            query = query.where(al_runs.c.run_id > after.run_id)
        with self._database.reading() as connection:
            return [Run(**row) for row in connection.execute(query).mappings()]

    def by_status(self) -> dict[str, int]:
        """Return how many runs there are of each status."""
        query = sa.select(al_runs.c.status, sa.func.count()).group_by(al_runs.c.status)
        with self._database.reading() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def of_countvec(self, countvec_id: int) -> Run | None:
        """Return the newest run that used this vectorizer; None if it is not ours."""
        query = sa.select(al_runs).where(al_runs.c.countvec_id == countvec_id).order_by(al_runs.c.run_id.desc())
        with self._database.reading() as connection:
            row = connection.execute(query.limit(1)).mappings().first()
        return Run(**row) if row else None

    def newest_choice(self) -> Mapping[str, Any] | None:
        """Return what was chosen the last time; None if nothing ever was."""
        query = sa.select(al_runs.c.choice).where(al_runs.c.choice.is_not(None)).order_by(al_runs.c.run_id.desc())
        with self._database.reading() as connection:
            choice: Mapping[str, Any] | None = connection.scalar(query.limit(1))
        return choice

    def announced(self, run_id: int) -> None:
        """Record that somebody heard of the classifiers of all runs up to this one."""
        waiting = sa.and_(al_runs.c.run_id <= run_id, al_runs.c.status == "succeeded", al_runs.c.announced.is_(None))
        verdict = al_runs.c.metrics["gate"]["verdict"].as_string()
        served = sa.func.coalesce(verdict, "") != "held"  # what was held nobody has heard of, nor will
        update = al_runs.update().where(waiting, served).values(announced=sa.func.now())
        self._database.write(lambda connection: connection.execute(update))

    def _without_details(self) -> sa.ColumnElement[Any]:
        metrics = al_runs.c.metrics
        if self._database.is_postgresql:
            return metrics.op("-", return_type=metrics.type)(sa.cast(DETAILS, sa.ARRAY(sa.Text)))
        return sa.func.json_remove(metrics, *(f"$.{name}" for name in DETAILS), type_=metrics.type)

    @contextmanager
    def lock(self, *, wait_s: float = 0) -> Iterator[RunLock]:
        """Hold the lock that lets one run at a time through, over a connection that serves nothing else.

        Raises
        ------
        BusyError
            Another run held it for `wait_s` seconds; names who.
        """
        take = self._postgresql_lock if self._database.is_postgresql else self._sqlite_lock
        with take(wait_s) as connection:
            lock = RunLock(self._database, connection)
            lock.bury()
            yield lock

    @contextmanager
    def _postgresql_lock(self, wait_s: float) -> Iterator[sa.Connection]:
        with translated(), self._database.engine.connect() as connection:
            connection.detach()  # it is closed in the end, for a pooled connection would keep the lock
            with connection.begin():  # it idles while something trains; PostgreSQL before 14 lets it without asking
                never = sa.func.set_config("idle_session_timeout", "0", False)
                connection.execute(sa.select(never).where(_has_setting("idle_session_timeout")))

            def take() -> bool:
                with connection.begin():
                    return bool(connection.scalar(sa.select(sa.func.pg_try_advisory_lock(LOCK_KEY))))

            self._wait(take, wait_s)
            try:
                yield connection
            finally:  # closing frees the lock too, but some time later
                if not connection.invalidated:
                    with suppress(DBAPIError), connection.begin():  # a lost connection has lost the lock
                        connection.execute(sa.select(sa.func.pg_advisory_unlock(LOCK_KEY)))

    @contextmanager
    def _sqlite_lock(self, wait_s: float) -> Iterator[sa.Connection]:
        sidecar = sqlite3.connect(Path(f"{self._database.path}.lock"), isolation_level=None, timeout=0)

        def take() -> bool:
            try:
                sidecar.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError as exc:
                if "locked" in str(exc):
                    return False
                raise DatabaseError(f"{self._database.path}.lock: {exc}") from exc
            return True

        try:
            self._wait(take, wait_s)
            with translated(), self._database.engine.connect() as connection:
                yield connection
        finally:
            sidecar.close()

    def _wait(self, take: Any, wait_s: float) -> None:
        deadline = time.monotonic() + wait_s
        while not take():
            if time.monotonic() >= deadline:
                running = self.last(status="running")
                holder = (
                    f"{running.owner}, since {running.started:%Y-%m-%d %H:%M:%S %Z}" if running else "another process"
                )
                raise BusyError(f"a run is on, by {holder}; try again when it has ended")
            time.sleep(POLL_S)

    def _version(self) -> str | None:
        with self._database.reading() as connection:
            if "al_learner_version" not in self._database.columns(connection):
                return None
            return connection.exec_driver_sql("SELECT version_num FROM al_learner_version").scalar()

    def _migrate(self, connection: sa.Connection) -> None:
        from alembic import command  # heavy, and needed once in a project's life
        from alembic.config import Config

        if self._database.is_postgresql:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(UPGRADE_KEY)))
        config = Config()
        config.set_main_option("script_location", "al_learner.core:migrations")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _has_setting(name: str) -> sa.ColumnElement[bool]:
    settings = sa.table("pg_settings", sa.column("name"))
    return sa.exists().where(settings.c.name == name)
