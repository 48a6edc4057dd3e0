"""al_runs: every query on it, except a run's own transactions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from al_learner.core.storage.database import Database
from al_learner.core.storage.records import METRIC_DETAILS, Run, RunKind, RunStatus
from al_learner.core.storage.schema import al_runs


class Runs:
    """The table al_runs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def last(self, **which: Any) -> Run | None:
        """Return the newest run, or the newest of some; parameters as in `recent`."""
        return next(iter(self.recent(limit=1, **which)), None)

    def recent(
        self,
        *,
        limit: int | None = None,
        status: RunStatus | None = None,
        kind: RunKind | None = None,
        clf_id: int | None = None,
        after: Run | None = None,
        detailed: bool = False,
    ) -> list[Run]:
        """Return runs, the newest first; with `detailed` also the large parts of `metrics`."""
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
        """Return the newest run that used this vectorizer; None if al_runs does not know it."""
        query = sa.select(al_runs).where(al_runs.c.countvec_id == countvec_id).order_by(al_runs.c.run_id.desc())
        with self._database.reading() as connection:
            row = connection.execute(query.limit(1)).mappings().first()
        return Run(**row) if row else None

    def newest_choice(self) -> Mapping[str, Any] | None:
        """Return the last choice; None if there is none."""
        query = sa.select(al_runs.c.choice).where(al_runs.c.choice.is_not(None)).order_by(al_runs.c.run_id.desc())
        with self._database.reading() as connection:
            choice: Mapping[str, Any] | None = connection.scalar(query.limit(1))
        return choice

    def mark_announced(self, run_id: int) -> None:
        """Record that a subscriber received the announcement of all runs up to this one."""
        waiting = sa.and_(
            al_runs.c.run_id <= run_id, al_runs.c.status == RunStatus.SUCCEEDED, al_runs.c.announced.is_(None)
        )
        verdict = al_runs.c.metrics["gate"]["verdict"].as_string()
        served = sa.func.coalesce(verdict, "") != "held"  # a classifier that was held back was never announced
        update = al_runs.update().where(waiting, served).values(announced=sa.func.now())
        self._database.write(lambda connection: connection.execute(update))

    def _without_details(self) -> sa.ColumnElement[Any]:
        metrics = al_runs.c.metrics
        if self._database.is_postgresql:
            return metrics.op("-", return_type=metrics.type)(sa.cast(METRIC_DETAILS, sa.ARRAY(sa.Text)))
        return sa.func.json_remove(metrics, *(f"$.{name}" for name in METRIC_DETAILS), type_=metrics.type)
