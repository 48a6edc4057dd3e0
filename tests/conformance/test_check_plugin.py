"""Every strategy that is installed keeps the promises of its interface, and ``check_plugin`` sees it when one does not.

A broken strategy is a class with a parameter `how`: the name of a function below, whose name in turn tells the fault.
"""

import itertools
import operator
from typing import ClassVar

import numpy as np
import pytest
from pydantic import ConfigDict, Field, PrivateAttr
from scipy.sparse import coo_matrix, csr_matrix
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.naive_bayes import BernoulliNB, ComplementNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from al_learner import Classifier, InitSampler, LabelAggregator, Vectorizer, WordVectors, check_plugin, strategy
from al_learner.core.errors import PluginError, PluginWarning
from al_learner.core.interfaces import ModelSelector, WeighsColumns
from al_learner.core.registry import PLUGINS, names
from al_learner.core.testing import checks
from al_learner.core.training.fitting import transform
from al_learner.plugins.aggregators.majority import Majority
from al_learner.plugins.classifiers.auto import Auto
from al_learner.plugins.classifiers.complement_nb import ComplementNb
from al_learner.plugins.vectorizers.count import Count
from tests.support.tiny_vectors import Tiny
from tests.support.word_vectors import cache_model, save_model

# Sound strategies

INSTALLED = [(kind, name) for kind in PLUGINS for name in names(kind)]

WITH_A_VALUE = [("word_vector", "model2vec"), ("word_vector", "model2vec-hub")]

PARAMETERS = [
    ("classifier", "auto", {"candidates": ("sgd",), "min_labels": 2, "n_folds": 2, "random_state": 3}),
    ("classifier", "auto", {"n_folds": 10, "max_texts": 50}),
    ("classifier", "complement-nb", {"alpha": 0.01, "norm": True}),
    ("classifier", "lightgbm", {"n_estimators": 5, "class_weight": "balanced", "n_jobs": 1}),
    ("classifier", "lightgbm", {"n_estimators": 5, "min_child_samples": 20, "n_jobs": 1, "random_state": None}),
    ("classifier", "logreg", {"class_weight": "balanced"}),
    ("classifier", "logreg", {"C": 100.0}),
    ("classifier", "logreg", {"column_weights": {"words": 0, "meaning": 2}}),
    ("classifier", "sgd", {"class_weight": "balanced", "random_state": None}),
    ("classifier", "sgd", {"loss": "modified_huber", "penalty": "elasticnet"}),
    ("classifier", "bernoulli-nb", {"alpha": 2.0, "fit_prior": False}),
    ("vectorizer", "count", {"binary": True, "lowercase": False}),
    ("vectorizer", "count", {"ngram_range": (1, 2), "max_features": 5}),
    ("vectorizer", "hashing", {"n_features": 16, "norm": None}),
    ("vectorizer", "hashing", {"ngram_range": (2, 3), "binary": True, "norm": "l1"}),
    ("vectorizer", "lsa", {"words": False, "n_dims": 3, "random_state": None}),
    ("vectorizer", "lsa", {"min_df": 2, "max_df": 0.5, "sublinear_tf": False}),
    ("vectorizer", "tfidf", {"ngram_range": (1, 2), "min_df": 2, "max_df": 0.5}),
    ("vectorizer", "tfidf", {"sublinear_tf": True, "norm": None}),
    ("vectorizer", "words-and-meaning", {"words": False, "n_dims": 3, "weight": 2.0}),
    ("vectorizer", "words-and-meaning", {"max_features": 5, "lowercase": False}),
    ("init_sampler", "balanced", {"random_state": 3}),
    ("init_sampler", "kmeans", {"random_state": 3, "max_texts": 20, "n_components": 1}),
    ("init_sampler", "label-meaning", {"random_state": 3, "max_texts": 20, "max_words": 3, "texts_per_label": 1}),
    ("init_sampler", "label-names", {"random_state": 3, "max_texts": 2}),
    ("init_sampler", "uniform", {"random_state": 3}),
    ("init_sampler", "diverse", {"pool": 1}),
    ("label_aggregator", "dawid-skene", {"n_iter": 2, "prior_votes": 4}),
]


@pytest.fixture(autouse=True)
def _word_vectors(monkeypatch):
    """Let every source be a tiny one, whichever are installed."""
    monkeypatch.setattr("al_learner.core.registry.word_vectors", lambda _source: Tiny())


@pytest.mark.parametrize(("kind", "name"), [row for row in INSTALLED if row not in WITH_A_VALUE])
def test_an_installed_strategy_keeps_the_promises_of_its_interface(kind, name):
    check_plugin(strategy(kind, name))


@pytest.mark.parametrize(("kind", "name", "params"), PARAMETERS)
def test_it_keeps_them_with_other_parameters_than_the_defaults(kind, name, params):
    check_plugin(strategy(kind, name, **params))


def test_a_model_of_a_folder_keeps_the_promises_of_word_vectors(tmp_path):
    check_plugin(strategy("word_vector", "model2vec", folder=str(save_model(tmp_path))))


def test_a_model_of_the_hub_keeps_the_promises_of_word_vectors(tmp_path, monkeypatch):
    from huggingface_hub import constants  # heavy

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    cache_model(tmp_path, "minishlab/small")

    check_plugin(strategy("word_vector", "model2vec-hub", name="minishlab/small"))


def test_the_built_in_strategies_and_those_of_the_example_are_installed():
    assert {*INSTALLED} >= {
        *(("classifier", name) for name in ("auto", "bernoulli-nb", "complement-nb", "lightgbm", "logreg", "sgd")),
        *(("vectorizer", name) for name in ("count", "hashing", "lsa", "tfidf", "words-and-meaning")),
        *(
            ("init_sampler", name)
            for name in ("balanced", "diverse", "kmeans", "label-meaning", "label-names", "uniform")
        ),
        *(("label_aggregator", name) for name in ("dawid-skene", "majority")),
        *(("word_vector", name) for name in ("model2vec", "model2vec-hub", "use", "wordllama")),
    }


@pytest.mark.parametrize("name", names("vectorizer"))
def test_the_core_gets_no_row_for_no_text_from_any_vectorizer(name):
    transformer = strategy("vectorizer", name).fit(["a good day", "a bad day"])
    n_columns = transform(transformer, ["a day"]).shape[1]
    assert transform(transformer, []).shape == (0, n_columns)


# Broken parameters


class WithoutDefault(Majority):
    threshold: int = Field(description="Votes.")


class WithoutDescription(Majority):
    threshold: int = 1


class TakesAnything(Majority):
    model_config = ConfigDict(extra="ignore")


class Changeable(Majority):
    model_config = ConfigDict(frozen=False)


class WrongDefault(Majority):
    threshold: int = Field(default=-1, ge=0, description="Votes.")


class LeftOutOfJson(Majority):
    threshold: int = Field(default=1, description="Votes.", exclude=True)


class CopiedWrong(Majority):
    threshold: int = Field(default=1, description="Votes.")

    def __deepcopy__(self, memo=None):
        del memo
        return type(self)()


class PickledWrong(CopiedWrong):
    __deepcopy__ = Majority.__deepcopy__

    def __reduce__(self):
        return type(self), ()


class StrictAboutTuples(Majority):
    model_config = ConfigDict(strict=True)
    weights: tuple[int, ...] = Field(default=(1, 2), description="Weights of votes.")


class RequiresLetters(Majority):
    requires: ClassVar = "numpy"


class RequiresModule(Majority):
    requires: ClassVar = ("sklearn",)


class RemembersTheLast(Majority):
    _last: int = PrivateAttr(default=0)

    def aggregate(self, votes):
        self._last += len(votes.text)
        return super().aggregate(votes)


def _local():
    class Local(Majority):
        """Nobody can import it."""

    return Local()


BROKEN = [
    (WithoutDefault(threshold=1), "check_parameters_have_defaults", "without a default: threshold"),
    (WithoutDescription(), "check_parameters_are_described", "without a description: threshold"),
    (TakesAnything(), "check_unknown_parameters_are_refused", "extra='forbid'"),
    (Changeable(), "check_parameters_cannot_be_changed", "frozen=True"),
    (WrongDefault(threshold=1), "check_comes_back_from_json", "greater than or equal to 0"),
    (LeftOutOfJson(threshold=2), "check_comes_back_from_json", "gives another strategy"),
    (CopiedWrong(threshold=2), "check_comes_back_from_a_copy", "a deep copy differs"),
    (PickledWrong(threshold=2), "check_comes_back_from_a_copy", "differs from the original"),
    (_local(), "check_comes_back_from_a_copy", "Local"),
    (StrictAboutTuples(), "check_comes_back_from_a_record", "weights"),
    (RequiresLetters(), "check_required_packages_are_installed", "must be a tuple of names, not 'numpy'"),
    (RequiresModule(), "check_required_packages_are_installed", "no package of that name is installed"),
    (RemembersTheLast(), "check_one_label_a_text", "the strategy was changed"),
]

FAULTS = {}


def fails(cls, check, reason):
    """Make a broken strategy of a function: one of `cls`, which must fail `check` for `reason`."""

    def add(fault):
        FAULTS[fault.__name__] = fault
        BROKEN.append((cls(how=fault.__name__), check, reason))
        return fault

    return add


# Broken classifiers


class BrokenClassifier(Classifier):
    how: str = Field(default="", description="What is wrong with it.")

    def fit(self, X, y):
        return FAULTS[self.how](X, y)


class BrokenStart(ComplementNb):
    how: str = Field(default="", description="What is wrong with it.")

    def fit_from(self, X, y, start):
        return FAULTS[self.how](X, y, start)


class BrokenWeights(ComplementNb):
    how: str = Field(default="", description="What is wrong with it.")

    def fit(self, X, y, sample_weight=None):
        return FAULTS[self.how](X, y, sample_weight)


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


@fails(BrokenClassifier, "check_two_labels", "ZeroDivisionError")
def fit_raises(X, y):
    return X, y, 1 / 0


@fails(BrokenClassifier, "check_two_labels", "returned a LinearSVC without predict_proba")
def no_probabilities(X, y):
    from sklearn.svm import LinearSVC

    return LinearSVC().fit(X, y)


class Bare:
    """All that the neighbours call, but not what scikit-learn's Pipeline asks of its last step."""

    def __init__(self, X, y):
        model = MultinomialNB().fit(X, y)
        self.classes_, self.predict, self.predict_proba = model.classes_, model.predict, model.predict_proba


@fails(BrokenClassifier, "check_two_labels", "is not an estimator instance")
def is_no_scikit_learn_estimator(X, y):
    return Bare(X, y)


@fails(BrokenClassifier, "check_two_labels", "its classes_ are not those")
def classes_are_not_sorted(X, y):
    return Twisted(X, y, classes=np.unique(y)[::-1])


@fails(BrokenClassifier, "check_two_labels", "predict_proba has shape (1, 2) instead of (20, 2)")
def probabilities_of_the_first_row_alone(X, y):
    return Twisted(X, y, probabilities=lambda _, p: p[:1])


@fails(BrokenClassifier, "check_two_labels", "predict has shape (1,) instead of (20,)")
def one_label_for_all_rows(X, y):
    return Twisted(X, y, labels=lambda _: y[:1])


@fails(BrokenClassifier, "check_two_labels", "predict_proba has NaN, or numbers that are not from 0 to 1")
def logarithms_of_probabilities(X, y):
    return Twisted(X, y, probabilities=lambda _, p: np.log(p))


@fails(BrokenClassifier, "check_two_labels", "rows of predict_proba sum to 0.5")
def probabilities_sum_to_a_half(X, y):
    return Twisted(X, y, probabilities=lambda _, p: p / 2)


@fails(BrokenClassifier, "check_two_labels", "predict gives labels that are not in classes_")
def codes_for_labels(X, y):
    return Twisted(X, y, labels=lambda p: p.argmax(axis=1))


@fails(BrokenClassifier, "check_two_labels", "than the most probable ones")
def the_least_probable_label(X, y):
    return Twisted(X, y, labels=lambda p: np.unique(y)[p.argmin(axis=1)])


@fails(BrokenClassifier, "check_many_labels", "liblinear")
def two_labels_alone(X, y):
    return LogisticRegression(solver="liblinear").fit(X, y)


@fails(BrokenClassifier, "check_integer_labels", "its classes_ are not those")
def labels_become_strings(X, y):
    return MultinomialNB().fit(X, y.astype(str))


@fails(BrokenClassifier, "check_fewer_rows_than_columns", "LinAlgError")
def columns_must_be_independent(X, y):
    np.linalg.inv(np.eye(X.shape[1]) * (X.shape[0] >= X.shape[1]))
    return MultinomialNB().fit(X, y)


@fails(BrokenClassifier, "check_one_row_a_label", "ValueError")
def cross_validates(X, y):
    return CalibratedClassifierCV(LogisticRegression(), cv=3).fit(X, y)


@fails(BrokenClassifier, "check_row_without_known_words", "predict_proba has NaN, or numbers that are not from 0 to 1")
def no_probabilities_for_an_empty_row(X, y):
    return Twisted(X, y, probabilities=lambda X, p: np.where(X.sum(axis=1) > 0, p, np.nan))


@fails(BrokenClassifier, "check_labels_are_not_mixed_up", "check the order of classes_")
def labels_numbered_as_they_appear(X, y):
    appeared = np.array(list(dict.fromkeys(y.tolist())))
    codes = np.array([int(np.flatnonzero(appeared == label)[0]) for label in y])
    model = MultinomialNB().fit(X, codes)
    model.classes_ = np.unique(y)
    return model


@fails(BrokenClassifier, "check_same_seed_same_classifier", "random numbers must depend only on a parameter")
def chance_without_a_seed(X, y):
    return SGDClassifier(loss="log_loss", max_iter=1, tol=None).fit(X, y)


@fails(BrokenClassifier, "check_training_data_is_not_changed", "fit changes X")
def makes_features_binary_in_place(X, y):
    X.data[:] = 1
    return MultinomialNB().fit(X, y)


@fails(BrokenClassifier, "check_training_data_is_not_changed", "fit changes y")
def sorts_labels_in_place(X, y):
    model = MultinomialNB().fit(X, y)
    y.sort()
    return model


@fails(BrokenClassifier, "check_stored_classifier_is_the_same", "cannot be pickled")
def holds_a_function_without_a_name(X, y):
    model = MultinomialNB().fit(X, y)
    model.callback_ = lambda: None
    return model


class OurOwn(MultinomialNB):
    """A class that those who read the artifact do not have."""


@fails(BrokenClassifier, "check_stored_classifier_is_the_same", "return plain scikit-learn objects")
def is_of_our_own_class(X, y):
    return OurOwn().fit(X, y)


class ForgetsItsPriors(MultinomialNB):
    """Stored as a plain scikit-learn object, but not the same one."""

    def __reduce__(self):
        plain = MultinomialNB()
        vars(plain).update(vars(self), class_log_prior_=np.log([0.7, 0.1, 0.1, 0.1]))
        return plain.__reduce__()


@fails(BrokenClassifier, "check_stored_classifier_is_the_same", "predicts other probabilities")
def loses_something_when_it_is_stored(X, y):
    return ForgetsItsPriors().fit(X, y)


@fails(BrokenClassifier, "check_columns_of_meaning", "Negative values in data passed to MultinomialNB")
def counts_alone(X, y):
    return MultinomialNB().fit(X, y)


@fails(BrokenClassifier, "check_columns_of_meaning", "invalid value encountered in sqrt")
def square_roots(X, y):
    root = FunctionTransformer(np.sqrt, accept_sparse=True)
    return make_pipeline(root, LogisticRegression()).fit(X, y)


@fails(BrokenClassifier, "check_columns_of_meaning", "ValueError: Found unknown categories")
def only_numbers_that_were_in_training(X, y):
    dense = FunctionTransformer(operator.methodcaller("toarray"), accept_sparse=True)
    return make_pipeline(dense, OneHotEncoder(), LogisticRegression()).fit(X, y)


@fails(BrokenClassifier, "check_columns_of_meaning", "columns are full")
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
    (ComplementNb(column_weights={"words": 2}), "check_columns_of_meaning", "passed to ComplementNB"),
    (Neighbours(column_weights={"words": 2}), "check_columns_of_meaning", "only 0 and 1 are possible"),
]


@fails(BrokenStart, "check_start_does_not_change_the_result", "differ from those of fit")
def stays_where_it_starts(X, y, start):
    model = LogisticRegression().fit(X, y)
    model.coef_, model.intercept_ = start.coef, start.intercept
    return model


@fails(BrokenStart, "check_start_does_not_change_the_result", "other classes_ than fit")
def keeps_the_labels_of_the_start(X, y, start):
    del start
    return ComplementNb().fit(X, np.char.add(y, " then"))


@fails(BrokenWeights, "check_equal_weights_change_nothing", "weights of 1 change the probabilities by up to")
def halves_the_weights(X, y, weights):
    return ComplementNB().fit(X, y, None if weights is None else weights / 2)


@fails(BrokenWeights, "check_weights_are_not_changed", "fit changes sample_weight")
def scales_weights_in_place(X, y, weights):
    if weights is not None:
        weights /= weights.max()
        weights **= 2
    return ComplementNB().fit(X, y, weights)


@fails(BrokenWeights, "check_the_heavier_label_wins", "have weight 3 instead of 1; but the probability of their labels")
def ignores_the_weights(X, y, _weights):
    return ComplementNB().fit(X, y)


@fails(BrokenWeights, "check_the_heavier_label_wins", "have weight 3 instead of 1; but the probability of their labels")
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
        return FAULTS["chance_without_a_seed"](X, y)


BROKEN.append((IgnoresItsSeed(random_state=1), "check_same_seed_same_classifier", "random numbers must depend"))


# Broken model_selectors


class BrokenSelector(Auto):
    how: str = Field(default="", description="What is wrong with it.")

    def losses(self, X, y, fit):
        return FAULTS[self.how](X, y, fit, super().losses)


BROKEN.append((Auto(candidates=("auto",)), "check_candidates_are_installed", "'auto' is a model selector itself"))
BROKEN.append((Auto(candidates=("logrg",)), "check_candidates_are_installed", "did you mean 'logreg'?"))


@fails(BrokenSelector, "check_one_loss_a_row", "40 rows need as many losses, not shape ()")
def one_loss_for_all(X, y, fit, losses):
    return np.nanmean(losses(X, y, fit))


@fails(BrokenSelector, "check_one_loss_a_row", "losses are infinite")
def infinite_where_it_cannot_tell(X, y, fit, losses):
    del fit, losses
    return np.full(len(y), np.inf) * X.shape[0]


@fails(BrokenSelector, "check_one_loss_a_row", "all losses are nan")
def tells_of_no_row(X, y, fit, losses):
    return losses(X, y, fit) * np.nan


@fails(BrokenSelector, "check_one_row_a_label", "ValueError")
def needs_each_label_twice(X, y, fit, losses):
    if np.unique(y, return_counts=True)[1].min() < 2:
        raise ValueError("a label occurs once")
    return losses(X, y, fit)


@fails(BrokenSelector, "check_the_same_rows_for_every_candidate", "are nan in other rows")
def leaves_out_what_is_easy(X, y, fit, losses):
    found = losses(X, y, fit)
    return np.where(found < 0.7, np.nan, found) if len(y) == 20 else found


@fails(BrokenSelector, "check_what_learns_is_better_than_what_does_not", "the loss of a classifier that learns is")
def higher_is_better(X, y, fit, losses):
    return -losses(X, y, fit)


@fails(BrokenSelector, "check_no_row_was_seen", "was the candidate trained on the rows")
def predicts_what_it_has_seen(X, y, fit, losses):
    del losses
    model = fit(X, y)
    return -np.log(model.predict_proba(X)[np.arange(len(y)), np.searchsorted(model.classes_, y)])


@fails(BrokenSelector, "check_same_seed_same_losses", "random numbers must depend only on a parameter")
def chance_decides(X, y, fit, losses):
    return losses(X, y, fit) + np.random.default_rng().uniform(0, 0.1, len(y))


@fails(BrokenSelector, "check_labelled_data_is_not_changed", "losses changes X")
def doubles_the_counts(X, y, fit, losses):
    found = losses(X, y, fit)
    X.data *= 2
    return found


@fails(BrokenSelector, "check_labelled_data_is_not_changed", "losses changes y")
def sorts_the_labels(X, y, fit, losses):
    found = losses(X, y, fit)
    y.sort()
    return found


# Broken vectorizers


class BrokenVectorizer(Vectorizer):
    how: str = Field(default="", description="What is wrong with it.")

    def fit(self, texts):
        return FAULTS[self.how](texts)


class BrokenGroups(Vectorizer):
    how: str = Field(default="", description="What is wrong with it.")

    def fit(self, texts):
        return Count().fit(texts)

    def groups(self, n_features):
        return FAULTS[self.how](n_features)


@fails(BrokenGroups, "check_groups_of_columns", "must be in one group; 1 are in none, 0 in several")
def a_column_of_no_group(n_features):
    return {"words": slice(0, n_features - 1)}


@fails(BrokenGroups, "check_groups_of_columns", "must be in one group; 0 are in none, 1 in several")
def a_column_of_two_groups(n_features):
    return {"words": slice(0, n_features - 1), "meaning": slice(n_features - 2, n_features)}


@fails(BrokenGroups, "check_groups_of_columns", "groups end after the last of the")
def a_group_that_is_too_long(n_features):
    return {"words": slice(0, n_features + 1)}


@fails(BrokenGroups, "check_groups_of_columns", "groups must be slices, not words: [0, 1]")
def a_list_of_columns(_n_features):
    return {"words": [0, 1]}


class Twist:
    """Sound features, and then a function of the texts and them."""

    def __init__(self, texts, function):
        self._transformer = Count().fit(texts)
        self._function = function

    def transform(self, texts):
        return self._function(texts, self._transformer.transform(texts))


@fails(BrokenVectorizer, "check_same_corpus_same_features", "random numbers must depend only on a parameter")
def columns_in_random_order(texts):
    vectorizer = Count().fit(texts)
    order = np.random.default_rng().permutation(len(vectorizer.vocabulary_)).tolist()
    vectorizer.vocabulary_ = {word: order[column] for word, column in vectorizer.vocabulary_.items()}
    return vectorizer


@fails(BrokenVectorizer, "check_same_corpus_same_features", "must return a float32 CSR matrix")
def whole_numbers(texts):
    return CountVectorizer().fit(texts)


@fails(BrokenVectorizer, "check_same_corpus_same_features", "must return a float32 CSR matrix")
def another_sparse_format(texts):
    return Twist(texts, lambda _, X: coo_matrix(X))


@fails(BrokenVectorizer, "check_same_corpus_same_features", "must return a float32 CSR matrix with 36 rows")
def a_row_too_few(texts):
    return Twist(texts, lambda _, X: X[1:])


@fails(BrokenVectorizer, "check_corpus_is_read_once", "TypeError")
def needs_the_length_of_the_corpus(texts):
    return Count(max_features=len(texts)).fit(texts)


@fails(BrokenVectorizer, "check_corpus_is_read_once", "other features than a list")
def reads_a_text_in_advance(texts):
    next(iter(texts))
    return TfidfVectorizer(dtype=np.float32).fit(texts)


@fails(BrokenVectorizer, "check_unusual_texts", "IndexError")
def needs_a_word(texts):
    return Twist(texts, lambda texts, X: (X, [text.split()[0] for text in texts])[0])


@fails(BrokenVectorizer, "check_unusual_texts", "NaN or infinite")
def empty_texts_become_nan(texts):
    return Twist(
        texts, lambda texts, X: X + csr_matrix(np.array([[0 if t else np.nan] * X.shape[1] for t in texts]), dtype="f4")
    )


@fails(BrokenVectorizer, "check_unusual_texts", "no column")
def no_column(texts):
    return Twist(texts, lambda _, X: X[:, :0])


@fails(BrokenVectorizer, "check_texts_are_not_changed", "fit changes the list")
def sorts_the_corpus(texts):
    listed = list(texts)
    if isinstance(texts, list):
        texts.sort()
    return Count().fit(listed)


@fails(BrokenVectorizer, "check_texts_are_not_changed", "transform changes the list")
def sorts_the_texts(texts):
    return Twist(texts, lambda texts, X: (X, texts.sort() if isinstance(texts, list) else None)[0])


@fails(BrokenVectorizer, "check_a_row_does_not_depend_on_others", "the second time")
def every_call_counts(texts):
    calls = itertools.count(1)
    return Twist(texts, lambda _, X: X * np.float32(next(calls)))


@fails(BrokenVectorizer, "check_a_row_does_not_depend_on_others", "alone has other features than among other texts")
def scales_by_the_largest_of_all_rows(texts):
    return Twist(texts, lambda _, X: (X / max(X.max(), 1)).astype(np.float32))


@fails(BrokenVectorizer, "check_stored_vectorizer_is_the_same", "cannot be pickled")
def splits_by_a_function_without_a_name(texts):
    return CountVectorizer(dtype=np.float32, tokenizer=lambda text: text.split(), token_pattern=None).fit(texts)


@fails(BrokenVectorizer, "check_stored_vectorizer_is_the_same", "return plain scikit-learn objects")
def splits_by_a_function_of_our_own(texts):
    return CountVectorizer(dtype=np.float32, tokenizer=_words, token_pattern=None).fit(texts)


def _words(text):
    return text.split()


class ForgetsToCount(CountVectorizer):
    """Stored as a plain scikit-learn object, but not the same one."""

    def __reduce__(self):
        plain = CountVectorizer()
        vars(plain).update(vars(self), binary=True)
        return plain.__reduce__()


@fails(BrokenVectorizer, "check_stored_vectorizer_is_the_same", "gives other features")
def forgets_a_parameter_when_it_is_stored(texts):
    return ForgetsToCount(dtype=np.float32).fit(texts)


# Broken init samplers


class BrokenSampler(InitSampler):
    how: str = Field(default="", description="What is wrong with it.")

    def sample(self, texts, labels, size, rng):
        rows, names = self.pick(len(texts), size, rng), [labels[i % len(labels)] for i in range(size)]
        return FAULTS[self.how](texts, labels, rows, names, rng)


@fails(BrokenSampler, "check_sample_of_many_texts", "AttributeError")
def needs_a_list_of_texts(texts, _labels, rows, names, _rng):
    return rows, [name for name, _ in zip(names, texts.copy(), strict=False)]


@fails(BrokenSampler, "check_sample_of_many_texts", "positions must be integers")
def positions_that_are_no_integers(_texts, _labels, rows, names, _rng):
    return rows / 1, names


@fails(BrokenSampler, "check_sample_of_many_texts", "9 positions and 10 labels")
def a_text_too_few(_texts, _labels, rows, names, _rng):
    return rows[1:], names


@fails(BrokenSampler, "check_sample_of_many_texts", "10 positions and 9 labels")
def a_label_too_few(_texts, _labels, rows, names, _rng):
    return rows, names[1:]


@fails(BrokenSampler, "check_sample_of_many_texts", "positions must be from 0 to 49")
def positions_that_count_from_one(_texts, _labels, rows, names, _rng):
    return rows + 1, names


@fails(BrokenSampler, "check_sample_of_many_texts", "not [-1]")
def positions_that_count_from_the_end(_texts, _labels, rows, names, _rng):
    return rows - 1, names


@fails(BrokenSampler, "check_sample_of_many_texts", "different texts were picked; 10 are possible")
def the_same_text_twice(_texts, _labels, rows, names, _rng):
    return [*rows[:-1], rows[0]], names


@fails(BrokenSampler, "check_sample_of_many_texts", "not among the given ones: ['none']")
def a_label_of_its_own(_texts, _labels, rows, names, _rng):
    return rows, ["none", *names[1:]]


@fails(BrokenSampler, "check_sample_of_one_text", "ValueError")
def every_text_once_at_most(texts, _labels, rows, names, rng):
    return rng.choice(len(texts), 1 if len(rows) == 1 else max(len(rows), 2), replace=False), names


@fails(BrokenSampler, "check_sample_of_identical_texts", "10 are possible")
def texts_that_differ_alone(texts, _labels, rows, names, _rng):
    return [list(texts).index(texts[row]) for row in rows], names


@fails(BrokenSampler, "check_sample_larger_than_the_texts", "only 7 texts were picked instead of 20 or more")
def as_many_as_there_are(texts, _labels, rows, names, _rng):
    n = len(rows) if len(texts) == 1 else min(len(rows), len(texts))
    return rows[:n], names[:n]


@fails(BrokenSampler, "check_sample_with_two_labels", "two different labels are needed")
def labels_by_chance_alone(_texts, labels, rows, names, rng):
    return rows, [labels[i] for i in rng.integers(len(labels), size=len(names))]


@fails(BrokenSampler, "check_sample_smaller_than_the_labels", "2 positions and 30 labels")
def every_label_at_least_once(texts, labels, rows, names, _rng):
    return rows, [*names, *labels[len(names) :]] if len(texts) >= len(labels) else names


@fails(BrokenSampler, "check_same_rng_same_sample", "take all random numbers from rng")
def chance_of_its_own(_texts, _labels, rows, names, _rng):
    return np.random.default_rng().permutation(rows), names


class BrokenPrior(InitSampler):
    """Gives the texts labels in turn, and picks every text. But `how` spoils it."""

    how: str = Field(default="", description="What is wrong with it.")

    def sample(self, texts, labels, size, rng):
        return self.pick(len(texts), size, rng), self.deal(labels, size, rng)

    def prior(self, texts, labels, rng):
        if len(texts) < 2:
            return None
        names = [[*labels][i % len(labels)] for i in range(len(texts))]
        return FAULTS[self.how](texts, labels, rng.permutation(len(texts)), names, rng)


@fails(BrokenPrior, "check_same_rng_same_prior", "take all random numbers from rng")
def a_prior_by_chance(_texts, _labels, rows, names, _rng):
    return np.random.default_rng().permutation(rows), names


@fails(BrokenPrior, "check_same_rng_same_prior", "AttributeError")
def a_prior_that_needs_a_list_of_texts(texts, _labels, rows, names, _rng):
    return rows[: len(texts.copy())], names


@fails(BrokenPrior, "check_same_rng_same_prior", "only 49 different ones")
def a_prior_with_a_text_twice(_texts, _labels, rows, names, _rng):
    return [*rows[:-1], rows[0]], names


@fails(BrokenPrior, "check_same_rng_same_prior", "positions must be from 0 to 49, not")
def a_prior_of_texts_that_do_not_exist(texts, _labels, rows, names, _rng):
    return rows + len(texts), names


@fails(BrokenPrior, "check_same_rng_same_prior", "49 positions and 50 labels")
def a_prior_with_a_text_too_few(_texts, _labels, rows, names, _rng):
    return rows[1:], names


@fails(BrokenPrior, "check_same_rng_same_prior", "not among the given ones: ['none']")
def a_prior_with_a_label_of_its_own(_texts, _labels, rows, names, _rng):
    return rows, ["none", *names[1:]]


@fails(BrokenPrior, "check_same_rng_same_prior", "two different labels are needed, not only ['ignored']")
def a_prior_with_one_label(_texts, _labels, rows, names, _rng):
    return rows, [names[0]] * len(names)


@fails(BrokenPrior, "check_same_rng_same_prior", "two different labels are needed, not only []")
def a_prior_without_texts(_texts, _labels, rows, names, _rng):
    return rows[:0].astype(np.intp), names[:0]


@fails(BrokenPrior, "check_prior_of_few_texts", "IndexError")
def a_prior_of_many_texts_alone(_texts, _labels, rows, names, _rng):
    return (rows, names) if rows[9] >= 0 else None


@fails(BrokenPrior, "check_prior_of_identical_texts", "different ones")
def a_prior_of_texts_that_differ_alone(texts, _labels, rows, names, _rng):
    return [list(texts).index(texts[row]) for row in rows.tolist()], names


@fails(BrokenPrior, "check_prior_of_texts_without_words", "ZeroDivisionError")
def a_prior_of_texts_with_words_alone(texts, _labels, rows, names, _rng):
    return (rows, names) if 1 / sum(character.isalpha() for text in texts for character in text) else None


@fails(BrokenPrior, "check_prior_of_described_labels", "not among the given ones: ['!', 'bad weather', ")
def descriptions_for_labels(_texts, labels, rows, names, _rng):
    return rows, [labels[name] or name for name in names]


class PriorOfAll(InitSampler):
    def sample(self, texts, labels, size, rng):
        rows = rng.permutation(max(len(texts), size)) % len(texts)
        return rows, self.deal(labels, len(rows), rng)

    def prior(self, texts, labels, rng):
        n = len(texts)
        return (rng.permutation(n), self.deal([*labels], n, rng)) if n > 1 else None


def test_a_sample_may_have_more_texts_than_asked_for_and_a_prior_any_number():
    check_plugin(PriorOfAll())


# Broken label aggregators


class BrokenAggregator(LabelAggregator):
    how: str = Field(default="", description="What is wrong with it.")

    def aggregate(self, votes):
        return FAULTS[self.how](votes, Majority().aggregate(votes))


@fails(BrokenAggregator, "check_one_label_a_text", "60 texts need as many label codes")
def a_text_is_left_out(_votes, won):
    return won[1:]


@fails(BrokenAggregator, "check_one_label_a_text", "not float64 of shape (60,)")
def codes_that_are_no_integers(_votes, won):
    return won / 1


@fails(BrokenAggregator, "check_one_label_a_text", "label codes must be from 0 to 3, not [-1, ")
def no_label_where_the_votes_differ(votes, won):
    differ = [len({*votes.label[votes.text == text].tolist()}) > 1 for text in range(len(won))]
    return np.where(differ, -1, won)


@fails(BrokenAggregator, "check_no_votes", "ValueError")
def needs_a_vote(votes, won):
    return won[: votes.text.max() + 1]


@fails(BrokenAggregator, "check_unanimous_votes", "get the labels [0, 0, ")
def a_stored_label_stays_for_ever(votes, won):
    return np.where(votes.stored >= 0, votes.stored, won)


@fails(
    BrokenAggregator, "check_ties", "votes for [1, 0] with the stored label -1 (-1: none) must aggregate to 1, not 0"
)
def the_smallest_label_wins_a_tie(votes, won):
    counts = np.zeros((len(won), 4), int)
    np.add.at(counts, (votes.text, votes.label), 1)
    return counts.argmax(axis=1)


@fails(BrokenAggregator, "check_ties", "votes for [0, 1] with the stored label 1 (-1: none) must aggregate to 1, not 0")
def the_stored_label_counts_for_nothing(votes, _won):
    unstored = type(votes)(votes.text, votes.annotator, votes.label, votes.label_names, np.full_like(votes.stored, -1))
    return Majority().aggregate(unstored)


@fails(BrokenAggregator, "check_same_votes_same_labels", "random numbers must depend only on a parameter")
def many_texts_leave_some_to_chance(_votes, won):
    return won if len(won) < 60 else np.random.default_rng().permutation(won)


@fails(BrokenAggregator, "check_order_of_texts_does_not_matter", "in another order")
def the_last_text_gets_its_last_vote(votes, won):
    if len(won) > 1:
        won[-1] = votes.label[-1]
    return won


@fails(BrokenAggregator, "check_votes_are_not_changed", "votes.label is changed")
def sorts_the_votes(votes, won):
    votes.label.sort()
    return won


class BrokenEstimate(Majority):
    how: str = Field(default="", description="What is wrong with it.")

    def accuracies(self, votes):
        return FAULTS[self.how](votes.annotator.max(initial=-1) + 1)


@fails(BrokenEstimate, "check_accuracies", "6 annotators need as many accuracies, not float64 of shape (7,)")
def one_more_for_nobody_named(n_annotators):
    return np.ones(n_annotators + 1)


@fails(BrokenEstimate, "check_accuracies", "accuracies must be from 0 to 1, not [90.0, ")
def percent(n_annotators):
    return np.full(n_annotators, 90.0)


# Broken word vectors


class Letters(WordVectors):
    """How often the letters from a to z occur."""

    languages: ClassVar = ("en",)
    licence: ClassVar = "MIT"
    provenance: ClassVar = "Counted."

    def vectors(self, words):
        counts = [[word.count(chr(letter)) for letter in range(97, 123)] for word in words]
        return np.asarray(counts, np.float32).reshape(len(words), 26)

    def digest(self):
        return "0123456789abcdef" * 4


class BrokenWords(Letters):
    how: str = Field(description="What is wrong with it.")

    def vectors(self, words):
        return FAULTS[self.how](words, super().vectors(words))


class TwoParameters(Letters):
    folder: str = Field(default="", description="Folder.")
    n_dims: int = Field(default=26, description="Numbers of a vector.")


class FromNowhere(Letters):
    provenance: ClassVar = " "


class WithoutLicence(Letters):
    licence: ClassVar = ""


class NobodyDecidesItsLicence(Letters):
    licence: ClassVar = "NOASSERTION"


class OfAllLanguages(Letters):
    languages: ClassVar = ()


class NamesItsLanguage(Letters):
    languages: ClassVar = ("English",)


class ShortDigest(Letters):
    def digest(self):
        return "0123456789abcdef"


class RandomDigest(Letters):
    def digest(self):
        return np.random.default_rng().bytes(32).hex()


BROKEN += [
    (TwoParameters(), "check_at_most_one_parameter", "parameters folder, n_dims"),
    (FromNowhere(), "check_it_says_where_it_comes_from", "provenance must be a sentence"),
    (WithoutLicence(), "check_it_says_where_it_comes_from", "licence must be an SPDX identifier"),
    (NobodyDecidesItsLicence(), "check_it_says_where_it_comes_from", "licence is NOASSERTION"),
    (OfAllLanguages(), "check_it_says_where_it_comes_from", "languages is empty"),
    (NamesItsLanguage(), "check_it_says_where_it_comes_from", "ISO 639-1 codes like ('en',), not ('English',)"),
    (ShortDigest(), "check_digest", "the 64 hexadecimal digits of a SHA-256, not '0123456789abcdef'"),
    (RandomDigest(), "check_digest", "something else the second time"),
]


def test_letters_are_sound_word_vectors():
    check_plugin(Letters())


@fails(BrokenWords, "check_vectors", "not float64 of shape (0, 26)")
def double_precision(_words, found):
    return found.astype(np.float64)


@fails(BrokenWords, "check_vectors", "vectors of 26 numbers, and of 1 in another call")
def another_width_without_words(words, found):
    return found if words else np.zeros((0, 1), np.float32)


@fails(BrokenWords, "check_vectors", "NaN or infinity for '")
def unit_length_also_of_nothing(_words, found):
    with np.errstate(invalid="ignore"):
        return found / np.linalg.norm(found, axis=1, keepdims=True)


@fails(BrokenWords, "check_unusual_words", "IndexError")
def needs_a_first_letter(words, found):
    return found * np.asarray([[word[0] != "#"] for word in words], np.float32).reshape(-1, 1)


@fails(BrokenWords, "check_same_words_same_vectors", "other vectors the second time")
def noise(_words, found):
    return found + np.random.default_rng().random(found.shape, np.float32)


@fails(BrokenWords, "check_a_vector_does_not_depend_on_other_words", "in another order have other vectors")
def smoothed_over_neighbours(words, found):
    return np.cumsum(found, axis=0) if len(words) > 20 else found


@fails(BrokenWords, "check_a_vector_does_not_depend_on_other_words", "alone has another vector than among others")
def centred(words, found):
    return found - found.mean(axis=0) if len({*words}) > 1 else found


@pytest.mark.parametrize(
    ("broken", "check", "reason"), BROKEN, ids=[getattr(row[0], "how", type(row[0]).__name__) for row in BROKEN]
)
def test_a_broken_strategy_fails_the_check_of_what_it_breaks(broken, check, reason):
    with pytest.raises(PluginError) as caught:
        check_plugin(broken)
    assert f"{broken!r} fails {check}: " in str(caught.value)
    assert reason in str(caught.value)


@pytest.mark.parametrize("interface", [ModelSelector, *PLUGINS.values()])
def test_every_check_can_fail(interface):
    assert {check.__name__ for check in checks(interface)} <= {check for _, check, _ in BROKEN}


@pytest.mark.parametrize("wrong", [Majority, "majority", None])
def test_what_is_no_strategy_cannot_be_checked(wrong):
    with pytest.raises(PluginError, match="not a class, of one of these types: Classifier, Vectorizer, InitSampler"):
        check_plugin(wrong)
