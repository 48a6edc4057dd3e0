"""The transactions of a run, which only the holder of the run's lock makes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy as sa

from al_learner.core.errors import DatabaseUnavailable
from al_learner.core.storage.database import Database, owner
from al_learner.core.storage.records import METRIC_DETAILS, Pruned, Run, RunKind, RunStatus, Sign, StoredModel, Trained
from al_learner.core.storage.runs import project_id, stored_prior, without_details
from al_learner.core.storage.schema import al_runs, classifiers, countvecs, text_data

SMALL_METRICS_BYTES = 600
"""Metrics have about 450 bytes without the large parts. Only in larger ones these parts are searched for."""


TRANSACTION_POOLING = (
    "a connection pooler gives it to others after every transaction (transaction pooling). Use session pooling "
    "(PgBouncer: pool_mode = session), or connect to PostgreSQL directly"
)

T = TypeVar("T")


class RunTransactions:
    """The transactions that only the holder of the run's lock makes, over the connection that holds it.

    Parameters
    ----------
    database : Database
    connection : Connection
    is_held : Select, optional
        Asks inside every transaction whether its session holds the lock. Where it does not, the transaction is rolled
        back with a DatabaseUnavailable, and the run is over.
    """

    def __init__(
        self, database: Database, connection: sa.Connection, *, is_held: sa.Select[tuple[bool]] | None = None
    ) -> None:
        self._database = database
        self._connection = connection
        self._is_held = is_held

    def mark_stale_runs_died(self) -> None:
        """Mark runs that are still `running` as `died`. Their process has lost the lock."""
        self._close(al_runs.c.status == RunStatus.RUNNING, RunStatus.DIED, "its process ended or lost its connection")

    def begin(
        self,
        kind: RunKind,
        *,
        forced: bool,
        state: str,
        strategies: Mapping[str, Any],
        defaults: Mapping[str, Any],
        samples: Sequence[tuple[int, str]],
    ) -> int:
        """First commit: store the labels of the new samples, and the run. Return its run_id.

        Parameters
        ----------
        samples : sequence of (text_id, label)
            They stay new samples until `finish`, so a run that dies loses none.
        """
        connection, ids = self._connection, [text_id for text_id, _ in samples]
        run = {
            "kind": kind,
            "status": RunStatus.RUNNING,
            "forced": forced,
            "owner": owner(),
            "state": state,
            "new_samples": len(samples),
            "strategies": strategies,
            "defaults": defaults,
        }

        def write() -> int:
            self._take_rows(ids)
            self._write_labels(samples)
            return int(connection.execute(al_runs.insert().returning(al_runs.c.run_id), run).scalar_one())

        with self._writing():
            return self._database.when_free(connection, write, column=text_data.c.text_id, ids=ids)

    def finish(
        self, run_id: int, trained: Trained, text_ids: Sequence[int], *, sign: Sign | None, seconds: float
    ) -> Run:
        """Second commit: store the model and the run's success, and mark `text_ids` as taught. Return the run.

        The model is sent before rows are locked, and once. So annotators never wait for it. `sign` gets the ids that
        the database gave.
        """
        connection = self._connection
        untaught = sa.and_(self._database.among(text_data.c.text_id, text_ids), sa.not_(text_data.c.taught))

        def reserve() -> list[int]:
            self._lock_model_tables()
            return list(connection.scalars(sa.select(text_data.c.text_id).where(untaught)))

        with self._writing():
            ids = self._database.when_free(connection, reserve, column=text_data.c.text_id, ids=text_ids)
            countvec_id = trained.countvec_id
            if trained.countvec is not None:
                countvec_id = _insert(connection, countvecs, countvec=trained.countvec)
            clf_id = _insert(connection, classifiers, clf=trained.clf, download=0)
            used = stored_prior(connection, trained.prior, trained.prior_texts) if trained.prior else None
            values = {
                "status": RunStatus.SUCCEEDED,
                "finished": sa.func.now(),
                "clf_id": clf_id,
                "countvec_id": countvec_id,
                "texts": trained.texts,
                "classes": trained.classes,
                "versions": trained.versions,
                "prior": used if trained.prior_texts else None,
                "clf_sha256": trained.clf_sha256,
                "countvec_sha256": trained.countvec_sha256,
                "signature": _signature(connection, sign, clf_id, countvec_id, trained),
                "seconds": seconds,
            }
            update = al_runs.update().where(al_runs.c.run_id == run_id).values(values).returning(al_runs)

            def write() -> Run:
                self._take_rows(ids)
                taken = self._database.among(text_data.c.text_id, ids)
                connection.execute(text_data.update().where(taken).values(taught=True))
                return Run(**connection.execute(update).mappings().one())

            return self._database.when_free(connection, write, column=text_data.c.text_id, ids=ids)

    def score(
        self,
        run_id: int,
        clf_id: int,
        precision: float | None,
        metrics: Mapping[str, Any],
        *,
        restored: StoredModel | None = None,
        because: str = "",
        sign: Sign | None = None,
    ) -> Run | None:
        """Third commit: store the score. With `restored`, store that model as the newest too, and return its run."""
        connection = self._connection

        def write() -> None:
            clf = classifiers.update().where(classifiers.c.clf_id == clf_id)
            connection.execute(clf.values(precision_score=precision))
            connection.execute(al_runs.update().where(al_runs.c.run_id == run_id).values(metrics=metrics))

        with self._writing():
            run = None if restored is None else self._promote(restored, sign, because, forced=False)
            self._database.when_free(connection, write, column=classifiers.c.clf_id, ids=[clf_id])
            return run

    def promote(self, model: StoredModel, *, sign: Sign | None, because: str) -> Run:
        """Store a copy of a model as the newest, with a run of its own. Return that run."""
        with self._writing():
            return self._promote(model, sign, because, forced=True)

    def prune(self, keep: int, *, dry_run: bool = False) -> Pruned:
        """Delete all but the newest `keep` of our classifiers, and the vectorizers that no other classifier needs.

        Three things are never deleted: classifiers that somebody asked to download, the newest vectorizer, and rows
        that al_runs does not know. With `dry_run` nothing is deleted, and what would be deleted is returned.
        """
        ours = sa.select(classifiers.c.clf_id).where(classifiers.c.clf_id.in_(sa.select(al_runs.c.clf_id)))
        newest = ours.order_by(classifiers.c.clf_id.desc()).limit(keep)
        unwanted = ours.where(classifiers.c.clf_id.not_in(newest))
        unneeded = sa.delete(countvecs).where(*_unneeded_countvecs())

        def write(connection: sa.Connection) -> Pruned:
            with connection.begin_nested() as savepoint:
                clf_ids = self._delete_unasked(connection.scalars(unwanted).all())
                countvec_ids = connection.scalars(unneeded.returning(countvecs.c.countvec_id)).all()
                if dry_run:
                    savepoint.rollback()
            return Pruned(clf_ids, tuple(sorted(countvec_ids)))

        return self._write(write)

    def delete_classifiers(self, clf_ids: Sequence[int]) -> tuple[int, ...]:
        """Delete those of these classifiers that nobody asked to download and nobody locks. Return their ids."""
        with self._writing():
            return self._delete_unasked(clf_ids, skip_locked=True)

    def delete_countvecs(self, *, before: datetime) -> tuple[int, ...]:
        """Delete our vectorizers that no stored classifier needs and no run since `before` used. Return their ids."""
        ended, countvec_id = al_runs.c.finished, al_runs.c.countvec_id
        recent = sa.select(countvec_id).where(countvec_id.is_not(None), sa.or_(ended.is_(None), ended >= before))
        delete = sa.delete(countvecs).where(*_unneeded_countvecs(), countvecs.c.countvec_id.not_in(recent))
        with self._writing():
            return tuple(sorted(self._connection.scalars(delete.returning(countvecs.c.countvec_id))))

    def drop_details(self, *, newest: int, at_most: int) -> int:
        """Delete the large parts of metrics of runs whose classifier is not stored any more. Return of how many runs.

        The `newest` runs keep them. So does a run where all metrics take no more than `SMALL_METRICS_BYTES`.
        """
        run_id, metrics = al_runs.c.run_id, al_runs.c.metrics
        size: Any = sa.func.pg_column_size if self._database.is_postgresql else sa.func.length
        which = sa.select(run_id).where(
            al_runs.c.clf_id.not_in(sa.select(classifiers.c.clf_id)),
            run_id.not_in(sa.select(run_id).order_by(run_id.desc()).limit(newest)),
            size(metrics) > SMALL_METRICS_BYTES,
            sa.or_(*(metrics[name].as_string().is_not(None) for name in METRIC_DETAILS)),
        )
        update = (
            al_runs.update().where(run_id.in_(which.limit(at_most))).values(metrics=without_details(self._database))
        )
        with self._writing():
            return self._connection.execute(update).rowcount

    def choose(self, run_id: int, choice: Mapping[str, Any]) -> None:
        """Record the choice that was made with a run's texts, in a commit of its own."""
        update = al_runs.update().where(al_runs.c.run_id == run_id).values(choice=choice)
        self._write(lambda connection: connection.execute(update))

    def end(self, run_id: int, status: RunStatus, error: str) -> None:
        """Record that a run ended without a classifier, and the reason."""
        self._close(al_runs.c.run_id == run_id, status, error)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._database.writing(self._connection):
            if self._is_held is not None and not self._connection.scalar(self._is_held):
                raise DatabaseUnavailable(
                    f"the run has ended, because its session lost the run lock: {TRANSACTION_POOLING}"
                )
            yield

    def _write(self, work: Callable[[sa.Connection], T]) -> T:
        with self._writing():
            return self._database.when_free(self._connection, lambda: work(self._connection))

    def _delete_unasked(self, clf_ids: Sequence[int], *, skip_locked: bool = False) -> tuple[int, ...]:
        connection, clf_id = self._connection, classifiers.c.clf_id
        unasked = sa.select(clf_id).where(self._database.among(clf_id, clf_ids), classifiers.c.download == 0)
        # The lock reads a row again that has changed in the meantime: somebody may just have asked to download it.
        taken = connection.scalars(unasked.order_by(clf_id).with_for_update(skip_locked=skip_locked)).all()
        connection.execute(sa.delete(classifiers).where(self._database.among(clf_id, taken)))
        return tuple(taken)

    def _lock_model_tables(self) -> None:
        """Lock the tables of models as an INSERT does: until the commit nobody can lock them so that one must wait."""
        for column in (classifiers.c.clf, countvecs.c.countvec):
            nothing = sa.select(sa.cast(sa.null(), column.type)).where(sa.false())
            self._connection.execute(column.table.insert().from_select([column], nothing, include_defaults=False))

    def _promote(self, model: StoredModel, sign: Sign | None, because: str, *, forced: bool) -> Run:
        """Store a copy of a model as the newest, with a run of its own. Return that run."""
        connection, run = self._connection, model.run
        self._database.when_free(connection, self._lock_model_tables)
        score = {name: value for name, value in (run.metrics or {}).items() if name not in ("gate", "promoted")}
        if not score:
            score = {"reason": f"classifier {run.clf_id} had no score when it was promoted"}
        clf = {"clf": model.clf, "download": 0, "precision_score": score.get("precision")}
        clf_id = _insert(connection, classifiers, **clf)
        countvec_id = _insert(connection, countvecs, countvec=model.countvec)
        values = {
            "kind": "promote",
            "status": RunStatus.SUCCEEDED,
            "forced": forced,
            "owner": owner(),
            "state": run.state,
            "finished": sa.func.now(),
            "clf_id": clf_id,
            "countvec_id": countvec_id,
            "new_samples": 0,
            "texts": run.texts,
            "classes": run.classes,
            "strategies": run.strategies,
            "versions": run.versions,
            "prior": run.prior,
            "clf_sha256": run.clf_sha256,
            "countvec_sha256": run.countvec_sha256,
            "signature": _signature(connection, sign, clf_id, countvec_id, run),
            "metrics": {**score, "promoted": {"clf_id": run.clf_id, "kind": run.origin, "because": because}},
        }
        return Run(**connection.execute(al_runs.insert().values(values).returning(al_runs)).mappings().one())

    def _close(self, which: sa.ColumnElement[bool], status: RunStatus, error: str) -> None:
        values = {"status": status, "finished": sa.func.now(), "error": error}
        self._write(lambda c: c.execute(al_runs.update().where(which).values(values)))

    def _take_rows(self, ids: Sequence[int]) -> None:
        # It never waits for a row while it holds others, so that nobody has a deadlock because of it.
        if self._database.is_postgresql and ids:
            wanted = sa.select(text_data.c.text_id).where(self._database.among(text_data.c.text_id, ids))
            self._connection.execute(
                wanted.order_by(text_data.c.text_id).with_for_update(key_share=True, nowait=True)
            ).all()

    def _write_labels(self, samples: Sequence[tuple[int, str]]) -> None:
        if not samples:
            return
        connection = self._connection
        if self._database.is_postgresql:
            ids, names = (list(column) for column in zip(*samples, strict=True))
            new = (
                sa.func.unnest(sa.cast(ids, sa.ARRAY(sa.Integer)), sa.cast(names, sa.ARRAY(sa.Text)))
                .table_valued("text_id", "label", name="new")
                .render_derived()
            )
            update = text_data.update().where(text_data.c.text_id == new.c.text_id)
            connection.execute(update.values(major_label=new.c.label, taught=False))
        else:
            update = text_data.update().where(text_data.c.text_id == sa.bindparam("sample"))
            values = update.values(major_label=sa.bindparam("aggregated"), taught=False)
            connection.execute(values, [{"sample": text_id, "aggregated": name} for text_id, name in samples])


def _unneeded_countvecs() -> tuple[sa.ColumnElement[bool], ...]:
    """Return what is true of our vectorizers that no stored classifier was trained with, but not of the newest."""
    countvec_id = countvecs.c.countvec_id
    needed = sa.select(al_runs.c.countvec_id).join(classifiers, classifiers.c.clf_id == al_runs.c.clf_id)
    newest = sa.select(sa.func.max(countvec_id)).scalar_subquery()
    return (
        countvec_id.in_(sa.select(al_runs.c.countvec_id)),
        countvec_id.not_in(needed),
        countvec_id != newest,
    )


def _insert(connection: sa.Connection, table: sa.Table, **values: Any) -> int:
    key = next(iter(table.primary_key))
    return int(connection.execute(table.insert().returning(key), values).scalar_one())


def _signature(
    connection: sa.Connection, sign: Sign | None, clf_id: int, countvec_id: int | None, model: Trained | Run
) -> str | None:
    if sign is None:
        return None
    digests = model.clf_sha256 or "", model.countvec_sha256 or ""
    return sign(project_id(connection), clf_id, digests[0], countvec_id or 0, digests[1])
