"""`Project`: a database with texts and votes, and the strategies that learn from it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Self

from al_learner.core.artifacts.trusted_models import TrustedModels
from al_learner.core.configuration.settings import Settings
from al_learner.core.errors import DataError
from al_learner.core.events import event
from al_learner.core.exchange import loading
from al_learner.core.exchange.loading import Loaded
from al_learner.core.interfaces import Estimator, Transformer
from al_learner.core.labels.annotators import Agreement, agreement, with_excerpts
from al_learner.core.lifecycle.announcements import Announcements
from al_learner.core.lifecycle.job_builder import Jobs
from al_learner.core.lifecycle.project_state import ProjectState, StateReader
from al_learner.core.lifecycle.quality_gate import Gate
from al_learner.core.lifecycle.result import Result
from al_learner.core.lifecycle.run_steps import Lifecycle
from al_learner.core.lifecycle.status import Status, read_status, read_vitals
from al_learner.core.models.catalogue import Catalogue, Prediction
from al_learner.core.models.comparison import Comparison
from al_learner.core.service.http import Vitals
from al_learner.core.service.redis_channels import Channels
from al_learner.core.storage.records import MAX_LABEL_LENGTH, Pruned, Run, StoredClassifier
from al_learner.core.storage.storage import Storage
from al_learner.core.storage.upgrade import upgrade_runs
from al_learner.core.training.candidate_selection import ModelSelector
from al_learner.core.training.in_process_trainer import InProcessTrainer
from al_learner.core.training.job import Trainer


class Project:
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
    def of(
        cls, settings: Settings, *, trainer: Trainer | None = None, pause: Callable[[float], object] = time.sleep
    ) -> Self:
        """Open a project with settings that were read already, and what a worker brings along."""
        project = cls.__new__(cls)
        project._open(settings, trainer, pause)  # noqa: SLF001 - its own
        return project

    def _open(
        self, settings: Settings, trainer: Trainer | None = None, pause: Callable[[float], object] = time.sleep
    ) -> None:
        """Put everything together; nothing below opens a connection of its own."""
        self.settings = settings
        self._storage = storage = Storage.at(settings.database, pause=pause)
        self._channels = Channels(settings) if settings.has_redis else None
        self._trainer = trainer or InProcessTrainer(storage.tables)
        self._models = TrustedModels(storage, key=settings.signing_secret)
        self._catalogue = Catalogue(storage, self._models, key=settings.signing_secret)
        self._jobs = Jobs(settings, storage, self._models)
        gate = Gate(settings.gate, storage.runs, self._models)
        selector = ModelSelector(settings.strategies.classifier, settings.candidates)
        self._announcements = Announcements(self._channels, storage, gate, reannounce_s=settings.reannounce_s)
        parts: Any = {"selector": selector, "gate": gate, "announcements": self._announcements}
        self._reader = StateReader(settings, storage, **parts)
        self._lifecycle = Lifecycle(
            storage, reader=self._reader, jobs=self._jobs, trainer=self._trainer, models=self._models, **parts
        )
        self._is_prepared = False

    # -- what is due, and doing it ------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Make sure that LabelForward's tables are there, and make or migrate al_runs; done at the first need.

        Raises
        ------
        SchemaError
            Names what is missing and what creates it.
        """
        if not self._is_prepared:
            self._storage.tables.check()
            self.upgrade()
            self._is_prepared = True

    def upgrade(self) -> bool:
        """Make or migrate al_runs. Return whether there was something to do."""
        if upgraded := upgrade_runs(self._storage.database):
            event("al_runs.upgraded")
        return upgraded

    def read_state(self, *, heard_init: bool = False) -> ProjectState:
        """Read what is stored and tell what is due; `heard_init`: db_helper said that loading is over."""
        self.prepare()
        return self._reader.read(heard_init=heard_init)

    def reconcile(self, *, heard_init: bool = False, may_announce: bool = True) -> ProjectState:
        """Read the state, and do the most urgent thing that is due; the state says what that was.

        Parameters
        ----------
        heard_init : bool
            db_helper said that loading is over.
        may_announce : bool
            False: announcements wait, for nobody listened a moment ago.

        Raises
        ------
        BusyError
            Another run is on.
        """
        self.prepare()
        return self._lifecycle.reconcile(heard_init=heard_init, may_announce=may_announce)

    def update(self, *, force: bool = False, refit: bool = False, wait_s: float = 0) -> Result:
        """Train on the votes, if enough new samples are there.

        Parameters
        ----------
        force : bool
            Ignore the batch size, and nothing else.
        refit : bool
            Fit a new vectorizer.
        wait_s : float
            Seconds to wait for a run that is on.

        Raises
        ------
        AlLearnerError
            The run failed; al_runs says so, and nothing else was stored.
        """
        self.prepare()
        return self._lifecycle.update(force=force, refit=refit, wait_s=wait_s)

    def init(self, *, force: bool = False, wait_s: float = 0) -> Result:
        """Train the first classifier, on init_data or on random texts with random labels; parameters as in `update`."""
        self.prepare()
        return self._lifecycle.init(force=force, wait_s=wait_s)

    def announce(self) -> int:
        """Tell the predictor that there is a new classifier. Return how many heard it; 0 also when Redis failed."""
        return self._announcements.announce()

    def repeat_announcement(self) -> None:
        """Announce the newest classifier again if the app has been locked for long."""
        self._announcements.repeat_if_locked()

    def is_announcement_pending(self, newest: Run | None) -> bool:
        """Whether nobody has heard of the newest success, so that it must be announced again."""
        return self._announcements.is_pending(newest)

    def listen(self, on_message: Callable[[str], object], stop: threading.Event) -> None:
        """Call `on_message` with every message until `stop` is set; see `Channels.listen`."""
        if self._channels is None:
            event("redis.not_configured", level=logging.WARNING, then="the worker only polls")
        else:
            self._channels.listen(on_message, stop)

    def change_token(self) -> str | None:
        """Return what stays the same as long as nobody writes to the database; None where that cannot be told."""
        return self._storage.database.change_token()

    # -- looking at it, and filling it ---------------------------------------------------------------------------

    def status(self) -> Status:
        """Tell how the project stands; trains nothing."""
        state = self.read_state()
        return read_status(state, self._storage, self._models, self._catalogue.advice(state.truth))

    def vitals(self) -> Vitals:
        """Return what a monitor is told.

        Raises
        ------
        DatabaseUnavailable
            The database does not answer.
        """
        self.prepare()
        is_subscribed = None if self._channels is None else self._channels.is_subscribed
        return read_vitals(self._storage, self._announcements, is_subscribed=is_subscribed)

    def models(self) -> list[tuple[StoredClassifier, Run | None]]:
        """Return every stored classifier, the newest first, with the run that stored it; None if it is not ours.

        Of a run's metrics what is large is left out; `model` returns all of it.
        """
        self.prepare()
        return self._catalogue.listed()

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
        """Compare two classifiers on the slice texts that both have, against the labels of now.

        Raises
        ------
        DataError
            They cannot be compared; says why.
        """
        return self._catalogue.compare(a, b, self.read_state().truth)

    def promote(self, clf_id: int, *, wait_s: float = 0) -> Result:
        """Store a copy of a former pair as the newest, and announce it. The next training supersedes it.

        No text changes: what was voted since that pair was trained still counts as taken up.

        Parameters
        ----------
        clf_id : int
        wait_s : float
            Seconds to wait for a run that is on.

        Raises
        ------
        DataError
            There is no such classifier.
        UntrustedError
            It was not stored by us, or was changed since.
        """
        self.prepare()
        return self._lifecycle.promote(clf_id, wait_s=wait_s)

    def prune(self, keep: int, *, dry_run: bool = False, wait_s: float = 0) -> Pruned:
        """Remove all but the newest `keep` classifiers, and the vectorizers that none of the others needs.

        Classifiers that somebody asked to download stay, like whatever was not stored by us. al_runs keeps its rows.
        """
        self.prepare()
        return self._catalogue.prune(keep, dry_run=dry_run, wait_s=wait_s)

    def export(self, clf_id: int, file: Path | str, *, force: bool = False) -> Path:
        """Write a pair as one pickled scikit-learn Pipeline from texts to labels; see `export.export`."""
        self.prepare()
        return self._catalogue.export(clf_id, Path(file), force=force)

    def annotators(self, *, n_disputed: int = 10) -> Agreement:
        """Tell how annotators agree with the settled labels, and name the texts that they disagree on most.

        Parameters
        ----------
        n_disputed : int
            How many texts to name, at most.
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

    def pair(self, clf_id: int | None = None) -> tuple[Transformer, Estimator]:
        """Load a stored classifier, by default the newest, and the vectorizer that it was trained with.

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
            It was not stored by us, or was changed since; it is not loaded.
        """
        self.prepare()
        if clf_id is None and not (clf_id := self._storage.tables.newest_clf_id()):
            raise DataError("there is no classifier yet: run `al-learner init`")
        transformer, classifier = self._models.load(clf_id)
        return transformer, classifier

    def predict(self, texts: Iterable[str] | None = None, *, clf_id: int | None = None) -> Iterator[Prediction]:
        """Predict labels with a stored classifier, by default the newest; raises like `pair`.

        Parameters
        ----------
        texts : iterable of str, optional
            By default every text of the project.
        clf_id : int, optional
        """
        yield from self._catalogue.predict(texts, *self.pair(clf_id))

    def load_texts(self, source: Path | str | Iterable[str], **options: Any) -> Loaded:
        """Append texts, from a file or from memory; all or none. LabelForward's tables are made where there are none.

        Parameters
        ----------
        source : path, or iterable of str
        **options
            Of `files.read`, for a file: ``columns``, ``progress``.

        Raises
        ------
        DataError
            Names the file, the first bad line and the reason.
        """
        return loading.load_texts(self._storage.tables, source, **options)

    def load_labels(self, source: Path | str | Iterable[str], **options: Any) -> Loaded:
        """Append label names, each once; like `load_texts`."""
        return loading.load_labels(self._storage.tables, source, **options)

    def load_init_data(self, source: Path | str | Iterable[tuple[str, str]], **options: Any) -> Loaded:
        """Append prelabelled texts, in memory pairs of text and label; like `load_texts`."""
        return loading.load_init_data(self._storage.tables, source, **options)

    def load_votes(self, source: Path | str | Iterable[tuple[int, str, str]], **options: Any) -> Loaded:
        """Append votes, in memory triples of text_id, label and annotator; like `load_texts`."""
        return loading.load_votes(self._storage.tables, source, **options)

    def close(self) -> None:
        """Close every connection; a trainer that was brought along is its owner's to close."""
        self._storage.database.close()
        if self._channels is not None:
            self._channels.close()
