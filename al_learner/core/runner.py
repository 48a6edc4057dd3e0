"""A run, step by step: labels and the run's row; training; the pair, success and `taught`; later the score."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, replace

import numpy as np
from numpy.typing import NDArray

from al_learner.core import choosing
from al_learner.core.commits import Run, RunKind, RunLock
from al_learner.core.errors import AlLearnerError, DatabaseUnavailable, UntrustedError
from al_learner.core.evaluation import Basis
from al_learner.core.events import event
from al_learner.core.gate import Gate, in_words
from al_learner.core.look import Look
from al_learner.core.pairs import Pairs
from al_learner.core.registry import Spec
from al_learner.core.runs import Runs
from al_learner.core.settings import Settings
from al_learner.core.status import ranges
from al_learner.core.store import Store
from al_learner.core.trainer import ColdStart, Job, Trainer


class Runner:
    """Does runs, each under the lock that its caller holds."""

    def __init__(self, settings: Settings, store: Store, runs: Runs, pairs: Pairs, trainer: Trainer) -> None:
        self._settings, self._store, self._runs, self._pairs, self._trainer = settings, store, runs, pairs, trainer
        self._gate = Gate(settings, runs, pairs)
        chosen = settings.strategies
        self._vectorizer = Spec.of("vectorizer", chosen.vectorizer)
        self._init_sampler = Spec.of("init_sampler", chosen.init_sampler)

    def run(
        self, kind: RunKind, look: Look, lock: RunLock, *, forced: bool = False, refit: bool = False
    ) -> tuple[Run, Job]:
        """Train and store. Return the run, and its job, as `score` wants it.

        Raises
        ------
        AlLearnerError
            It failed; al_runs says why, and nothing else was stored.
        """
        started = time.monotonic()
        settled = look.settled
        new = settled.is_new if kind == "update" else np.zeros_like(settled.is_new)
        samples = list(zip(settled.text_ids[new].tolist(), settled.labels[new].tolist(), strict=True))
        run_id = lock.begin(kind, forced=forced, state=look.state, strategies=look.specs, samples=samples)
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
            seconds = time.monotonic() - started
            signature = self._pairs.signature(trained)
            run = lock.finish(run_id, trained, text_ids, signature=signature, seconds=seconds)
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
            "run.finished", run_id=run_id, kind=kind, clf_id=run.clf_id, texts=trained.texts, classes=trained.classes,
            seconds=seconds,
        )  # fmt: skip
        return run, replace(job, countvec=(run.countvec_id or 0, trained.countvec_sha256))

    def score(self, run: Run, lock: RunLock, what: Job | Look) -> None:
        """Measure a run's classifier by a twin that has not seen the slice; by a look, when its job is gone.

        If the gate holds the classifier, the former pair is put back as the newest in the same commit.
        """
        former, because = None, ""
        try:
            job = what if isinstance(what, Job) else self._job_of(run, what)
            score = self._trainer.score(job)
            precision, metrics = score.precision, score.metrics
            verdict, former = self._gate.judge(run, metrics, _truth(job, metrics.get("basis")))
            if verdict:
                metrics = {**metrics, "gate": verdict}
            because = in_words(run.clf_id, verdict) or ""
        except DatabaseUnavailable:
            raise
        except AlLearnerError as exc:
            precision, metrics = None, {"reason": f"scoring failed: {exc}"}
        if because:
            event("gate.worse", level=logging.WARNING, run_id=run.run_id, clf_id=run.clf_id, because=because)
        back = lock.score(run.run_id, run.clf_id or 0, precision, metrics, put_back=former, because=because)
        event("run.scored", run_id=run.run_id, clf_id=run.clf_id, precision=precision)
        if back is not None and former is not None:
            event("pair.promoted", run_id=back.run_id, clf_id=back.clf_id, of=former.run.clf_id)

    def choose(self, run: Run, look: Look, lock: RunLock, job: Job | None = None) -> None:
        """Choose among the classifier's candidates, on what a run was trained on; the next run trains the winner."""
        started = time.monotonic()
        candidates = choosing.specs_of(self._settings.candidates)
        chooser = Spec.of("classifier", self._settings.strategies.classifier)

        def losses_of(name: str) -> choosing.Losses:
            done = job or self._job_of(run, look)
            return self._trainer.losses(replace(done, classifier=candidates[name], last=None, chooser=chooser))

        choice = choosing.choose(candidates, look.choice, run.texts or 0, losses_of)
        lock.choose(run.run_id, asdict(choice))
        event(
            "choice.made", run_id=run.run_id, chosen=choice.name, labels=choice.labels, losses=choice.losses,
            seconds=time.monotonic() - started,
        )  # fmt: skip

    def _job_of(self, run: Run, look: Look) -> Job:
        """Return the job that the newest run did: its texts are those that no vote has made new samples since."""
        return self._rows(run.kind, look, ~look.settled.is_new, self._pairs.recorded_countvec(run))

    def _job(self, kind: RunKind, look: Look, *, refit: bool, because: str = "it was asked for") -> Job:
        usable, reason = self._pairs.usable_countvec(look.specs["vectorizer"])
        countvec, reason = (None, because) if refit else (usable, reason)
        if countvec is None and (lost := [model.clf_id for model in self._store.models()]):
            event("vectorizer.refitted", level=logging.WARNING, reason=reason, no_longer_downloadable=ranges(lost))
        return self._rows(kind, look, np.ones_like(look.settled.is_new), countvec)

    def _rows(self, kind: RunKind, look: Look, texts: NDArray[np.bool_], countvec: tuple[int, str] | None) -> Job:
        excluded = list(self._settings.exclude_labels)
        texts = texts & (kind == "update") & ~np.isin(look.settled.labels, excluded)
        init = ~np.isin(look.init_labels, excluded)
        cold_start = None
        if kind == "init" and not look.facts.can_start_from_init_data:
            init = np.zeros_like(init)
            names = tuple(name for name in look.label_names if name not in excluded)
            cold_start = ColdStart(self._init_sampler, names, size=max(2, self._settings.batch_size))
        return Job(
            classifier=choosing.trained(look.specs["classifier"]),
            vectorizer=self._vectorizer,
            text_ids=look.settled.text_ids[texts],
            init_ids=look.init_ids[init],
            labels=np.concatenate([look.settled.labels[texts], look.init_labels[init]]),
            countvec=countvec,
            last=self._pairs.startable(look.newest, look.specs["classifier"], countvec),
            packages=self._settings.predictor_packages,
            cold_start=cold_start,
        )


def _truth(job: Job, basis: Basis | None) -> dict[int, str]:
    n = len(job.text_ids)
    ids, labels = (job.text_ids, job.labels[:n]) if basis == "votes" else (job.init_ids, job.labels[n:])
    return dict(zip(ids.tolist(), labels.tolist(), strict=True))
