"""The gate: is a new classifier significantly worse than the one before it, and what then."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from al_learner.core.commits import Pair, Run
from al_learner.core.comparison import compare
from al_learner.core.errors import DataError, UntrustedError
from al_learner.core.events import event
from al_learner.core.pairs import Pairs
from al_learner.core.runs import Runs
from al_learner.core.settings import Settings

LEVEL = 0.01
"""A classifier is worse if chance alone would make it look as bad in fewer than one of a hundred batches.

Every batch is another test, so the usual 0.05 would cry wolf once in twenty. It takes seven texts at least that only
the former classifier gets right.
"""


class Gate:
    """Compares every scored classifier with the one before it."""

    def __init__(self, settings: Settings, runs: Runs, pairs: Pairs) -> None:
        self._mode, self._runs, self._pairs = settings.gate, runs, pairs

    def judge(
        self, run: Run, metrics: Mapping[str, Any], truth: Mapping[int, str]
    ) -> tuple[dict[str, Any], Pair | None]:
        """Return the verdict on a run, as its metrics record it, and the former pair if that is to be put back.

        Parameters
        ----------
        run : Run
            The newest that succeeded.
        metrics : mapping
            Its score.
        truth : mapping of int to str
            The label of each text that it was measured on.
        """
        if self._mode == "off":
            return {}, None
        former = next(iter(self._runs.recent(status="succeeded", limit=2, detailed=True)[1:]), None)
        if former is None or former.clf_id is None or run.clf_id is None:
            return {"verdict": "not compared", "because": "there is no former classifier"}, None
        against = {"against": former.clf_id}
        try:
            found = compare(former.clf_id, former.metrics, run.clf_id, metrics, truth)
        except DataError as exc:
            return {**against, "verdict": "not compared", "because": str(exc)}, None
        verdict = {
            **against,
            "size": found.size,
            "former_accuracy": found.accuracies[0],
            "accuracy": found.accuracies[1],
            "only_former_right": found.only_a_right,
            "only_right": found.only_b_right,
            "p_value": found.p_worse,
        }
        if found.p_worse >= LEVEL:
            return {**verdict, "verdict": "passed"}, None
        pair = self._former_pair(former.clf_id) if self._mode == "hold" else None
        return {**verdict, "verdict": "held" if pair else "worse"}, pair

    def _former_pair(self, clf_id: int) -> Pair | None:
        try:
            return self._pairs.stored(clf_id)
        except (UntrustedError, DataError) as exc:
            event("gate.cannot_hold", level=logging.WARNING, clf_id=clf_id, error=str(exc))
            return None


def in_words(clf_id: int | None, gate: Mapping[str, Any] | None) -> str | None:
    """Say that a classifier is worse than the one before it; None if it is not."""
    if not gate or gate["verdict"] not in ("worse", "held"):
        return None
    then = "; held: the former one was put back, under a new id" if gate["verdict"] == "held" else ""
    return (
        f"classifier {clf_id} is significantly worse than classifier {gate['against']}: {gate['accuracy']:.1%} right "
        f"instead of {gate['former_accuracy']:.1%} on {gate['size']:,} common texts (p = {gate['p_value']:.2g}){then}"
    )
