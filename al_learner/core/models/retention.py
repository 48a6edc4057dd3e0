"""Deletes old classifiers when all that are stored take too much space."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from itertools import accumulate, groupby

from al_learner.core.errors import AlLearnerError, BusyError, DatabaseError
from al_learner.core.events import event
from al_learner.core.models.catalogue import ranges
from al_learner.core.storage.database import chunked
from al_learner.core.storage.records import Pruned
from al_learner.core.storage.run_lock import hold_run_lock
from al_learner.core.storage.run_transactions import RunTransactions
from al_learner.core.storage.storage import Storage

KEPT_NEWEST = 50
"""The newest classifiers are kept, whatever their size. So many newest runs keep the large parts of their metrics."""

KEPT_DAYS = 7
"""Younger classifiers are kept."""

ROWS = 20
"""Classifiers that one transaction deletes: some MiB each, so it takes a fraction of a second."""

RUNS = 200
"""Runs whose metrics one transaction changes."""

TRANSACTIONS = 25
"""Transactions after one run. What is left comes after the next one."""

NOT_PERMITTED = "42501"


class Retention:
    """Limits the space that a project's classifiers and their metrics take.

    Parameters
    ----------
    storage : Storage
    keep_gib : float
        GiB of stored pickles. Beyond it old ones are deleted, and only until there is less.
    """

    def __init__(self, storage: Storage, *, keep_gib: float) -> None:
        self._database, self._tables, self._runs = storage.database, storage.tables, storage.runs
        self._max_bytes = int(keep_gib * 2**30)
        self._has_warned = False

    def apply(self) -> None:
        """Delete what is too much, in small transactions that hold the run lock. Errors are logged, never raised.

        During another run nothing is deleted. There is a next time after that run.
        """
        with suppress(BusyError), self._logging(), hold_run_lock(self._database) as lock:
            with self._logging():
                self._shrink(lock)
            with self._logging():
                self._drop_details(lock)

    @contextmanager
    def _logging(self) -> Iterator[None]:
        try:
            yield
        except BusyError:
            raise
        except AlLearnerError as exc:
            if not (isinstance(exc, DatabaseError) and exc.sqlstate == NOT_PERMITTED):
                event("retention.failed", level=logging.WARNING, error=str(exc))
            elif not self._has_warned:
                self._has_warned = True
                event("retention.not_permitted", level=logging.WARNING, error=str(exc), docs="how-to/limit-growth")

    def _shrink(self, lock: RunTransactions) -> None:
        if self._excess_bytes() <= 0:
            return
        clf_ids: list[int] = []
        countvec_ids: list[int] = []
        try:
            for deleted in self._delete(lock):
                clf_ids += deleted.clf_ids
                countvec_ids += deleted.countvec_ids
        finally:
            if clf_ids or countvec_ids:
                event("retention.deleted", classifiers=ranges(clf_ids), vectorizers=ranges(countvec_ids))

    def _delete(self, lock: RunTransactions) -> Iterator[Pruned]:
        """Yield what each transaction deletes, until there is less than the limit."""
        before = self._database.now() - timedelta(days=KEPT_DAYS)
        yield Pruned((), lock.delete_countvecs(before=before))
        found = self._runs.deletable(newest=KEPT_NEWEST, before=before, limit=ROWS * TRANSACTIONS)
        for _, of_countvec in groupby(found, key=lambda row: row.countvec_id):
            excess = self._excess_bytes()
            for rows in chunked(of_countvec, ROWS):
                if excess <= 0:
                    return
                n = sum(total < excess for total in accumulate((row.size_bytes for row in rows), initial=0))
                deleted = lock.delete_classifiers([row.clf_id for row in rows[:n]])
                excess -= sum(row.size_bytes for row in rows if row.clf_id in deleted)
                yield Pruned(deleted, ())
            yield Pruned((), lock.delete_countvecs(before=before))

    def _excess_bytes(self) -> int:
        return self._tables.stored_bytes() - self._max_bytes

    def _drop_details(self, lock: RunTransactions) -> None:
        for _ in range(TRANSACTIONS):
            if lock.drop_details(newest=KEPT_NEWEST, at_most=RUNS) < RUNS:
                return
