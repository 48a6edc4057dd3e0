"""The quality gate: whether a new classifier is significantly worse than the one before it, and what happens then.

With the setting `gate` = ``warn`` there is a warning. With ``hold`` a classifier is scored before it is announced. If
it is worse, a copy of the former model is stored as the newest, in the same transaction as the score.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from al_learner.core.artifacts.trusted_models import TrustedModels
from al_learner.core.errors import DataError, UntrustedError
from al_learner.core.events import event
from al_learner.core.models.comparison import compare, describe_priors
from al_learner.core.storage.records import Run, RunStatus, StoredModel
from al_learner.core.storage.runs import Runs

LEVEL = 0.01
"""Significance level of the test whether a classifier is worse.

Every batch is one more test, so the usual 0.05 would give a false warning in one of twenty batches. With 0.01, at least
seven texts are needed that only the former classifier gets right.
"""


@dataclass(frozen=True)
class Judgement:
    """The gate's judgement on a classifier.

    Attributes
    ----------
    record : mapping
        Stored in the run's metrics; empty if the gate is off.
    restored : StoredModel or None
        The former model, if it must be stored as the newest again.
    because : str
        Why the classifier is worse; empty if it is not.
    """

    record: Mapping[str, Any] = field(default_factory=dict)
    restored: StoredModel | None = None
    because: str = ""


class Gate:
    """Compares every scored classifier with the one before it."""

    def __init__(self, mode: Literal["warn", "hold", "off"], runs: Runs, models: TrustedModels) -> None:
        self._mode, self._runs, self._models = mode, runs, models

    @property
    def holds(self) -> bool:
        """Whether a classifier that is worse is held back."""
        return self._mode == "hold"

    def must_wait(self, newest: Run | None) -> bool:
        """Whether the newest classifier may not be announced yet, because it may still be held back."""
        return self.holds and newest is not None and newest.metrics is None

    def judge(self, run: Run, metrics: Mapping[str, Any], truth: Mapping[int, str]) -> Judgement:
        """Compare a run's classifier with the one before it.

        Parameters
        ----------
        run : Run
            One that succeeded. There may be newer ones.
        metrics : mapping
            Its score.
        truth : mapping of int to str
            The label of each text that it was measured on.
        """
        if self._mode == "off":
            return Judgement()
        former = self._runs.last(status=RunStatus.SUCCEEDED, before=run, detailed=True)
        if former is None or former.clf_id is None or run.clf_id is None:
            return Judgement({"verdict": "not compared", "because": "there is no former classifier"})
        against = {"against": former.clf_id}
        try:
            found = compare(former.clf_id, former.metrics, run.clf_id, metrics, truth)
        except DataError as exc:
            return Judgement({**against, "verdict": "not compared", "because": str(exc)})
        verdict: dict[str, Any] = {
            **against,
            "size": found.size,
            "former_accuracy": found.accuracies[0],
            "accuracy": found.accuracies[1],
            "only_former_right": found.only_a_right,
            "only_right": found.only_b_right,
            "p_value": found.p_worse,
            "priors": [*found.priors],
        }
        if found.p_worse >= LEVEL:
            return Judgement({**verdict, "verdict": "passed"})
        restored = self._former_model(former.clf_id) if self.holds else None
        verdict |= {"verdict": "held" if restored else "worse"}
        because = describe_gate(run.clf_id, verdict) or ""
        event("gate.worse", level=logging.WARNING, run_id=run.run_id, clf_id=run.clf_id, because=because)
        return Judgement(verdict, restored, because)

    def _former_model(self, clf_id: int) -> StoredModel | None:
        try:
            return self._models.stored(clf_id)
        except (UntrustedError, DataError) as exc:
            event("gate.cannot_hold", level=logging.WARNING, clf_id=clf_id, error=str(exc))
            return None


def describe_gate(clf_id: int | None, record: Mapping[str, Any] | None) -> str | None:
    """Return in words that a classifier is worse than the one before it; None if it is not."""
    if not record or record["verdict"] not in ("worse", "held"):
        return None
    then = "; held back: the former one was restored, with a new id" if record["verdict"] == "held" else ""
    priors = describe_priors(record["against"], clf_id, record.get("priors", (None, None)))  # a former version has none
    return (
        f"classifier {clf_id} is significantly worse than classifier {record['against']}: {record['accuracy']:.1%} "
        f"right instead of {record['former_accuracy']:.1%} on {record['size']:,} common texts "
        f"(p = {record['p_value']:.2g}){'; ' + priors if priors else ''}{then}"
    )
