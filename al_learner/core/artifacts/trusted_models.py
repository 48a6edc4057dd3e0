"""Which stored models can be trusted: those that al_runs recorded. A model is a vectorizer and a classifier."""

from __future__ import annotations

from typing import Any

from al_learner.core.artifacts import pickling, signatures
from al_learner.core.errors import UntrustedError
from al_learner.core.registry import Kind
from al_learner.core.storage.records import Run, StoredModel, Trained
from al_learner.core.storage.storage import Storage


class TrustedModels:
    """Loads stored models, after a check against al_runs. Nothing else is ever unpickled.

    Parameters
    ----------
    storage : Storage
    key : str or None
        The signing key. With a key, a record without its signature does not count.
    """

    def __init__(self, storage: Storage, *, key: str | None) -> None:
        self._tables, self._runs, self._key = storage.tables, storage.runs, key

    def signature(self, trained: Trained) -> str | None:
        """Return the signature of a new model; None without a key."""
        return signatures.signature(self._key, trained.clf_sha256, trained.countvec_sha256)

    def stored(self, clf_id: int) -> StoredModel:
        """Return a stored model, checked but not unpickled; raises like `load`."""
        clf = self._tables.clf(clf_id)
        run = self._trusted(self._runs.last(clf_id=clf_id, detailed=True), f"classifier {clf_id}")
        countvec = self._tables.countvec(run.countvec_id or 0)
        pickling.check(clf, run.clf_sha256)
        pickling.check(countvec, run.countvec_sha256)
        return StoredModel(run, clf, countvec)

    def load(self, clf_id: int) -> tuple[Any, Any]:
        """Load a classifier and its vectorizer; return the transformer and the classifier.

        Raises
        ------
        DataError
            There is no such classifier.
        UntrustedError
            It was not stored by al_learner, or was changed later.
        """
        blob = self._tables.clf(clf_id)
        run = self._trusted(self._runs.last(clf_id=clf_id), f"classifier {clf_id}")
        return self.transformer(run), pickling.load(blob, run.clf_sha256)

    def transformer(self, run: Run) -> Any:
        """Load the vectorizer of a run; raises like `load`."""
        self._trusted(run, f"vectorizer {run.countvec_id}")
        return pickling.load(self._tables.countvec(run.countvec_id or 0), run.countvec_sha256)

    def recorded_countvec(self, run: Run) -> tuple[int, str]:
        """Return id and digest of a run's vectorizer; raises UntrustedError without a valid signature."""
        self._trusted(run, f"vectorizer {run.countvec_id}")
        return run.countvec_id or 0, run.countvec_sha256 or ""

    def usable_countvec(self, spec: Any) -> tuple[tuple[int, str] | None, str]:
        """Return id and digest of the newest vectorizer if the next run can use it; else None and the reason.

        Parameters
        ----------
        spec : mapping
            Name and parameters of the configured vectorizer, as al_runs records them.
        """
        countvec_id = self._tables.newest_countvec_id()
        if not countvec_id:
            return None, "there is no vectorizer yet"
        try:
            run = self._trusted(self._runs.of_countvec(countvec_id), f"vectorizer {countvec_id}")
        except UntrustedError as exc:
            return None, str(exc)
        if not self._matches(run, "vectorizer", spec):
            return None, "its name or parameters changed"
        return self.recorded_countvec(run), ""

    def startable(self, run: Run | None, spec: Any, countvec: tuple[int, str] | None) -> tuple[int, str] | None:
        """Return id and digest of a run's classifier if a new one of this strategy and vectorizer may start from it."""
        if run is None or run.clf_id is None or run.origin == "init" or countvec is None:
            return None
        same = self._matches(run, "classifier", spec) and run.countvec_sha256 == countvec[1] and self._is_signed(run)
        return (run.clf_id, run.clf_sha256 or "") if same else None

    def _trusted(self, run: Run | None, what: str) -> Run:
        if run is None:
            raise UntrustedError(f"{what} is not loaded: al_learner did not store it (al_runs does not know it)")
        if not self._is_signed(run):
            raise UntrustedError(f"{what} is not loaded: it is not signed with the configured key")
        return run

    def _is_signed(self, run: Run) -> bool:
        expected = signatures.signature(self._key, run.clf_sha256 or "", run.countvec_sha256 or "")
        return signatures.is_same(expected, run.signature)

    @staticmethod
    def _matches(run: Run, kind: Kind, spec: Any) -> bool:
        return bool(run.strategies[kind] == spec)
