"""What label aggregators promise."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence

import numpy as np

from al_learner.core.interfaces import Codes, LabelAggregator, Votes
from al_learner.core.testing.expect import CHANCE, FOUR_LABELS, expect, seeded


def check_one_label_a_text(strategy: LabelAggregator) -> None:
    """Texts with few and many votes, named and anonymous ones, with and without a stored label."""
    _aggregated(strategy, *_random_votes())


def check_no_votes(strategy: LabelAggregator) -> None:
    """A project in which nobody has voted yet."""
    _aggregated(strategy, [], [])


def check_unanimous_votes(strategy: LabelAggregator) -> None:
    """If all votes of a text are for one label, it gets that label, whatever label it had before."""
    voted = [label for label in range(4) for _ in range(5)]
    for stored in (-1, 0):
        won = _aggregated(strategy, [[(0, label), (1, label), (-1, label)] for label in voted], [stored] * len(voted))
        expect(won.tolist() == voted, f"texts with three equal votes, for {voted}, get the labels {won.tolist()}")


def check_ties(strategy: LabelAggregator) -> None:
    """The stored label wins if it is one of the tied labels. Otherwise the one that was voted first wins."""
    ties = [
        ([1, 0], -1, 1),
        ([0, 1], -1, 0),
        ([0, 1], 1, 1),
        ([1, 0], 2, 1),
        ([2, 1, 1, 2], -1, 2),
        ([1, 2, 2, 1], 2, 2),
    ]
    for labels, stored, expected in ties:
        (won,) = _aggregated(strategy, [[(-1, label) for label in labels]], [stored])
        expect(
            won == expected,
            f"votes for {labels} with the stored label {stored} (-1: none) must aggregate to {expected}, not {won}",
        )


def check_same_votes_same_labels(strategy: LabelAggregator) -> None:
    """The same votes give the same labels. Random numbers depend on the parameter `random_state`."""
    first, second = (_aggregated(seeded(strategy), *_random_votes()) for _ in range(2))
    expect(np.array_equal(first, second), CHANCE)


def check_order_of_texts_does_not_matter(strategy: LabelAggregator) -> None:
    """The database returns rows in any order."""
    votes, stored = _random_votes()
    order = np.random.default_rng(1).permutation(len(votes))
    won = _aggregated(seeded(strategy), votes, stored)
    reordered = _aggregated(seeded(strategy), [votes[text] for text in order], [stored[text] for text in order])
    expect(np.array_equal(reordered, won[order]), "the same texts in another order get other labels")


def check_votes_are_not_changed(strategy: LabelAggregator) -> None:
    """The arrays of the caller stay as they are."""
    votes = _votes(*_random_votes())
    kept = copy.deepcopy(votes)
    strategy.aggregate(votes)
    strategy.accuracies(votes)
    for name in ("text", "annotator", "label", "stored"):
        expect(np.array_equal(getattr(votes, name), getattr(kept, name)), f"votes.{name} is changed")


def check_accuracies(strategy: LabelAggregator) -> None:
    """Either None, or one number for each annotator: a share from 0 to 1, or NaN if it is unknown."""
    for texts, stored in (_random_votes(), ([], []), ([[(-1, 0)], [(-1, 1)]], [-1, -1])):
        votes = _votes(texts, stored)
        n_annotators = int(votes.annotator.max(initial=-1)) + 1
        found = strategy.accuracies(votes)
        if found is None:
            continue
        shares = np.asarray(found)
        floats = shares.shape == (n_annotators,) and shares.dtype.kind == "f"
        expect(floats, f"{n_annotators} annotators need as many accuracies, not {shares.dtype} of shape {shares.shape}")
        known = shares[~np.isnan(shares)]
        expect(bool(((known >= 0) & (known <= 1)).all()), f"accuracies must be from 0 to 1, not {shares.tolist()}")


CHECKS = (
    check_one_label_a_text,
    check_no_votes,
    check_unanimous_votes,
    check_ties,
    check_same_votes_same_labels,
    check_order_of_texts_does_not_matter,
    check_votes_are_not_changed,
    check_accuracies,
)


_Text = list[tuple[int, int]]
"""The votes for one text: pairs of annotator and label."""


def _random_votes() -> tuple[list[_Text], list[int]]:
    """Return votes on many texts, some of them anonymous, and stored labels, some of them missing. There are ties."""
    rng = np.random.default_rng(0)
    texts = [
        [(int(rng.integers(-1, 6)), int(rng.integers(4))) for _ in range(n_votes)] for n_votes in rng.integers(1, 6, 60)
    ]
    return texts, rng.integers(-1, 4, len(texts)).tolist()


def _votes(texts: Sequence[_Text], stored: Sequence[int]) -> Votes:
    return Votes(
        text=_codes(position for position, votes in enumerate(texts) for _ in votes),
        annotator=_codes(annotator for votes in texts for annotator, _ in votes),
        label=_codes(label for votes in texts for _, label in votes),
        label_names=FOUR_LABELS if texts else (),
        stored=_codes(stored),
    )


def _codes(values: Iterable[int]) -> Codes:
    return np.fromiter(values, np.intp)


def _aggregated(strategy: LabelAggregator, texts: Sequence[_Text], stored: Sequence[int]) -> Codes:
    votes = _votes(texts, stored)
    won = np.asarray(strategy.aggregate(votes))
    integers = won.shape == votes.stored.shape and (won.dtype.kind in "iu" or not len(won))
    expect(integers, f"{len(texts)} texts need as many label codes, not {won.dtype} of shape {won.shape}")
    inside = bool(((won >= 0) & (won < len(votes.label_names))).all())
    expect(inside, f"label codes must be from 0 to {len(votes.label_names) - 1}, not {sorted({*won.tolist()})}")
    return won
