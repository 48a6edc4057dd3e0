"""Query strategies: every installed one is sound, and ``check_plugin`` sees it when one is not."""

import numpy as np
import pytest
from pydantic import Field

from al_learner import QueryStrategy, check_plugin, strategy
from al_learner.core.registry import names
from al_learner.core.testing import query_strategies
from tests.support.broken import Broken, assert_fails

BROKEN = Broken()


@pytest.mark.parametrize("name", names("query_strategy"))
def test_an_installed_query_strategy_keeps_the_promises_of_its_interface(name):
    check_plugin(strategy("query_strategy", name))


@pytest.mark.parametrize("params", [{"candidates_per_text": 1}, {"candidates_per_text": 100, "n_components": 1}])
def test_diverse_keeps_them_with_other_parameters_than_the_defaults(params):
    check_plugin(strategy("query_strategy", "diverse", **params))


class BrokenQuery(QueryStrategy):
    how: str = Field(default="", description="What is wrong with it.")

    def scores(self, probabilities, rng):
        del rng
        return -probabilities.max(axis=1)

    def query(self, probabilities, X, size, rng):
        return BROKEN.faults[self.how](probabilities, X, super().query(probabilities, X, size, rng))


class BrokenScores(QueryStrategy):
    how: str = Field(default="", description="What is wrong with it.")

    def scores(self, probabilities, rng):
        del rng
        return BROKEN.faults[self.how](probabilities)

    def query(self, probabilities, X, size, rng):
        del X, rng
        return np.arange(min(size, len(probabilities)))


@BROKEN.fails(BrokenQuery, "check_query_of_many_texts", "positions must be integers")
def positions_that_are_no_integers(_probabilities, _X, rows):
    return rows / 1


@BROKEN.fails(BrokenQuery, "check_query_of_many_texts", "positions must be integers")
def a_mask(probabilities, _X, rows):
    return np.isin(np.arange(len(probabilities)), rows)


@BROKEN.fails(BrokenQuery, "check_query_of_many_texts", "0 texts were picked instead of 1, of 200")
def a_text_too_few(_probabilities, _X, rows):
    return rows[1:]


@BROKEN.fails(BrokenQuery, "check_query_of_many_texts", "positions must be from 0 to 199, not [-")
def positions_that_count_from_the_end(_probabilities, _X, rows):
    return rows - 200


@BROKEN.fails(BrokenQuery, "check_query_of_many_texts", "only 9 different texts were picked instead of 10")
def the_same_text_twice(_probabilities, _X, rows):
    return np.array([*rows[:-1], rows[0]])


@BROKEN.fails(BrokenQuery, "check_query_larger_than_the_texts", "11 texts were picked instead of 10, of 10")
def filled_up_with_the_first_text(probabilities, _X, rows):
    return np.resize(rows, 11) if len(probabilities) == 10 else rows


@BROKEN.fails(BrokenQuery, "check_query_of_equal_probabilities", "0 texts were picked instead of 10")
def only_above_the_mean_uncertainty(probabilities, _X, rows):
    return rows if np.ptp(probabilities.max(axis=1)) or len(probabilities) == 1 else rows[:0]


@BROKEN.fails(BrokenQuery, "check_query_of_certain_predictions", "ZeroDivisionError")
def log_of_every_probability(probabilities, _X, rows):
    return rows if probabilities.min() else 1 / 0


@BROKEN.fails(BrokenQuery, "check_query_of_equal_texts", "only 1 different texts were picked")
def each_text_by_its_words(_probabilities, X, rows):
    first = {row.tobytes(): i for i, row in reversed([*enumerate(X.toarray())])}
    return np.array([first[row.tobytes()] for row in X[rows].toarray()])


@BROKEN.fails(BrokenQuery, "check_same_rng_same_query", "take all random numbers from rng")
def random_numbers_of_its_own(_probabilities, _X, rows):
    return np.random.default_rng().permutation(rows)


@BROKEN.fails(BrokenQuery, "check_predictions_are_not_changed", "the probabilities are changed")
def sorts_the_probabilities_in_place(probabilities, _X, rows):
    probabilities.sort(axis=1)
    return rows


@BROKEN.fails(BrokenQuery, "check_predictions_are_not_changed", "query changes X")
def normalizes_the_features_in_place(_probabilities, X, rows):
    X.data *= 2
    return rows


@BROKEN.fails(
    BrokenScores, "check_one_score_a_text", "200 texts need as many finite scores, not float32 of shape (200, 2)"
)
def a_score_of_each_label(probabilities):
    return probabilities


@BROKEN.fails(BrokenScores, "check_one_score_a_text", "not int64 of shape (200,)")
def scores_that_are_integers(probabilities):
    return probabilities.argmax(axis=1).astype(np.int64)


@BROKEN.fails(BrokenScores, "check_one_score_a_text", "4 texts need as many finite scores, not float64 of shape (4,)")
def infinite_scores_of_certain_predictions(probabilities):
    with np.errstate(divide="ignore"):
        return -np.log(1 - probabilities.max(axis=1))


@BROKEN.fails(BrokenScores, "check_a_score_does_not_depend_on_other_texts", "texts have other scores among other texts")
def ranks(probabilities):
    return probabilities.max(axis=1).argsort().argsort() / len(probabilities)


@BROKEN.each()
def test_a_broken_query_strategy_fails_the_check_of_what_it_breaks(broken, check, reason):
    assert_fails(broken, check, reason)


def test_every_check_of_query_strategies_can_fail():
    assert BROKEN.not_failed(query_strategies.CHECKS) == set()
