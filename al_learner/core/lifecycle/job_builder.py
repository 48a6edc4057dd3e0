"""Builds a training job from the project state: texts, labels, vectorizer, and the classifier for a warm start."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import asdict, replace

import numpy as np
from numpy.typing import NDArray

from al_learner.core.artifacts.trusted_models import TrustedModels
from al_learner.core.configuration.settings import Settings
from al_learner.core.events import event
from al_learner.core.interfaces import UsesWordVectors
from al_learner.core.lifecycle.project_state import ProjectState
from al_learner.core.models.catalogue import ranges
from al_learner.core.registry import Kind, Spec
from al_learner.core.storage.records import Prior, Run, RunKind
from al_learner.core.storage.storage import Storage
from al_learner.core.training.candidate_selection import trained
from al_learner.core.training.cold_start import prior_weight, surest
from al_learner.core.training.evaluation import Basis
from al_learner.core.training.job import ColdStart, Job

MAX_GROWTH = 1.5
"""With more than so many times as many texts as the last classifier had, a fit does not start from it.

From so far away it takes more steps than from zero, and it ends farther from the minimum in directions that unlabelled
texts can show.
"""


class JobBuilder:
    """Builds jobs for one project with one set of settings."""

    def __init__(self, settings: Settings, storage: Storage, models: TrustedModels) -> None:
        self._settings, self._models = settings, models
        self._tables, self._runs = storage.tables, storage.runs

    def new(self, kind: RunKind, state: ProjectState, *, refit: bool = False, because: str = "it was asked for") -> Job:
        """Return the job of a new run: all labelled texts, with the configured strategies.

        Parameters
        ----------
        refit : bool
            Fit a new vectorizer; `because` is the reason for the log.
        """
        usable, reason = self._models.usable_countvec(state.specs["vectorizer"])
        countvec, reason = (None, because) if refit else (usable, reason)
        if countvec is None and (lost := [stored.clf_id for stored in self._tables.models()]):
            event("vectorizer.refitted", level=logging.WARNING, reason=reason, no_longer_downloadable=ranges(lost))
        classifier, vectorizer = state.specs["classifier"], Spec(**state.specs["vectorizer"])
        everything = np.ones_like(state.aggregated.is_new)
        last = self._models.startable(state.newest, classifier, countvec)
        job = self._job(kind, state, everything, trained(classifier), vectorizer, countvec, last)
        if state.newest is not None and len(job.labels) > MAX_GROWTH * (state.newest.texts or 0):
            job = replace(job, last=None)
        if job.cold_start is None and not state.facts.can_start_from_init_data:
            start = self._cold_start(state, len(job.labels))
            prior = self._runs.prior(made_for=start.made_for)
            if prior is None:
                return replace(job, new_prior=start)
            prior = replace(prior, weight=prior_weight(prior.labels.tolist(), start.n_labelled))
            return replace(job, prior=without_votes(prior, state))
        return job

    def of(self, run: Run, state: ProjectState) -> Job:
        """Build the job of the newest run again, with its own strategies, to score it or to compare candidates.

        Texts that became new samples after it are left out.
        """
        classifier, vectorizer = trained(run.strategies["classifier"]), Spec(**run.strategies["vectorizer"])
        countvec = self._models.recorded_countvec(run)
        job = self._job(run.origin, state, ~state.aggregated.is_new, classifier, vectorizer, countvec, None)
        prior = self._runs.prior(prior_id=run.prior["prior_id"], weight=run.prior["weight"]) if run.prior else None
        return job if prior is None else replace(job, prior=without_votes(prior, state))

    def sources(self, state: ProjectState) -> list[str]:
        """Return the sources of word vectors that the job of a first run needs."""
        kinds: tuple[Kind, ...] = ("init_sampler", "vectorizer")
        strategies = [Spec(**state.specs[kind]).make(kind) for kind in kinds]
        return sorted({strategy.source for strategy in strategies if isinstance(strategy, UsesWordVectors)})

    def _job(
        self,
        kind: RunKind,
        state: ProjectState,
        texts: NDArray[np.bool_],
        classifier: Spec,
        vectorizer: Spec,
        countvec: tuple[int, str] | None,
        last: tuple[int, str] | None,
    ) -> Job:
        labels, excluded = state.aggregated.labels, list(state.excluded)
        texts = texts & (kind == "update") & ~np.isin(labels, excluded)
        init = ~np.isin(state.init_labels, excluded)
        cold_start = None
        if kind == "init" and not state.facts.can_start_from_init_data:
            init = np.zeros_like(init)
            cold_start = self._cold_start(state, 0)
        return Job(
            classifier=classifier,
            vectorizer=vectorizer,
            text_ids=state.aggregated.text_ids[texts],
            init_ids=state.init_ids[init],
            labels=np.concatenate([labels[texts], state.init_labels[init]]),
            countvec=countvec,
            last=last,
            packages=self._settings.predictor_packages,
            max_artifact_mib=self._settings.max_artifact_mib,
            cold_start=cold_start,
            query=self._settings.query,
        )

    def _cold_start(self, state: ProjectState, n_labelled: int) -> ColdStart:
        descriptions = self._tables.descriptions()
        labels = {name: descriptions.get(name, "") for name in state.label_names if name not in state.excluded}
        kinds: tuple[Kind, ...] = ("init_sampler", "vectorizer")
        strategies = [asdict(Spec(**state.specs[kind]).shorten(kind)) for kind in kinds]
        return ColdStart(
            init_sampler=Spec(**state.specs["init_sampler"]),
            labels=labels,
            size=max(2, self._settings.batch_size),
            made_for=hashlib.sha256(json.dumps([sorted(labels.items()), strategies]).encode()).hexdigest(),
            n_labelled=n_labelled,
            voted_ids=state.aggregated.voted_ids,
        )


def without_votes(prior: Prior, state: ProjectState) -> Prior:
    """Return the surest texts of a prior, without those that have been voted on, and without excluded labels."""
    prior = surest(prior)
    voted = np.isin(prior.text_ids, state.aggregated.voted_ids)
    return prior.among(~voted & ~np.isin(prior.labels, list(state.excluded)))


def truth(job: Job, basis: Basis | None) -> dict[int, str]:
    """Return the labels of a job's texts by text_id, or by init_id for ``init-data``."""
    n = len(job.text_ids)
    ids, labels = (job.text_ids, job.labels[:n]) if basis == "votes" else (job.init_ids, job.labels[n:])
    return dict(zip(ids.tolist(), labels.tolist(), strict=True))
