"""Runs the label aggregator: one label a text, and the estimated accuracy of each annotator."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from al_learner.core.errors import PluginError
from al_learner.core.interfaces import Codes, LabelAggregator, Votes


def winners(aggregator: LabelAggregator, votes: Votes) -> Codes:
    """Return one label code for each text, shape (n_texts,).

    Raises
    ------
    PluginError
        The aggregator raised, or returned something else.
    """
    if not len(votes.stored):
        return np.array([], np.intp)
    try:
        won = np.asarray(aggregator.aggregate(votes))
    except Exception as exc:  # whatever a third party's code raises
        raise _failed(aggregator, exc) from exc
    n_labels = len(votes.label_names)
    if won.shape != votes.stored.shape or won.dtype.kind not in "iu" or not ((won >= 0) & (won < n_labels)).all():
        raise PluginError(
            f"label_aggregator {aggregator!r} must return {len(votes.stored)} label codes from 0 to {n_labels - 1}, "
            f"not {won.dtype} of shape {won.shape}"
        )
    return won.astype(np.intp)


def accuracies(aggregator: LabelAggregator, votes: Votes) -> NDArray[np.float64] | None:
    """Return each annotator's accuracy, shape (n_annotators,), NaN where unknown; None if it estimates none.

    Raises
    ------
    PluginError
        The aggregator raised, or returned something else.
    """
    try:
        found = aggregator.accuracies(votes)
        shares = None if found is None else np.asarray(found, np.float64)
    except Exception as exc:  # whatever a third party's code raises
        raise _failed(aggregator, exc) from exc
    shape = (int(votes.annotator.max(initial=-1)) + 1,)
    if shares is not None and (shares.shape != shape or (shares < 0).any() or (shares > 1).any()):
        raise PluginError(
            f"label_aggregator {aggregator!r}: accuracies must be {shape[0]} shares from 0 to 1, or NaN, not "
            f"{shares.tolist()}"
        )
    return shares


def _failed(aggregator: LabelAggregator, exc: Exception) -> PluginError:
    return PluginError(f"label_aggregator {aggregator!r} failed: {type(exc).__name__}: {exc}")
