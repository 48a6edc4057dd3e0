"""The workers of a database: which of them are alive, and with which settings each one trains.

Two workers with different settings would train against each other for ever. So the one that started last wins.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from al_learner.core.storage.database import Database, owner
from al_learner.core.storage.records import LiveWorker
from al_learner.core.storage.run_lock import advisory_lock, detached, file_lock
from al_learner.core.storage.schema import al_workers

LIVENESS_KEY = 0x616C5F77  # "al_w"
"""The first of the two numbers of a worker's advisory lock. The second is its worker_id."""

TICK = timedelta(microseconds=1)


class Workers:
    """The table al_workers, and the entry of this process if it is a worker.

    Parameters
    ----------
    database : Database
    settings : mapping of str to object
        The settings of this process that decide what is trained, as JSON can hold them.
    """

    def __init__(self, database: Database, settings: Mapping[str, Any]) -> None:
        self._database = database
        self._settings: dict[str, Any] = json.loads(json.dumps(settings))  # as the database returns them
        self._entry: LiveWorker | None = None
        self._lock: sa.Connection | sqlite3.Connection | None = None

    @property
    def is_registered(self) -> bool:
        """Whether this process is a worker."""
        return self._entry is not None

    def register(self) -> None:
        """Record that this process is a worker. It is alive until `close`, or until its process ends.

        Of live workers the one that registered last wins. A worker that does it again, because it has lost its
        connection or its row, keeps its time.
        """
        live = self._live()
        # The clock may have been set back since the others started.
        started = self._entry.started if self._entry else max([self._database.now(), *(w.started + TICK for w in live)])
        ended = al_workers.delete().where(al_workers.c.worker_id.not_in([worker.worker_id for worker in live]))
        values = {"owner": owner(), "started": started, "settings": self._settings}

        def write(connection: sa.Connection) -> LiveWorker:
            connection.execute(ended)
            row = connection.execute(al_workers.insert().returning(al_workers), values).mappings().one()
            self._hold_lock(row["worker_id"])  # before others see the row
            return LiveWorker(**row)

        self._entry = self._database.write(write)

    def superseding(self) -> LiveWorker | None:
        """Return the live worker that started last, if it is another and its settings differ; else None."""
        live = self._live()
        if self._entry is not None and self._entry.worker_id not in [worker.worker_id for worker in live]:
            self.register()
            live = self._live()
        newest = max(live, key=lambda worker: worker.started, default=None)
        return None if newest is None or newest.settings == self._settings else newest

    def differences(self, other: LiveWorker) -> str:
        """Return in words which settings differ, with the values of this process and of another worker."""
        here, there = self._settings, other.settings
        return "; ".join(
            f"{name} is {json.dumps(here.get(name))} here and {json.dumps(there.get(name))} there"
            for name in sorted({*here, *there})
            if here.get(name) != there.get(name)
        )

    def close(self) -> None:
        """Be alive no longer."""
        if self._lock is not None:
            with suppress(DBAPIError):  # a lost connection has lost its lock
                self._lock.close()
        if self._entry is not None and not self._database.is_postgresql:
            self._file_of(self._entry.worker_id).unlink(missing_ok=True)
        self._lock = None

    def _hold_lock(self, worker_id: int) -> None:
        self.close()
        if self._database.is_postgresql:
            connection = detached(self._database)
            self._lock = connection
            with connection.begin():
                connection.execute(sa.select(sa.func.pg_try_advisory_lock(LIVENESS_KEY, worker_id)))
        else:
            self._lock = file_lock(self._file_of(worker_id))

    def _live(self) -> list[LiveWorker]:
        query = sa.select(al_workers)
        if self._database.is_postgresql:
            query = query.where(advisory_lock(LIVENESS_KEY, al_workers.c.worker_id))
        with self._database.reading() as connection:
            workers = [LiveWorker(**row) for row in connection.execute(query).mappings()]
        if self._database.is_postgresql:
            return workers
        return [worker for worker in workers if self._is_locked(worker.worker_id)]

    def _is_locked(self, worker_id: int) -> bool:
        if self._entry is not None and worker_id == self._entry.worker_id:
            return self._lock is not None
        found = file_lock(self._file_of(worker_id))
        if found is not None:
            found.close()
            self._file_of(worker_id).unlink(missing_ok=True)
        return found is None

    def _file_of(self, worker_id: int) -> Path:
        return Path(f"{self._database.path}.worker-{worker_id}.lock")
