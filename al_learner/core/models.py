"""The stored classifiers: list, compare, predict with, put back as the newest, export, remove."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from al_learner.core.advice import BATCHES, Advice, advise
from al_learner.core.commits import Pruned, Run, RunLock
from al_learner.core.comparison import Comparison, compare
from al_learner.core.database import chunked
from al_learner.core.errors import DataError
from al_learner.core.evaluation import Basis
from al_learner.core.events import event
from al_learner.core.export import export
from al_learner.core.interfaces import Estimator, Transformer
from al_learner.core.look import Look
from al_learner.core.pairs import Pairs
from al_learner.core.runs import Runs
from al_learner.core.settings import Settings
from al_learner.core.status import Prediction, Result
from al_learner.core.store import CHUNK, Model, Store

N_SCORED = 4 * BATCHES
"""Updates that are searched for scored ones: some were superseded before they had a score."""


class Models:
    """What `Project` does with stored classifiers."""

    def __init__(self, settings: Settings, store: Store, runs: Runs, pairs: Pairs) -> None:
        self._settings, self._store, self._runs, self._pairs = settings, store, runs, pairs

    def listed(self) -> list[tuple[Model, Run | None]]:
        """Return every stored classifier, the newest first, with the run that stored it; None if it is not ours."""
        runs = {run.clf_id: run for run in self._runs.recent(status="succeeded")}
        return [(model, runs.get(model.clf_id)) for model in self._store.models()]

    def shown(self, clf_id: int) -> tuple[Model, Run | None]:
        """Return a stored classifier, and the run that stored it with all of its metrics."""
        found = self._store.models(clf_id)
        if not found:
            raise DataError(f"there is no classifier {clf_id}: `al-learner models` lists them")
        return found[0], self._runs.last(clf_id=clf_id, detailed=True)

    def compare(self, a: int, b: int, look: Look) -> Comparison:
        """Compare two classifiers by their twins' predictions, against the labels of now."""
        scores = []
        for clf_id in (a, b):
            _, run = self.shown(clf_id)
            if run is None:
                raise DataError(f"classifier {clf_id} was not stored by al_learner, so that nothing is known of it")
            scores.append(run.metrics)
        basis: Basis = (scores[0] or {}).get("basis", "votes")
        return compare(a, scores[0], b, scores[1], self._truth(look, basis))

    def advice(self, look: Look) -> Advice:
        """Tell what the last batches gained."""
        runs = self._runs.recent(status="succeeded", kind="update", limit=N_SCORED, detailed=True)
        scored = [(run.clf_id or 0, run.metrics) for run in runs if run.metrics and run.metrics.get("predictions")]
        basis: Basis = scored[0][1]["basis"] if scored else "votes"
        return advise([score for score in scored if score[1]["basis"] == basis], self._truth(look, basis))

    def predict(
        self, texts: Iterable[str] | None, transformer: Transformer, classifier: Estimator
    ) -> Iterator[Prediction]:
        """Predict the labels of texts, by default of the project's."""
        rows = self._store.all_texts() if texts is None else enumerate(texts)
        for chunk in chunked(rows, CHUNK):
            probabilities = classifier.predict_proba(transformer.transform([text for _, text in chunk]))
            best = probabilities.argmax(axis=1)
            for (number, _), column, row in zip(chunk, best, probabilities, strict=True):
                yield Prediction(number, str(classifier.classes_[column]), float(row[column]))

    def promote(self, clf_id: int, lock: RunLock) -> Result:
        """Store a copy of a pair as the newest."""
        if clf_id == self._store.newest_clf_id():
            return Result("promote", f"classifier {clf_id} is the newest already")
        run = lock.promote(self._pairs.stored(clf_id), because="it was asked for")
        event("pair.promoted", run_id=run.run_id, clf_id=run.clf_id, of=clf_id)
        return Result("promote", "it was asked for", run)

    def prune(self, keep: int, lock: RunLock, *, dry_run: bool) -> Pruned:
        """Remove all but the newest classifiers."""
        if keep < 1:
            raise DataError(f"keep = {keep}: at least 1, for the newest classifier is never removed")
        return lock.prune(keep, dry_run=dry_run)

    def export(self, clf_id: int, file: Path, *, force: bool) -> Path:
        """Write a pair to a file, as one pipeline; return the path of its sidecar."""
        return export(self._pairs.stored(clf_id), file, key=self._settings.signing_secret, force=force)

    def _truth(self, look: Look, basis: Basis) -> dict[int, str]:
        excluded = {*self._settings.exclude_labels}
        return {i: label for i, label in look.truth(basis).items() if label not in excluded}
