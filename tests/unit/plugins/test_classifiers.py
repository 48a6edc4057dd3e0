import pickle

import numpy as np
import pytest
from scipy.sparse import csr_matrix, random_array
from sklearn.naive_bayes import ComplementNB

from al_learner.core.errors import DataError
from al_learner.core.registry import strategy

OTHER_THAN_DEFAULT = {
    "complement-nb": {"alpha": 0.5, "norm": True, "column_weights": {"meaning": 0, "words": 2}},
    "lightgbm": {
        "n_estimators": 3,
        "learning_rate": 0.3,
        "num_leaves": 4,
        "min_child_samples": 2,
        "reg_lambda": 0.5,
        "class_weight": "balanced",
        "max_bin": 63,
        "n_jobs": 2,
        "random_state": 7,
    },
    "logreg": {
        "C": 0.1,
        "class_weight": "balanced",
        "tol": 1e-3,
        "max_iter": 50,
        "naive_bayes": 0.5,
        "column_weights": {"words": 2},
    },
    "sgd": {
        "loss": "modified_huber",
        "penalty": "l1",
        "alpha": 1e-3,
        "class_weight": "balanced",
        "max_iter": 50,
        "tol": 1e-2,
        "random_state": 7,
        "column_weights": {"words": 2},
    },
}

CLASSIFIERS = sorted(OTHER_THAN_DEFAULT)


@pytest.fixture(scope="module")
def some_texts() -> tuple[csr_matrix, np.ndarray]:
    """Twenty texts in three classes, each with a word of its own among many that tell nothing."""
    rng = np.random.default_rng(0)
    y = np.array(["a", "b", "c", "a", "b"] * 4)
    telling = (y[:, None] == np.array(["a", "b", "c"])).astype(np.float32)
    return csr_matrix(np.hstack([3 * telling, rng.integers(0, 2, (len(y), 30))]), dtype=np.float32), y


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_parameter_reaches_what_is_trained(name, some_texts):
    params = OTHER_THAN_DEFAULT[name]
    classifier = strategy("classifier", name, **params)
    defaults = strategy("classifier", name).model_dump()

    assert params.keys() == defaults.keys()
    assert [parameter for parameter, value in params.items() if value == defaults[parameter]] == []
    trained = classifier.fit(*some_texts).get_params()
    # The core weighs the columns, before and after the fit; see test_fitting.py. Of naive_bayes see test_logreg.py.
    assert {name: trained[name] for name in params.keys() - {"column_weights", "naive_bayes"}}.items() <= params.items()


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_twenty_texts_are_enough_to_learn_what_is_plain(name, some_texts):
    X, y = some_texts

    estimator = strategy("classifier", name).fit(X, y)

    assert estimator.classes_.tolist() == ["a", "b", "c"]
    assert (estimator.predict(X) == y).all()
    assert estimator.predict_proba(X).sum(axis=1) == pytest.approx(np.ones(len(y)))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_the_same_texts_give_the_same_model(name, some_texts):
    once, again = (strategy("classifier", name).fit(*some_texts) for _ in range(2))

    assert np.array_equal(once.predict_proba(some_texts[0]), again.predict_proba(some_texts[0]))


def test_complement_nb_says_that_it_cannot_use_negative_values_and_what_to_do(some_texts):
    X, y = some_texts

    with pytest.raises(DataError, match=r'leave them out: column_weights=\{"words": 2\.0, "meaning": 0\.0\}'):
        strategy("classifier", "complement-nb", column_weights={"words": 2}).fit(-X, y)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_what_a_reader_needs_is_said(name):
    needs = set(strategy("classifier", name).requires)

    assert needs - {"scikit-learn", "numpy", "scipy"} == ({"lightgbm"} if name == "lightgbm" else set())


@pytest.mark.parametrize(
    "name", sorted(name for name, params in OTHER_THAN_DEFAULT.items() if "class_weight" in params)
)
def test_balanced_class_weights_give_a_rare_class_more_probability(name):
    rng = np.random.default_rng(0)
    y = np.repeat(["often", "rare"], [190, 10])
    X = csr_matrix(rng.integers(0, 2, (len(y), 2)), dtype=np.float32)  # nothing tells them apart

    as_it_is, balanced = (
        strategy("classifier", name, class_weight=weight).fit(X, y).predict_proba(X)[:, 1].mean()
        for weight in (None, "balanced")
    )

    assert balanced > as_it_is + 0.1


def repeated(X, y, times):
    rows = np.repeat(np.arange(len(y)), times)
    return X[rows], y[rows]


def some_noisy_texts():
    """Words that tell a little about the label, so that the weights of the rows matter everywhere."""
    rng = np.random.default_rng(0)
    y = np.array(["a", "b", "c"] * 20)
    words = rng.poisson(0.5, (len(y), 30)) + (rng.random((len(y), 30)) < 0.3) * (
        np.arange(30) % 3 == np.arange(60)[:, None] % 3
    )
    return csr_matrix(words, dtype=np.float32), y


NEAR = {"complement-nb": 1e-6, "logreg": 2e-3, "lightgbm": 0.1, "sgd": 0.1}
"""How far the mean probability may be from that of repeated rows. Naive Bayes counts, and logreg sums over the rows;
lightgbm bins the values anew, and sgd reads the rows in another order."""


@pytest.mark.parametrize("class_weight", [None, "balanced"])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_row_of_weight_2_counts_like_two_rows(name, class_weight):
    X, y = some_noisy_texts()
    heavy = np.where(y == "a", 2, 1)
    params = {"class_weight": class_weight} if "class_weight" in OTHER_THAN_DEFAULT[name] else {}
    if name == "sgd":
        params["alpha"] = 0.01  # with less penalty its result depends on the order of the rows
    classifier = strategy("classifier", name, **params)

    weighed = classifier.fit(X, y, sample_weight=heavy.astype(np.float32)).predict_proba(X)

    twice = classifier.fit(*repeated(X, y, heavy)).predict_proba(X)
    assert np.abs(weighed - twice).mean() < NEAR[name]


@pytest.mark.parametrize("name", ["lightgbm", "logreg", "sgd"])
def test_a_label_of_light_rows_is_less_probable(name):
    X, y = some_noisy_texts()
    light = np.where(y == "a", 0.05, 1).astype(np.float32)
    classifier = strategy("classifier", name)

    weighed, plain = (
        classifier.fit(X, y, sample_weight=given).predict_proba(X)[:, 0].mean() for given in (light, None)
    )

    assert weighed < plain - 0.02


@pytest.mark.parametrize(
    "name", sorted(name for name, params in OTHER_THAN_DEFAULT.items() if "class_weight" in params)
)
def test_balanced_classes_have_equal_weights_and_not_equal_numbers_of_rows(name):
    """As many rows of each label, but those of one are light; nothing tells the labels apart."""
    rng = np.random.default_rng(0)
    y = np.array(["heavy", "light"] * 100)
    X = csr_matrix(rng.integers(0, 2, (len(y), 2)), dtype=np.float32)
    weights = np.where(y == "light", 0.05, 1).astype(np.float32)

    as_it_is, balanced = (
        strategy("classifier", name, class_weight=given).fit(X, y, sample_weight=weights).predict_proba(X)[:, 1].mean()
        for given in (None, "balanced")
    )

    assert as_it_is < 0.2
    assert balanced == pytest.approx(0.5, abs=0.1)


def test_naive_bayes_is_stored_as_one_single_precision_number_a_feature_and_class():
    X = random_array((60, 3_000), density=0.05, format="csr", dtype=np.float32, random_state=0)
    y = np.arange(60) % 4

    fitted = strategy("classifier", "complement-nb").fit(X, y)

    plain = ComplementNB().fit(X, y)
    assert len(pickle.dumps(fitted)) < 4 * 3_000 * 4 + 2_000
    assert fitted.predict(X).tolist() == plain.predict(X).tolist()
    np.testing.assert_allclose(fitted.predict_proba(X), plain.predict_proba(X), atol=1e-5)
