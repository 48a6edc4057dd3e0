"""A project: a database and strategies. What is due, and the run that does it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np

from al_learner.core.annotators import Agreement, agreement, with_excerpts
from al_learner.core.channels import Channels
from al_learner.core.commits import Pruned, Run, RunLock
from al_learner.core.comparison import Comparison
from al_learner.core.database import Database
from al_learner.core.due import may_init, may_update
from al_learner.core.errors import ChannelError, DataError, UntrustedError
from al_learner.core.evaluation import unknown_tokens
from al_learner.core.events import event
from al_learner.core.files import Field, Row, check, read
from al_learner.core.interfaces import Estimator, Transformer
from al_learner.core.look import Look, Looker, is_unchosen
from al_learner.core.models import Models
from al_learner.core.pairs import Pairs
from al_learner.core.runner import Runner
from al_learner.core.runs import Runs
from al_learner.core.schema import MAX_LABEL_LENGTH
from al_learner.core.settings import Settings
from al_learner.core.status import Loaded, Prediction, Result, Status, Vitals, report
from al_learner.core.store import Model, Store
from al_learner.core.trainer import Job, Trainer, Workbench

BYTES_PER_CHARACTER = 4
"""Of the fixed-width array of all texts that the predictor makes."""

DENSE_LIMIT_BYTES = 10**9


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

    Examples
    --------
    >>> project = Project("sqlite:///project.db", classifier="complement-nb", batch_size=2)  # doctest: +SKIP
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
        self.settings = settings
        self._database = Database(settings.database, pause=pause)
        self._store = Store(self._database)
        self._runs = Runs(self._database)
        self._channels = Channels(settings) if settings.has_redis else None
        self._trainer = trainer or Workbench(settings.database)
        self._looker = Looker(self._database, settings)
        self._pairs = Pairs(self._store, self._runs, settings)
        self._runner = Runner(settings, self._store, self._runs, self._pairs, self._trainer)
        self._models = Models(settings, self._store, self._runs, self._pairs)
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
            self._store.check()
            self.upgrade()
            self._is_prepared = True

    def upgrade(self) -> bool:
        """Make or migrate al_runs. Return whether there was something to do."""
        if upgraded := self._runs.upgrade():
            event("al_runs.upgraded")
        return upgraded

    def look(self, *, heard_init: bool = False) -> Look:
        """Read what is stored and tell what is due; `heard_init`: db_helper said that loading is over."""
        self.prepare()
        return self._looker.look(heard_init=heard_init)

    def act(self, *, heard_init: bool = False, may_announce: bool = True) -> Look:
        """Look, and do the most urgent thing that is due; the look says what that was.

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
        with self._runs.lock() as lock:
            look = self._looker.look(heard_init=heard_init, may_announce=may_announce)
            if look.due in ("update", "init"):
                run, job = self._runner.run(look.due, look, lock)
                if look.facts.holds:
                    self._runner.score(run, lock, job)
                self.announce()
            elif look.due == "announce":
                self.announce()
            elif look.due == "score" and look.newest is not None:
                self._runner.score(look.newest, lock, look)
            elif look.due == "choose" and look.newest is not None:
                self._runner.choose(look.newest, look, lock)
            return look

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
        with self._runs.lock(wait_s=wait_s) as lock:
            look = self._scored_look(lock)
            due, reason = may_update(look.facts, forced=force)
            if not due:
                return Result("update", reason)
            run, job = self._runner.run("update", look, lock, forced=True, refit=refit)
            return self._by_hand(run, job, look, lock, reason)

    def init(self, *, force: bool = False, wait_s: float = 0) -> Result:
        """Train the first classifier, on init_data or on random texts with random labels; parameters as in `update`."""
        self.prepare()
        with self._runs.lock(wait_s=wait_s) as lock:
            look = self._scored_look(lock, heard_init=True)
            if look.facts.has_classifier and not force:
                return Result("init", f"there is a classifier already ({self._store.newest_clf_id()}); force a new one")
            due, reason = may_init(look.facts)
            if not due:
                return Result("init", reason)
            run, job = self._runner.run("init", look, lock, forced=True)
            return self._by_hand(run, job, look, lock, reason)

    def listen(self, heard: Callable[[str], object], stop: threading.Event) -> None:
        """Call `heard` with every message until `stop` is set; see `Channels.listen`."""
        if self._channels is None:
            event("redis.not_configured", level=logging.WARNING, then="the worker only polls")
        else:
            self._channels.listen(heard, stop)

    def snapshot(self) -> str | None:
        """Return what stays the same as long as nobody writes to the database; None where that cannot be told."""
        return self._database.snapshot()

    def is_locked(self) -> bool:
        """Whether the app hands out no texts and drops votes; False also where nobody can tell."""
        try:
            return self._channels is not None and not self._channels.is_available()
        except ChannelError:
            return False

    def vitals(self) -> Vitals:
        """Return what a monitor wants to know, from al_runs and the connections.

        Raises
        ------
        DatabaseUnavailable
            The database does not answer.
        """
        self.prepare()
        newest, now = self._runs.last(status="succeeded"), self._database.now()
        waiting = newest is not None and newest.finished is not None and self.is_waiting_to_be_heard(newest)
        return Vitals(
            runs=self._runs.by_status(),
            last_run_s=newest.seconds if newest else None,
            last_success=newest.finished if newest else None,
            unheard_s=(now - newest.finished).total_seconds() if waiting and newest and newest.finished else 0.0,
            is_subscribed=None if self._channels is None else self._channels.is_subscribed,
        )

    def is_waiting_to_be_heard(self, newest: Run | None) -> bool:
        """Whether nobody has heard of the newest success, so that it must be announced again."""
        return self._channels is not None and newest is not None and newest.announced is None

    def announce(self) -> int:
        """Tell the predictor that there is a new classifier. Return how many heard it; 0 also when Redis failed."""
        if self._channels is None:
            return 0
        newest = self._runs.last(status="succeeded")  # asked first: what is stored later is not announced by this
        if self.settings.gate == "hold" and newest is not None and newest.metrics is None:
            return 0  # it may yet be held
        try:
            heard = self._channels.announce()
        except ChannelError as exc:
            event("announcement.failed", level=logging.WARNING, error=str(exc))
            return 0
        if heard and newest is not None:
            self._runs.announced(newest.run_id)
        event("announced", heard=heard)
        return heard

    # -- looking at it, and filling it ---------------------------------------------------------------------------

    def status(self) -> Status:
        """Tell how the project stands; trains nothing."""
        look = self.look()
        return report(
            look,
            texts=self._store.n_texts(),
            clf_id=self._store.newest_clf_id(),
            unknown_tokens=self._unknown_tokens(look.newest),
            last_run=self._runs.last(),
            advice=self._models.advice(look),
        )

    def models(self) -> list[tuple[Model, Run | None]]:
        """Return every stored classifier, the newest first, with the run that stored it; None if it is not ours.

        Of a run's metrics what is large is left out; `model` returns all of it.
        """
        self.prepare()
        return self._models.listed()

    def model(self, clf_id: int) -> tuple[Model, Run | None]:
        """Return a stored classifier, and the run that stored it with all of its metrics.

        Raises
        ------
        DataError
            There is no such classifier.
        """
        self.prepare()
        return self._models.shown(clf_id)

    def compare(self, a: int, b: int) -> Comparison:
        """Compare two classifiers on the slice texts that both have, against the labels of now.

        Raises
        ------
        DataError
            They cannot be compared; says why.
        """
        return self._models.compare(a, b, self.look())

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
        with self._runs.lock(wait_s=wait_s) as lock:
            result = self._models.promote(clf_id, lock)
            if result.run is None:
                return result
            self.announce()
            return Result("promote", result.reason, self._runs.last(clf_id=result.run.clf_id))

    def prune(self, keep: int, *, dry_run: bool = False, wait_s: float = 0) -> Pruned:
        """Remove all but the newest `keep` classifiers, and the vectorizers that none of the others needs.

        Classifiers that somebody asked to download stay, like whatever was not stored by us. al_runs keeps its rows.
        """
        self.prepare()
        with self._runs.lock(wait_s=wait_s) as lock:
            return self._models.prune(keep, lock, dry_run=dry_run)

    def export(self, clf_id: int, file: Path | str, *, force: bool = False) -> Path:
        """Write a pair as one pickled scikit-learn Pipeline from texts to labels; see `export.export`."""
        self.prepare()
        return self._models.export(clf_id, Path(file), force=force)

    def annotators(self, *, n_disputed: int = 10) -> Agreement:
        """Tell how annotators agree with the settled labels, and name the texts that they disagree on most.

        Parameters
        ----------
        n_disputed : int
            How many texts to name, at most.
        """
        self.prepare()
        found = agreement(
            list(self._store.voted_texts()),
            self.settings.strategies.label_aggregator,
            min_label_count=self.settings.min_label_count,
            max_label_length=MAX_LABEL_LENGTH,
            n_disputed=n_disputed,
        )
        return with_excerpts(found, self._store.texts("text_data", [text.text_id for text in found.disputed]))

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
        clf_id = clf_id or self._store.newest_clf_id()
        if not clf_id:
            raise DataError("there is no classifier yet: run `al-learner init`")
        transformer, classifier = self._pairs.load(clf_id)
        return transformer, classifier

    def predict(self, texts: Iterable[str] | None = None, *, clf_id: int | None = None) -> Iterator[Prediction]:
        """Predict labels with a stored classifier.

        Parameters
        ----------
        texts : iterable of str, optional
            By default every text of the project.
        clf_id : int, optional
            By default the newest classifier.

        Raises
        ------
        DataError
            There is no such classifier.
        UntrustedError
            It was not stored by us, or was changed since; it is not loaded.
        """
        yield from self._models.predict(texts, *self.pair(clf_id))

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
        longest = 0

        def texts() -> Iterator[str]:
            nonlocal longest
            for row in self._read(source, ("text",), **options):
                longest = max(longest, len(row["text"]))
                yield row["text"]

        loaded = self._store.load_texts(texts())
        dense_gib = self._store.n_texts() * longest * BYTES_PER_CHARACTER / 2**30
        warning = (
            f"the longest text has {longest:,} characters, so the predictor's array of all texts, as wide as the "
            f"longest, needs {dense_gib:.1f} GiB: shorten it, or give the predictor the memory"
        )
        return Loaded(loaded, (warning,) if dense_gib * 2**30 > DENSE_LIMIT_BYTES else ())

    def load_labels(self, source: Path | str | Iterable[str], **options: Any) -> Loaded:
        """Append label names, each once; like `load_texts`."""
        rows = self._read(source, ("label",), max_label_length=MAX_LABEL_LENGTH, **options)
        return Loaded(self._store.load_labels(dict.fromkeys(row["label"] for row in rows)))

    def load_init_data(self, source: Path | str | Iterable[tuple[str, str]], **options: Any) -> Loaded:
        """Append prelabelled texts, in memory pairs of text and label; like `load_texts`."""
        rows = self._read(source, ("text", "label"), **options)
        return Loaded(self._store.load_init_data((row["text"], row["label"]) for row in rows))

    def load_votes(self, source: Path | str | Iterable[tuple[int, str, str]], **options: Any) -> Loaded:
        """Append votes, in memory triples of text_id, label and annotator; like `load_texts`."""
        rows = self._read(source, ("text_id", "label", "user"), max_label_length=MAX_LABEL_LENGTH, **options)
        votes = ((int(row["text_id"]), row["label"], row["user"], row.where) for row in rows)
        return Loaded(self._store.load_votes(votes))

    def close(self) -> None:
        """Close every connection."""
        self._trainer.close()
        self._database.close()
        if self._channels is not None:
            self._channels.close()

    def _scored_look(self, lock: RunLock, *, heard_init: bool = False) -> Look:
        """Look; where the gate may hold the newest classifier, once that has its score."""
        look = self.look(heard_init=heard_init)
        if look.facts.must_score and look.newest is not None:
            self._runner.score(look.newest, lock, look)
            look = self.look(heard_init=heard_init)
        return look

    def _by_hand(self, run: Run, job: Job, look: Look, lock: RunLock, reason: str) -> Result:
        if self.settings.gate == "hold":
            self._runner.score(run, lock, job)
            self.announce()
        else:
            self.announce()
            self._runner.score(run, lock, job)
        if job.cold_start is None and is_unchosen(self.settings, look.choice, run):
            self._runner.choose(run, look, lock, job)
        return Result(run.kind, reason, self._runs.last(clf_id=run.clf_id))

    def _read(self, source: Any, fields: tuple[Field, ...], **options: Any) -> Iterator[Row]:
        if isinstance(source, str | Path):
            return read(Path(source), fields, **options)
        rows = (row if isinstance(row, tuple | list) else (row,) for row in source)
        return check((dict(zip(fields, row, strict=True)) for row in rows), **options)

    def _unknown_tokens(self, run: Run | None) -> float | None:
        if run is None or run.countvec_id is None:
            return None
        try:
            transformer = self._pairs.transformer(run)
        except (UntrustedError, DataError):
            return None
        ids = np.random.default_rng(0).integers(1, max(1, self._store.newest_text_id()) + 1, size=2_000)
        return unknown_tokens(transformer, self._store.texts("text_data", sorted({*ids.tolist()})).values())
