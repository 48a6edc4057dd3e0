"""Groups of columns and weights of rows; what else `fit_classifier` does is tested with `Learner`."""

from types import SimpleNamespace

import numpy as np
import pytest
from pydantic import PrivateAttr
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MaxAbsScaler

from al_learner import Classifier, strategy
from al_learner.core.errors import DataError, PluginError
from al_learner.core.interfaces import WeighsColumns
from al_learner.core.training.fitting import fit_classifier, in_single_precision, transform

N_WORDS, N_MEANING = 12, 4
GROUPS = {"words": slice(0, N_WORDS), "meaning": slice(N_WORDS, N_WORDS + N_MEANING)}
LABELS = np.array(["a", "b", "c"] * 10)


@pytest.fixture(name="X")
def features() -> csr_matrix:
    """Sparse counts beside full columns of positive numbers, which naive Bayes can use too."""
    rng = np.random.default_rng(0)
    words = rng.poisson(0.4, (len(LABELS), N_WORDS)) + (np.arange(N_WORDS) % 3 == np.arange(len(LABELS))[:, None] % 3)
    return csr_matrix(np.hstack([words, rng.random((len(LABELS), N_MEANING))]), dtype=np.float32)


def scaled(X, *, words=1.0, meaning=1.0):
    factors = np.repeat([words, meaning], [N_WORDS, N_MEANING])
    return csr_matrix(X.multiply(factors), dtype=np.float32)


@pytest.mark.parametrize("name", ["logreg", "complement-nb"])
@pytest.mark.parametrize("left_out", ["words", "meaning"])
def test_a_group_with_the_factor_0_is_neither_trained_on_nor_selected(X, name, left_out):
    classifier = strategy("classifier", name, column_weights={left_out: 0})
    kept = np.ones(X.shape[1], bool)
    kept[GROUPS[left_out]] = False

    pipeline = fit_classifier(classifier, X, LABELS, groups=GROUPS)

    assert pipeline["columns"].get_support().tolist() == kept.tolist()
    alone = classifier.fit(X[:, np.flatnonzero(kept)], LABELS)
    assert (pipeline.predict_proba(X) == alone.predict_proba(X[:, np.flatnonzero(kept)])).all()


@pytest.mark.parametrize("labels", [LABELS, np.where(LABELS == "a", "a", "b")], ids=["three labels", "two labels"])
@pytest.mark.parametrize("name", ["logreg", "complement-nb"])
def test_what_is_stored_takes_weighted_columns_as_they_are(X, name, labels):
    weights = {"words": 2.0, "meaning": 0.25}
    classifier = strategy("classifier", name, column_weights=weights)

    pipeline = fit_classifier(classifier, X, labels, groups=GROUPS)

    weighed = scaled(X, **weights)
    expected = classifier.fit(weighed, labels).predict_proba(weighed)
    np.testing.assert_allclose(pipeline.predict_proba(X), expected, atol=1e-5)
    plain = fit_classifier(strategy("classifier", name, column_weights={}), X, labels, groups=GROUPS)
    assert np.abs(plain.predict_proba(X) - expected).max() > 0.01


def test_the_columns_of_the_caller_stay_as_they_are(X):
    kept = X.copy()

    fit_classifier(strategy("classifier", "logreg", column_weights={"words": 3}), X, LABELS, groups=GROUPS)

    assert (kept != X).nnz == 0


@pytest.mark.parametrize(
    ("groups", "weights"),
    [
        (None, {"words": 3.0}),
        ({"words": slice(0, N_WORDS)}, {"meaning": 3.0}),
        (GROUPS, {"topics": 0.0}),
    ],
    ids=["no groups", "a column of no group", "a group that the vectorizer does not have"],
)
def test_a_column_without_a_factor_has_the_factor_1(X, groups, weights):
    found, plain = (
        fit_classifier(strategy("classifier", "logreg", column_weights=given), X, LABELS, groups=groups)
        for given in (weights, {})
    )

    assert (found.predict_proba(X) == plain.predict_proba(X)).all()


def test_if_no_column_is_left_the_error_names_the_groups(X):
    classifier = strategy("classifier", "complement-nb")

    with pytest.raises(DataError, match=r"ComplementNb\(.*leaves out every column.*the groups meaning: .*above 0"):
        fit_classifier(classifier, X[:, GROUPS["meaning"]], LABELS, groups={"meaning": slice(0, N_MEANING)})


class Bell(WeighsColumns):
    """A model without coefficients."""

    def fit(self, X, y):
        del self
        dense = FunctionTransformer(lambda X: X.toarray(), accept_sparse=True)
        return make_pipeline(dense, GaussianNB()).fit(X, y)


def test_a_model_without_coefficients_can_leave_groups_out_and_nothing_else(X):
    fit_classifier(Bell(column_weights={"meaning": 0}), X, LABELS, groups=GROUPS)

    with pytest.raises(PluginError, match="no coefficients that could contain the factors of column_weights; only 0"):
        fit_classifier(Bell(column_weights={"meaning": 0.5}), X, LABELS, groups=GROUPS)


class Records(WeighsColumns):
    """Logistic regression that remembers what it was given."""

    _given: list = PrivateAttr(default_factory=list)

    def fit(self, X, y, sample_weight=None):
        self._given.append((X, None, sample_weight))
        return LogisticRegression().fit(X, y, sample_weight)

    def fit_from(self, X, y, start, sample_weight=None):
        self._given.append((X, start, sample_weight))
        return LogisticRegression().fit(X, y, sample_weight)


def test_in_single_precision_features_stay_as_they_are_and_nothing_is_in_half_precision():
    texts = ["a red car", "a blue car", "the red door", "a window and a door"]
    transformer = strategy("vectorizer", "lsa", n_dims=2).fit(texts)

    def vectors():
        _, meaning = transformer["groups"].transformer_list[1]
        return meaning["vectors"].components_.dtype

    stored, features = vectors(), transform(transformer, texts)

    assert in_single_precision(transformer) is transformer
    assert (stored, vectors()) == (np.float16, np.float32)
    assert (transform(transformer, texts) != features).nnz == 0


def test_only_factors_of_products_are_put_in_single_precision():
    scaler = MaxAbsScaler().fit([[3.0]])
    scaler.scale_ = scaler.scale_.astype(np.float16)
    other = SimpleNamespace(steps=["lower case"], transformer_list=["words"])

    assert in_single_precision(make_pipeline(scaler))[0].scale_.dtype == np.float16
    assert in_single_precision(other) is other


def test_a_start_is_in_the_units_of_the_weighted_columns(X):
    classifier = Records(column_weights={"meaning": 0.25})
    last = fit_classifier(classifier, X, LABELS, groups=GROUPS)

    fit_classifier(classifier, X, LABELS, groups=GROUPS, last=last)

    [(weighed, _, _), (_, start, _)] = classifier._given
    assert (weighed != scaled(X, meaning=0.25)).nnz == 0
    np.testing.assert_allclose(start.coef, LogisticRegression().fit(weighed, LABELS).coef_, rtol=1e-5)


def test_a_start_with_weighted_columns_is_where_the_last_fit_ended(X):
    classifier = strategy("classifier", "logreg", column_weights={"meaning": 0.25})
    last = fit_classifier(classifier, X, LABELS, groups=GROUPS)

    again = fit_classifier(classifier, X, LABELS, groups=GROUPS, last=last)

    assert last["classifier"].n_iter_ > again["classifier"].n_iter_ == 0


def test_weights_of_rows_reach_the_fit_with_and_without_a_start(X):
    classifier, weights = Records(), np.linspace(0.1, 1, len(LABELS), dtype=np.float32)
    last = fit_classifier(classifier, X, LABELS, sample_weight=weights)

    fit_classifier(classifier, X, LABELS, sample_weight=weights, last=last)
    fit_classifier(classifier, X, LABELS)

    [(_, no_start, first), (_, start, second), (_, _, none)] = classifier._given
    assert (first is weights, second is weights, none) == (True, True, None)
    assert no_start is None
    assert start is not None


class TakesNoWeights(Classifier):
    """A third party's classifier from before there were weights."""

    def fit(self, X, y):
        del self
        return LogisticRegression().fit(X, y)


def test_a_classifier_that_does_not_weigh_rows_is_trained_without_weights(X):
    weights = np.linspace(0.1, 1, len(LABELS), dtype=np.float32)

    weighed, plain = (fit_classifier(TakesNoWeights(), X, LABELS, sample_weight=given) for given in (weights, None))

    assert (weighed.predict_proba(X) == plain.predict_proba(X)).all()


class TakesWeightsButNoStart(Classifier):
    """Its model has coefficients, so there would be a start."""

    def fit(self, X, y, sample_weight=None):
        del self
        return LogisticRegression().fit(X, y, sample_weight)


class StartsWithoutWeights(Records):
    """Weighs rows, but not when it begins from a start."""

    def fit_from(self, X, y, start):
        self._given.append((X, start, None))
        return LogisticRegression().fit(X, y)


def test_a_classifier_whose_starts_take_no_weights_weighs_no_rows(X):
    classifier, weights = StartsWithoutWeights(), np.array([1, 1, 1, 0.1], np.float32)
    last = fit_classifier(classifier, X, LABELS, sample_weight=weights)

    fit_classifier(classifier, X, LABELS, last=last, sample_weight=weights)

    assert not classifier.weighs_rows()
    assert [given for _, _, given in classifier._given] == [None, None]


def test_a_classifier_that_weighs_rows_need_not_know_starts(X):
    classifier, weights = TakesWeightsButNoStart(), np.linspace(0.1, 1, len(LABELS), dtype=np.float32)
    last = fit_classifier(classifier, X, LABELS)

    found = fit_classifier(classifier, X, LABELS, last=last, sample_weight=weights)

    assert np.abs(found.predict_proba(X) - last.predict_proba(X)).max() > 0.01
