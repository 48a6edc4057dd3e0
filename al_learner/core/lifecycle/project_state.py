"""The project state: what is stored, as far as it decides what is due."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from al_learner.core.artifacts.trusted_models import TrustedModels
from al_learner.core.configuration import defaults
from al_learner.core.configuration.defaults import Defaults
from al_learner.core.configuration.settings import Settings
from al_learner.core.events import event
from al_learner.core.labels.new_samples import AggregatedLabels, aggregate
from al_learner.core.labels.votes import VoteCache
from al_learner.core.lifecycle.announcements import Announcements
from al_learner.core.lifecycle.backoff import blocked
from al_learner.core.lifecycle.decide import Due, Facts, decide
from al_learner.core.lifecycle.quality_gate import Gate
from al_learner.core.registry import INTERFACES, Spec, is_same
from al_learner.core.storage.records import MAX_LABEL_LENGTH, Ids, Run, RunStatus
from al_learner.core.storage.storage import Storage
from al_learner.core.storage.workers import Workers
from al_learner.core.training.candidate_selection import CandidateSelector, Choice
from al_learner.core.training.compute import Compute
from al_learner.core.training.evaluation import Basis

N_RECENT = 50
"""Runs that are searched for repeated failures."""

FEW = 1_000
"""Up to this number, voted texts are read faster than PostgreSQL can compute which of them have changed."""


def deciding_settings(settings: Settings) -> dict[str, Any]:
    """Return the settings that decide what is trained and served. Workers of one database must have the same.

    A strategy that they do not name is the project's, which is the same for all workers. So whatever is installed
    beside a worker makes no difference.
    """
    found: dict[str, Any] = {}
    for kind in INTERFACES:
        if getattr(settings, kind) is None:
            found[kind] = str(Spec("the project's", getattr(settings, f"{kind}_params")))
            found[f"{kind}s"] = getattr(settings, f"{kind}s")
        else:
            found[kind] = str(Spec.of(kind, getattr(settings.strategies, kind)))
    if settings.classifier is not None:
        found["candidates"] = [*settings.candidates]
    names = ("batch_size", "min_label_count", "exclude_labels", "predictor_packages", "gate")
    return found | {name: getattr(settings, name) for name in names}


@dataclass(frozen=True)
class ProjectState:
    """What is due, why, and the data behind it.

    Attributes
    ----------
    specs : mapping
        The configured strategies, as al_runs records them. A model selector also has ``chosen``, what is trained.
    defaults : mapping
        The strategies of the project where no setting names one, as al_runs records them.
    digest : str
        Digest of votes, data and settings. After a failed run there is a pause while it stays the same.
    newest : Run or None
        The newest run that succeeded.
    choice : Choice or None
        The last choice, if the classifier is a model selector.
    excluded : tuple of str
        Labels that are not trained on.
    """

    due: Due | None
    reason: str
    facts: Facts
    aggregated: AggregatedLabels
    init_ids: Ids
    init_labels: NDArray[np.object_]
    label_names: tuple[str, ...]
    specs: Mapping[str, Any]
    defaults: Mapping[str, Any]
    digest: str
    newest: Run | None
    choice: Choice | None
    excluded: tuple[str, ...]

    def truth(self, basis: Basis) -> dict[int, str]:
        """Return the labels by text_id, or by init_id where `basis` is ``init-data``. Excluded labels are left out."""
        aggregated = self.aggregated.text_ids, self.aggregated.labels
        ids, labels = aggregated if basis == "votes" else (self.init_ids, self.init_labels)
        pairs = zip(ids.tolist(), labels.tolist(), strict=True)
        return {i: label for i, label in pairs if label not in self.excluded}


class StateReader:
    """Reads the state of one project with one set of settings.

    Attributes
    ----------
    settings : Settings
        Once the state was read, with the project's strategies where the settings name none.
    """

    def __init__(
        self,
        settings: Settings,
        storage: Storage,
        *,
        selector: CandidateSelector,
        gate: Gate,
        announcements: Announcements,
        workers: Workers,
        compute: Compute,
        models: TrustedModels,
    ) -> None:
        self.settings, self._workers, self._compute, self._models = settings, workers, compute, models
        self._database, self._tables, self._runs = storage.database, storage.tables, storage.runs
        self._selector, self._gate, self._announcements = selector, gate, announcements
        self._votes = VoteCache(max_label_length=MAX_LABEL_LENGTH)
        self._warned: set[str] = set()
        self._defaults: Defaults = {}
        self._is_recorded = False
        self._specs: dict[str, Any] = {}

    def read(
        self, *, init_received: bool = False, may_announce: bool = True, is_evaluating: bool = False
    ) -> ProjectState:
        """Read what is stored and decide what is due; parameters as in `Project.reconcile`.

        `is_evaluating`: the background trainer scores or compares, so neither of the two is due again.
        If there are enough new samples, the training process of a worker begins to read them.
        """
        with self._database.on_one_connection():
            newest = self._runs.last(status=RunStatus.SUCCEEDED)
            self._read_defaults(newest)
            self._read_votes()
        # An aggregator may take long. A connection that is idle for so long may be ended.
        counted = self._votes.count(min_label_count=self.settings.min_label_count)
        aggregated = aggregate(counted, self._compute.winners_of)
        if aggregated.n_new >= self.settings.batch_size:  # then an update is probably due
            self._compute.read_ahead(aggregated.text_ids)
        self._warn_of_long_labels(aggregated)
        with self._database.on_one_connection():
            return self._decided(
                newest,
                aggregated,
                init_received=init_received,
                may_announce=may_announce,
                is_evaluating=is_evaluating,
            )

    def _decided(
        self,
        newest: Run | None,
        aggregated: AggregatedLabels,
        *,
        init_received: bool,
        may_announce: bool,
        is_evaluating: bool,
    ) -> ProjectState:
        settings, excluded = self.settings, {*self.settings.exclude_labels}
        init_ids, init_labels = self._tables.init_labels()
        names = tuple(self._tables.label_names())
        newest_text, newest_clf = self._tables.newest_text_id(), self._tables.newest_clf_id()
        choice = self.last_choice()
        specs = {"classifier": self._selector.record(choice), **self._specs}
        digest = self._digest(
            [aggregated.n_votes, newest_text, aggregated.label_names],
            [init_ids.tolist(), init_labels.tolist(), names],
            specs,
            arrays=(aggregated.text_ids, aggregated.codes),
        )
        can_start_from_init_data = len({*init_labels} - excluded) > 1
        is_choice_due = (
            newest is not None
            and not is_evaluating
            and (newest.origin == "update" or can_start_from_init_data)  # else its labels are random
            # Else the next run has other features.
            and is_same("vectorizer", newest.strategies["vectorizer"], specs["vectorizer"])
            and self._selector.is_due(choice, newest.texts or 0)
        )
        facts = Facts(
            new_samples=aggregated.n_new,
            batch_size=settings.batch_size,
            classes=len({*aggregated.label_names, *init_labels} - excluded),
            has_classifier=newest_clf > 0,
            is_loaded=bool(names) or init_received,
            can_start_from_init_data=can_start_from_init_data,
            can_start_at_random=len({*names} - excluded) > 1 and newest_text > 0,
            lacks_votes=self._lacks_votes(aggregated, newest, newest_clf),
            announcement_pending=may_announce
            and self._announcements.is_due(newest, requested=init_received and newest_clf > 0),
            is_unscored=newest is not None and newest.metrics is None and (self._gate.holds or not is_evaluating),
            is_choice_due=is_choice_due,
            holds=self._gate.holds,
            blocked=blocked(self._runs.recent(limit=N_RECENT, after=newest), digest, self._database.now()),
            superseded=self.superseded(),
        )
        due, reason = decide(facts)
        return ProjectState(
            due=due,
            reason=reason,
            facts=facts,
            aggregated=aggregated,
            init_ids=init_ids,
            init_labels=init_labels,
            label_names=names,
            specs=specs,
            defaults=defaults.to_record(self._defaults),
            digest=digest,
            newest=newest,
            choice=choice,
            excluded=settings.exclude_labels,
        )

    def _read_votes(self) -> None:
        """Read the votes that have changed, or all of them as long as they are few."""
        if self._votes.n_texts <= FEW and (few := self._tables.few_voted_texts(FEW)) is not None:
            self._votes.refresh(None, lambda _: few)
        else:
            self._votes.refresh(self._tables.vote_digests(), self._tables.voted_texts)

    def read_settings(self) -> Settings:
        """Return the settings with the project's strategies where they name none; the tables may be of any version."""
        with self._database.reading() as connection:
            columns = self._database.columns(connection).get("al_runs", set())
        record = self._runs.defaults() if "defaults" in columns else None
        has_succeeded = bool(columns) and RunStatus.SUCCEEDED in self._runs.by_status()
        found = defaults.of_project(record, has_succeeded=has_succeeded)
        return self.settings.of_project(found, is_recorded=has_succeeded or record is not None)

    def _read_defaults(self, newest: Run | None) -> None:
        """Take over the strategies that the project began with, where the settings name none.

        Until a run has recorded them, they are read again each time. So a run, which reads the state under the run
        lock, has those of a run that another installation has just begun.
        """
        if self._is_recorded:
            return
        record = self._runs.defaults()
        self._is_recorded = record is not None
        found = defaults.of_project(record, has_succeeded=newest is not None)
        is_new = record is None and newest is None
        if is_new and None in (getattr(self.settings, kind) for kind in found):
            defaults.tell_of_extra()
        if found != self._defaults:
            self.settings = self.settings.of_project(found, is_recorded=not is_new)
            self._defaults, strategies = found, self.settings.strategies
            self._selector.use(strategies.classifier, strategies.candidates)
            others = [kind for kind in INTERFACES if kind != "classifier"]  # that one is recorded by the selector
            self._specs = {kind: asdict(Spec.of(kind, getattr(strategies, kind))) for kind in others}

    def _lacks_votes(self, aggregated: AggregatedLabels, newest: Run | None, newest_clf: int) -> bool:
        """Whether votes were trained on, but the newest classifier comes neither from that training nor from a person.

        With a signing key, one without a valid signature comes from neither.
        A former classifier that was promoted or restored after that training counts, and so does a first classifier
        that a person asked for by hand: both stay until there are enough new samples.
        """
        succeeded = partial(self._runs.last, status=RunStatus.SUCCEEDED)
        update = newest if newest and newest.kind == "update" else succeeded(kind="update")
        if update is None and not aggregated.any_taught:
            return False
        run = newest if newest and newest.clf_id == newest_clf else succeeded(clf_id=newest_clf)
        if run is None or not self._models.is_signed(run) or (run.kind == "init" and not run.forced):
            return True
        return update is not None and run.run_id < update.run_id

    def warn_of_worker(self) -> None:
        """Warn a person whose settings are not those of the worker, which will train with its own again."""
        if other := self._workers.superseding():
            differences = self._workers.differences(other)
            event("settings.differ", level=logging.WARNING, worker=other.owner, differences=differences)

    def superseded(self) -> str | None:
        """Return why this worker does nothing: another one with other settings has started later. Else None."""
        other = self._workers.superseding() if self._workers.is_registered else None
        if other is None:
            return None
        differences = self._workers.differences(other)
        return f"superseded by {other.owner}, a worker that started later with other settings: {differences}"

    def _digest(self, *parts: Any, arrays: tuple[NDArray[np.integer[Any]], ...]) -> str:
        settings = self.settings
        counted = [settings.batch_size, settings.min_label_count]
        trained_for = [settings.exclude_labels, settings.predictor_packages]
        limits = [settings.train_timeout_s, settings.train_memory_mib, settings.max_artifact_mib]
        digest = hashlib.sha256(json.dumps([*parts, counted, trained_for, limits]).encode())
        for array in arrays:
            digest.update(np.ascontiguousarray(array, "<i8").tobytes())
        return digest.hexdigest()

    def last_choice(self) -> Choice | None:
        """Return the last choice; None if there is none, or if the classifier is not a model selector."""
        found = self._runs.newest_choice() if self._selector.chooses else None
        return None if found is None else Choice.of(found)

    def _warn_of_long_labels(self, aggregated: AggregatedLabels) -> None:
        for label in set(aggregated.too_long) - self._warned:
            self._warned.add(label)
            event("vote.too_long", level=logging.WARNING, label=label[:60], limit=MAX_LABEL_LENGTH)
