"""Label aggregators: from the votes on a text to its label."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from al_learner.core.interfaces.strategy import Codes, Strategy


@dataclass(frozen=True)
class Votes:
    """The votes of all countable texts, in voting order within each text.

    Attributes
    ----------
    text, annotator, label : ndarray of shape (n_votes,), intp
        Codes: the text 0 … n_texts-1, sorted; the annotator, -1 where nobody is named (each such vote is an
        annotator of its own); the label, a position in `label_names`.
    label_names : tuple of str
    stored : ndarray of shape (n_texts,), intp
        The label that each text has now, as a position in `label_names`; -1 for none.
    """

    text: Codes
    annotator: Codes
    label: Codes
    label_names: tuple[str, ...]
    stored: Codes

    @property
    def is_shared(self) -> NDArray[np.bool_]:
        """For each vote, whether another annotator voted on the same text, shape (n_votes,)."""
        n_votes = np.bincount(self.text)[self.text]
        width = self.annotator.max(initial=-1) + 2
        _, pair, own = np.unique(self.text * width + self.annotator + 1, return_inverse=True, return_counts=True)
        return n_votes > np.where(self.annotator < 0, 1, own[pair])


class LabelAggregator(Strategy):
    """Aggregates the votes on each text to one label."""

    requires: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def aggregate(self, votes: Votes) -> Codes:
        """Return one label code for each text, shape (n_texts,), intp.

        In a tie the stored label stays if it is among the tied labels; else the tied label that was voted first wins.
        """

    def accuracies(self, votes: Votes) -> NDArray[np.float64] | None:
        """Estimate each annotator's accuracy; None, the default, if this aggregator does not estimate it.

        Returns
        -------
        accuracies : ndarray of shape (n_annotators,), float64, or None
            Shares from 0 to 1, by annotator code; NaN where there is no shared vote.
        """
        del votes
        return None
