"""The job of training: plain data goes in, bytes and numbers come out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from al_learner.core import artifacts
from al_learner.core.choosing import Losses
from al_learner.core.commits import Trained
from al_learner.core.database import Database
from al_learner.core.errors import ArtifactError, DataError, PluginError, UntrustedError
from al_learner.core.evaluation import Basis, coded, fixed_sample, in_slice, measure
from al_learner.core.interfaces import Chooser, Classifier, InitSampler, Labels, Transformer, Vectorizer
from al_learner.core.registry import Spec
from al_learner.core.store import Ids, Store

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix
    from sklearn.pipeline import Pipeline

Table = Literal["text_data", "init_data"]


@dataclass(frozen=True)
class ColdStart:
    """Texts and labels are to be picked by an init sampler."""

    init_sampler: Spec
    label_names: tuple[str, ...]
    size: int


@dataclass(frozen=True)
class Job:
    """What to train on, and how.

    Attributes
    ----------
    text_ids, init_ids : ndarray of int64
        Rows of text_data and of init_data; both empty for a cold start.
    labels : ndarray of shape (n_text_ids + n_init_ids,), object
    countvec : tuple of int and str, or None
        countvec_id and SHA-256 of the stored vectorizer to use; None: fit a new one.
    packages : tuple of str
        What those who read the result have.
    last : tuple of int and str, or None
        clf_id and SHA-256 of the last classifier of the same strategy, parameters and vectorizer, to start from.
    chooser : Spec or None
        Who tells how far off the classifier is, for `Trainer.losses`.
    """

    classifier: Spec
    vectorizer: Spec
    text_ids: Ids
    init_ids: Ids
    labels: NDArray[np.object_]
    countvec: tuple[int, str] | None
    packages: tuple[str, ...]
    last: tuple[int, str] | None = None
    cold_start: ColdStart | None = None
    chooser: Spec | None = None


@dataclass(frozen=True)
class Score:
    """What a twin, trained without the slice, achieved on it; `precision` is None when nothing could be measured."""

    precision: float | None
    metrics: Mapping[str, Any]


class Trainer(Protocol):
    """Where jobs are done."""

    def train(self, job: Job) -> Trained:
        """Train on everything. Raises AlLearnerError."""

    def score(self, job: Job) -> Score:
        """Train the twin and measure it. Raises AlLearnerError."""

    def losses(self, job: Job) -> Losses:
        """Return how far off the classifier is on each row, as the job's chooser tells. Raises AlLearnerError."""

    def close(self) -> None:
        """Free what is held."""


class Workbench:
    """Does jobs in this process; keeps the vectorizer and the features of labelled texts between them."""

    def __init__(self, database_url: str) -> None:
        self._database = Database(database_url)
        self._store = Store(self._database)
        self._transformer: Transformer | None = None
        self._digest: str | None = None
        self._features: dict[Table, _Features] = {}
        self._trained: tuple[str, Pipeline] | None = None
        self._twin: tuple[str, Pipeline] | None = None
        self._sample: tuple[int, Ids] | None = None

    def train(self, job: Job) -> Trained:
        """Do a job. Raises AlLearnerError; nothing is written."""
        from al_learner.core.learner import fit_classifier  # heavy: scikit-learn

        countvec = self._vectorize_with(job)
        X, y, _ = self._rows(job) if job.cold_start is None else self._picked(job.cold_start)
        classifier = cast(Classifier, job.classifier.make("classifier"))
        vectorizer = cast(Vectorizer, job.vectorizer.make("vectorizer"))
        last, notes = self._last(job)
        pipeline = fit_classifier(classifier, X, y, last=last)
        clf = _dumped("classifier", job.classifier, pipeline, {*classifier.requires}, job)
        digest = artifacts.sha256(clf)
        self._trained = digest, pipeline
        return Trained(
            clf=clf,
            clf_sha256=digest,
            countvec=countvec,
            countvec_id=job.countvec[0] if job.countvec and countvec is None else None,
            countvec_sha256=cast(str, self._digest),
            texts=X.shape[0],
            classes=len(pipeline.classes_),
            versions=artifacts.versions({*classifier.requires, *vectorizer.requires}),
            notes=notes,
        )

    def score(self, job: Job) -> Score:
        """Train a twin without the slice and measure it there. Raises AlLearnerError."""
        from al_learner.core.learner import fit_classifier  # heavy: scikit-learn

        if job.cold_start is not None:
            return Score(None, {"reason": "the labels were drawn at random"})
        self._vectorize_with(job)
        X, y, kept = self._rows(job)
        voted = np.concatenate([in_slice(job.text_ids, "votes"), np.zeros(len(job.init_ids), bool)])[kept]
        prelabelled = np.concatenate([np.zeros(len(job.text_ids), bool), in_slice(job.init_ids, "init-data")])[kept]
        basis: Basis = "votes" if voted.sum() >= prelabelled.sum() else "init-data"
        measured = voted if basis == "votes" else prelabelled
        training = ~(voted | prelabelled)
        if not measured.any():
            return Score(None, {"basis": basis, "size": 0, "reason": "no labelled text is in the slice yet"})
        if len(np.unique(y[training])) < 2:
            return Score(None, {"basis": basis, "size": 0, "reason": "one class alone is outside the slice"})
        kind = f"{job.classifier} {self._digest}"  # a twin may start from a twin, never from what has seen the slice
        last = self._twin[1] if self._twin is not None and self._twin[0] == kind else None
        classifier = cast(Classifier, job.classifier.make("classifier"))
        twin = fit_classifier(classifier, X[training], y[training], last=last)
        self._twin = kind, twin
        ids = np.concatenate([job.text_ids, job.init_ids])[kept][measured]
        metrics = measure(y[measured], twin.predict_proba(X[measured]), twin.classes_, ids)
        sample, features = self._sampled()
        predictions = coded(sample, twin.predict(features), np.array(metrics["labels"])) if len(sample) else None
        return Score(metrics["precision"], {"basis": basis, **metrics, "sample": predictions})

    def losses(self, job: Job) -> Losses:
        """Return how far off the classifier is on each row, as the job's chooser tells. Raises AlLearnerError."""
        from al_learner.core.learner import candidate_losses  # heavy: scikit-learn

        self._vectorize_with(job)
        X, y, _ = self._rows(job)
        chooser = cast(Chooser, cast(Spec, job.chooser).make("classifier"))
        return candidate_losses(chooser, cast(Classifier, job.classifier.make("classifier")), X, y)

    def close(self) -> None:
        """Close the connections."""
        self._database.close()

    def _sampled(self) -> tuple[Ids, csr_matrix]:
        """Return the texts of the fixed sample that are not blank, and their features."""
        newest = self._store.newest_text_id()
        if self._sample is None or self._sample[0] != newest:
            self._sample = newest, fixed_sample(self._store.text_ids())
        X, kept = self._features["text_data"].of(self._sample[1])
        return self._sample[1][kept], X[kept]

    def _last(self, job: Job) -> tuple[Pipeline | None, tuple[str, ...]]:
        """Return the classifier to start from, if there is one that can be trusted, and what to say about it."""
        if job.last is None:
            return None, ()
        clf_id, digest = job.last
        if self._trained is not None and self._trained[0] == digest:
            return self._trained[1], ()
        try:
            return artifacts.load(self._store.clf(clf_id), digest), ()
        except (UntrustedError, DataError) as exc:
            return None, (f"classifier {clf_id} is not started from: {exc}",)

    def _vectorize_with(self, job: Job) -> bytes | None:
        from al_learner.core.learner import fit_vectorizer  # heavy: scikit-learn

        if job.countvec is not None:
            countvec_id, digest = job.countvec
            if digest != self._digest or not self._store.is_countvec(countvec_id, digest):
                self._use(artifacts.load(self._store.countvec(countvec_id), digest), digest)
            return None
        vectorizer = cast(Vectorizer, job.vectorizer.make("vectorizer"))
        transformer = fit_vectorizer(vectorizer, self._store.corpus())
        blob = _dumped("vectorizer", job.vectorizer, transformer, {*vectorizer.requires}, job)
        self._use(transformer, artifacts.sha256(blob))
        return blob

    def _use(self, transformer: Transformer, digest: str) -> None:
        self._transformer, self._digest = transformer, digest
        self._features = {
            "text_data": _Features(self._store, "text_data", transformer),
            "init_data": _Features(self._store, "init_data", transformer),
        }

    def _rows(self, job: Job) -> tuple[csr_matrix, Labels, NDArray[np.bool_]]:
        """Return features and labels of the texts that are there and not blank, and which of the job's those are."""
        from scipy.sparse import vstack  # heavy

        parts = [self._features["text_data"].of(job.text_ids), self._features["init_data"].of(job.init_ids)]
        kept = np.concatenate([part[1] for part in parts])
        X = vstack([part[0] for part in parts], format="csr")
        return X[kept], job.labels[kept].astype(str), kept

    def _picked(self, cold_start: ColdStart) -> tuple[csr_matrix, Labels, NDArray[np.bool_]]:
        sampler = cast(InitSampler, cold_start.init_sampler.make("init_sampler"))
        texts = self._store.non_empty_texts()
        if not len(texts):
            raise DataError("all texts are empty")
        rng = np.random.default_rng(sampler.random_state)
        size = max(2, min(cold_start.size, len(texts)))  # one text can be sampled twice, under two labels
        try:
            rows, names = sampler.sample(texts, cold_start.label_names, size, rng)
        except Exception as exc:  # whatever a third party's code raises
            raise PluginError(f"init_sampler {sampler!r} failed: {type(exc).__name__}: {exc}") from exc
        rows = np.asarray(rows)
        inside = rows.ndim == 1 and rows.dtype.kind in "iu" and ((rows >= 0) & (rows < len(texts))).all()
        given = {*names} <= {*cold_start.label_names} and len({*names}) > 1
        if not (inside and given and len(rows) == len(names) == size):
            raise PluginError(
                f"init_sampler {sampler!r} must return {size} positions from 0 to {len(texts) - 1} and as "
                "many of the given labels, at least two different ones"
            )
        X, kept = self._features["text_data"].of(texts.ids[rows])
        return X[kept], np.array(names)[kept], kept


class _Features:
    """The features of a table's texts, kept by id, so that a run vectorizes only what is new."""

    def __init__(self, store: Store, table: Table, transformer: Transformer) -> None:
        self._store, self._table, self._transformer = store, table, transformer
        self._row_of: dict[int, int] = {}
        self._blank: list[bool] = []
        self._X: csr_matrix | None = None

    def of(self, ids: Ids) -> tuple[csr_matrix, NDArray[np.bool_]]:
        """Return the rows of `ids`, and which of them have a text that is not blank."""
        from scipy.sparse import vstack  # heavy

        from al_learner.core.learner import transform

        wanted = ids.tolist()
        new = sorted({i for i in wanted if i not in self._row_of})
        if new or self._X is None:
            texts = self._store.texts(self._table, new)
            fresh = transform(self._transformer, [texts.get(i, "") for i in new])
            self._row_of.update((i, len(self._blank) + n) for n, i in enumerate(new))
            self._blank += [not texts.get(i, "").strip() for i in new]
            self._X = fresh if self._X is None else vstack([self._X, fresh], format="csr")
        rows = np.array([self._row_of[i] for i in wanted], np.intp)
        return self._X[rows], ~np.array(self._blank, bool)[rows]


def _dumped(kind: str, spec: Spec, artifact: object, requires: set[str], job: Job) -> bytes:
    try:
        return artifacts.dump(artifact, requires & {*job.packages})
    except ArtifactError as exc:
        raise ArtifactError(f"{kind} {spec.name!r}: {exc}") from exc
