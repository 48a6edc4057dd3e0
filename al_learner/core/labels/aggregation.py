"""From votes to one label a text, and which texts are new samples."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, repeat

import numpy as np
from numpy.typing import NDArray

from al_learner.core.errors import PluginError
from al_learner.core.interfaces import Codes, LabelAggregator, Votes
from al_learner.core.labels.votes import VotedText, count


@dataclass(frozen=True)
class AggregatedLabels:
    """What the votes aggregate to.

    Attributes
    ----------
    text_ids : ndarray of shape (n_labelled,), int64
        Every text with a label: settled now, or stored before.
    labels : ndarray of shape (n_labelled,), object
        Their labels.
    is_new : ndarray of shape (n_labelled,), bool
        The new samples: countable texts that the last classifier does not know, or knows under another label.
    n_votes, n_countable : int
        Votes that count, and texts with enough of them.
    too_long : tuple of str
        Labels that were voted but do not count, because `major_label` cannot hold them.
    """

    text_ids: NDArray[np.int64]
    labels: NDArray[np.object_]
    is_new: NDArray[np.bool_]
    n_votes: int
    n_countable: int
    too_long: tuple[str, ...]

    @property
    def n_new(self) -> int:
        """How many new samples there are."""
        return int(self.is_new.sum())


def aggregate_votes(
    rows: Iterable[VotedText], aggregator: LabelAggregator, *, min_label_count: int, max_label_length: int
) -> AggregatedLabels:
    """Aggregate the votes of every countable text and tell which are new samples.

    A text with fewer than `min_label_count` votes keeps the label it has.
    """
    counted = count(rows, min_label_count=min_label_count, max_label_length=max_label_length)
    countable, kept, names = counted.countable, counted.kept, counted.votes.label_names
    majors = [names[code] for code in winners(aggregator, counted.votes)]
    is_new = [not row.taught or row.major_label != major for row, major in zip(countable, majors, strict=True)]
    order = np.argsort([row.text_id for row in chain(countable, kept)], kind="stable")
    return AggregatedLabels(
        text_ids=np.array([row.text_id for row in chain(countable, kept)], np.int64)[order],
        labels=np.array([*majors, *(row.major_label for row in kept)], object)[order],
        is_new=np.array([*is_new, *repeat(False, len(kept))], bool)[order],
        n_votes=counted.n_votes,
        n_countable=len(countable),
        too_long=counted.too_long,
    )


def winners(aggregator: LabelAggregator, votes: Votes) -> Codes:
    """Return one label code for each text, shape (n_texts,).

    Raises
    ------
    PluginError
        The aggregator failed, or returned something else.
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
    """Return how often each annotator is right, shape (n_annotators,), NaN where unknown; None if it does not tell.

    Raises
    ------
    PluginError
        The aggregator failed, or returned something else.
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
