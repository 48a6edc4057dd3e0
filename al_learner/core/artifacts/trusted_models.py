"""Which stored models can be trusted: those that al_runs recorded. A model is a vectorizer and a classifier."""

from __future__ import annotations

from functools import partial
from typing import Any

from al_learner.core.artifacts import pickling, signatures
from al_learner.core.errors import UntrustedError
from al_learner.core.registry import Kind, is_same
from al_learner.core.storage.migrations.upgrade import needing_privileges
from al_learner.core.storage.records import Run, Sign, StoredModel
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

    @property
    def sign(self) -> Sign | None:
        """The function that signs new models; None without a key."""
        return None if self._key is None else partial(signatures.signature, self._key)

    def sign_anew(self) -> int:
        """Give every model with a valid signature of version 1 one of version 2. Return how many there were.

        Only signatures that were there when the table al_project was created are valid, with the ids that they had.

        Raises
        ------
        MigrationError
            This user may not read al_project, or not write to al_runs.
        """
        key = self._key
        if key is None:
            return 0
        with needing_privileges("models must be signed"):
            project_id = self._runs.project_id()
            anew = {}
            for run in self._runs.signed_v1():
                former = signatures.signature_v1(key, run.clf_sha256 or "", run.countvec_sha256 or "")
                if signatures.is_same(former, run.signature):
                    anew[run.run_id] = self._signature(key, project_id, run)
            self._runs.sign(anew)
        return len(anew)

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

    def recorded(self, clf_id: int) -> tuple[tuple[int, str], tuple[int, str]]:
        """Return ids and digests of a stored classifier and of its vectorizer; raises like `load`."""
        run = self._trusted(self._runs.last(clf_id=clf_id), f"classifier {clf_id}")
        return (clf_id, run.clf_sha256 or ""), self.recorded_countvec(run)

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
        same = self._matches(run, "classifier", spec) and run.countvec_sha256 == countvec[1] and self.is_signed(run)
        return (run.clf_id, run.clf_sha256 or "") if same else None

    def is_signed(self, run: Run) -> bool:
        """Whether a run has a valid signature; without a key every run counts as signed."""
        if self._key is None:
            return True
        return signatures.is_same(self._signature(self._key, self._runs.project_id(), run), run.signature)

    def _trusted(self, run: Run | None, what: str) -> Run:
        if run is None:
            raise UntrustedError(f"{what} is not loaded: al_learner did not store it (al_runs does not know it)")
        if not self.is_signed(run):
            raise UntrustedError(f"{what} is not loaded: it is not signed with the configured key")
        return run

    @staticmethod
    def _signature(key: str, project_id: str, run: Run) -> str:
        clf, countvec = (run.clf_id or 0, run.clf_sha256 or ""), (run.countvec_id or 0, run.countvec_sha256 or "")
        return signatures.signature(key, project_id, *clf, *countvec)

    @staticmethod
    def _matches(run: Run, kind: Kind, spec: Any) -> bool:
        return is_same(kind, run.strategies.get(kind), spec)
