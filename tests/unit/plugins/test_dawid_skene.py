import warnings
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from al_learner.core.errors import SettingsError
from al_learner.core.interfaces import Votes
from al_learner.core.registry import strategy

NAMES = tuple("abcdefghijkl")
DAWID_SKENE = strategy("label_aggregator", "dawid-skene")
MAJORITY = strategy("label_aggregator", "majority")

Ballot = Sequence[tuple[int, int]]
"""The votes for a text: annotator, label."""

BALLOTS = st.lists(
    st.tuples(
        st.lists(st.tuples(st.integers(-1, 3), st.integers(0, 3)), min_size=1, max_size=5),
        st.integers(-1, 3),
    ),
    min_size=1,
    max_size=8,
)


def votes_of(ballots: Sequence[Ballot], stored: Sequence[int] = ()) -> Votes:
    return Votes(
        text=np.array([number for number, ballot in enumerate(ballots) for _ in ballot], np.intp),
        annotator=np.array([annotator for ballot in ballots for annotator, _ in ballot], np.intp),
        label=np.array([label for ballot in ballots for _, label in ballot], np.intp),
        label_names=NAMES,
        stored=np.array(stored or [-1] * len(ballots), np.intp),
    )


def aggregated(ballots: Sequence[Ballot], stored: Sequence[int] = (), **params: int) -> list[int]:
    won = strategy("label_aggregator", "dawid-skene", **params).aggregate(votes_of(ballots, stored))
    assert won.dtype == np.intp
    return won.tolist()


def crowd(accuracies: Sequence[float], *, n_labels: int, n_texts: int = 400) -> tuple[list[int], list[Ballot]]:
    """Return true labels, some far more frequent than others, and the votes that everybody gave."""
    rng = np.random.default_rng(0)
    frequency = 1 / np.arange(1, n_labels + 1)
    truth = rng.choice(n_labels, n_texts, p=frequency / frequency.sum()).tolist()
    return truth, [
        [
            (annotator, true if rng.random() < accuracy else int(rng.integers(n_labels)))
            for annotator, accuracy in enumerate(accuracies)
        ]
        for true in truth
    ]


def share_of(truth: Sequence[int], found: Sequence[int]) -> float:
    return float(np.mean(np.array(truth) == found))


@pytest.mark.parametrize("n_labels", [2, 4, 12])
def test_good_annotators_count_more_than_careless_ones(n_labels):
    truth, ballots = crowd([0.2, 0.2, 0.3, 0.9, 0.9], n_labels=n_labels, n_texts=1_000)

    by_majority = share_of(truth, MAJORITY.aggregate(votes_of(ballots)))

    assert share_of(truth, aggregated(ballots)) > by_majority + 0.04


def test_without_credit_the_labels_are_the_ones_of_crowd_kit():
    from crowdkit.aggregation import DawidSkene
    from pandas import DataFrame

    _, ballots = crowd([0.9, 0.8, 0.7, 0.6, 0.5], n_labels=12)
    votes = votes_of(ballots)
    names = [votes.label_names[code] for code in votes.label]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of pandas
        theirs = DawidSkene(n_iter=20, tol=-np.inf).fit_predict(
            DataFrame({"task": votes.text, "worker": votes.annotator, "label": names})
        )

    ours = aggregated(ballots, prior_votes=0)

    voted = [theirs[text] in {NAMES[label] for _, label in ballot} for text, ballot in enumerate(ballots)]
    assert np.mean(voted) > 0.95
    assert all(NAMES[ours[text]] == theirs[text] for text in np.flatnonzero(voted))


@settings(max_examples=20)
@given(st.data(), BALLOTS)
def test_labels_do_not_depend_on_the_order_of_texts(data, drawn):
    ballots, stored = zip(*drawn, strict=True)
    order = data.draw(st.permutations(range(len(ballots))))

    won = aggregated(ballots, stored, n_iter=5)
    moved = aggregated([ballots[number] for number in order], [stored[number] for number in order], n_iter=5)

    assert moved == [won[number] for number in order]


@settings(max_examples=20)
@given(BALLOTS)
def test_a_label_that_nobody_gave_the_text_never_wins(drawn):
    ballots, stored = zip(*drawn, strict=True)

    for ballot, label in zip(ballots, aggregated(ballots, stored, n_iter=5), strict=True):
        assert label in {voted for _, voted in ballot}


def test_the_only_voter_of_a_text_is_believed_whatever_they_voted_before():
    rare = [[(0, 2)]] * 3
    common = [[(1, 0), (2, 0)]] * 100 + [[(1, 1), (2, 1)]] * 50

    assert aggregated([*rare, *common])[:3] == [2, 2, 2]


@pytest.mark.parametrize(
    ("ballot", "stored", "label"),
    [
        ([(0, 1), (1, 0)], -1, 1),
        ([(0, 0), (1, 1)], -1, 0),
        ([(0, 1), (1, 0)], 0, 0),
        ([(0, 1), (1, 0)], 2, 1),
        ([(-1, 1), (-1, 0)], -1, 1),
        ([(-1, 1), (-1, 0)], 0, 0),
        ([(0, 1), (0, 0)], -1, 1),
        ([(0, 2), (1, 1), (2, 1), (3, 2)], -1, 2),
    ],
)
def test_a_tie_keeps_the_stored_label_or_takes_the_one_voted_first(ballot, stored, label):
    assert aggregated([ballot], [stored]) == [label]


def test_a_second_vote_of_the_same_annotator_counts():
    agreed = [[(0, label), (1, label)] for label in (0, 1)] * 5

    assert aggregated([*agreed, [(0, 0), (1, 1), (1, 1)]])[-1] == 1
    assert aggregated([*agreed, [(0, 0), (0, 0), (1, 1)]])[-1] == 0


def test_anonymous_votes_are_votes_of_many_and_the_more_of_them_agree_the_more_they_say():
    agreed = [[(-1, label), (-1, label), (0, label)] for label in (0, 1)] * 5

    assert aggregated([*agreed, [(-1, 0), (-1, 1), (-1, 1)]])[-1] == 1
    assert aggregated([[(-1, label)] for label in (0, 0, 0, 0, 1)]) == [0, 0, 0, 0, 1]


def test_one_annotator_alone_and_one_label_alone_are_aggregated():
    assert aggregated([[(0, label)] for label in (0, 1, 2, 0, 0)]) == [0, 1, 2, 0, 0]
    assert aggregated([[(0, 3), (1, 3)], [(-1, 3)]]) == [3, 3]
    assert aggregated([]) == []


def test_accuracies_are_estimated_and_unknown_where_nobody_else_voted():
    truth, ballots = crowd([0.9, 0.7, 0.5], n_labels=4)
    seen = [
        np.mean([ballot[annotator][1] == true for ballot, true in zip(ballots, truth, strict=True)])
        for annotator in range(3)
    ]

    shares = DAWID_SKENE.accuracies(votes_of([*ballots, [(3, 0)], [(3, 1)]]))

    assert shares[:3] == pytest.approx(seen, abs=0.06)
    assert np.isnan(shares[3])


def test_majority_estimates_no_accuracies():
    assert MAJORITY.accuracies(votes_of([[(0, 0)]])) is None


@pytest.mark.parametrize("params", [{"n_iter": 0}, {"prior_votes": -1}, {"tol": 1e-5}])
def test_parameters_out_of_range_are_refused(params):
    with pytest.raises(SettingsError, match=next(iter(params))):
        strategy("label_aggregator", "dawid-skene", **params)


def test_votes_that_were_just_aggregated_are_not_fitted_again(monkeypatch):
    import crowdkit.aggregation

    votes = votes_of([[(0, 0), (1, 1)], [(0, 1), (1, 1)], [(7, 1)]])
    won = DAWID_SKENE.aggregate(votes)
    monkeypatch.delattr(crowdkit.aggregation, "DawidSkene")

    assert DAWID_SKENE.aggregate(votes).tolist() == won.tolist()
    assert len(DAWID_SKENE.accuracies(votes)) == 8


MISSING = """
import sys
sys.modules["crowdkit"] = None
from al_learner.core.errors import AlLearnerError
from al_learner.core.configuration.settings import Settings
try:
    Settings(label_aggregator="dawid-skene")
except AlLearnerError as exc:
    print(exc)
"""


def test_without_crowd_kit_the_error_says_what_to_install(fresh_python):
    message = fresh_python(MISSING)

    assert message.startswith("label_aggregator 'dawid-skene' (")
    assert "it needs crowd-kit: pip install 'al-learner[crowd]'" in message
    assert "--build-arg" in message


def test_naming_it_imports_nothing_heavy(fresh_python):
    code = """
import sys
from al_learner.core.project import Project
Project("sqlite:///p.db", label_aggregator="dawid-skene")
print(*({"crowdkit", "pandas", "sklearn"} & {*sys.modules}))
"""
    assert fresh_python(code).split() == []
