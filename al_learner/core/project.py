"""`Project`: a database with texts and votes, and the strategies that learn from it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from al_learner.core.artifacts.trusted_models import TrustedModels
from al_learner.core.configuration.settings import Settings
from al_learner.core.deprecated import DeprecatedMethods
from al_learner.core.errors import DataError, SchemaError
from al_learner.core.events import event
from al_learner.core.exchange.exporting import Exporter, ExportingMethods, PredictsAll
from al_learner.core.exchange.loading import LoadingMethods
from al_learner.core.interfaces import Estimator, Transformer
from al_learner.core.labels.annotators import Agreement, agreement, with_excerpts
from al_learner.core.lifecycle.announcements import Announcements
from al_learner.core.lifecycle.job_builder import JobBuilder
from al_learner.core.lifecycle.project_state import ProjectState, StateReader, deciding_settings
from al_learner.core.lifecycle.quality_gate import Gate
from al_learner.core.lifecycle.result import Result
from al_learner.core.lifecycle.run_steps import Lifecycle
from al_learner.core.lifecycle.status import Status, read_status, read_vitals
from al_learner.core.models.catalogue import Catalogue
from al_learner.core.models.comparison import Comparison
from al_learner.core.models.predicting import PredictingMethods
from al_learner.core.models.querying import QueryMethods
from al_learner.core.models.retention import Retention
from al_learner.core.report.methods import ReportMethods
from al_learner.core.service.figures import Vitals
from al_learner.core.service.redis_channels import Channels
from al_learner.core.storage.migrations.upgrade import upgrade_runs
from al_learner.core.storage.records import MAX_LABEL_LENGTH, Pruned, Run, StoredClassifier
from al_learner.core.storage.storage import Storage
from al_learner.core.storage.workers import Workers
from al_learner.core.training.candidate_selection import CandidateSelector
from al_learner.core.training.compute import Compute


class Project(LoadingMethods, ExportingMethods, PredictingMethods, QueryMethods, ReportMethods, DeprecatedMethods):
    """A database with texts and votes, and the strategies that learn from it.

    Parameters
    ----------
    database : str, optional
        ``postgresql://…`` or ``sqlite:///FILE``; by default the environment says.
    **settings
        Any field of `Settings`, over environment and file; strategies by name, or as objects.

    Raises
    ------
    SettingsError
        With every problem at once, before any connection is made.
    """

    def __init__(self, database: str | None = None, **settings: Any) -> None:
        if database is not None:
            settings["database_url"] = database
        self._open(Settings(**settings))

    @classmethod
    def of(cls, settings: Settings, *, compute: Compute | None = None, **waits: Callable[..., object]) -> Self:
        """Open a project with settings that were read, and a worker's own processes; `waits` as in `Database`."""
        project = cls.__new__(cls)
        project._open(settings, compute, **waits)  # noqa: SLF001 - its own
        return project

    def _open(self, settings: Settings, compute: Compute | None = None, **waits: Callable[..., object]) -> None:
        """Create and connect all parts. No part opens a connection of its own."""
        self._storage = storage = Storage.at(settings.database, **waits)
        self._channels = Channels(settings) if settings.has_redis else None
        self._compute = compute or Compute.in_process(settings, storage.tables)
        self._models = TrustedModels(storage, key=settings.signing_secret)
        self._catalogue = Catalogue(storage, self._models, key=settings.signing_secret)
        jobs = JobBuilder(settings, storage, self._models)
        gate = Gate(settings.gate, storage.runs, self._models)
        selector = CandidateSelector(settings.strategies.classifier, settings.candidates)
        self._announcements = Announcements(self._channels, storage, gate, reannounce_s=settings.reannounce_s)
        self._workers = Workers(storage.database, deciding_settings(settings))
        parts: Any = {"selector": selector, "gate": gate, "announcements": self._announcements}
        parts |= {"compute": self._compute, "models": self._models}
        self._reader = StateReader(settings, storage, workers=self._workers, **parts)
        self._lifecycle = Lifecycle(storage, reader=self._reader, jobs=jobs, **parts)
        self._retention = Retention(storage, keep_gib=settings.keep_gib)
        self._exporter = Exporter(
            storage, self.prepare, self.load_model, self._compute.winners_of, settings.min_label_count, self._on_cluster
        )
        self._is_prepared = False

    @property
    def settings(self) -> Settings:
        """The settings; once the state was read, with the project's strategies where they name none."""
        return self._reader.settings

    def read_settings(self) -> Settings:
        """Return the settings, with the strategies that the project began with; creates and migrates nothing."""
        return self._reader.read_settings()

    def prepare(self) -> None:
        """Check LabelForward's tables, and create or migrate al_runs; done once, when first needed.

        Raises
        ------
        SchemaError
            Names what is missing, and what creates it.
        """
        if not self._is_prepared:
            self._storage.tables.check()
            self.upgrade()
            self._is_prepared = True

    def upgrade(self) -> bool:
        """Create or migrate al_learner's tables, and sign anew what a former version signed. Return if they changed."""
        if upgraded := upgrade_runs(self._storage.database):
            event("al_runs.upgraded")
        if n_signed := self._models.sign_anew():
            event("models.signed_anew", models=n_signed)
        return upgraded or n_signed > 0

    def register_worker(self) -> None:
        """Say that a worker with these settings is alive, until `close`; see `Workers`."""
        self.prepare()
        self._workers.register()

    def read_state(self, *, init_received: bool = False) -> ProjectState:
        """Read what is stored and decide what is due. `init_received`: db_helper has loaded all data."""
        self.prepare()
        return self._reader.read(init_received=init_received)

    def reconcile(self, *, init_received: bool = False, may_announce: bool = True) -> ProjectState:
        """Read the project state, and do the most urgent step that is due; `due` of the result says which.

        After a training, old classifiers are deleted if all of them take more than `keep_gib`; see `Retention`.

        Parameters
        ----------
        init_received : bool
            db_helper has sent `init`: all data is loaded.
        may_announce : bool
            False: do not announce now, because a moment ago there was no subscriber.

        Raises
        ------
        BusyError
            Another run is in progress.
        """
        self.prepare()
        try:
            state = self._lifecycle.reconcile(init_received=init_received, may_announce=may_announce)
        except SchemaError:
            self._is_prepared = False  # somebody has dropped a table
            raise
        if state.due in ("update", "init"):
            self._retention.apply()
        return state

    def update(self, *, force: bool = False, refit: bool = False, wait_s: float = 0) -> Result:
        """Train on the votes, if enough new samples are there.

        Parameters
        ----------
        force : bool
            Ignore the batch size, but no other condition.
        refit : bool
            Fit a new vectorizer.
        wait_s : float
            Seconds to wait while another run is in progress.

        Raises
        ------
        AlLearnerError
            The run failed. al_runs records it; nothing else was stored.
        """
        self.prepare()
        return self._lifecycle.update(force=force, refit=refit, wait_s=wait_s)

    def init(self, *, force: bool = False, discard_votes: bool = False, wait_s: float = 0) -> Result:
        """Train the first classifier, on init_data or on random texts with random labels.

        `force`: even if there is a classifier. `discard_votes`: even if there are votes to train on; they stay stored.
        """
        self.prepare()
        return self._lifecycle.init(force=force, discard_votes=discard_votes, wait_s=wait_s)

    def announce(self) -> int:
        """Tell the predictor of the newest classifier. Return the number of subscribers; 0 also if Redis failed."""
        return self._announcements.announce()

    def repeat_announcement(self) -> None:
        """Announce the newest classifier again if the app has been locked for a long time."""
        self._announcements.repeat_if_locked()

    def is_announcement_pending(self, newest: Run | None) -> bool:
        """Whether the announcement of the newest successful run has not been received yet."""
        return self._announcements.is_pending(newest)

    def listen(self, on_message: Callable[[str], object], stop: threading.Event) -> None:
        """Call `on_message` with every message until `stop` is set; see `Channels.listen`."""
        if self._channels is None:
            event("redis.not_configured", level=logging.WARNING, then="the worker only polls")
        else:
            self._channels.listen(on_message, stop)

    def release_connections(self) -> None:
        """Close idle connections; the next use opens new ones. A registered worker keeps one."""
        self._storage.database.close()
        if self._channels is not None:
            self._channels.release_connections()

    def change_token(self) -> str | None:
        """Return a token that stays the same as long as nobody writes to the database; None on SQLite."""
        return self._storage.database.change_token()

    def status(self) -> Status:
        """Return the status of the project; trains nothing."""
        state = self.read_state()
        return read_status(state, self._storage, self._catalogue.stopping_advice(state.truth))

    def vitals(self) -> Vitals:
        """Return the figures for monitoring. Creates no table; raises DatabaseUnavailable or SchemaError."""
        if not self._is_prepared:
            self._storage.tables.check()
        return read_vitals(self._storage, self._announcements)

    @property
    def is_subscribed(self) -> bool | None:
        """Whether `listen` receives messages now; None without Redis."""
        return None if self._channels is None else self._channels.is_subscribed

    def models(self, limit: int | None = None) -> list[tuple[StoredClassifier, Run | None]]:
        """Return the stored classifiers, the newest first, each with its run; None if al_runs does not know it.

        The large parts of a run's metrics are left out; `model` returns them.

        Parameters
        ----------
        limit : int, optional
            How many of the newest; by default all.
        """
        self.prepare()
        return self._catalogue.listed(limit)

    def model(self, clf_id: int) -> tuple[StoredClassifier, Run | None]:
        """Return a stored classifier, and the run that stored it with all of its metrics.

        Raises
        ------
        DataError
            There is no such classifier.
        """
        self.prepare()
        return self._catalogue.shown(clf_id)

    def compare(self, a: int, b: int) -> Comparison:
        """Compare two classifiers on the hold-out texts that both have predicted, against the labels of now.

        Raises
        ------
        DataError
            They cannot be compared; the message says why.
        """
        return self._catalogue.compare(a, b, self.read_state().truth)

    def promote(self, clf_id: int, *, wait_s: float = 0) -> Result:
        """Store a copy of a former model as the newest, and announce it. The next training replaces it.

        No text changes: votes that came after that model was trained do not become new samples again.

        Parameters
        ----------
        clf_id : int
        wait_s : float
            Seconds to wait while another run is in progress.

        Raises
        ------
        DataError
            There is no such classifier.
        UntrustedError
            It was not stored by al_learner, or was changed later.
        """
        self.prepare()
        return self._lifecycle.promote(clf_id, wait_s=wait_s)

    def prune(self, keep: int, *, dry_run: bool = False, wait_s: float = 0) -> Pruned:
        """Delete all but the newest `keep` classifiers, and the vectorizers that no other classifier needs.

        Classifiers that somebody asked to download stay, and those that al_runs does not know. al_runs keeps its rows.
        """
        self.prepare()
        return self._catalogue.prune(keep, dry_run=dry_run, wait_s=wait_s)

    def export_model(self, clf_id: int, file: Path | str, *, force: bool = False) -> Path:
        """Write a model as one pickled scikit-learn Pipeline from texts to labels; see `export.export`."""
        self.prepare()
        return self._catalogue.export(clf_id, Path(file), force=force)

    def annotators(self, *, n_disputed: int = 10) -> Agreement:
        """Return how annotators agree with the aggregated labels, and the texts with most disagreement.

        At most `n_disputed` texts are returned.
        """
        self.prepare()
        found = agreement(
            list(self._storage.tables.voted_texts()),
            self.settings.strategies.label_aggregator,
            min_label_count=self.settings.min_label_count,
            max_label_length=MAX_LABEL_LENGTH,
            n_disputed=n_disputed,
        )
        texts = self._storage.tables.texts("text_data", [text.text_id for text in found.disputed])
        return with_excerpts(found, texts)

    def _on_cluster(self, address: str, clf_id: int, here: Callable[..., Any]) -> PredictsAll:
        from al_learner.core.cluster.compute import predictions_on_cluster  # only if it is used

        return predictions_on_cluster(self.settings, address, self._models.recorded(clf_id), here)

    def load_model(self, clf_id: int | None = None) -> tuple[Transformer, Estimator]:
        """Load a stored model, by default the newest: a vectorizer and a classifier.

        Returns
        -------
        transformer
            ``transform(texts)`` gives float32 CSR of shape (n_texts, n_features).
        classifier
            ``predict_proba(X)`` and ``predict(X)``, with ``classes_``.

        Raises
        ------
        DataError
            There is no such classifier.
        UntrustedError
            It was not stored by al_learner, or was changed later. It is not loaded.
        """
        self.prepare()
        if clf_id is None and not (clf_id := self._storage.tables.newest_clf_id()):
            raise DataError("there is no classifier yet: run `al-learner init`")
        return self._models.load(clf_id)

    def close(self) -> None:
        """Close every connection. `Compute` that was passed in stays open."""
        self._workers.close()
        self._storage.database.close()
        if self._channels is not None:
            self._channels.close()
