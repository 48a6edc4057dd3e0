import warnings

import numpy as np
import pytest
from scipy.sparse import csr_matrix, random_array
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import ComplementNB

from al_learner.core.interfaces import LinearStart
from al_learner.core.registry import strategy


def some_texts(n_classes: int, n_texts: int = 60, seed: int = 0, density: float = 0.1) -> tuple[csr_matrix, np.ndarray]:
    """Word counts of short texts with noisy, unbalanced labels."""
    rng = np.random.default_rng(seed)
    y = np.minimum(rng.integers(0, n_classes, n_texts), rng.integers(0, n_classes, n_texts))
    y[:n_classes] = np.arange(n_classes)
    words = random_array((n_texts, 100), density=density, rng=rng, data_sampler=lambda size: 1 + rng.poisson(0.3, size))
    telling = np.eye(n_classes)[np.where(rng.random(n_texts) < 0.7, y, rng.integers(0, n_classes, n_texts))]
    X = csr_matrix(np.hstack([telling, words.toarray()]), dtype=np.float32)
    return X[:, X.getnnz(axis=0) > 0], np.array([f"class {code}" for code in range(n_classes)])[y]


@pytest.mark.parametrize("n_classes", [2, 3, 7])
@pytest.mark.parametrize("class_weight", [None, "balanced"])
@pytest.mark.parametrize("C", [0.01, 1, 30])
def test_the_solution_is_the_one_of_scikit_learn(n_classes, class_weight, C):
    X, y = some_texts(n_classes)

    ours = strategy("classifier", "logreg", C=C, class_weight=class_weight).fit(X, y)
    theirs = LogisticRegression(C=C, class_weight=class_weight, tol=1e-8, max_iter=10_000).fit(X.astype(float), y)

    assert ours.classes_.tolist() == theirs.classes_.tolist()
    assert (ours.coef_.shape, ours.intercept_.shape) == (theirs.coef_.shape, theirs.intercept_.shape)
    assert ours.coef_.dtype == np.float32
    assert ours.predict_proba(X) == pytest.approx(theirs.predict_proba(X), abs=5e-3)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_a_start_changes_how_long_it_takes_and_not_where_it_ends(n_classes):
    logreg = strategy("classifier", "logreg", C=1)
    X, y = some_texts(n_classes, 120)
    before, anew = logreg.fit(X[:110], y[:110]), logreg.fit(X, y)

    on = logreg.fit_from(X, y, LinearStart(before.coef_.astype(float), before.intercept_.astype(float)))
    again = logreg.fit_from(X, y, LinearStart(anew.coef_.astype(float), anew.intercept_.astype(float)))

    assert on.predict_proba(X) == pytest.approx(anew.predict_proba(X), abs=5e-3)
    assert anew.n_iter_[0] > on.n_iter_[0] > again.n_iter_[0] == 0


def test_a_step_is_finite_where_a_class_has_probability_0_everywhere():
    X, y = some_texts(7, 200)
    weights = np.where(y == "class 6", 0.03, 1).astype(np.float32)
    at_minimum = strategy("classifier", "logreg", C=1).fit(X, y, weights)
    start = LinearStart(
        at_minimum.coef_.astype(float), at_minimum.intercept_ - 60.0 * (at_minimum.classes_ == "class 6")
    )

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # from zero it takes more steps, and would not converge
        again = strategy("classifier", "logreg", C=1, max_iter=7).fit_from(X, y, start, weights)

    assert at_minimum.n_iter_[0] > 7
    assert again.predict_proba(X) == pytest.approx(at_minimum.predict_proba(X), abs=5e-3)


def test_it_stops_after_max_iter_steps_or_where_the_loss_is_near_its_minimum():
    X, y = some_texts(3)

    steps = [strategy("classifier", "logreg", tol=tol).fit(X, y).n_iter_[0] for tol in (1e-1, 1e-2, 1e-5)]

    assert steps == sorted(set(steps))
    with pytest.warns(ConvergenceWarning, match="after 1 of 1 Newton steps"):
        assert strategy("classifier", "logreg", max_iter=1).fit(X, y).n_iter_[0] == 1


def test_a_fit_that_does_not_converge_from_its_start_is_the_fit_from_zero():
    X, y = some_texts(5, 300)
    changed = np.concatenate([np.roll(y[:30], 1), y[30:]])
    last = strategy("classifier", "logreg", C=1e4).fit(X, changed)
    start = LinearStart(last.coef_.astype(float), last.intercept_.astype(float))
    anew = strategy("classifier", "logreg", C=1e4).fit(X, y)
    assert strategy("classifier", "logreg", C=1e4).fit_from(X, y, start).n_iter_[0] > anew.n_iter_[0]

    on = strategy("classifier", "logreg", C=1e4, max_iter=int(anew.n_iter_[0])).fit_from(X, y, start)

    assert np.array_equal(on.coef_, anew.coef_)


def test_a_start_that_is_worse_than_zero_is_not_used():
    X, y = some_texts(3)
    logreg = strategy("classifier", "logreg", C=100)
    last, anew = (
        logreg.fit(X, np.array(["class 1", "class 2", "class 0"])[np.unique(y, return_inverse=True)[1]]),
        logreg.fit(X, y),
    )

    on = logreg.fit_from(X, y, LinearStart(last.coef_.astype(float), last.intercept_.astype(float)))

    assert np.array_equal(on.coef_, anew.coef_)


@pytest.mark.parametrize("C", [1e-8, 1e9])
@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_numbers_stay_finite_however_strong_the_penalty_and_large_the_features(C, scale):
    X, y = some_texts(3)

    with warnings.catch_warnings():
        if C * scale > 1:
            # The minimum has a loss that single precision cannot resolve.
            warnings.simplefilter("ignore", ConvergenceWarning)
        estimator = strategy("classifier", "logreg", C=C).fit(X * np.float32(scale), y)

    assert np.isfinite(estimator.predict_proba(X)).all()
    assert estimator.n_iter_[0] < 50


def test_texts_that_contradict_each_other_share_the_probability():
    X = csr_matrix(np.ones((4, 1), np.float32))

    estimator = strategy("classifier", "logreg", tol=1e-6).fit(X, np.array(["a", "b", "b", "b"]))

    assert estimator.predict_proba(X[:1])[0] == pytest.approx([0.25, 0.75], abs=1e-3)


def test_a_solution_does_not_depend_on_how_many_threads_multiply(monkeypatch):
    X, y = some_texts(3, 200)
    alone = strategy("classifier", "logreg").fit(X, y)
    monkeypatch.setattr("al_learner.plugins.classifiers.newton.WORTH_A_THREAD", 100)
    monkeypatch.setattr("joblib.cpu_count", lambda: 3)

    together = strategy("classifier", "logreg").fit(X, y)

    assert np.array_equal(together.coef_, alone.coef_)


def test_words_of_one_text_alone_get_the_coefficients_that_scikit_learn_gives_them():
    X, y = some_texts(3, 40, density=0.04)
    alone = X.getnnz(axis=0) == 1
    theirs = LogisticRegression(tol=1e-8, max_iter=10_000).fit(X.astype(float), y)

    ours = strategy("classifier", "logreg", C=1, tol=1e-7).fit(X, y)

    assert alone.any()
    assert ours.coef_[:, alone] == pytest.approx(theirs.coef_[:, alone], abs=1e-3)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_columns_of_a_large_mean_get_the_coefficients_that_scikit_learn_gives_them(n_classes):
    X, y = some_texts(n_classes)
    meaning = np.random.default_rng(0).normal((4, -4, 0.1), size=(len(y), 3))
    X = csr_matrix(np.hstack([X.toarray(), meaning]), dtype=np.float32)
    theirs = LogisticRegression(tol=1e-8, max_iter=10_000).fit(X.astype(float), y)
    logreg = strategy("classifier", "logreg", C=1, tol=1e-7)

    ours = logreg.fit(X, y)
    again = logreg.fit_from(X, y, LinearStart(ours.coef_.astype(float), ours.intercept_.astype(float)))

    assert ours.coef_ == pytest.approx(theirs.coef_, abs=1e-3)
    assert ours.predict_proba(X) == pytest.approx(theirs.predict_proba(X), abs=1e-3)
    assert again.n_iter_[0] == 0


def with_a_negative_column(X):
    return csr_matrix(np.hstack([X.toarray(), -np.ones((X.shape[0], 1))]), dtype=np.float32)


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_coefficients_of_naive_bayes_are_added_in_the_share_that_is_asked_for(n_classes, share):
    X, y = some_texts(n_classes)
    X = with_a_negative_column(X)
    weights = np.linspace(0.1, 1, len(y)).astype(np.float32)
    alone = strategy("classifier", "logreg", C=1).fit(X, y, weights)
    bayes = ComplementNB().fit(X[:, :-1], y, weights).feature_log_prob_
    bayes -= bayes.mean(axis=0)
    bayes = bayes if n_classes > 2 else bayes[1:] - bayes[:1]

    both = strategy("classifier", "logreg", C=1, naive_bayes=share).fit(X, y, weights)

    added = both.coef_ - alone.coef_
    assert not added[:, -1].any()
    scale = np.vdot(added[:, :-1], bayes) / np.vdot(bayes, bayes)
    assert added[:, :-1] == pytest.approx(scale * bayes, abs=1e-5)
    spreads = [
        np.average((logits**2).sum(axis=1), weights=weights)
        for logits in (X @ added.T, alone.decision_function(X).reshape(len(y), -1))
    ]
    assert np.sqrt(spreads[0] / spreads[1]) == pytest.approx(share, rel=1e-3)
    assert np.array_equal(both.intercept_, alone.intercept_)


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_a_start_is_freed_from_naive_bayes(n_classes, share):
    X, y = some_texts(n_classes, 120)
    classifier = strategy("classifier", "logreg", C=1, naive_bayes=share, tol=1e-5)
    before, anew = classifier.fit(X[:110], y[:110]), classifier.fit(X, y)

    on = classifier.fit_from(X, y, LinearStart(before.coef_.astype(float), before.intercept_.astype(float)))
    again = classifier.fit_from(X, y, LinearStart(anew.coef_.astype(float), anew.intercept_.astype(float)))

    assert on.predict_proba(X) == pytest.approx(anew.predict_proba(X), abs=5e-3)
    assert anew.n_iter_[0] > on.n_iter_[0] > again.n_iter_[0] == 0
    assert again.coef_ == pytest.approx(anew.coef_, abs=1e-3)


def test_columns_with_negative_values_alone_leave_nothing_to_naive_bayes():
    X, y = some_texts(3)
    X = csr_matrix(-X)

    both, alone = (strategy("classifier", "logreg", naive_bayes=share).fit(X, y) for share in (0.5, 0))

    assert np.array_equal(both.coef_, alone.coef_)
