import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from al_learner.core.evaluation import in_slice, measure, unknown_tokens
from al_learner.core.registry import strategy

BASES = ("votes", "init-data")
IDS = st.integers(-(2**63), 2**63 - 1)


@pytest.mark.parametrize(
    ("basis", "selected"),
    [
        ("votes", [2, 18, 29, 30, 31, 43, 68, 72, 75, 82]),
        ("init-data", [19, 25, 31, 39, 41, 44, 74, 75, 77, 79]),
    ],
)
def test_the_slice_is_the_same_for_ever(basis, selected):
    ids = np.arange(1, 112)

    assert ids[in_slice(ids, basis)].tolist()[:10] == selected


@given(IDS)
def test_the_slice_is_chosen_by_splitmix64(number):
    def scrambled(state: int) -> int:
        z = (state + 0x9E3779B97F4A7C15) % 2**64
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        return z ^ z >> 31

    assert scrambled(1234567) == 6457827717110365317  # as published with the algorithm
    assert in_slice(np.array([number]), "votes")[0] == (scrambled(number % 2**64) % 10 == 0)


@pytest.mark.parametrize("basis", BASES)
@given(ids=st.lists(IDS, max_size=20))
def test_whether_a_text_is_in_the_slice_depends_on_no_other_text(basis, ids):
    together = in_slice(np.array(ids, np.int64), basis)

    assert together.tolist() == [bool(in_slice(np.array([number]), basis)[0]) for number in ids]


@pytest.mark.parametrize("basis", BASES)
@given(start=st.integers(0, 2**31), step=st.integers(1, 1000))
def test_the_slice_is_about_a_tenth_however_the_ids_were_given_out(basis, start, step):
    ids = start + step * np.arange(20_000)

    assert in_slice(ids, basis).mean() == pytest.approx(0.1, abs=0.015)


def test_the_slices_of_votes_and_of_init_data_are_unrelated():
    ids = np.arange(100_000)

    both = in_slice(ids, "votes") & in_slice(ids, "init-data")

    assert both.mean() == pytest.approx(0.01, abs=0.002)


def test_measurements_are_those_of_the_textbook():
    y = np.array(["a", "a", "b", "b"], object)
    probabilities = np.array([[0.8, 0.2], [0.4, 0.6], [0.1, 0.9], [0.3, 0.7]])

    metrics = measure(y, probabilities, np.array(["a", "b"]))

    f1_a, f1_b = 2 * 1 / (2 + 1), 2 * 2 / (2 * 2 + 1)
    assert metrics == {
        "size": 4,
        "precision": 0.75,
        "accuracy": 0.75,
        "macro_f1": pytest.approx((f1_a + f1_b) / 2),
        "log_loss": pytest.approx(-(math.log(0.8) + math.log(0.4) + math.log(0.9) + math.log(0.7)) / 4),
    }
    assert {type(value) for value in metrics.values()} == {int, float}


def test_a_label_that_the_classifier_does_not_know_counts_as_wrong_with_a_finite_loss():
    metrics = measure(np.array(["new"]), np.array([[1.0, 0.0]]), np.array(["a", "b"]))

    assert (metrics["precision"], metrics["macro_f1"]) == (0, 0)
    assert metrics["log_loss"] == pytest.approx(-math.log(1e-15))


def test_certainty_about_the_wrong_label_costs_a_finite_loss():
    metrics = measure(np.array(["b", "a"]), np.array([[1.0, 0.0], [1.0, 0.0]]), np.array(["a", "b"]))

    assert metrics["log_loss"] == pytest.approx(-math.log(1e-15) / 2)


@pytest.mark.parametrize(
    ("vectorizer", "texts", "share"),
    [
        ("count", ["one two", "one three four"], 0.4),
        ("count", [], 0),
        ("count", ["!"], 0),
        ("tfidf", ["THREE four five"], 1),
        ("hashing", ["three four five"], 0),
    ],
)
def test_the_share_of_unknown_tokens(vectorizer, texts, share):
    transformer = strategy("vectorizer", vectorizer).fit(["one two", "two one"])

    assert unknown_tokens(transformer, iter(texts)) == share


def test_a_vectorizer_without_tokens_cannot_tell_which_are_unknown():
    assert unknown_tokens(object(), ["a text"]) is None
