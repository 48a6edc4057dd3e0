"""Speed must not eat the votes: batch after batch, the stored classifier decides as a tight fit from nothing does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix, random_array
from scipy.special import log_softmax
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.feature_selection import VarianceThreshold
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.naive_bayes import ComplementNB
from sklearn.pipeline import Pipeline

from al_learner import strategy
from al_learner.core.training.fitting import fit_classifier

N_WORDS = 300
N_UNLABELLED = 1_000
BATCH = 10

TIGHT: dict[str, Any] = {
    "logreg": LogisticRegression(C=10, solver="newton-cg", tol=1e-6, max_iter=10_000),
    "sgd": SGDClassifier(loss="log_loss", tol=1e-6, random_state=0),
    "complement-nb": ComplementNB(),
}


def corpus(n_texts: int, n_classes: int, seed: int) -> tuple[csr_matrix, np.ndarray]:
    """Word counts as texts have them: a few words in most, most words in a few; labels that some words hint at."""
    rng = np.random.default_rng(seed)
    y = np.minimum(rng.integers(0, n_classes, n_texts), rng.integers(0, n_classes, n_texts))
    y[:n_classes] = np.arange(n_classes)
    common = random_array(
        (n_texts, N_WORDS), density=0.06, rng=rng, data_sampler=lambda size: 1 + rng.poisson(0.3, size)
    )
    weights = 1 / np.arange(1, N_WORDS + 1)
    X = common.toarray() + (rng.random((n_texts, N_WORDS)) < 2 * weights)
    telling = np.where(rng.random(n_texts) < 0.5, y, rng.integers(0, n_classes, n_texts))
    X[np.arange(n_texts), N_WORDS - 1 - telling * 3 - rng.integers(0, 3, n_texts)] += 1
    return csr_matrix(X, dtype=np.float32), np.array([f"class {code}" for code in range(n_classes)], object)[y]


@pytest.mark.parametrize("name", TIGHT)
@settings(max_examples=8, deadline=None, derandomize=True, database=None)
@given(n_labelled=st.integers(30, 300), n_classes=st.integers(2, 8), seed=st.integers(0, 2**16))
def test_the_same_texts_are_the_least_sure_and_every_vote_counts(name, n_labelled, n_classes, seed):
    X, y = corpus(n_labelled + 3 * BATCH + N_UNLABELLED, n_classes, seed)
    unlabelled, truth = X[-N_UNLABELLED:], y[-N_UNLABELLED:]
    last = None
    for n in range(n_labelled, n_labelled + 3 * BATCH + 1, BATCH):
        labels = y[:n].astype(str)
        last = fit_classifier(strategy("classifier", name), X[:n], labels, last=last)
        occurs = np.flatnonzero(X[:n].getnnz(axis=0))
        tight = TIGHT[name].fit(X[:n][:, occurs], labels)

        found, expected = last.predict_proba(unlabelled), tight.predict_proba(unlabelled[:, occurs])
        accuracy = [np.mean(last.classes_[p.argmax(axis=1)] == truth) for p in (found, expected)]
        assert abs(accuracy[0] - accuracy[1]) <= 0.005
        column = np.searchsorted(last.classes_, labels[-BATCH:])
        of_the_batch = X[n - BATCH : n]
        given_label = [
            p[np.arange(BATCH), column].mean()
            for p in (last.predict_proba(of_the_batch), tight.predict_proba(of_the_batch[:, occurs]))
        ]
        assert abs(given_label[0] - given_label[1]) <= 0.03
        least_sure = [{*np.argsort(p.max(axis=1), kind="stable")[:100].tolist()} for p in (found, expected)]
        assert len(least_sure[0] & least_sure[1]) >= 90


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(
    C=st.sampled_from([0.01, 0.1, 1, 10, 100, 1_000, 10_000]),
    changed=st.sampled_from([0.0, 0.03, 0.1, 0.3, 1.0]),
    n_labelled=st.integers(30, 300),
    n_classes=st.integers(2, 8),
    is_tfidf=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_logreg_converges_to_the_same_classifier_from_every_start(C, changed, n_labelled, n_classes, is_tfidf, seed):
    X, y = corpus(n_labelled + N_UNLABELLED, n_classes, seed)
    X = csr_matrix(TfidfTransformer().fit_transform(X), dtype=np.float32) if is_tfidf else X
    unlabelled, truth, X, y = X[-N_UNLABELLED:], y[-N_UNLABELLED:], X[:n_labelled], y[:n_labelled].astype(str)
    names = np.unique(y)
    others = names[(np.searchsorted(names, y) + 1) % n_classes]
    classifier = strategy("classifier", "logreg", C=C)
    before = np.where(np.random.default_rng(seed).random(n_labelled) < changed, others, y)
    before[-BATCH:] = others[-BATCH:]
    anew = fit_classifier(classifier, X, y)

    found = fit_classifier(classifier, X, y, last=fit_classifier(classifier, X, before))

    least = loss(fit_tightly(X, y, C), X, y, C)
    assert max(loss(fitted, X, y, C) for fitted in (found, anew)) <= (1 + 5 * classifier.tol) * least
    probabilities = [fitted.predict_proba(unlabelled) for fitted in (found, anew)]
    accuracy = [np.mean(names[p.argmax(axis=1)] == truth) for p in probabilities]
    assert abs(accuracy[0] - accuracy[1]) <= 0.01
    least_sure = [{*np.argsort(p.max(axis=1), kind="stable")[:100].tolist()} for p in probabilities]
    assert len(least_sure[0] & least_sure[1]) >= 80


def fit_tightly(X: csr_matrix, y: np.ndarray, C: float) -> Pipeline:
    """Return what scikit-learn's own solver finds in double precision."""
    classifier = LogisticRegression(C=C, solver="newton-cg", tol=1e-7, max_iter=1_000)
    return Pipeline([("columns", VarianceThreshold()), ("classifier", classifier)]).fit(X.astype(float), y)


def loss(fitted: Pipeline, X: csr_matrix, y: np.ndarray, C: float) -> float:
    """Return the penalised loss, in double precision."""
    estimator = fitted["classifier"]
    coef, intercept = estimator.coef_.astype(float), estimator.intercept_.astype(float)
    penalty = 1 / C
    if len(coef) == 1:  # two classes: one vector for the second against the first
        coef, intercept, penalty = np.vstack([-coef / 2, coef / 2]), np.hstack([-intercept, intercept]) / 2, 2 / C
    log_p = log_softmax(fitted["columns"].transform(X.astype(float)) @ coef.T + intercept, axis=1)
    return -log_p[estimator.classes_ == y[:, None]].sum() + penalty / 2 * (coef**2).sum()
