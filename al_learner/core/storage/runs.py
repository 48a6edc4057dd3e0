"""al_runs, al_priors and al_project: every query on them, except a run's own transactions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import sqlalchemy as sa

from al_learner.core.errors import SchemaError
from al_learner.core.storage.database import Database
from al_learner.core.storage.records import (
    METRIC_DETAILS,
    SIGNATURE_V2,
    DeletableClassifier,
    Prior,
    Run,
    RunKind,
    RunStatus,
)
from al_learner.core.storage.schema import al_priors, al_project, al_runs, classifiers, countvecs


class Runs:
    """The tables al_runs, al_priors and al_project."""

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
        among: Sequence[int] | None = None,
        after: Run | None = None,
        before: Run | None = None,
        detailed: bool = False,
    ) -> list[Run]:
        """Return runs, the newest first; with `detailed` also the large parts of `metrics`; `among` are clf_ids."""
        columns = [column for column in al_runs.columns if column is not al_runs.c.metrics]
        metrics = al_runs.c.metrics if detailed else without_details(self._database)
        query = sa.select(*columns, metrics.label("metrics")).order_by(al_runs.c.run_id.desc()).limit(limit)
        if status is not None:
            query = query.where(al_runs.c.status == status)
        if kind is not None:
            query = query.where(al_runs.c.kind == kind)
        if clf_id is not None:
            query = query.where(al_runs.c.clf_id == clf_id)
        if among is not None:
            query = query.where(self._database.among(al_runs.c.clf_id, among))
        if after is not None:
            query = query.where(al_runs.c.run_id > after.run_id)
        if before is not None:
            query = query.where(al_runs.c.run_id < before.run_id)
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

    def deletable(self, *, newest: int, before: datetime, limit: int) -> list[DeletableClassifier]:
        """Return stored classifiers that nobody needs any more.

        Those whose vectorizer is not the newest come first: they cannot be downloaded. Then come the oldest. These are
        not among them: the `newest` classifiers, those since `before`, those that somebody asked to download, those
        that a person promoted and those that these are copies of, the newest of the best scored, and those that
        al_runs does not know.
        """
        clf_id, precision = classifiers.c.clf_id, classifiers.c.precision_score
        last = sa.select(sa.func.max(al_runs.c.run_id)).where(al_runs.c.clf_id.is_not(None)).group_by(al_runs.c.clf_id)
        by_person = sa.and_(al_runs.c.kind == "promote", al_runs.c.forced, al_runs.c.clf_id.is_not(None))
        source = al_runs.c.metrics["promoted"]["clf_id"].as_integer()
        needed = (
            sa.select(clf_id).order_by(clf_id.desc()).limit(newest),
            sa.select(clf_id).where(precision.is_not(None)).order_by(precision.desc(), clf_id.desc()).limit(1),
            sa.select(al_runs.c.clf_id).where(by_person),
            sa.select(source).where(by_person, source.is_not(None)),
        )
        newest_countvec = sa.select(sa.func.max(countvecs.c.countvec_id)).scalar_subquery()
        users = sa.select(al_runs.c.countvec_sha256).where(al_runs.c.countvec_id == newest_countvec)
        digest = users.order_by(al_runs.c.run_id.desc()).limit(1).scalar_subquery()
        is_downloadable = sa.func.coalesce(al_runs.c.countvec_sha256 == digest, sa.false())
        query = (
            sa.select(clf_id, al_runs.c.countvec_id, sa.func.length(classifiers.c.clf))
            .join(al_runs, al_runs.c.clf_id == clf_id)
            .where(al_runs.c.run_id.in_(last), classifiers.c.created_at < before, classifiers.c.download == 0)
            .where(*(clf_id.not_in(ids) for ids in needed))
            .order_by(is_downloadable, al_runs.c.countvec_id, clf_id)
        )
        with self._database.reading() as connection:
            return [DeletableClassifier(*row) for row in connection.execute(query.limit(limit))]

    def newest_choice(self) -> Mapping[str, Any] | None:
        """Return the last choice; None if there is none."""
        query = sa.select(al_runs.c.choice).where(al_runs.c.choice.is_not(None)).order_by(al_runs.c.run_id.desc())
        with self._database.reading() as connection:
            choice: Mapping[str, Any] | None = connection.scalar(query.limit(1))
        return choice

    def prior(self, *, made_for: str | None = None, prior_id: int | None = None, weight: float = 1) -> Prior | None:
        """Return a stored prior, the newest one made for something or that with an id, with this weight; or None."""
        which = al_priors.c.made_for == made_for if prior_id is None else al_priors.c.prior_id == prior_id
        query = sa.select(al_priors).where(which).order_by(al_priors.c.prior_id.desc()).limit(1)
        with self._database.reading() as connection:
            if (row := connection.execute(query).first()) is None:
                return None
        ids, digests, labels = zip(*row.texts, strict=True) if row.texts else ((), (), ())
        return Prior(
            made_for=row.made_for,
            text_ids=np.array(ids, np.int64),
            digests=np.array(digests, np.int64),
            labels=np.array(labels, object),
            weight=weight,
            prior_id=row.prior_id,
        )

    def defaults(self) -> Mapping[str, Any] | None:
        """Return the defaults that the project's first run recorded; None if no run has recorded any."""
        query = sa.select(al_runs.c.defaults).where(al_runs.c.defaults.is_not(None)).order_by(al_runs.c.run_id)
        with self._database.reading() as connection:
            defaults: Mapping[str, Any] | None = connection.scalar(query.limit(1))
        return defaults

    def project_id(self) -> str:
        """Return the project's id; raises like the function `project_id`."""
        with self._database.reading() as connection:
            return project_id(connection)

    def signed_v1(self) -> list[Run]:
        """Return the runs with a signature of version 1 that had it when al_project was created, with the same ids."""
        query = sa.select(al_runs).where(al_runs.c.signature.not_like(f"{SIGNATURE_V2}%"))
        with self._database.reading() as connection:
            if not (runs := [Run(**row) for row in connection.execute(query).mappings()]):
                return []
            recorded = {tuple(row) for row in connection.scalar(sa.select(al_project.c.signed_v1)) or ()}
        return [run for run in runs if (run.clf_id, run.countvec_id, run.signature) in recorded]

    def sign(self, signatures: Mapping[int, str]) -> None:
        """Record the signatures of runs, by run_id."""
        update = al_runs.update().where(al_runs.c.run_id == sa.bindparam("run")).values(signature=sa.bindparam("new"))
        if rows := [{"run": run_id, "new": signature} for run_id, signature in signatures.items()]:
            self._database.write(lambda connection: connection.execute(update, rows))

    def mark_announced(self, run_id: int) -> None:
        """Record that a subscriber received the announcement of all runs up to this one."""
        waiting = sa.and_(
            al_runs.c.run_id <= run_id, al_runs.c.status == RunStatus.SUCCEEDED, al_runs.c.announced.is_(None)
        )
        verdict = al_runs.c.metrics["gate"]["verdict"].as_string()
        served = sa.func.coalesce(verdict, "") != "held"  # a classifier that was held back was never announced
        update = al_runs.update().where(waiting, served).values(announced=sa.func.now())
        self._database.write(lambda connection: connection.execute(update))


def project_id(connection: sa.Connection) -> str:
    """Return the random id of the project that a database belongs to.

    Raises
    ------
    SchemaError
        al_project does not have one row.
    """
    found = connection.scalars(sa.select(al_project.c.project_id)).all()
    if len(found) != 1:
        raise SchemaError(
            f"al_project has {len(found)} rows, but must have one. Restore it from a backup. Or drop the table: the "
            "worker or `al-learner db upgrade` creates it with a new id, under which no signature is valid"
        )
    return str(found[0])


def stored_prior(connection: sa.Connection, prior: Prior, n_used: int) -> dict[str, Any]:
    """Return what al_runs records of a prior with `n_used` texts in training. The prior is stored if it is new."""
    prior_id = prior.prior_id
    if prior_id is None:
        texts = zip(prior.text_ids.tolist(), prior.digests.tolist(), prior.labels.tolist(), strict=True)
        values = {"made_for": prior.made_for, "texts": [list(text) for text in texts]}
        prior_id = connection.execute(al_priors.insert().returning(al_priors.c.prior_id), values).scalar_one()
    return {"prior_id": prior_id, "weight": prior.weight, "texts": n_used}


def without_details(database: Database) -> sa.ColumnElement[Any]:
    """Return the column `metrics` without the large parts."""
    metrics = al_runs.c.metrics
    if database.is_postgresql:
        return metrics.op("-", return_type=metrics.type)(sa.cast(METRIC_DETAILS, sa.ARRAY(sa.Text)))
    return sa.func.json_remove(metrics, *(f"$.{name}" for name in METRIC_DETAILS), type_=metrics.type)
