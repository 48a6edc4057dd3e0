"""The stored classifiers: list, show, compare, predict with, export, remove."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from al_learner.core.artifacts.export import export
from al_learner.core.artifacts.trusted_models import TrustedModels
from al_learner.core.errors import DataError
from al_learner.core.interfaces import Estimator, Transformer
from al_learner.core.models.comparison import Comparison, compare
from al_learner.core.models.stopping_advice import BATCHES, StoppingAdvice, advise
from al_learner.core.storage.database import chunked
from al_learner.core.storage.labelforward_tables import CHUNK
from al_learner.core.storage.records import Pruned, Run, RunStatus, StoredClassifier
from al_learner.core.storage.run_lock import hold_run_lock
from al_learner.core.storage.storage import Storage
from al_learner.core.training.evaluation import Basis

Truth = Callable[[Basis], Mapping[int, str]]
"""Returns the current labels by text_id, or by init_id for ``init-data``."""

N_SCORED = 4 * BATCHES
"""Number of updates that are searched for scores. Some have none, because the next run started first."""


class Prediction(NamedTuple):
    """A text's most probable label; `number` is its text_id, or its position among given texts."""

    number: int
    label: str
    probability: float


class Catalogue:
    """The stored classifiers of one project.

    Parameters
    ----------
    storage : Storage
    models : TrustedModels
    key : str or None
        Signs what is exported.
    """

    def __init__(self, storage: Storage, models: TrustedModels, *, key: str | None) -> None:
        self._storage, self._tables, self._runs = storage, storage.tables, storage.runs
        self._models, self._key = models, key

    def listed(self, limit: int | None) -> list[tuple[StoredClassifier, Run | None]]:
        """Return the newest stored classifiers, each with its run; None if al_runs does not know it."""
        models = self._tables.models(limit=limit)
        found = self._runs.recent(status=RunStatus.SUCCEEDED, among=[model.clf_id for model in models])
        runs = {run.clf_id: run for run in reversed(found)}  # SQLite uses the ids of deleted classifiers again
        return [(model, runs.get(model.clf_id)) for model in models]

    def shown(self, clf_id: int) -> tuple[StoredClassifier, Run | None]:
        """Return a stored classifier, and the run that stored it with all of its metrics."""
        found = self._tables.models(clf_id)
        if not found:
            raise DataError(f"there is no classifier {clf_id}: `al-learner models` lists those that are stored")
        return found[0], self._runs.last(clf_id=clf_id, detailed=True)

    def compare(self, a: int, b: int, truth_of: Truth) -> Comparison:
        """Compare two classifiers by their hold-out models' predictions, against the current labels."""
        scores = []
        for clf_id in (a, b):
            _, run = self.shown(clf_id)
            if run is None:
                raise DataError(f"classifier {clf_id} was not stored by al_learner, so it has no score to compare")
            scores.append(run.metrics)
        basis: Basis = (scores[0] or {}).get("basis", "votes")
        return compare(a, scores[0], b, scores[1], truth_of(basis))

    def stopping_advice(self, truth_of: Truth) -> StoppingAdvice:
        """Return what the last batches gained."""
        runs = self._runs.recent(status=RunStatus.SUCCEEDED, kind="update", limit=N_SCORED, detailed=True)
        batches = (run for run in runs if run.new_samples)  # a training on the same votes gains nothing
        scored = [(run.clf_id or 0, run.metrics) for run in batches if run.metrics and run.metrics.get("predictions")]
        basis: Basis = scored[0][1]["basis"] if scored else "votes"
        return advise([score for score in scored if score[1]["basis"] == basis], truth_of(basis))

    def predict(
        self, texts: Iterable[str] | None, transformer: Transformer, classifier: Estimator
    ) -> Iterator[Prediction]:
        """Predict the labels of texts, by default of the project's."""
        for numbers, probabilities in self._probabilities(texts, transformer, classifier):
            best = probabilities.argmax(axis=1)
            for number, column, row in zip(numbers, best, probabilities, strict=True):
                yield Prediction(number, str(classifier.classes_[column]), float(row[column]))

    def predict_proba(
        self, texts: Iterable[str] | None, transformer: Transformer, classifier: Estimator
    ) -> Iterator[tuple[int, dict[str, float]]]:
        """Predict the probability of every class for texts, by default for the project's."""
        names = [str(name) for name in classifier.classes_]
        for numbers, probabilities in self._probabilities(texts, transformer, classifier):
            for number, row in zip(numbers, probabilities.tolist(), strict=True):
                yield number, dict(zip(names, row, strict=True))

    def _probabilities(
        self, texts: Iterable[str] | None, transformer: Transformer, classifier: Estimator
    ) -> Iterator[tuple[list[int], NDArray[np.floating[Any]]]]:
        """Yield the numbers of some texts, and their probabilities of shape (n_texts, n_classes)."""
        rows = self._tables.all_texts() if texts is None else enumerate(texts)
        for chunk in chunked(rows, CHUNK):
            probabilities = classifier.predict_proba(transformer.transform([text for _, text in chunk]))
            yield [number for number, _ in chunk], probabilities

    def prune(self, keep: int, *, dry_run: bool, wait_s: float) -> Pruned:
        """Remove all but the newest classifiers."""
        if keep < 1:
            raise DataError(f"keep = {keep}: must be at least 1, because the newest classifier is never deleted")
        with hold_run_lock(self._storage.database, wait_s=wait_s) as lock:
            return lock.prune(keep, dry_run=dry_run)

    def export(self, clf_id: int, file: Path, *, force: bool) -> Path:
        """Write a model to a file, as one pipeline. Return the path of its sidecar."""
        return export(self._models.stored(clf_id), file, key=self._key, force=force)


def ranges(ids: Iterable[int]) -> str:
    """Return ids as text: ``1-3, 7``."""
    spans: list[list[int]] = []
    for i in sorted(ids):
        if spans and i == spans[-1][1] + 1:
            spans[-1][1] = i
        else:
            spans.append([i, i])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)
