"""The aggregated labels, and the new samples: texts whose label the last classifier was not trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from al_learner.core.interfaces import Codes, LabelAggregator, Votes
from al_learner.core.labels.aggregation import winners
from al_learner.core.labels.votes import Counted, VotedText, count


@dataclass(frozen=True)
class AggregatedLabels:
    """The labels that the votes aggregate to.

    Attributes
    ----------
    text_ids : ndarray of shape (n_labelled,), int64
        Every text with a label, ascending. The label was aggregated now, or stored earlier.
    codes : ndarray of shape (n_labelled,), intp
        Their labels, as positions in `label_names`.
    label_names : tuple of str
        The different labels, sorted.
    is_new : ndarray of shape (n_labelled,), bool
        True for new samples: texts with enough votes that the last classifier was not trained on, or was trained on
        with another label.
    voted_ids : ndarray of shape (n_voted,), int64
        Every text with a vote or a label, also those with too few votes, ascending.
    any_taught : bool
        Whether a classifier was trained on one of the labels.
    n_votes, n_countable : int
        Votes that count, and texts with enough of them.
    too_long : tuple of str
        Labels that are longer than `major_label` can hold. Votes for them do not count.
    """

    text_ids: NDArray[np.int64]
    codes: Codes
    label_names: tuple[str, ...]
    is_new: NDArray[np.bool_]
    voted_ids: NDArray[np.int64]
    any_taught: bool
    n_votes: int
    n_countable: int
    too_long: tuple[str, ...]

    @property
    def labels(self) -> NDArray[np.object_]:
        """The labels, shape (n_labelled,), object."""
        return np.array(self.label_names, object)[self.codes]

    @property
    def n_new(self) -> int:
        """How many new samples there are."""
        return int(self.is_new.sum())


def aggregate_votes(
    rows: Iterable[VotedText], aggregator: LabelAggregator, *, min_label_count: int, max_label_length: int
) -> AggregatedLabels:
    """Aggregate the votes of rows that are read once; see `aggregate`."""
    counted = count(rows, min_label_count=min_label_count, max_label_length=max_label_length)
    return aggregate(counted, partial(winners, aggregator))


def aggregate(counted: Counted, winners_of: Callable[[Votes], Codes]) -> AggregatedLabels:
    """Aggregate the votes of every countable text, and find the new samples.

    A text with fewer votes than are needed keeps the label it has.

    Parameters
    ----------
    winners_of : callable
        Returns one label code for each text; see `winners`.
    """
    majors = winners_of(counted.votes)
    names = np.array(counted.votes.label_names, object)
    won, won_codes = np.unique(majors, return_inverse=True)  # some labels may win no text
    label_names = sorted({*names[won].tolist(), *counted.kept_labels.tolist()})
    position = {name: number for number, name in enumerate(label_names)}
    codes = [
        np.array([position[name] for name in names[won].tolist()], np.intp)[won_codes],
        np.array([position[name] for name in counted.kept_labels.tolist()], np.intp),
    ]
    text_ids = np.concatenate([counted.text_ids, counted.kept_ids])
    is_new = ~counted.taught | (majors != counted.votes.stored)
    order = np.argsort(text_ids, kind="stable")
    return AggregatedLabels(
        text_ids=text_ids[order],
        codes=np.concatenate(codes)[order],
        label_names=tuple(label_names),
        is_new=np.concatenate([is_new, np.zeros(len(counted.kept_ids), bool)])[order],
        voted_ids=counted.voted_ids,
        any_taught=counted.any_taught,
        n_votes=counted.n_votes,
        n_countable=len(counted.text_ids),
        too_long=counted.too_long,
    )
