"""A project: a database and strategies. What is due, and the run that does it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from al_learner.core import artifacts
from al_learner.core.channels import Channels
from al_learner.core.database import Database, chunked
from al_learner.core.due import may_init, may_update
from al_learner.core.errors import AlLearnerError, ChannelError, DatabaseUnavailable, DataError, UntrustedError
from al_learner.core.evaluation import unknown_tokens
from al_learner.core.events import event
from al_learner.core.files import Field, Row, check, read
from al_learner.core.look import Look, Looker
from al_learner.core.registry import Spec
from al_learner.core.runs import Run, RunKind, RunLock, Runs
from al_learner.core.schema import MAX_LABEL_LENGTH
from al_learner.core.settings import Settings
from al_learner.core.status import Status, report
from al_learner.core.store import CHUNK, Model, Store
from al_learner.core.trainer import ColdStart, Job, Trainer, Workbench

BYTES_PER_CHARACTER = 4
"""Of the fixed-width array of all texts that the predictor makes."""

DENSE_LIMIT_BYTES = 10**9


class Prediction(NamedTuple):
    """A text's most probable label; `number` is its text_id, or its position among given texts."""

    number: int
    label: str
    probability: float


@dataclass(frozen=True)
class Loaded:
    """How many rows were loaded, and what to think of."""

    rows: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """What came of asking for a run: the run, or None and the reason why there was nothing to do."""

    kind: RunKind
    reason: str
    run: Run | None = None

    def __str__(self) -> str:
        if self.run is None:
            return f"{self.kind}: nothing to do ({self.reason})"
        run, score = self.run, "no score yet"
        if run.metrics is not None:
            precision = run.metrics.get("precision")
            score = f"no score: {run.metrics.get('reason')}" if precision is None else f"precision {precision:.3f}"
        return (
            f"{self.kind}: classifier {run.clf_id} from {run.texts} texts in {run.classes} classes, "
            f"{run.new_samples} of them new, in {run.seconds:.2f} s ({score})"
        )

    __repr__ = __str__


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
        self._channels = Channels(settings) if settings.redis_url or settings.redis_host else None
        self._trainer = trainer or Workbench(settings.database)
        self._looker = Looker(self._database, settings)
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
                self._run(look.due, look, lock)
                self.announce()
            elif look.due == "announce":
                self.announce()
            elif look.due == "score" and look.newest is not None:
                self._score(look.newest, self._job_of(look.newest, look), lock)
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
            look = self.look()
            due, reason = may_update(look.facts, forced=force)
            if not due:
                return Result("update", reason)
            return self._by_hand("update", look, lock, reason, refit=refit)

    def init(self, *, force: bool = False, wait_s: float = 0) -> Result:
        """Train the first classifier, on init_data or on random texts with random labels; parameters as in `update`."""
        self.prepare()
        with self._runs.lock(wait_s=wait_s) as lock:
            look = self.look(heard_init=True)
            if look.facts.has_classifier and not force:
                return Result("init", f"there is a classifier already ({self._store.newest_clf_id()}); force a new one")
            due, reason = may_init(look.facts)
            if not due:
                return Result("init", reason)
            return self._by_hand("init", look, lock, reason)

    def listen(self, heard: Callable[[str], object], stop: threading.Event) -> None:
        """Call `heard` with every message until `stop` is set; see `Channels.listen`."""
        if self._channels is None:
            event("redis.not_configured", level=logging.WARNING, then="the worker only polls")
        else:
            self._channels.listen(heard, stop)

    def snapshot(self) -> str | None:
        """Return what stays the same as long as nobody writes to the database; None where that cannot be told."""
        return self._database.snapshot()

    def is_waiting_to_be_heard(self, look: Look) -> bool:
        """Whether nobody has heard of the newest classifier, so that it must be announced again."""
        return self._channels is not None and look.newest is not None and look.newest.announced is None

    def announce(self) -> int:
        """Tell the predictor that there is a new classifier. Return how many heard it; 0 also when Redis failed."""
        if self._channels is None:
            return 0
        try:
            heard = self._channels.announce()
        except ChannelError as exc:
            event("announcement.failed", level=logging.WARNING, error=str(exc))
            return 0
        if heard:
            self._runs.announced()
        event("announced", heard=heard)
        return heard

    # -- looking at it, and filling it ---------------------------------------------------------------------------

    def status(self) -> Status:
        """Tell how the project stands; writes nothing."""
        look = self.look()
        return report(
            look,
            texts=self._store.n_texts(),
            clf_id=self._store.newest_clf_id(),
            unknown_tokens=self._unknown_tokens(look.newest),
            last_run=self._runs.last(),
        )

    def models(self) -> list[tuple[Model, Run | None]]:
        """Return every stored classifier, the newest first, with the run that stored it; None if it is not ours."""
        self.prepare()
        runs = {run.clf_id: run for run in self._runs.recent(status="succeeded")}
        return [(model, runs.get(model.clf_id)) for model in self._store.models()]

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
        self.prepare()
        clf_id = clf_id or self._store.newest_clf_id()
        if not clf_id:
            raise DataError("there is no classifier yet: run `al-learner init`")
        blob = self._store.clf(clf_id)
        run = self._trusted(self._runs.last(clf_id=clf_id), f"classifier {clf_id}")
        classifier = artifacts.load(blob, run.clf_sha256)
        transformer = artifacts.load(self._store.countvec(run.countvec_id or 0), run.countvec_sha256)
        rows = self._store.all_texts() if texts is None else enumerate(texts)
        for chunk in chunked(rows, CHUNK):
            probabilities = classifier.predict_proba(transformer.transform([text for _, text in chunk]))
            best = probabilities.argmax(axis=1)
            for (number, _), column, row in zip(chunk, best, probabilities, strict=True):
                yield Prediction(number, str(classifier.classes_[column]), float(row[column]))

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
        """Append label names; like `load_texts`."""
        rows = self._read(source, ("label",), max_label_length=MAX_LABEL_LENGTH, **options)
        return Loaded(self._store.load_labels(row["label"] for row in rows))

    def load_init_data(self, source: Path | str | Iterable[tuple[str, str]], **options: Any) -> Loaded:
        """Append prelabelled texts, in memory pairs of text and label; like `load_texts`."""
        rows = self._read(source, ("text", "label"), **options)
        return Loaded(self._store.load_init_data((row["text"], row["label"]) for row in rows))

    def load_votes(self, source: Path | str | Iterable[tuple[int, str, str]], **options: Any) -> Loaded:
        """Append votes, in memory triples of text_id, label and annotator; like `load_texts`."""
        rows = self._read(source, ("text_id", "label", "user"), max_label_length=MAX_LABEL_LENGTH, **options)
        return Loaded(self._store.load_votes((int(row["text_id"]), row["label"], row["user"]) for row in rows))

    def close(self) -> None:
        """Close every connection."""
        self._trainer.close()
        self._database.close()
        if self._channels is not None:
            self._channels.close()

    def _read(self, source: Any, fields: tuple[Field, ...], **options: Any) -> Iterator[Row]:
        if isinstance(source, str | Path):
            return read(Path(source), fields, **options)
        rows = (row if isinstance(row, tuple | list) else (row,) for row in source)
        return check((dict(zip(fields, row, strict=True)) for row in rows), **options)

    def _unknown_tokens(self, run: Run | None) -> float | None:
        if run is None or run.countvec_id is None:
            return None
        try:
            self._trusted(run, "vectorizer")
            transformer = artifacts.load(self._store.countvec(run.countvec_id), run.countvec_sha256)
        except (UntrustedError, DataError):
            return None
        ids = np.random.default_rng(0).integers(1, self._store.newest_text_id() + 1, size=2_000)
        return unknown_tokens(transformer, self._store.texts("text_data", sorted({*ids.tolist()})).values())

    def _trusted(self, run: Run | None, what: str) -> Run:
        if run is None:
            raise UntrustedError(f"{what} was not stored by al_learner, so it is not loaded: al_runs does not know it")
        if not self._is_signed(run):
            raise UntrustedError(f"{what} is not signed with the configured key, so it is not loaded")
        return run

    # -- the run, step by step ------------------------------------------------------------------------------------

    def _by_hand(self, kind: RunKind, look: Look, lock: RunLock, reason: str, *, refit: bool = False) -> Result:
        run, job = self._run(kind, look, lock, forced=True, refit=refit)
        self.announce()
        self._score(run, job, lock)
        return Result(kind, reason, self._runs.last(clf_id=run.clf_id))

    def _run(
        self, kind: RunKind, look: Look, lock: RunLock, *, forced: bool = False, refit: bool = False
    ) -> tuple[Run, Job]:
        started = time.monotonic()
        settled = look.settled
        new = settled.is_new if kind == "update" else np.zeros(len(settled.is_new), bool)
        samples = list(zip(settled.text_ids[new].tolist(), settled.labels[new].tolist(), strict=True))
        run_id = lock.begin(kind, forced=forced, state=look.state, strategies=self._looker.specs, samples=samples)
        event("run.started", run_id=run_id, kind=kind, new_samples=len(samples))
        try:
            job = self._job(kind, look, refit=refit)
            try:
                trained = self._trainer.train(job)
            except UntrustedError as exc:
                job = self._job(kind, look, refit=True, because=f"the stored vectorizer is not usable: {exc}")
                trained = self._trainer.train(job)
            for note in trained.notes:
                event("run.note", level=logging.WARNING, run_id=run_id, note=note)
            text_ids = settled.text_ids.tolist() if kind == "update" else []
            signature = artifacts.signature(self.settings.signing_secret, trained.clf_sha256, trained.countvec_sha256)
            seconds = time.monotonic() - started
            clf_id = lock.finish(run_id, trained, text_ids, signature=signature, seconds=seconds)
        except DatabaseUnavailable:
            raise  # nothing can be recorded; whoever gets the lock next marks the run as died
        except AlLearnerError as exc:
            lock.give_up(run_id, "failed", str(exc))
            event("run.failed", level=logging.ERROR, run_id=run_id, kind=kind, error=str(exc))
            raise
        except BaseException as exc:
            lock.give_up(run_id, "abandoned", f"interrupted: {type(exc).__name__}")
            event("run.abandoned", level=logging.WARNING, run_id=run_id, kind=kind)
            raise
        event(
            "run.finished", run_id=run_id, kind=kind, clf_id=clf_id, texts=trained.texts, classes=trained.classes,
            seconds=seconds,
        )  # fmt: skip
        run = self._runs.last(clf_id=clf_id)
        if run is None:
            raise DataError(f"the run of classifier {clf_id} was deleted while it ended")
        return run, replace(job, countvec=(run.countvec_id or 0, trained.countvec_sha256))

    def _score(self, run: Run, job: Job, lock: RunLock) -> None:
        try:
            score = self._trainer.score(job)
            precision, metrics = score.precision, score.metrics
        except DatabaseUnavailable:
            raise
        except AlLearnerError as exc:
            precision, metrics = None, {"reason": f"scoring failed: {exc}"}
        lock.score(run.run_id, run.clf_id or 0, precision, metrics)
        event("run.scored", run_id=run.run_id, clf_id=run.clf_id, precision=precision)

    # -- the job of a run ---------------------------------------------------------------------------------------

    def _job(self, kind: RunKind, look: Look, *, refit: bool = False, because: str | None = None) -> Job:
        countvec, reason = (None, because or "it was asked for") if refit else self._usable_countvec()
        if countvec is None and (lost := [model.clf_id for model in self._store.models()]):
            event("vectorizer.refitted", level=logging.WARNING, reason=reason, no_longer_downloadable=_ranges(lost))
        return self._rows(kind, look, np.ones(len(look.settled.labels), bool), countvec)

    def _job_of(self, run: Run, look: Look) -> Job:
        """Return the job that the newest run did, as far as it can still be told."""
        countvec = (run.countvec_id or 0, run.countvec_sha256 or "")
        return self._rows(run.kind, look, ~look.settled.is_new, countvec)

    def _rows(self, kind: RunKind, look: Look, texts: NDArray[np.bool_], countvec: tuple[int, str] | None) -> Job:
        excluded = list(self.settings.exclude_labels)
        if kind == "init":
            texts = np.zeros_like(texts)
        texts = texts & ~np.isin(look.settled.labels, excluded)
        init = ~np.isin(look.init_labels, excluded)
        cold_start = None
        if kind == "init" and not look.facts.can_start_from_init_data:
            init = np.zeros_like(init)
            cold_start = ColdStart(
                init_sampler=Spec.of("init_sampler", self.settings.strategies.init_sampler),
                label_names=tuple(name for name in look.label_names if name not in excluded),
                size=max(2, self.settings.batch_size),
            )
        return Job(
            classifier=Spec.of("classifier", self.settings.strategies.classifier),
            vectorizer=Spec.of("vectorizer", self.settings.strategies.vectorizer),
            text_ids=look.settled.text_ids[texts],
            init_ids=look.init_ids[init],
            labels=np.concatenate([look.settled.labels[texts], look.init_labels[init]]),
            countvec=countvec,
            last=self._last(look.newest, countvec),
            packages=self.settings.predictor_packages,
            cold_start=cold_start,
        )

    def _last(self, newest: Run | None, countvec: tuple[int, str] | None) -> tuple[int, str] | None:
        """Return the last classifier if the next one may start from it."""
        if newest is None or countvec is None or newest.clf_id is None or newest.kind == "init":
            return None
        same = (
            newest.strategies["classifier"] == self._looker.specs["classifier"]
            and newest.countvec_sha256 == countvec[1]
            and self._is_signed(newest)
        )
        return (newest.clf_id, newest.clf_sha256 or "") if same else None

    def _usable_countvec(self) -> tuple[tuple[int, str] | None, str]:
        """Return the stored vectorizer if the next classifier can go with it; else None and why not."""
        countvec_id = self._store.newest_countvec_id()
        if not countvec_id:
            return None, "there is none"
        run = self._runs.of_countvec(countvec_id)
        if run is None:
            return None, f"vectorizer {countvec_id} was not stored by al_learner"
        if not self._is_signed(run):
            return None, f"vectorizer {countvec_id} is not signed with the configured key"
        if run.strategies["vectorizer"] != self._looker.specs["vectorizer"]:
            return None, "its name or parameters changed"
        return (countvec_id, run.countvec_sha256 or ""), ""

    def _is_signed(self, run: Run) -> bool:
        expected = artifacts.signature(self.settings.signing_secret, run.clf_sha256 or "", run.countvec_sha256 or "")
        return expected is None or run.signature == expected


def _ranges(ids: Iterable[int]) -> str:
    """Return ids in words: ``1-3, 7``."""
    spans: list[list[int]] = []
    for i in sorted(ids):
        if spans and i == spans[-1][1] + 1:
            spans[-1][1] = i
        else:
            spans.append([i, i])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)
