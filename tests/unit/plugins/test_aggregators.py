import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from al_learner.core.interfaces import Votes
from al_learner.core.registry import strategy

NAMES = ("a", "b", "c", "d")
CODES = st.integers(0, len(NAMES) - 1)
BALLOTS = st.lists(st.tuples(st.lists(CODES, min_size=1, max_size=7), st.just(-1) | CODES), max_size=6)


def votes_of(ballots: list[tuple[list[int], int]]) -> Votes:
    text = [number for number, (labels, _) in enumerate(ballots) for _ in labels]
    return Votes(
        text=np.array(text, np.intp),
        annotator=np.full(len(text), -1, np.intp),
        label=np.array([code for labels, _ in ballots for code in labels], np.intp),
        label_names=NAMES,
        stored=np.array([stored for _, stored in ballots], np.intp),
    )


def naive(labels: list[int], stored: int) -> int:
    most = max(labels.count(code) for code in labels)
    tied = [code for code in labels if labels.count(code) == most]
    return stored if stored in tied else tied[0]


@given(BALLOTS)
def test_majority_is_the_most_frequent_label_then_the_stored_one_then_the_first(ballots):
    won = strategy("label_aggregator", "majority").aggregate(votes_of(ballots))

    assert won.tolist() == [naive(*ballot) for ballot in ballots]
    assert won.dtype == np.intp


@given(st.data(), BALLOTS)
def test_majority_does_not_depend_on_the_order_of_texts(data, ballots):
    order = data.draw(st.permutations(range(len(ballots))))
    majority = strategy("label_aggregator", "majority")

    won = majority.aggregate(votes_of(ballots))
    moved = majority.aggregate(votes_of([ballots[number] for number in order]))

    assert moved.tolist() == [won[number] for number in order]
