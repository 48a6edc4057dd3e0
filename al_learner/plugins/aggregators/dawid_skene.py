"""The most probable label, given how reliable each annotator is."""

from __future__ import annotations

import warnings
from functools import lru_cache
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from al_learner.core.interfaces import Codes, LabelAggregator, Votes

if find_spec("crowdkit") is None:
    raise ModuleNotFoundError(
        "it needs crowd-kit: pip install 'al-learner[crowd]'; for the container, build the "
        'image with --build-arg EXTRAS="meaning metrics crowd"'
    )

TIE = 1e-9
"""Up to this relative difference two probabilities are tied, because sums of floating-point numbers are not exact."""


class DawidSkene(LabelAggregator):
    """The most probable label, given the reliability of each annotator. It needs several votes on each text.

    Expectation maximisation estimates two things in turn: the probabilities of each text's labels, and each annotator's
    confusion matrix, which says how often they vote for a label when another one is right. Only labels that somebody
    voted for are candidates for a text. So a text on which all annotators agree gets that label.

    The published method has no prior. An annotator with few votes would lose against the most frequent label. Therefore
    each annotator gets `prior_votes` additional right votes for each label, on artificial texts.

    Anonymous votes count as votes of different annotators. They share one confusion matrix, because one vote says
    nothing about an annotator. Several votes of one annotator on a text all count, as in the paper.

    The number of rounds is fixed, without a tolerance. The bound that crowd-kit checks counts the labels' frequencies
    once for each vote instead of once for each text, and it falls while the estimates still improve.

    References
    ----------
    Dawid and Skene (1979). Maximum likelihood estimation of observer error-rates using the EM algorithm. Journal of
    the Royal Statistical Society C 28(1), 20-28. https://doi.org/10.2307/2346806
    """

    n_iter: int = Field(default=20, ge=1, description="Number of rounds of expectation maximization.")
    prior_votes: int = Field(
        default=1, ge=0, description="Number of right votes for each label that are added for every annotator."
    )

    def aggregate(self, votes: Votes) -> Codes:
        probability = self._probabilities(votes)
        best = np.zeros(len(votes.stored))
        np.maximum.at(best, votes.text, probability)
        tied = np.flatnonzero(probability >= best[votes.text] * (1 - TIE))
        text, label = votes.text[tied], votes.label[tied]
        # Sorted so that each text's winner comes first: the stored label, or else the first voted.
        order = np.lexsort((tied, label != votes.stored[text], text))
        _, winners = np.unique(text[order], return_index=True)
        won: Codes = label[order][winners]
        return won

    def accuracies(self, votes: Votes) -> NDArray[np.float64]:
        """Return the mean probability of the labels that each annotator voted for, on texts they share with others."""
        counted = votes.is_shared & (votes.annotator >= 0)
        annotator, probability = votes.annotator[counted], self._probabilities(votes)[counted]
        n_annotators = int(votes.annotator.max(initial=-1)) + 1
        n_votes = np.bincount(annotator, minlength=n_annotators)
        right = np.bincount(annotator, probability, minlength=n_annotators)
        shares: NDArray[np.float64] = np.full(n_annotators, np.nan)
        np.divide(right, n_votes, out=shares, where=n_votes > 0)
        np.minimum(shares, 1, out=shares)  # a sum of floating-point numbers may be a little above 1
        return shares

    def _probabilities(self, votes: Votes) -> NDArray[np.float64]:
        """Return, for each vote, how probable its label is for its text, shape (n_votes,)."""
        if not len(votes.text):
            return np.zeros(0)
        order, text = _canonical(votes)
        _, label = np.unique(votes.label[order], return_inverse=True)
        columns = (column.astype(np.intp).tobytes() for column in (text, votes.annotator[order], label))
        probability = np.empty(len(order))
        probability[order] = _fitted(self.n_iter, self.prior_votes, *columns)
        return probability


def _canonical(votes: Votes) -> tuple[Codes, Codes]:
    """Return an order of the votes, and codes of their texts, that do not depend on the order of the texts.

    Rounding errors depend on that order, and expectation maximisation can amplify them until they decide which label
    wins.
    """
    order = np.lexsort((votes.label, votes.annotator, votes.text))
    ballots: dict[int, list[tuple[int, int]]] = {}
    columns = (column[order].tolist() for column in (votes.text, votes.annotator, votes.label))
    for text, annotator, label in zip(*columns, strict=True):
        ballots.setdefault(text, []).append((annotator, label))
    rank = np.empty(len(votes.stored), np.intp)
    rank[sorted(ballots, key=ballots.__getitem__)] = np.arange(len(ballots))
    moved = np.argsort(rank[votes.text[order]], kind="stable")
    return order[moved], rank[votes.text[order][moved]]


@lru_cache(maxsize=1)
def _fitted(n_iter: int, prior_votes: int, *columns: bytes) -> NDArray[np.float64]:
    """Fit the model to the columns text, annotator and label. It is cached, because a run uses it several times."""
    from crowdkit.aggregation import DawidSkene as Model  # heavy, with pandas
    from pandas import DataFrame, Series

    text, annotator, label = (np.frombuffer(column, np.intp) for column in columns)
    n_texts, n_labels, annotators = text.max() + 1, label.max() + 1, np.unique(annotator)
    made_up = np.arange(n_texts, n_texts + n_labels)  # a text for each label, whose label is known
    credit = np.tile(np.arange(n_labels), len(annotators) * prior_votes)
    data = DataFrame(
        {
            "task": np.append(text, made_up[credit]),
            "worker": np.append(annotator, np.repeat(np.tile(annotators, prior_votes), n_labels)),
            "label": np.append(label, credit),
        }
    )
    known = Series(np.arange(n_labels), index=made_up) if prior_votes else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of pandas, about crowd-kit's code
        found = Model(n_iter=n_iter, tol=-np.inf).fit_predict_proba(data, known)
    # crowd-kit gives the columns in any order.
    probabilities: NDArray[np.float64] = found.reindex(index=range(n_texts), columns=range(n_labels)).to_numpy()
    return probabilities[text, label]
