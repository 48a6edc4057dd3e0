"""Trains in this process: for the command line and notebooks, and inside a training process."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from al_learner.core.artifacts import pickling
from al_learner.core.errors import AlLearnerError, ArtifactError, DataError, UntrustedError
from al_learner.core.interfaces import (
    Classifier,
    CountsWords,
    Labels,
    ModelSelector,
    Strategy,
    Transformer,
    UsesWordVectors,
    Vectorizer,
)
from al_learner.core.registry import Spec
from al_learner.core.storage.labelforward_tables import LabelForwardTables, PartSize, TextTable
from al_learner.core.storage.records import Ids, Prior, Trained
from al_learner.core.training.candidate_selection import candidate_losses
from al_learner.core.training.cold_start import make_prior, notes_on, pick, surest
from al_learner.core.training.corpus.counts import CorpusCounts
from al_learner.core.training.corpus.counts import fit as fit_counted
from al_learner.core.training.corpus.feature_cache import Features
from al_learner.core.training.corpus.rows import Rows, labelled, of_prior, with_prior
from al_learner.core.training.evaluation import Basis, coded, fixed_sample, in_hold_out_set, measure, unknown_tokens
from al_learner.core.training.job import ColdStart, Job, Losses, Score

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix
    from sklearn.pipeline import Pipeline


N_COMPARED = 20
"""Texts whose stored predictions are compared with those of a model."""

N_SEARCHED = 2_000
"""Texts that are searched for unknown tokens."""

SAME_PROBABILITY = 1e-5
"""Largest difference between probabilities that count as equal.

The database keeps every digit. But models compute in single precision, and other libraries or processors may round its
last digit (6e-8) differently, for each of the words that are added up. One more vote changes probabilities by more.
"""


class InProcessTrainer:
    """A `Trainer` in this process; keeps the vectorizer and the features of labelled texts between jobs."""

    def __init__(self, tables: LabelForwardTables) -> None:
        self._tables = tables
        self._transformer: Transformer | None = None
        self._digest: str | None = None
        self._stored: tuple[int, str | None] | None = None  # id and version of the vectorizer that had the digest
        self._features: dict[TextTable, Features] = {}
        self._trained: tuple[str, Pipeline] | None = None
        self._hold_out_model: tuple[str, Pipeline] | None = None
        self._sample: tuple[int, Ids] | None = None
        self._searched: tuple[int, str | None, float | None] | None = None

    def read_ahead(self, text_ids: Ids) -> None:
        """Compute the features of texts that the next job has, if there is a vectorizer."""
        if self._features:
            self._features["text_data"].read_ahead(text_ids)

    def train(self, job: Job, counted: CorpusCounts | None = None) -> Trained:
        """Do a job. Raises AlLearnerError; nothing is written. What the classifier warns of becomes notes.

        `counted`: the counted corpus, if others have done that for a new vectorizer.
        """
        with ThreadPoolExecutor(1) as beside:  # PostgreSQL may have to read all of a large vectorizer
            verified = beside.submit(self._verify, job)
            trained = self._train(job, counted)
            verified.result()
            return trained

    def _train(self, job: Job, counted: CorpusCounts | None) -> Trained:
        from sklearn.exceptions import ConvergenceWarning  # heavy

        from al_learner.core.training.fitting import fit_classifier  # heavy: scikit-learn

        countvec = self._vectorize_with(job, counted)
        parts = counted.parts if counted else None
        classifier = cast(Classifier, job.classifier.make("classifier"))
        vectorizer = cast(Vectorizer, job.vectorizer.make("vectorizer"))
        prior, notes_on_prior = self._prior_of(job, classifier, parts)
        if job.cold_start is None:
            usable = _usable(job, prior, classifier)
            rows = with_prior(self._features, *self._rows(job, usable)[:2], usable)
        else:
            rows = self._cold(job.cold_start, prior, parts)
        last, notes = self._last(job)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            pipeline = fit_classifier(classifier, rows.X, rows.y, last=last, **self._columns(rows, vectorizer))
        fitted: list[Strategy] = [vectorizer] if countvec is not None else []
        if prior is not None and (start := job.cold_start or job.new_prior):
            fitted.append(start.init_sampler.make("init_sampler"))
        size = f"{pipeline[0].variances_.sum():,} features and {len(pipeline.classes_):,} classes"
        clf = _dumped(lambda: f"classifier {str(job.classifier)!r} with {size}", pipeline, classifier, job)
        digest = pickling.sha256(clf)
        self._trained = digest, pipeline
        return Trained(
            clf=clf,
            clf_sha256=digest,
            countvec=countvec,
            countvec_id=job.countvec[0] if job.countvec and countvec is None else None,
            countvec_sha256=cast(str, self._digest),
            texts=rows.X.shape[0] if job.cold_start else rows.X.shape[0] - rows.n_prior,
            classes=len(pipeline.classes_),
            versions=pickling.versions({*classifier.requires, *vectorizer.requires}) | _digests(fitted),
            prior=prior,
            prior_texts=rows.n_prior,
            notes=(*notes_on_prior, *notes, *dict.fromkeys(str(warning.message) for warning in caught)),
        )

    def score(self, job: Job) -> Score:
        """Train a hold-out model without the hold-out set, and measure it there. Raises AlLearnerError."""
        self._verify(job)
        self._vectorize_with(job)
        score = self._measured(job)
        return replace(score, metrics={**score.metrics, "unknown_tokens": self._unknown_tokens()})

    def _measured(self, job: Job) -> Score:
        from al_learner.core.training.fitting import fit_classifier  # heavy: scikit-learn

        if job.cold_start is not None:
            return Score(None, {"reason": "nobody has labelled a text yet"})
        classifier = cast(Classifier, job.classifier.make("classifier"))
        prior = _usable(job, job.prior, classifier)
        X, y, kept = self._rows(job, prior)
        is_vote = (np.arange(len(kept)) < len(job.text_ids))[kept]
        held_out = [in_hold_out_set(job.text_ids, "votes"), in_hold_out_set(job.init_ids, "init-data")]
        is_held_out = np.concatenate(held_out)[kept]
        voted, prelabelled = is_held_out & is_vote, is_held_out & ~is_vote
        basis: Basis = "votes" if voted.sum() >= prelabelled.sum() else "init-data"
        measured = voted if basis == "votes" else prelabelled
        training = ~is_held_out
        if not measured.any():
            return Score(None, {"basis": basis, "size": 0, "reason": "no labelled text is in the hold-out set yet"})
        if len(np.unique(y[training])) < 2:
            reason = "the texts outside the hold-out set have only one class"
            return Score(None, {"basis": basis, "size": 0, "reason": reason})
        # A hold-out model may start from the one before it, never from a model that was trained on the hold-out set.
        kind = f"{job.classifier} {self._digest}"
        last = self._hold_out_model[1] if self._hold_out_model and self._hold_out_model[0] == kind else None
        rows = with_prior(self._features, X[training], y[training], prior)
        X = X[measured]  # the others are in `rows`, and need not be in memory twice
        vectorizer = cast(Vectorizer, job.vectorizer.make("vectorizer"))
        model = fit_classifier(classifier, rows.X, rows.y, last=last, **self._columns(rows, vectorizer))
        self._hold_out_model = kind, model
        ids = np.concatenate([job.text_ids, job.init_ids])[kept][measured]
        metrics = measure(y[measured], model.predict_proba(X), model.classes_, ids)
        sample, features = self._sampled()
        predictions = coded(sample, model.predict(features), np.array(metrics["labels"])) if len(sample) else None
        query = {"query": job.query} if job.query and basis == "votes" else {}
        prior_id = {"prior_id": prior.prior_id} if rows.n_prior and prior else {}
        return Score(metrics["precision"], {"basis": basis, **query, **prior_id, **metrics, "sample": predictions})

    def losses(self, job: Job) -> Losses:
        """Return the classifier's loss on each row, by the job's model selector. Raises AlLearnerError."""
        from al_learner.core.training.fitting import fit_classifier  # heavy: scikit-learn

        self._verify(job)
        self._vectorize_with(job)
        candidate = cast(Classifier, job.classifier.make("classifier"))
        prior = _usable(job, job.prior, candidate)
        X, y, _ = self._rows(job, prior)
        selector = cast(ModelSelector, cast(Spec, job.model_selector).make("classifier"))
        vectorizer = cast(Vectorizer, job.vectorizer.make("vectorizer"))

        def fit(X: csr_matrix, y: Labels) -> Pipeline:
            rows = with_prior(self._features, X, y, prior)
            return fit_classifier(candidate, rows.X, rows.y, **self._columns(rows, vectorizer))

        return candidate_losses(selector, fit, X, y)

    def has_predicted(self, clf: tuple[int, str], countvec: tuple[int, str]) -> bool:
        """Whether the predictions that are stored with a sample of texts are those of a stored model."""
        from al_learner.core.training.fitting import transform  # heavy: scikit-learn

        rows = self._tables.predictions(N_COMPARED)
        if not rows or any(None in row for row in rows):
            return False
        texts, labels, probabilities = zip(*rows, strict=True)
        X = transform(pickling.load(self._tables.countvec(countvec[0]), countvec[1]), texts)
        pipeline = pickling.load(self._tables.clf(clf[0]), clf[1])
        highest = pipeline.predict_proba(X).max(axis=1)
        is_same = np.abs(highest - np.array(probabilities)) <= SAME_PROBABILITY
        return bool(is_same.all()) and pipeline.predict(X).astype(str).tolist() == [*labels]

    def _unknown_tokens(self) -> float | None:
        """Return the share of unknown tokens in texts drawn at random; computed again if there are newer texts."""
        newest = self._tables.newest_text_id()
        if self._searched is None or self._searched[:2] != (newest, self._digest):
            ids = np.random.default_rng(0).integers(1, newest + 1, size=N_SEARCHED) if newest else np.array([], int)
            texts = self._tables.texts("text_data", np.unique(ids).tolist())
            self._searched = newest, self._digest, unknown_tokens(self._transformer, texts.values())
        return self._searched[2]

    def _sampled(self) -> tuple[Ids, csr_matrix]:
        """Return ids and features of the texts of the fixed sample that are not blank."""
        newest = self._tables.newest_text_id()
        if self._sample is None or self._sample[0] != newest:
            self._sample = newest, fixed_sample(self._tables.text_ids())
        self._features["text_data"].read(self._sample[1])
        X, kept = self._features["text_data"].of(self._sample[1])
        return self._sample[1][kept], X[kept]

    def _last(self, job: Job) -> tuple[Pipeline | None, tuple[str, ...]]:
        """Return the classifier to start from, or None; and notes about one that cannot be used."""
        if job.last is None:
            return None, ()
        clf_id, digest = job.last
        if self._trained is not None and self._trained[0] == digest:
            return self._trained[1], ()
        try:
            return pickling.load(self._tables.clf(clf_id), digest), ()
        except (UntrustedError, DataError) as exc:
            return None, (f"classifier {clf_id} cannot be the start of this fit: {exc}",)

    def _vectorize_with(self, job: Job, counted: CorpusCounts | None = None) -> bytes | None:
        from al_learner.core.training.fitting import fit_vectorizer, fitted, transform  # heavy: scikit-learn

        if job.countvec is not None:
            countvec_id, digest = job.countvec
            if digest != self._digest:
                self._use(pickling.load(self._tables.countvec(countvec_id), digest), digest)
            return None
        vectorizer = cast(Vectorizer, job.vectorizer.make("vectorizer"))
        if counted is None:
            transformer = fit_vectorizer(vectorizer, self._tables.corpus())
        else:
            counting = cast(CountsWords, vectorizer)
            transformer = fitted(vectorizer, lambda: fit_counted(self._tables, counting, counted))

        def described() -> str:
            return f"vectorizer {str(job.vectorizer)!r} with {transform(transformer, ['']).shape[1]:,} features"

        blob = _dumped(described, transformer, vectorizer, job)
        self._use(transformer, pickling.sha256(blob))
        return blob

    def _verify(self, job: Job) -> None:
        """Make sure that the vectorizer of a job, if it is in memory, is still stored as it was."""
        if job.countvec is None or job.countvec[1] != self._digest:
            return
        countvec_id, digest = job.countvec
        stored = countvec_id, self._tables.countvec_version(countvec_id)
        is_unwritten = stored == self._stored and stored[1] is not None  # then PostgreSQL need not read all of it
        if not is_unwritten and not self._tables.is_countvec(countvec_id, digest):
            pickling.load(self._tables.countvec(countvec_id), digest)  # says what is wrong
        self._stored = stored

    def _use(self, transformer: Transformer, digest: str) -> None:
        from al_learner.core.training.fitting import in_single_precision  # heavy: scikit-learn

        transformer = in_single_precision(transformer)
        self._transformer, self._digest = transformer, digest
        self._features = {
            "text_data": Features(self._tables, "text_data", transformer),
            "init_data": Features(self._tables, "init_data", transformer),
        }

    def _rows(self, job: Job, prior: Prior | None) -> tuple[csr_matrix, Labels, NDArray[np.bool_]]:
        return labelled(self._features, job.text_ids, job.init_ids, job.labels, prior)

    def _prior_of(
        self, job: Job, classifier: Classifier, parts: Iterable[PartSize] | None
    ) -> tuple[Prior | None, tuple[str, ...]]:
        """Return the job's prior, or a new one; and notes on the new one. A cold start raises if it cannot be made.

        For an update with a classifier that cannot weigh rows, none is made.
        """
        start = job.cold_start or (job.new_prior if classifier.weighs_rows() else None)
        if start is None:
            return job.prior, ()
        try:
            prior = make_prior(self._tables, start, parts)
        except AlLearnerError as exc:
            if job.cold_start is not None:
                raise
            return None, (f"this run has no prior: {exc}",)
        return prior, notes_on(prior, start)

    def _cold(self, cold_start: ColdStart, prior: Prior | None, parts: Iterable[PartSize] | None) -> Rows:
        """Return the rows of a first classifier: those of the prior, or else what the init sampler picks."""
        features = self._features["text_data"]
        usable = prior and prior.among(~np.isin(prior.text_ids, cold_start.voted_ids))
        if usable and len({*usable.labels}) > 1:
            return of_prior(features, usable)
        ids, labels = pick(self._tables, cold_start, parts)
        features.read(ids)
        X, kept = features.of(ids)
        return Rows(X[kept], labels[kept])

    def _columns(self, rows: Rows, vectorizer: Vectorizer) -> dict[str, Any]:
        from al_learner.core.training.fitting import groups_of  # heavy: scikit-learn

        return {"groups": groups_of(vectorizer, rows.X.shape[1]), "sample_weight": rows.weights}


def _usable(job: Job, prior: Prior | None, classifier: Classifier) -> Prior | None:
    """Return the surest texts of a prior that nobody voted on, if there are any and the classifier weighs rows."""
    if prior is None or not classifier.weighs_rows():
        return None
    prior = surest(prior)
    if job.new_prior is not None:  # from a stored one they were taken already
        prior = prior.among(~np.isin(prior.text_ids, job.new_prior.voted_ids))
    return prior if len(prior.text_ids) else None


def _digests(strategies: Iterable[Strategy]) -> dict[str, str]:
    """Return the word vectors that these strategies use, and the digest of their files."""
    users = (strategy for strategy in strategies if isinstance(strategy, UsesWordVectors))
    return {f"word vectors {user.source}": user.word_vectors.digest() for user in users}


def _dumped(described: Callable[[], str], artifact: object, strategy: Strategy, job: Job) -> bytes:
    try:
        return pickling.dump(artifact, {*strategy.requires} & {*job.packages}, max_mib=job.max_artifact_mib)
    except ArtifactError as exc:
        raise ArtifactError(f"{described()}: {exc}") from exc
