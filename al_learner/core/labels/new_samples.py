"""The aggregated labels, and the new samples: texts whose label the last classifier was not trained on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, repeat

import numpy as np
from numpy.typing import NDArray

from al_learner.core.interfaces import LabelAggregator
from al_learner.core.labels.aggregation import winners
from al_learner.core.labels.votes import VotedText, count


@dataclass(frozen=True)
class AggregatedLabels:
    """The labels that the votes aggregate to.

    Attributes
    ----------
    text_ids : ndarray of shape (n_labelled,), int64
        Every text with a label: aggregated now, or stored before.
    labels : ndarray of shape (n_labelled,), object
        Their labels.
    is_new : ndarray of shape (n_labelled,), bool
        The new samples: countable texts that the last classifier was not trained on, or with another label.
    any_taught : bool
        Whether a classifier was trained on one of the labels.
    n_votes, n_countable : int
        Votes that count, and texts with enough of them.
    too_long : tuple of str
        Labels of entries that do not count, because `major_label` cannot hold them.
    """

    text_ids: NDArray[np.int64]
    labels: NDArray[np.object_]
    is_new: NDArray[np.bool_]
    any_taught: bool
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
    """Aggregate the votes of every countable text, and find the new samples.

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
        any_taught=any(row.taught for row in chain(countable, kept)),
        n_votes=counted.n_votes,
        n_countable=len(countable),
        too_long=counted.too_long,
    )
