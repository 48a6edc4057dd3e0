"""Model selectors: the installed one is sound, and ``check_plugin`` sees it when one is not."""

import numpy as np
import pytest
from pydantic import Field

from al_learner import check_plugin, strategy
from al_learner.core.testing import model_selectors
from al_learner.plugins.classifiers.auto import Auto
from tests.support.broken import Broken, assert_fails

PARAMETERS = [
    ("auto", {"candidates": ("sgd",), "min_labels": 2, "n_folds": 2, "random_state": 3}),
    ("auto", {"n_folds": 10, "max_texts": 50}),
]

BROKEN = Broken()


@pytest.mark.parametrize(("name", "params"), PARAMETERS)
def test_a_model_selector_keeps_its_promises_with_other_parameters_than_the_defaults(name, params):
    check_plugin(strategy("classifier", name, **params))


class BrokenSelector(Auto):
    how: str = Field(default="", description="What is wrong with it.")

    def losses(self, X, y, fit):
        return BROKEN.faults[self.how](X, y, fit, super().losses)


BROKEN.append((Auto(candidates=("auto",)), "check_candidates_are_installed", "'auto' is a model selector itself"))
BROKEN.append((Auto(candidates=("logrg",)), "check_candidates_are_installed", "did you mean 'logreg'?"))


@BROKEN.fails(BrokenSelector, "check_one_loss_a_row", "40 rows need as many losses, not shape ()")
def one_loss_for_all(X, y, fit, losses):
    return np.nanmean(losses(X, y, fit))


@BROKEN.fails(BrokenSelector, "check_one_loss_a_row", "losses are infinite")
def infinite_where_it_cannot_tell(X, y, fit, losses):
    del fit, losses
    return np.full(len(y), np.inf) * X.shape[0]


@BROKEN.fails(BrokenSelector, "check_one_loss_a_row", "all losses are nan")
def tells_of_no_row(X, y, fit, losses):
    return losses(X, y, fit) * np.nan


@BROKEN.fails(BrokenSelector, "check_one_row_a_label", "ValueError")
def needs_each_label_twice(X, y, fit, losses):
    if np.unique(y, return_counts=True)[1].min() < 2:
        raise ValueError("a label occurs once")
    return losses(X, y, fit)


@BROKEN.fails(BrokenSelector, "check_the_same_rows_for_every_candidate", "are nan in other rows")
def leaves_out_what_is_easy(X, y, fit, losses):
    found = losses(X, y, fit)
    return np.where(found < 0.7, np.nan, found) if len(y) == 20 else found


@BROKEN.fails(
    BrokenSelector, "check_what_learns_is_better_than_what_does_not", "the loss of a classifier that learns is"
)
def higher_is_better(X, y, fit, losses):
    return -losses(X, y, fit)


@BROKEN.fails(BrokenSelector, "check_no_row_was_seen", "was the candidate trained on the rows")
def predicts_what_it_has_seen(X, y, fit, losses):
    del losses
    model = fit(X, y)
    return -np.log(model.predict_proba(X)[np.arange(len(y)), np.searchsorted(model.classes_, y)])


@BROKEN.fails(BrokenSelector, "check_same_seed_same_losses", "random numbers must depend only on a parameter")
def chance_decides(X, y, fit, losses):
    return losses(X, y, fit) + np.random.default_rng().uniform(0, 0.1, len(y))


@BROKEN.fails(BrokenSelector, "check_labelled_data_is_not_changed", "losses changes X")
def doubles_the_counts(X, y, fit, losses):
    found = losses(X, y, fit)
    X.data *= 2
    return found


@BROKEN.fails(BrokenSelector, "check_labelled_data_is_not_changed", "losses changes y")
def sorts_the_labels(X, y, fit, losses):
    found = losses(X, y, fit)
    y.sort()
    return found


@BROKEN.each()
def test_a_broken_model_selector_fails_the_check_of_what_it_breaks(broken, check, reason):
    assert_fails(broken, check, reason)


def test_every_check_of_model_selectors_can_fail():
    assert BROKEN.not_failed(model_selectors.CHECKS) == set()
