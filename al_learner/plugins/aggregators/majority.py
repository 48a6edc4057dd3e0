"""The label with the most votes."""

from __future__ import annotations

import numpy as np

from al_learner.core.interfaces import Codes, LabelAggregator, Votes


class Majority(LabelAggregator):
    """The label with the most votes. In a tie it is the stored label, or else the one that was voted first."""

    def aggregate(self, votes: Votes) -> Codes:
        n_labels = len(votes.label_names)
        pairs, first, counts = np.unique(votes.text * n_labels + votes.label, return_index=True, return_counts=True)
        text, label = np.divmod(pairs, max(n_labels, 1))
        is_stored = label == votes.stored[text]
        # Sorted so that each text's winner comes last: most votes, then the stored label, then the first voted.
        order = np.lexsort((-first, is_stored, counts, text))
        winners = np.append(text[order][1:] != text[order][:-1], True)[: len(order)]
        won: Codes = label[order][winners].astype(np.intp)
        return won
