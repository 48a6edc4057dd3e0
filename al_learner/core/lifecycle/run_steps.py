"""The steps of a run: train, announce, score, choose. The worker, the command line and notebooks all use them.

`decide` says which step comes next. Each is done here, by the holder of the run lock.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np

from al_learner.core.artifacts.trusted_models import TrustedModels
from al_learner.core.errors import AlLearnerError, ClusterUnavailable, DatabaseUnavailable, UntrustedError
from al_learner.core.events import event
from al_learner.core.lifecycle.announcements import Announcements
from al_learner.core.lifecycle.decide import Step, may_init, may_update, steps_after_training
from al_learner.core.lifecycle.job_builder import JobBuilder, truth, without_votes
from al_learner.core.lifecycle.project_state import ProjectState, StateReader
from al_learner.core.lifecycle.quality_gate import Gate
from al_learner.core.lifecycle.result import Result
from al_learner.core.storage.records import Run, RunKind, RunStatus
from al_learner.core.storage.run_lock import hold_run_lock
from al_learner.core.storage.run_transactions import RunTransactions
from al_learner.core.storage.storage import Storage
from al_learner.core.training.candidate_selection import CandidateSelector, Choice
from al_learner.core.training.compute import Compute
from al_learner.core.training.job import Job, Score, Trainer


@dataclass(frozen=True)
class _Evaluation:
    """A score or a choice that the background trainer works on.

    Attributes
    ----------
    outcome : Future
        What is stored.
    store : callable
        Stores it for the run.
    """

    run: Run
    outcome: Future[Any]
    store: Callable[[Run, Any, RunTransactions], None]


class Lifecycle:
    """Does what is due in one project, or what a person asks for.

    With a background trainer, scores and choices are computed beside the trainings, without the run lock. Each is
    stored when it is ready, at the next reconciliation. Without one, they are computed at once.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        reader: StateReader,
        jobs: JobBuilder,
        compute: Compute,
        models: TrustedModels,
        selector: CandidateSelector,
        gate: Gate,
        announcements: Announcements,
    ) -> None:
        self._database, self._tables, self._runs = storage.database, storage.tables, storage.runs
        self._reader, self._jobs, self._compute, self._models = reader, jobs, compute, models
        self._selector, self._gate, self._announcements = selector, gate, announcements
        self._evaluation: _Evaluation | None = None

    def reconcile(self, *, init_received: bool, may_announce: bool) -> ProjectState:
        """Do the most urgent step that is due. A training is announced at once; its other steps are due later."""
        if self._reader.superseded():  # without the run lock, which the other worker needs
            return self._reader.read(init_received=init_received, may_announce=may_announce)
        with hold_run_lock(self._database) as lock:
            self._store_evaluation(lock)
            is_evaluating = self._evaluation is not None
            state = self._reader.read(
                init_received=init_received, may_announce=may_announce, is_evaluating=is_evaluating
            )
            if init_received and state.facts.has_classifier:
                self._announcements.request()  # texts may have been appended that nobody has scored
            match state.due:
                case "update" | "init" as kind:
                    run, job = self._train(kind, state, lock)
                    self._follow_up(run, state, lock, job, until="announce")
                case "announce" | "score" | "choose" as step:
                    self._do(step, state.newest, state, lock)
                case None if not state.facts.has_classifier and (sources := self._jobs.sources(state)):
                    self._compute.load_word_vectors(sources)
            return state

    def update(self, *, force: bool, refit: bool, wait_s: float) -> Result:
        """Train on the votes if enough new samples are there, and do all that follows."""
        with hold_run_lock(self._database, wait_s=wait_s) as lock:
            state = self._scored_state(lock)
            due, reason = may_update(state.facts, forced=force)
            if not due:
                return Result("update", reason)
            run, job = self._train("update", state, lock, forced=True, refit=refit)
            return self._finish_by_hand(run, job, state, lock, reason)

    def init(self, *, force: bool, discard_votes: bool, wait_s: float) -> Result:
        """Train the first classifier, and do all that follows."""
        with hold_run_lock(self._database, wait_s=wait_s) as lock:
            state = self._scored_state(lock, init_received=True)
            if state.facts.has_classifier and not force:
                clf_id = self._tables.newest_clf_id()
                return Result("init", f"there is a classifier already ({clf_id}); --force trains a new one")
            voted = state.aggregated.n_countable
            if voted and (force or may_update(state.facts)[0]) and not discard_votes:
                return Result(
                    "init",
                    f"{voted:,} texts have votes, and a first classifier does not use votes. "
                    "`al-learner train` trains on the votes; --discard-votes trains without them, and they stay stored",
                )
            due, reason = may_init(state.facts)
            if not due:
                return Result("init", reason)
            run, job = self._train("init", state, lock, forced=True)
            return self._finish_by_hand(run, job, state, lock, reason)

    def promote(self, clf_id: int, *, wait_s: float) -> Result:
        """Store a copy of a former model as the newest, and announce it."""
        with hold_run_lock(self._database, wait_s=wait_s) as lock:
            if clf_id == self._tables.newest_clf_id():
                return Result("promote", f"classifier {clf_id} is the newest already")
            reason = "it was asked for"
            run = lock.promote(self._models.stored(clf_id), sign=self._models.sign, because=reason)
            event("model.promoted", run_id=run.run_id, clf_id=run.clf_id, of=clf_id)
            self._announcements.announce()
            return Result("promote", reason, self._runs.last(clf_id=run.clf_id))

    def _scored_state(self, lock: RunTransactions, *, init_received: bool = False) -> ProjectState:
        """Read the state for a person. Where the gate may hold the newest classifier back, score that first."""
        self._reader.warn_of_worker()
        state = self._reader.read(init_received=init_received)
        if state.facts.must_score:
            self._do("score", state.newest, state, lock)
            state = self._reader.read(init_received=init_received)
        return state

    def _finish_by_hand(self, run: Run, job: Job, state: ProjectState, lock: RunTransactions, reason: str) -> Result:
        self._follow_up(run, state, lock, job, until="choose")
        return Result(run.kind, reason, self._runs.last(clf_id=run.clf_id))

    def _follow_up(self, run: Run, state: ProjectState, lock: RunTransactions, job: Job, *, until: Step) -> None:
        """Do the steps after a training, in their order, up to and including `until`."""
        for step in steps_after_training(holds=self._gate.holds):
            is_due = step != "choose" or (
                job.cold_start is None and self._selector.is_due(state.choice, run.texts or 0)
            )
            if is_due:
                self._do(step, run, state, lock, job)
            if step == until:
                return

    def _do(
        self, step: Step, run: Run | None, state: ProjectState, lock: RunTransactions, job: Job | None = None
    ) -> None:
        """Do one step for a run. Its `job` is built again where it is not given."""
        if step == "announce":
            self._announce(run)
        elif run is not None:
            job_of_run = cache(partial(self._jobs.of, run, state)) if job is None else lambda: job
            if step == "score":
                beside = not self._gate.holds
                self._evaluate(run, partial(self._measure, job_of_run), self._store_score, lock, beside=beside)
            else:
                compare = partial(self._compare, run, job_of_run, state)
                self._evaluate(run, compare, self._store_choice, lock, beside=True)

    def _evaluate(
        self,
        run: Run,
        work: Callable[[Trainer], Any],
        store: Callable[[Run, Any, RunTransactions], None],
        lock: RunTransactions,
        *,
        beside: bool,
    ) -> None:
        """Compute a score or a choice for a run, and store it: now, or `beside` the trainings if that is possible."""
        if beside and self._compute.background is not None:
            self._evaluation = _Evaluation(run, self._compute.background.submit(work), store)
        else:
            store(run, work(self._compute.trainer), lock)

    def _store_evaluation(self, lock: RunTransactions) -> None:
        """Store what the background trainer has computed, if it is ready. Raise what it raised."""
        evaluation = self._evaluation
        if evaluation is None or not evaluation.outcome.done():
            return
        self._evaluation = None  # after an error it is due again, but not before what is more urgent
        outcome = evaluation.outcome.result()
        try:
            evaluation.store(evaluation.run, outcome, lock)
        except DatabaseUnavailable:
            self._evaluation = evaluation
            raise

    def _announce(self, newest: Run | None) -> None:
        """Announce. If that is repeated in vain, the stored predictions may tell that it is not needed."""
        is_repeated = self._announcements.is_missed(newest)
        if self._announcements.announce() or newest is None or not is_repeated:
            return
        try:
            clf = newest.clf_id or 0, newest.clf_sha256 or ""
            has_predicted = self._compute.trainer.has_predicted(clf, self._models.recorded_countvec(newest))
        except DatabaseUnavailable:
            raise
        except AlLearnerError as exc:
            event("announcement.not_compared", level=logging.WARNING, clf_id=newest.clf_id, error=str(exc))
            return
        if has_predicted:
            self._announcements.acknowledge(newest)

    def _train(
        self, kind: RunKind, state: ProjectState, lock: RunTransactions, *, forced: bool = False, refit: bool = False
    ) -> tuple[Run, Job]:
        """Train and store. Return the run and its job, which the steps after it use.

        Raises
        ------
        AlLearnerError
            The run failed. al_runs records the reason; nothing else was stored.
        """
        started = time.monotonic()
        self._compute.check()
        aggregated = state.aggregated
        new = aggregated.is_new if kind == "update" else np.zeros_like(aggregated.is_new)
        samples = list(zip(aggregated.text_ids[new].tolist(), aggregated.labels[new].tolist(), strict=True))
        given: Any = {"state": state.digest, "strategies": state.specs, "defaults": state.defaults}
        run_id = lock.begin(kind, forced=forced, samples=samples, **given)
        event("run.started", run_id=run_id, kind=kind, new_samples=len(samples))
        try:
            with self._database.on_one_connection():
                job = self._jobs.new(kind, state, refit=refit)
            try:
                trained = self._compute.trainer.train(job)
            except UntrustedError as exc:
                job = self._jobs.new(kind, state, refit=True, because=f"the stored vectorizer cannot be used: {exc}")
                trained = self._compute.trainer.train(job)
            for note in trained.notes:
                event("run.note", level=logging.WARNING, run_id=run_id, note=note)
            text_ids = aggregated.text_ids.tolist() if kind == "update" else []
            seconds = time.monotonic() - started
            run = lock.finish(run_id, trained, text_ids, sign=self._models.sign, seconds=seconds)
        except DatabaseUnavailable:
            raise  # nothing can be recorded; the next holder of the lock marks the run as died
        except ClusterUnavailable as exc:
            lock.end(run_id, RunStatus.ABANDONED, str(exc))
            event("run.abandoned", level=logging.WARNING, run_id=run_id, kind=kind, error=str(exc))
            raise
        except Exception as exc:
            error = str(exc) if isinstance(exc, AlLearnerError) else f"{type(exc).__name__}: {exc}"
            lock.end(run_id, RunStatus.FAILED, error)
            event("run.failed", level=logging.ERROR, run_id=run_id, kind=kind, error=error)
            raise
        except BaseException as exc:
            with suppress(DatabaseUnavailable):  # a statement that was interrupted may have cost the connection
                lock.end(run_id, RunStatus.ABANDONED, f"interrupted: {type(exc).__name__}")
            event("run.abandoned", level=logging.WARNING, run_id=run_id, kind=kind)
            raise
        event(
            "run.finished", run_id=run_id, kind=kind, clf_id=run.clf_id, texts=trained.texts, classes=trained.classes,
            seconds=seconds,
        )  # fmt: skip
        prior = None
        if trained.prior and run.prior:
            prior = without_votes(replace(trained.prior, prior_id=run.prior["prior_id"]), state)
        return run, replace(job, countvec=(run.countvec_id or 0, trained.countvec_sha256), prior=prior, new_prior=None)

    def _measure(self, job_of_run: Callable[[], Job], trainer: Trainer) -> tuple[Score, dict[int, str]]:
        """Return the score of a run's classifier, by a hold-out model, and the labels that it was measured with."""
        try:
            job = job_of_run()
            score = trainer.score(job)
            return score, truth(job, score.metrics.get("basis"))
        except (DatabaseUnavailable, ClusterUnavailable):
            raise
        except AlLearnerError as exc:
            return Score(None, {"reason": f"scoring failed: {exc}"}), {}

    def _store_score(self, run: Run, measured: tuple[Score, dict[int, str]], lock: RunTransactions) -> None:
        """Let the gate judge a score, and store it, unless the run has got another one meanwhile.

        If the gate holds the classifier back, the former model is stored as the newest, in the same transaction.
        """
        stored = self._runs.last(clf_id=run.clf_id)
        if stored is None or stored.run_id != run.run_id or stored.metrics is not None:
            return
        score, truth_of = measured
        judgement = self._gate.judge(run, score.metrics, truth_of)
        metrics = {**score.metrics, **({"gate": judgement.record} if judgement.record else {})}
        restored = judgement.restored
        restoration = lock.score(
            run.run_id,
            run.clf_id or 0,
            score.precision,
            metrics,
            restored=restored,
            because=judgement.because,
            sign=self._models.sign,
        )
        event("run.scored", run_id=run.run_id, clf_id=run.clf_id, precision=score.precision)
        if restoration is not None and restored is not None:
            event("model.promoted", run_id=restoration.run_id, clf_id=restoration.clf_id, of=restored.run.clf_id)

    def _compare(
        self, run: Run, job_of_run: Callable[[], Job], state: ProjectState, trainer: Trainer
    ) -> tuple[Choice, float]:
        """Compare the classifier's candidates on the texts of a run. Return the choice and the seconds it took."""
        started = time.monotonic()
        losses_of = lambda name: trainer.losses(self._selector.job(name, job_of_run()))  # noqa: E731 - a parameter
        choice = self._selector.select(state.choice, run.texts or 0, losses_of)
        return choice, time.monotonic() - started

    def _store_choice(self, run: Run, compared: tuple[Choice, float], lock: RunTransactions) -> None:
        """Store a choice, unless another one was made meanwhile. The next run trains what was chosen."""
        choice, seconds = compared
        if not self._selector.is_due(self._reader.last_choice(), choice.labels):
            return
        lock.choose(run.run_id, asdict(choice))
        event(
            "choice.made", run_id=run.run_id, chosen=choice.name, labels=choice.labels, losses=choice.losses,
            seconds=seconds,
        )  # fmt: skip
