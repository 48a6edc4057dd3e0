"""A look: everything that is stored, as far as it decides what is due."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from al_learner.core import choosing
from al_learner.core.choosing import Choice
from al_learner.core.commits import Run
from al_learner.core.database import Database
from al_learner.core.due import Due, Facts, blocked, decide
from al_learner.core.evaluation import Basis
from al_learner.core.events import event
from al_learner.core.interfaces import Chooser
from al_learner.core.registry import INTERFACES, Spec
from al_learner.core.runs import Runs
from al_learner.core.schema import MAX_LABEL_LENGTH
from al_learner.core.settings import Settings
from al_learner.core.store import Ids, Store
from al_learner.core.voting import Settled, settle

N_RECENT = 50
"""Runs that are searched for repeated failures."""


@dataclass(frozen=True)
class Look:
    """What is due, why, and what that rests on.

    Attributes
    ----------
    specs : mapping
        The configured strategies, as al_runs records them; beside a chooser, as ``chosen``, what is trained for it.
    state : str
        Digest of votes, data and settings: a run that failed is not tried again on the same state at once.
    newest : Run or None
        The newest run that succeeded.
    choice : Choice or None
        The last choice, if the classifier is a chooser.
    """

    due: Due | None
    reason: str
    facts: Facts
    settled: Settled
    init_ids: Ids
    init_labels: NDArray[np.object_]
    label_names: tuple[str, ...]
    specs: Mapping[str, Any]
    state: str
    newest: Run | None
    choice: Choice | None

    def truth(self, basis: Basis) -> dict[int, str]:
        """Return the labels that are settled now, by text_id, or by init_id where `basis` is ``init-data``."""
        settled = self.settled.text_ids, self.settled.labels
        ids, labels = settled if basis == "votes" else (self.init_ids, self.init_labels)
        return dict(zip(ids.tolist(), labels.tolist(), strict=True))


class Looker:
    """Takes looks at one database with one set of settings."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database, self._settings = database, settings
        self._store, self._runs = Store(database), Runs(database)
        self._warned: set[str] = set()
        self._specs = _specs(settings)

    def look(self, *, heard_init: bool = False, may_announce: bool = True) -> Look:
        """Read what is stored and tell what is due; `heard_init`: db_helper said that loading is over."""
        settings = self._settings
        settled = settle(
            self._store.voted_texts(),
            settings.strategies.label_aggregator,
            min_label_count=settings.min_label_count,
            max_label_length=MAX_LABEL_LENGTH,
        )
        self._warn_of_long_labels(settled)
        init_ids, init_labels = self._store.init_labels()
        names = tuple(self._store.label_names())
        newest_text, newest_clf = self._store.newest_text_id(), self._store.newest_clf_id()
        newest = self._runs.last(status="succeeded")
        choice = self._last_choice()
        specs = self._specs_with(choice)
        excluded = {*settings.exclude_labels}
        state = self._digest(
            [settled.n_votes, newest_text, settled.text_ids.tolist(), settled.labels.tolist()],
            [init_ids.tolist(), init_labels.tolist(), names],
            specs,
        )
        can_start_from_init_data = len({*init_labels} - excluded) > 1
        facts = Facts(
            new_samples=settled.n_new,
            batch_size=settings.batch_size,
            classes=len({*settled.labels, *init_labels} - excluded),
            has_classifier=newest_clf > 0,
            is_loaded=bool(names) or heard_init,
            can_start_from_init_data=can_start_from_init_data,
            can_start_at_random=len({*names} - excluded) > 1 and newest_text > 0,
            is_unheard=settings.has_redis
            and may_announce
            and ((newest is not None and newest.announced is None) or (heard_init and newest_clf > 0)),
            is_unscored=newest is not None and newest.metrics is None,
            is_unchosen=newest is not None
            and (newest.kind == "update" or can_start_from_init_data)  # else its labels were drawn at random
            and is_unchosen(settings, choice, newest),
            holds=settings.gate == "hold",
            blocked=blocked(self._runs.recent(limit=N_RECENT, after=newest), state, self._database.now()),
        )
        due, reason = decide(facts)
        return Look(due, reason, facts, settled, init_ids, init_labels, names, specs, state, newest, choice)

    def _digest(self, *parts: Any) -> str:
        settings = self._settings
        counted = [settings.batch_size, settings.min_label_count]
        trained_for = [settings.exclude_labels, settings.predictor_packages]
        return hashlib.sha256(json.dumps([*parts, counted, trained_for]).encode()).hexdigest()

    def _last_choice(self) -> Choice | None:
        found = self._runs.newest_choice() if self._settings.candidates else None
        return None if found is None else Choice(**found)

    def _specs_with(self, choice: Choice | None) -> Mapping[str, Any]:
        candidates = choosing.specs_of(self._settings.candidates)
        if not candidates:
            return self._specs
        chosen = asdict(candidates[choosing.standing_in(candidates, choice)])
        return {**self._specs, "classifier": {**self._specs["classifier"], "chosen": chosen}}

    def _warn_of_long_labels(self, settled: Settled) -> None:
        for label in set(settled.too_long) - self._warned:
            self._warned.add(label)
            event("vote.too_long", level=logging.WARNING, label=label[:60], limit=MAX_LABEL_LENGTH)


def is_unchosen(settings: Settings, choice: Choice | None, run: Run) -> bool:
    """Tell whether it is time to choose, on what a run was trained on."""
    chooser = settings.strategies.classifier
    if not isinstance(chooser, Chooser):
        return False
    return choosing.is_due(chooser, choosing.specs_of(settings.candidates), choice, run.texts or 0)


def _specs(settings: Settings) -> Mapping[str, Any]:
    """Return the strategies as al_runs records them: kind to name and parameters, as JSON has it."""
    chosen = {kind: asdict(Spec.of(kind, getattr(settings.strategies, kind))) for kind in INTERFACES}
    return dict(json.loads(json.dumps(chosen)))
