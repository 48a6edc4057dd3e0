"""Label aggregators: every installed one is sound, and ``check_plugin`` sees it when one is not."""

import numpy as np
import pytest
from pydantic import Field

from al_learner import LabelAggregator, check_plugin, strategy
from al_learner.core.registry import names
from al_learner.core.testing import label_aggregators
from al_learner.plugins.aggregators.majority import Majority
from tests.support.broken import Broken, assert_fails

PARAMETERS = [("dawid-skene", {"n_iter": 2, "prior_votes": 4})]

BROKEN = Broken()


@pytest.mark.parametrize("name", names("label_aggregator"))
def test_an_installed_label_aggregator_keeps_the_promises_of_its_interface(name):
    check_plugin(strategy("label_aggregator", name))


@pytest.mark.parametrize(("name", "params"), PARAMETERS)
def test_it_keeps_them_with_other_parameters_than_the_defaults(name, params):
    check_plugin(strategy("label_aggregator", name, **params))


class BrokenAggregator(LabelAggregator):
    how: str = Field(default="", description="What is wrong with it.")

    def aggregate(self, votes):
        return BROKEN.faults[self.how](votes, Majority().aggregate(votes))


@BROKEN.fails(BrokenAggregator, "check_one_label_a_text", "60 texts need as many label codes")
def a_text_is_left_out(_votes, won):
    return won[1:]


@BROKEN.fails(BrokenAggregator, "check_one_label_a_text", "not float64 of shape (60,)")
def codes_that_are_no_integers(_votes, won):
    return won / 1


@BROKEN.fails(BrokenAggregator, "check_one_label_a_text", "label codes must be from 0 to 3, not [-1, ")
def no_label_where_the_votes_differ(votes, won):
    differ = [len({*votes.label[votes.text == text].tolist()}) > 1 for text in range(len(won))]
    return np.where(differ, -1, won)


@BROKEN.fails(BrokenAggregator, "check_no_votes", "ValueError")
def needs_a_vote(votes, won):
    return won[: votes.text.max() + 1]


@BROKEN.fails(BrokenAggregator, "check_unanimous_votes", "get the labels [0, 0, ")
def a_stored_label_stays_for_ever(votes, won):
    return np.where(votes.stored >= 0, votes.stored, won)


@BROKEN.fails(
    BrokenAggregator, "check_ties", "votes for [1, 0] with the stored label -1 (-1: none) must aggregate to 1, not 0"
)
def the_smallest_label_wins_a_tie(votes, won):
    counts = np.zeros((len(won), 4), int)
    np.add.at(counts, (votes.text, votes.label), 1)
    return counts.argmax(axis=1)


@BROKEN.fails(
    BrokenAggregator, "check_ties", "votes for [0, 1] with the stored label 1 (-1: none) must aggregate to 1, not 0"
)
def the_stored_label_counts_for_nothing(votes, _won):
    unstored = type(votes)(votes.text, votes.annotator, votes.label, votes.label_names, np.full_like(votes.stored, -1))
    return Majority().aggregate(unstored)


@BROKEN.fails(BrokenAggregator, "check_same_votes_same_labels", "random numbers must depend only on a parameter")
def many_texts_leave_some_to_chance(_votes, won):
    return won if len(won) < 60 else np.random.default_rng().permutation(won)


@BROKEN.fails(BrokenAggregator, "check_order_of_texts_does_not_matter", "in another order")
def the_last_text_gets_its_last_vote(votes, won):
    if len(won) > 1:
        won[-1] = votes.label[-1]
    return won


@BROKEN.fails(BrokenAggregator, "check_votes_are_not_changed", "votes.label is changed")
def sorts_the_votes(votes, won):
    votes.label.sort()
    return won


class BrokenEstimate(Majority):
    how: str = Field(default="", description="What is wrong with it.")

    def accuracies(self, votes):
        return BROKEN.faults[self.how](votes.annotator.max(initial=-1) + 1)


@BROKEN.fails(BrokenEstimate, "check_accuracies", "6 annotators need as many accuracies, not float64 of shape (7,)")
def one_more_for_nobody_named(n_annotators):
    return np.ones(n_annotators + 1)


@BROKEN.fails(BrokenEstimate, "check_accuracies", "accuracies must be from 0 to 1, not [90.0, ")
def percent(n_annotators):
    return np.full(n_annotators, 90.0)


@BROKEN.each()
def test_a_broken_label_aggregator_fails_the_check_of_what_it_breaks(broken, check, reason):
    assert_fails(broken, check, reason)


def test_every_check_of_label_aggregators_can_fail():
    assert BROKEN.not_failed(label_aggregators.CHECKS) == set()
