"""Classifiers: every installed one is sound, and ``check_plugin`` sees it when one is not."""

import operator

import numpy as np
import pytest
from pydantic import Field
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.naive_bayes import BernoulliNB, ComplementNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from al_learner import Classifier, check_plugin, strategy
from al_learner.core.errors import PluginError, PluginWarning
from al_learner.core.interfaces import WeighsColumns
from al_learner.core.registry import names
from al_learner.core.testing import classifiers
from al_learner.plugins.classifiers.complement_nb import ComplementNb
from tests.support.broken import Broken, assert_fails

PARAMETERS = [
    ("complement-nb", {"alpha": 0.01, "norm": True}),
    ("lightgbm", {"n_estimators": 5, "class_weight": "balanced", "n_jobs": 1}),
    ("lightgbm", {"n_estimators": 5, "min_child_samples": 20, "n_jobs": 1, "random_state": None}),
    ("logreg", {"class_weight": "balanced"}),
    ("logreg", {"C": 100.0}),
    ("logreg", {"column_weights": {"words": 0, "meaning": 2}}),
    ("sgd", {"class_weight": "balanced", "random_state": None}),
    ("sgd", {"loss": "modified_huber", "penalty": "elasticnet"}),
    ("bernoulli-nb", {"alpha": 2.0, "fit_prior": False}),
]

BROKEN = Broken()


@pytest.mark.parametrize("name", names("classifier"))
def test_an_installed_classifier_keeps_the_promises_of_its_interface(name):
    check_plugin(strategy("classifier", name))


@pytest.mark.parametrize(("name", "params"), PARAMETERS)
def test_it_keeps_them_with_other_parameters_than_the_defaults(name, params):
    check_plugin(strategy("classifier", name, **params))


class BrokenClassifier(Classifier):
    how: str = Field(default="", description="What is wrong with it.")

    def fit(self, X, y):
        return BROKEN.faults[self.how](X, y)


class BrokenStart(ComplementNb):
    how: str = Field(default="", description="What is wrong with it.")

    def fit_from(self, X, y, start):
        return BROKEN.faults[self.how](X, y, start)


class BrokenWeights(ComplementNb):
    how: str = Field(default="", description="What is wrong with it.")

    def fit(self, X, y, sample_weight=None):
        return BROKEN.faults[self.how](X, y, sample_weight)


class StartsWithoutWeights(ComplementNb):
    def fit_from(self, X, y, start):
        del start
        return self.fit(X, y)


class Twisted(ClassifierMixin, BaseEstimator):
    """A sound model but for what is passed: functions of its probabilities, or of its predictions."""

    def __init__(self, X, y, *, probabilities=None, labels=None, classes=None):
        self._model = MultinomialNB().fit(X, y)
        self.classes_ = self._model.classes_ if classes is None else classes
        self._probabilities = probabilities or (lambda _, p: p)
        self._labels = labels or (lambda p: self._model.classes_[p.argmax(axis=1)])

    def fit(self, X, y):
        """Be an estimator, as scikit-learn's Pipeline asks; it is never called."""

    def predict_proba(self, X):
        return self._probabilities(X, self._model.predict_proba(X))

    def predict(self, X):
        return self._labels(self._model.predict_proba(X))


@BROKEN.fails(BrokenClassifier, "check_two_labels", "ZeroDivisionError")
def fit_raises(X, y):
    return X, y, 1 / 0


@BROKEN.fails(BrokenClassifier, "check_two_labels", "returned a LinearSVC without predict_proba")
def no_probabilities(X, y):
    from sklearn.svm import LinearSVC

    return LinearSVC().fit(X, y)


class Bare:
    """All that the neighbours call, but not what scikit-learn's Pipeline asks of its last step."""

    def __init__(self, X, y):
        model = MultinomialNB().fit(X, y)
        self.classes_, self.predict, self.predict_proba = model.classes_, model.predict, model.predict_proba


@BROKEN.fails(BrokenClassifier, "check_two_labels", "is not an estimator instance")
def is_no_scikit_learn_estimator(X, y):
    return Bare(X, y)


@BROKEN.fails(BrokenClassifier, "check_two_labels", "its classes_ are not those")
def classes_are_not_sorted(X, y):
    return Twisted(X, y, classes=np.unique(y)[::-1])


@BROKEN.fails(BrokenClassifier, "check_two_labels", "predict_proba has shape (1, 2) instead of (20, 2)")
def probabilities_of_the_first_row_alone(X, y):
    return Twisted(X, y, probabilities=lambda _, p: p[:1])


@BROKEN.fails(BrokenClassifier, "check_two_labels", "predict has shape (1,) instead of (20,)")
def one_label_for_all_rows(X, y):
    return Twisted(X, y, labels=lambda _: y[:1])


@BROKEN.fails(BrokenClassifier, "check_two_labels", "predict_proba has NaN, or numbers that are not from 0 to 1")
def logarithms_of_probabilities(X, y):
    return Twisted(X, y, probabilities=lambda _, p: np.log(p))


@BROKEN.fails(BrokenClassifier, "check_two_labels", "rows of predict_proba sum to 0.5")
def probabilities_sum_to_a_half(X, y):
    return Twisted(X, y, probabilities=lambda _, p: p / 2)


@BROKEN.fails(BrokenClassifier, "check_two_labels", "predict gives labels that are not in classes_")
def codes_for_labels(X, y):
    return Twisted(X, y, labels=lambda p: p.argmax(axis=1))


@BROKEN.fails(BrokenClassifier, "check_two_labels", "than the most probable ones")
def the_least_probable_label(X, y):
    return Twisted(X, y, labels=lambda p: np.unique(y)[p.argmin(axis=1)])


@BROKEN.fails(BrokenClassifier, "check_many_labels", "liblinear")
def two_labels_alone(X, y):
    return LogisticRegression(solver="liblinear").fit(X, y)


@BROKEN.fails(BrokenClassifier, "check_integer_labels", "its classes_ are not those")
def labels_become_strings(X, y):
    return MultinomialNB().fit(X, y.astype(str))


@BROKEN.fails(BrokenClassifier, "check_fewer_rows_than_columns", "LinAlgError")
def columns_must_be_independent(X, y):
    np.linalg.inv(np.eye(X.shape[1]) * (X.shape[0] >= X.shape[1]))
    return MultinomialNB().fit(X, y)


@BROKEN.fails(BrokenClassifier, "check_one_row_a_label", "ValueError")
def cross_validates(X, y):
    return CalibratedClassifierCV(LogisticRegression(), cv=3).fit(X, y)


@BROKEN.fails(
    BrokenClassifier, "check_row_without_known_words", "predict_proba has NaN, or numbers that are not from 0 to 1"
)
def no_probabilities_for_an_empty_row(X, y):
    return Twisted(X, y, probabilities=lambda X, p: np.where(X.sum(axis=1) > 0, p, np.nan))


@BROKEN.fails(BrokenClassifier, "check_labels_are_not_mixed_up", "check the order of classes_")
def labels_numbered_as_they_appear(X, y):
    appeared = np.array(list(dict.fromkeys(y.tolist())))
    codes = np.array([int(np.flatnonzero(appeared == label)[0]) for label in y])
    model = MultinomialNB().fit(X, codes)
    model.classes_ = np.unique(y)
    return model


@BROKEN.fails(BrokenClassifier, "check_same_seed_same_classifier", "random numbers must depend only on a parameter")
def chance_without_a_seed(X, y):
    return SGDClassifier(loss="log_loss", max_iter=1, tol=None).fit(X, y)


@BROKEN.fails(BrokenClassifier, "check_training_data_is_not_changed", "fit changes X")
def makes_features_binary_in_place(X, y):
    X.data[:] = 1
    return MultinomialNB().fit(X, y)


@BROKEN.fails(BrokenClassifier, "check_training_data_is_not_changed", "fit changes y")
def sorts_labels_in_place(X, y):
    model = MultinomialNB().fit(X, y)
    y.sort()
    return model


@BROKEN.fails(BrokenClassifier, "check_stored_classifier_is_the_same", "cannot be pickled")
def holds_a_function_without_a_name(X, y):
    model = MultinomialNB().fit(X, y)
    model.callback_ = lambda: None
    return model


class OurOwn(MultinomialNB):
    """A class that those who read the artifact do not have."""


@BROKEN.fails(BrokenClassifier, "check_stored_classifier_is_the_same", "return plain scikit-learn objects")
def is_of_our_own_class(X, y):
    return OurOwn().fit(X, y)


class ForgetsItsPriors(MultinomialNB):
    """Stored as a plain scikit-learn object, but not the same one."""

    def __reduce__(self):
        plain = MultinomialNB()
        vars(plain).update(vars(self), class_log_prior_=np.log([0.7, 0.1, 0.1, 0.1]))
        return plain.__reduce__()


@BROKEN.fails(BrokenClassifier, "check_stored_classifier_is_the_same", "predicts other probabilities")
def loses_something_when_it_is_stored(X, y):
    return ForgetsItsPriors().fit(X, y)


@BROKEN.fails(BrokenClassifier, "check_columns_of_meaning", "Negative values in data passed to MultinomialNB")
def counts_alone(X, y):
    return MultinomialNB().fit(X, y)


@BROKEN.fails(BrokenClassifier, "check_columns_of_meaning", "invalid value encountered in sqrt")
def square_roots(X, y):
    root = FunctionTransformer(np.sqrt, accept_sparse=True)
    return make_pipeline(root, LogisticRegression()).fit(X, y)


@BROKEN.fails(BrokenClassifier, "check_columns_of_meaning", "ValueError: Found unknown categories")
def only_numbers_that_were_in_training(X, y):
    dense = FunctionTransformer(operator.methodcaller("toarray"), accept_sparse=True)
    return make_pipeline(dense, OneHotEncoder(), LogisticRegression()).fit(X, y)


@BROKEN.fails(BrokenClassifier, "check_columns_of_meaning", "columns are full")
def needs_zeros_in_every_column(X, y):
    if (X.getnnz(axis=0) == len(y)).any():
        raise ValueError("some columns are full")
    return BernoulliNB().fit(X, y)


class Counts(WeighsColumns):
    column_weights: dict[str, float] = Field(default={"meaning": 0}, description="Factors of groups of columns.")

    def fit(self, X, y, sample_weight=None):
        return MultinomialNB().fit(X, y, sample_weight)


def test_a_classifier_that_leaves_the_columns_of_meaning_out_need_not_take_negative_values():
    check_plugin(Counts())


@pytest.mark.parametrize("broken", [BrokenClassifier(how="counts_alone"), Counts(column_weights={})], ids=repr)
def test_the_error_of_a_classifier_that_takes_no_negative_values_says_what_to_do(broken):
    with pytest.raises(PluginError) as caught:
        check_plugin(broken)

    assert str(caught.value).startswith(
        f"classifier {broken!r} fails check_columns_of_meaning: it fails on the negative values of columns of meaning; "
        'let fit accept them, or derive the class from WeighsColumns with column_weights={"meaning": 0}, so that it '
        "gets only words: "
    )


class Neighbours(WeighsColumns):
    def fit(self, X, y):
        return KNeighborsClassifier(1).fit(X, y)


BROKEN += [
    (
        ComplementNb(column_weights={"words": 2}),
        "check_columns_of_meaning",
        'leave them out: column_weights={"words": 2.0, "meaning": 0.0}',
    ),
    (Neighbours(column_weights={"words": 2}), "check_columns_of_meaning", "only 0 and 1 are possible"),
]


@BROKEN.fails(BrokenStart, "check_start_does_not_change_the_result", "differ from those of fit")
def stays_where_it_starts(X, y, start):
    model = LogisticRegression().fit(X, y)
    model.coef_, model.intercept_ = start.coef, start.intercept
    return model


@BROKEN.fails(BrokenStart, "check_start_does_not_change_the_result", "other classes_ than fit")
def keeps_the_labels_of_the_start(X, y, start):
    del start
    return ComplementNb().fit(X, np.char.add(y, " then"))


@BROKEN.fails(BrokenWeights, "check_equal_weights_change_nothing", "weights of 1 change the probabilities by up to")
def halves_the_weights(X, y, weights):
    return ComplementNB().fit(X, y, None if weights is None else weights / 2)


@BROKEN.fails(BrokenWeights, "check_weights_are_not_changed", "fit changes sample_weight")
def scales_weights_in_place(X, y, weights):
    if weights is not None:
        weights /= weights.max()
        weights **= 2
    return ComplementNB().fit(X, y, weights)


@BROKEN.fails(
    BrokenWeights, "check_the_heavier_label_wins", "have weight 3 instead of 1; but the probability of their labels"
)
def ignores_the_weights(X, y, _weights):
    return ComplementNB().fit(X, y)


@BROKEN.fails(
    BrokenWeights, "check_the_heavier_label_wins", "have weight 3 instead of 1; but the probability of their labels"
)
def divides_by_the_weights(X, y, weights):
    return ComplementNB().fit(X, y, None if weights is None else 1 / weights)


class BrokenWeightedStart(ComplementNb):
    """Only its start ignores the weights."""

    def fit_from(self, X, y, start, sample_weight=None):
        del start, sample_weight
        return self.fit(X, y)


BROKEN += [
    (StartsWithoutWeights(), "check_a_start_takes_weights_too", "but fit_from does not have it"),
    (BrokenWeightedStart(), "check_a_start_takes_weights_too", "with weights, the probabilities of fit_from differ"),
]


class Seeded(Classifier):
    random_state: int | None = Field(default=None, description="Seed.")

    def fit(self, X, y):
        return SGDClassifier(loss="log_loss", max_iter=5, tol=None, random_state=self.random_state).fit(X, y)


@pytest.mark.filterwarnings("ignore:Seeded.fit has no parameter:al_learner.core.errors.PluginWarning")
def test_a_strategy_without_a_seed_is_checked_with_one():
    check_plugin(Seeded())


def test_a_classifier_that_does_not_weigh_rows_keeps_its_promises_and_a_warning_says_what_it_cannot_do():
    with pytest.warns(PluginWarning, match=r"Seeded\.fit has no parameter sample_weight: .* \(the prior\)") as caught:
        check_plugin(Seeded())

    assert [warning.filename for warning in caught] == [__file__]


class IgnoresItsSeed(Seeded):
    def fit(self, X, y):
        return BROKEN.faults["chance_without_a_seed"](X, y)


BROKEN.append((IgnoresItsSeed(random_state=1), "check_same_seed_same_classifier", "random numbers must depend"))


@BROKEN.each()
def test_a_broken_classifier_fails_the_check_of_what_it_breaks(broken, check, reason):
    assert_fails(broken, check, reason)


def test_every_check_of_classifiers_can_fail():
    assert BROKEN.not_failed(classifiers.CHECKS) == set()
