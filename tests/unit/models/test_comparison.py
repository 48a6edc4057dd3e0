import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from al_learner.core.errors import DataError
from al_learner.core.models.comparison import Comparison, compare


def scored(predictions, basis="votes"):
    """Return the metrics of a twin that predicted these labels, by text."""
    labels = sorted({*predictions.values()})
    codes = [labels.index(label) for label in predictions.values()]
    return {"basis": basis, "labels": labels, "predictions": {"ids": [*predictions], "labels": codes}}


def a_comparison(only_a, only_b, size=100):
    both = (size - only_a - only_b) // 2
    return Comparison(7, 8, "votes", size, both_right=both, only_a_right=only_a, only_b_right=only_b)


def test_what_both_have_predicted_is_compared_with_the_labels_of_now():
    first = scored({1: "x", 2: "x", 3: "y", 4: "y", 9: "x"})
    second = scored({1: "x", 2: "y", 3: "y", 4: "z", 8: "x"})

    found = compare(5, first, 6, second, {1: "x", 2: "y", 4: "y", 8: "x", 9: "x"})

    assert found == Comparison(5, 6, "votes", 3, both_right=1, only_a_right=1, only_b_right=1)
    assert found.accuracies == (2 / 3, 2 / 3)


@pytest.mark.parametrize(
    ("second", "because"),
    [
        (None, "classifier 6 cannot be compared: it has no score"),
        ({"reason": "no luck"}, "classifier 6 cannot be compared: no luck"),
        ({"basis": "votes", "precision": 0.5}, "classifier 6 cannot be compared: it was scored by an older"),
        (scored({1: "x"}, "init-data"), "classifier 5 was measured on votes, classifier 6 on init-data"),
        (scored({2: "x"}), "no hold-out text in common"),
        (scored({3: "x"}), "no hold-out text in common that still has a label"),
    ],
)
def test_what_cannot_be_compared_says_why(second, because):
    with pytest.raises(DataError, match=because):
        compare(5, scored({1: "x", 3: "x"}), 6, second, {1: "x", 2: "x"})


@pytest.mark.parametrize(
    ("only_a", "only_b", "p_value"),
    [(0, 0, 1), (1, 1, 1), (6, 0, 2 / 2**6), (0, 6, 2 / 2**6), (2, 10, 2 * (1 + 12 + 66) / 2**12)],
)
def test_the_test_is_the_exact_one_on_the_texts_where_one_alone_is_right(only_a, only_b, p_value):
    assert a_comparison(only_a, only_b).p_value == pytest.approx(p_value)


@pytest.mark.parametrize(("only_a", "only_b", "p"), [(7, 0, 1 / 2**7), (0, 7, 1), (0, 0, 1), (9, 1, 11 / 2**10)])
def test_worse_is_tested_on_one_side(only_a, only_b, p):
    assert a_comparison(only_a, only_b).p_worse == pytest.approx(p)


@given(st.integers(0, 40), st.integers(0, 40))
def test_whoever_is_named_first_the_comparison_is_the_same(only_a, only_b):
    one, other = a_comparison(only_a, only_b), a_comparison(only_b, only_a)

    assert one.p_value == pytest.approx(other.p_value)
    assert one.gain[0] == pytest.approx(-other.gain[0])
    assert one.gain[1:] == pytest.approx([-end for end in reversed(other.gain[1:])])
    assert one.gain[1] <= one.gain[0] <= one.gain[2]


def test_the_interval_of_a_gain_covers_it_in_nineteen_of_twenty_samples():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(2_000):
        both, only_a, only_b, _neither = rng.multinomial(200, [0.5, 0.1, 0.15, 0.25])
        _, low, high = Comparison(1, 2, "votes", 200, int(both), int(only_a), int(only_b)).gain
        covered += low <= 0.05 <= high
    assert 0.935 <= covered / 2_000 <= 0.965


@pytest.mark.parametrize(
    ("only_a", "only_b", "verdict"),
    [
        (1, 20, "p = 2.1e-05; classifier 8 is significantly better"),
        (20, 1, "classifier 7 is significantly better"),
        (4, 5, "classifier 8 did better, but the difference is not significant"),
        (5, 5, "p = 1; these texts show no difference"),
    ],
)
def test_a_comparison_ends_with_a_sentence(only_a, only_b, verdict):
    said = str(a_comparison(only_a, only_b))

    assert verdict in said
    assert "measured on 100 texts with votes" in said
