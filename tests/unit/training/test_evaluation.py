import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from al_learner.core.registry import strategy
from al_learner.core.training.evaluation import (
    calibration_error,
    describe_score,
    fixed_sample,
    in_hold_out_set,
    measure,
    unknown_tokens,
)

BASES = ("votes", "init-data")
IDS = st.integers(-(2**63), 2**63 - 1)


@pytest.mark.parametrize(
    ("basis", "selected"),
    [
        ("votes", [2, 18, 29, 30, 31, 43, 68, 72, 75, 82]),
        ("init-data", [19, 25, 31, 39, 41, 44, 74, 75, 77, 79]),
    ],
)
def test_the_hold_out_set_is_the_same_for_ever(basis, selected):
    ids = np.arange(1, 112)

    assert ids[in_hold_out_set(ids, basis)].tolist()[:10] == selected


@given(IDS)
def test_the_hold_out_set_is_chosen_by_splitmix64(number):
    def scrambled(state: int) -> int:
        z = (state + 0x9E3779B97F4A7C15) % 2**64
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        return z ^ z >> 31

    assert scrambled(1234567) == 6457827717110365317  # as published with the algorithm
    assert in_hold_out_set(np.array([number]), "votes")[0] == (scrambled(number % 2**64) % 10 == 0)


@pytest.mark.parametrize("basis", BASES)
@given(ids=st.lists(IDS, max_size=20))
def test_whether_a_text_is_in_the_hold_out_set_depends_on_no_other_text(basis, ids):
    together = in_hold_out_set(np.array(ids, np.int64), basis)

    assert together.tolist() == [bool(in_hold_out_set(np.array([number]), basis)[0]) for number in ids]


@pytest.mark.parametrize("basis", BASES)
@given(start=st.integers(0, 2**31), step=st.integers(1, 1000))
def test_the_hold_out_set_is_about_a_tenth_however_the_ids_were_given_out(basis, start, step):
    ids = start + step * np.arange(20_000)

    assert in_hold_out_set(ids, basis).mean() == pytest.approx(0.1, abs=0.015)


def test_the_hold_out_sets_of_votes_and_of_init_data_are_unrelated():
    ids = np.arange(100_000)

    both = in_hold_out_set(ids, "votes") & in_hold_out_set(ids, "init-data")

    assert both.mean() == pytest.approx(0.01, abs=0.002)


def test_measurements_are_those_of_the_textbook():
    y = np.array(["a", "a", "b", "b"], object)
    probabilities = np.array([[0.8, 0.2], [0.4, 0.6], [0.1, 0.9], [0.3, 0.7]])

    metrics = measure(y, probabilities, np.array(["a", "b"]), np.array([10, 11, 12, 23]))

    f1_a, f1_b = 2 * 1 / (2 + 1), 2 * 2 / (2 * 2 + 1)
    assert metrics == {
        "size": 4,
        "precision": 0.75,
        "accuracy": 0.75,
        "accuracy_interval": [pytest.approx(0.30064, abs=1e-5), pytest.approx(0.95441, abs=1e-5)],
        "macro_f1": pytest.approx((f1_a + f1_b) / 2),
        "log_loss": pytest.approx(-(math.log(0.8) + math.log(0.4) + math.log(0.9) + math.log(0.7)) / 4),
        "calibration_error": pytest.approx((0.2 + 0.6 + 0.1 + 0.3) / 4),  # each in a bin of its own
        "labels": ["a", "b"],
        "per_class": {
            "a": {"precision": 1.0, "recall": 0.5, "support": 2},
            "b": {"precision": pytest.approx(2 / 3), "recall": 1.0, "support": 2},
        },
        "confusion": [[0, 0, 1], [0, 1, 1], [1, 1, 2]],
        "predictions": {"ids": [10, 11, 12, 23], "labels": [0, 1, 1, 1]},
    }
    assert json.loads(json.dumps(metrics)) == metrics


def test_nothing_to_divide_by_differs_from_zero():
    metrics = measure(np.array(["a", "c"]), np.array([[0.9, 0.1, 0.0]] * 2), np.array(["a", "b", "c"]), np.arange(2))

    assert metrics["labels"] == ["a", "b", "c"]
    assert metrics["per_class"] == {
        "a": {"precision": 0.5, "recall": 1.0, "support": 1},
        "c": {"precision": None, "recall": 0.0, "support": 1},
    }


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30))
def test_confusion_counts_support_and_predictions_are_one_story(rows):
    labels = np.array(list("abcd"))
    true, predicted = (np.array(column) for column in zip(*rows, strict=True))

    metrics = measure(labels[true], np.eye(4)[predicted], labels, np.arange(len(rows)))

    cells = {(t, p): n for t, p, n in metrics["confusion"]}
    assert sum(cells.values()) == metrics["size"] == len(rows)
    assert sum(n for (t, p), n in cells.items() if t == p) == pytest.approx(metrics["accuracy"] * len(rows))
    assert metrics["predictions"]["labels"] == predicted.tolist()
    low, high = metrics["accuracy_interval"]
    assert 0 <= low <= metrics["accuracy"] + 1e-9 <= high + 2e-9 <= 1 + 3e-9
    for name, row in metrics["per_class"].items():
        assert row["support"] == sum(n for (t, _), n in cells.items() if labels[t] == name)


@pytest.mark.parametrize(
    ("confidences", "right", "error"),
    [
        ([0.9] * 10, [1] * 9 + [0], 0),
        ([0.9] * 10, [0] * 10, 0.9),
        ([1.0, 1.0], [1, 1], 0),
        ([0.99, 0.35], [1, 1], (0.01 + 0.65) / 2),
        ([0.95, 0.96], [0, 1], abs(0.95 + 0.96 - 1) / 2),
    ],
)
def test_calibration_is_how_far_certainty_is_from_the_share_of_right_answers(confidences, right, error):
    assert calibration_error(np.array(confidences), np.array(right, bool)) == pytest.approx(error)


@given(st.lists(IDS, unique=True, max_size=60), IDS)
def test_a_new_text_takes_the_place_of_at_most_one_in_the_fixed_sample(ids, new):
    before = fixed_sample(np.array(ids, np.int64), 20)
    after = fixed_sample(np.array([*ids, *([] if new in ids else [new])], np.int64), 20)

    assert len(before) == min(20, len(ids))
    assert before.tolist() == sorted(before.tolist())
    assert len({*before.tolist()} - {*after.tolist()}) <= 1
    assert {*after.tolist()} - {*before.tolist()} <= {new}


VOTED = {"precision": 0.5, "accuracy": 0.5, "accuracy_interval": [0.25, 0.75], "size": 12, "basis": "votes"}
PRELABELLED = {"precision": 1.0, "accuracy": 1.0, "accuracy_interval": [0.8, 1], "size": 1200, "basis": "init-data"}


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        (None, "none yet"),
        ({"reason": "nobody has labelled a text yet"}, "none: nobody has labelled a text yet"),
        (VOTED, "50.0% right (95%: 25.0% to 75.0%), measured on 12 texts with votes"),
        (VOTED | {"query": "least-confidence"}, "harder than the corpus, so the number is pessimistic"),
        (VOTED | {"query": "most-confidence"}, "easier than the corpus, so the number is optimistic"),
        (PRELABELLED, "measured on 1,200 prelabelled texts"),
    ],
)
def test_a_score_is_a_sentence_with_what_it_was_measured_on(metrics, words):
    assert words in describe_score(metrics)


@pytest.mark.parametrize("metrics", [VOTED, PRELABELLED])
def test_where_nobody_knows_how_texts_were_picked_nothing_is_said_of_a_bias(metrics):
    assert "corpus" not in describe_score(metrics)


def test_a_label_that_the_classifier_does_not_know_counts_as_wrong_with_a_finite_loss():
    metrics = measure(np.array(["new"]), np.array([[1.0, 0.0]]), np.array(["a", "b"]), np.arange(1))

    assert (metrics["precision"], metrics["macro_f1"]) == (0, 0)
    assert metrics["log_loss"] == pytest.approx(-math.log(1e-15))


def test_certainty_about_the_wrong_label_costs_a_finite_loss():
    metrics = measure(np.array(["b", "a"]), np.array([[1.0, 0.0], [1.0, 0.0]]), np.array(["a", "b"]), np.arange(2))

    assert metrics["log_loss"] == pytest.approx(-math.log(1e-15) / 2)


@pytest.mark.parametrize(
    ("vectorizer", "texts", "share"),
    [
        ("count", ["one two", "one three four"], 0.4),
        ("count", [], 0),
        ("count", ["!"], 0),
        ("tfidf", ["THREE four five"], 1),
        ("hashing", ["three four five"], 0),
        ("lsa", ["one two", "one three four"], 0.4),
    ],
)
def test_the_share_of_unknown_tokens(vectorizer, texts, share):
    transformer = strategy("vectorizer", vectorizer).fit(["one two", "two one"])

    assert unknown_tokens(transformer, iter(texts)) == share


def test_a_vectorizer_without_tokens_knows_no_share_of_unknown_tokens():
    assert unknown_tokens(object(), ["a text"]) is None
