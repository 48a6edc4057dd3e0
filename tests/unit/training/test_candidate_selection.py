from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from al_learner.core.errors import DatabaseUnavailable, PluginError, SettingsError
from al_learner.core.registry import candidates, strategy
from al_learner.core.training.candidate_selection import CandidateSelector, Choice, best

AUTO = strategy("classifier", "auto", candidates=("logreg(C=3)", "logreg", "sgd"), min_labels=100)
SELECTOR = CandidateSelector(AUTO, candidates(AUTO))
PARAMS = {name: spec.model_dump(mode="json") for name, spec in candidates(AUTO).items()}


def last(name="logreg", labels=100, **changed):
    return Choice(name, labels, {}, {}, {**PARAMS, **changed})


@pytest.mark.parametrize(
    ("choice", "labels", "due"),
    [
        pytest.param(None, 99, False, id="too few labels"),
        pytest.param(None, 100, True, id="the first time"),
        pytest.param(last(), 149, False, id="not yet half as many again"),
        pytest.param(last(), 150, True, id="half as many again"),
        pytest.param(last(), 50, False, id="fewer than then"),
        pytest.param(last(sgd={"alpha": 7}), 101, True, id="other parameters of a candidate"),
        pytest.param(last(lightgbm={}), 101, True, id="a candidate less"),
    ],
)
def test_a_selection_is_due(choice, labels, due):
    assert SELECTOR.is_due(choice, labels) is due


def test_with_one_candidate_there_is_nothing_to_select():
    assert not CandidateSelector(AUTO, {"sgd": strategy("classifier", "sgd")}).is_due(None, 1000)


def test_a_parameter_that_a_version_added_is_no_reason_to_compare_again():
    former = {name: {"C": params["C"]} if "C" in params else params for name, params in PARAMS.items()}

    choice = Choice("logreg", 100, {}, {}, former)

    assert not SELECTOR.is_due(choice, 101)
    assert SELECTOR.selected(choice) == "logreg"


@pytest.mark.parametrize(
    ("choice", "name"),
    [
        pytest.param(None, "logreg(C=3)", id="nothing chosen yet"),
        pytest.param(last("sgd"), "sgd", id="chosen"),
        pytest.param(last("lightgbm", lightgbm={}), "logreg(C=3)", id="no longer a candidate"),
        pytest.param(last("sgd", sgd={"alpha": 7}), "logreg(C=3)", id="it had other parameters"),
    ],
)
def test_what_is_trained(choice, name):
    assert SELECTOR.selected(choice) == name


def test_clearly_better_goes_before_preferred():
    noise = np.random.default_rng(0).normal(0, 0.1, 100)

    assert best({"preferred": 1 + noise, "better": 0.5 + noise, "worse": 2 + noise}) == "better"


def test_what_is_not_clearly_better_goes_after_preferred():
    rng = np.random.default_rng(0)
    preferred = rng.normal(1, 1, 50)

    assert best({"preferred": preferred, "a bit better": preferred - rng.normal(0.01, 1, 50)}) == "preferred"


def test_losses_of_different_texts_are_not_compared():
    easy, hard = np.array([0.1, 0.1, np.nan, 0.2]), np.array([0.0, 0.0, 9.0, 0.0])

    assert best({"first": easy, "second": hard}) == "second"


@given(st.dictionaries(st.sampled_from("abc"), st.lists(st.floats(0, 9) | st.just(np.nan), min_size=5, max_size=5),
                       min_size=1))  # fmt: skip
def test_whatever_the_losses_one_of_the_candidates_is_best(losses):
    assert best({name: np.array(found) for name, found in losses.items()}) in losses


def test_a_failure_is_no_loss():
    choice = SELECTOR.select(last("sgd"), 150, lambda name: np.full(3, np.nan if name == "sgd" else 1.0))

    assert choice.name == "logreg(C=3)"
    assert choice.losses == {"logreg(C=3)": 1.0, "logreg": 1.0}
    assert "no finite loss" in choice.failed["sgd"]
    assert (choice.labels, choice.candidates) == (150, PARAMS)


def test_when_all_fail_the_choice_stays():
    def fail(_):
        raise PluginError("no luck")

    assert SELECTOR.select(last("sgd"), 150, fail).name == "sgd"


def test_a_lost_database_is_no_candidates_fault():
    def fail(_):
        raise DatabaseUnavailable("gone")

    with pytest.raises(DatabaseUnavailable):
        SELECTOR.select(None, 150, fail)


def test_candidates_that_the_predictor_cannot_read_are_left_out():
    auto = strategy("classifier", "auto")

    assert [*candidates(auto)][-1] == "lightgbm"
    assert "lightgbm" not in candidates(auto, packages=["Scikit_Learn", "NumPy", "scipy"])
    with pytest.raises(SettingsError, match="can read none of the candidates"):
        candidates(auto, packages=["numpy"])


def test_if_all_candidates_weigh_columns_that_the_vectorizer_does_not_have_the_error_says_it():
    weighs = 'logreg(column_weights={"meaning": 2})'
    auto = strategy("classifier", "auto", candidates=("lightgbm", weighs))

    with pytest.raises(SettingsError, match=r"column_weights of logreg\(.* all that it has: words; choose .*or add"):
        candidates(auto, packages=["scikit-learn", "numpy", "scipy"], groups=["words"])


def test_candidates_that_use_no_column_of_the_vectorizer_are_left_out():
    auto = strategy("classifier", "auto", candidates=("complement-nb", "logreg"))

    assert [*candidates(auto, groups=["words", "meaning"])] == ["complement-nb", "logreg"]
    assert [*candidates(auto, groups=["meaning"])] == ["logreg"]
    assert [*candidates(auto, groups=[])] == ["complement-nb", "logreg"]
    with pytest.raises(SettingsError, match=r"column_weights of complement-nb .*or leave out all that it has: meaning"):
        candidates(strategy("classifier", "auto", candidates=("complement-nb",)), groups=["meaning"])


def test_what_only_a_newer_version_records_of_a_choice_is_ignored():
    recorded = last()

    assert Choice.of({**asdict(recorded), "seconds": 1.0}) == recorded


@pytest.mark.parametrize(
    ("losses", "said"),
    [
        ({"a": 0.1, "b": 0.2}, "a, at 100 labels; mean loss: a 0.100, b 0.200"),
        ({"b": 0.1, "a": 0.1}, "a, at 100 labels; mean loss: b 0.100, a 0.100"),
        (
            {"a": 0.2, "b": 0.1},
            "a, at 100 labels, the first within one standard error of the lowest loss; mean",
        ),
        ({}, "a, at 100 labels; mean loss: none"),
    ],
)
def test_a_choice_says_why_it_is_not_that_of_the_lowest_loss(losses, said):
    assert str(Choice("a", 100, losses, {}, {})).startswith(said)


def test_only_the_lowest_losses_are_told_if_that_is_asked_for():
    choice = Choice("a", 100, {"c": 0.3, "a": 0.1, "d": 0.4, "b": 0.2}, {"e": "no memory"}, {})

    assert choice.described(2) == "a, at 100 labels; mean loss: a 0.100, b 0.200, and 2 more; failed: e"
    assert choice.described(4) == str(choice)
