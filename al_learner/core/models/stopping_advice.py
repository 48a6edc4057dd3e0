"""Stopping advice: what the last batches gained, and whether predictions still change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from al_learner.core.errors import DataError
from al_learner.core.models.comparison import Comparison, compare, predictions
from al_learner.core.training.evaluation import describe_size

BATCHES = 5
"""The gain is computed over so many batches."""

KAPPAS = 3
"""The agreement of successive classifiers is averaged over so many pairs of them."""

STABLE = 0.99
"""With this mean agreement predictions have stabilized. Both numbers are from the paper (see `advise`)."""


@dataclass(frozen=True)
class StoppingAdvice:
    """What the last batches gained, and whether predictions still change.

    Attributes
    ----------
    words : str
        The advice, or the reason why there is none yet.
    gain : float or None
        Accuracy of the newest classifier minus that of the one `BATCHES` before it, on their common hold-out texts.
    gain_interval : tuple of float or None
        Its 95% interval.
    size : int
        Number of these texts.
    kappa : float or None
        Mean of Cohen's kappa between the predictions of successive classifiers on a fixed sample of texts.
    sample_size : int
        Number of texts in the sample.
    """

    words: str
    gain: float | None = None
    gain_interval: tuple[float, float] | None = None
    size: int = 0
    kappa: float | None = None
    sample_size: int = 0


def advise(scored: Sequence[tuple[int, Mapping[str, Any]]], truth: Mapping[int, str]) -> StoppingAdvice:
    """Compute what the last batches gained, from the scores of their classifiers.

    Parameters
    ----------
    scored : sequence of (clf_id, metrics)
        The updates that were scored on one basis, with predictions; the newest first.
    truth : mapping of int to str
        The current label of each hold-out text.

    References
    ----------
    Bloodgood and Vijay-Shanker (2009). A method for stopping active learning based on stabilizing predictions and the
    need for user-adjustable stopping. CoNLL. https://aclanthology.org/W09-1107
    """
    if len(scored) <= BATCHES:
        return StoppingAdvice(
            f"not enough data: {BATCHES + 1} scored batches of votes are needed; there are {len(scored)}"
        )
    try:
        gain = compare(*scored[BATCHES], *scored[0], truth)
        samples = [predictions(*of, part="sample") for of in scored[: KAPPAS + 1]]
    except DataError as exc:
        return StoppingAdvice(f"not enough data: {exc}")
    kappa = float(np.mean([_kappa(new, old) for new, old in pairwise(samples)]))
    points, *interval = gain.gain
    return StoppingAdvice(
        _words(gain, kappa, len(samples[0])), points, (interval[0], interval[1]), gain.size, kappa, len(samples[0])
    )


def _words(gain: Comparison, kappa: float, sample_size: int) -> str:
    points, low, high = (100 * part for part in gain.gain)
    told = (
        f"the last {BATCHES} batches changed accuracy by {points:+.1f} points (95%: {low:+.1f} to {high:+.1f}), "
        f"measured on the {describe_size(gain.size, gain.basis)} that both have predicted; the predictions of "
        f"successive classifiers on {sample_size:,} fixed texts agree with kappa {kappa:.3f}"
    )
    if gain.different_priors:
        told += f"; {gain.different_priors}"
    if kappa < STABLE:
        advice = "Predictions still change, so more votes will probably change the classifier"
    elif low > 0:
        advice = "Predictions are stable, but accuracy still grew: more votes may help"
    else:
        advice = "Predictions are stable: more votes of this kind will probably change little"
    return f"{told}. {advice}. You decide whether to stop."


def _kappa(new: Mapping[int, str], old: Mapping[int, str]) -> float:
    from sklearn.metrics import cohen_kappa_score  # heavy

    common = [i for i in new if i in old]
    if not common:
        raise DataError("successive classifiers have no text of the fixed sample in common")
    pairs = [new[i] for i in common], [old[i] for i in common]
    return 1.0 if pairs[0] == pairs[1] else float(cohen_kappa_score(*pairs))  # with only one label kappa is not defined
