import pickle

import numpy as np
import pytest
from scipy.sparse import csr_matrix, random_array
from sklearn.naive_bayes import ComplementNB

from al_learner.core.registry import strategy

OTHER_THAN_DEFAULT = {
    "complement-nb": {"alpha": 0.5, "norm": True},
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
    "logreg": {"C": 0.1, "class_weight": "balanced", "tol": 1e-3, "max_iter": 50},
    "sgd": {
        "loss": "modified_huber",
        "penalty": "l1",
        "alpha": 1e-3,
        "class_weight": "balanced",
        "max_iter": 50,
        "tol": 1e-2,
        "random_state": 7,
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
    assert not params.items() & defaults.items()
    assert params.items() <= classifier.fit(*some_texts).get_params().items()


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


def test_naive_bayes_is_stored_as_one_single_precision_number_a_feature_and_class():
    X = random_array((60, 3_000), density=0.05, format="csr", dtype=np.float32, random_state=0)
    y = np.arange(60) % 4

    fitted = strategy("classifier", "complement-nb").fit(X, y)

    plain = ComplementNB().fit(X, y)
    assert len(pickle.dumps(fitted)) < 4 * 3_000 * 4 + 2_000
    assert fitted.predict(X).tolist() == plain.predict(X).tolist()
    np.testing.assert_allclose(fitted.predict_proba(X), plain.predict_proba(X), atol=1e-5)
