"""Fits vectorizers and classifiers: the same code for a notebook, the command line and the worker.

A fitted classifier is a pipeline: it selects the columns that occur in training, then applies the plug-in's estimator.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.feature_selection import VarianceThreshold
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from al_learner.core.errors import AlLearnerError, DataError, PluginError
from al_learner.core.interfaces import Classifier, Labels, LinearStart, Strategy, Transformer, Vectorizer
from al_learner.core.registry import Kind

N_CHECKED = 100
"""Training rows whose predictions are checked."""

SUM_TOLERANCE = 1e-4
"""How far from 1 a row of probabilities may sum. In single precision long texts come to 1e-5."""


def fit_vectorizer(vectorizer: Vectorizer, texts: Iterable[str]) -> Transformer:
    """Fit a vectorizer on a corpus.

    Raises
    ------
    PluginError
        It raised, or returned an object without ``transform``.
    DataError
        The corpus has no word.
    """
    try:
        transformer = vectorizer.fit(texts)
    except AlLearnerError:
        raise
    except Exception as exc:
        if "empty vocabulary" in str(exc):
            raise DataError("no text has a word that the vectorizer can use") from exc
        raise failed("vectorizer", vectorizer, exc) from exc
    if not hasattr(transformer, "transform"):
        raise PluginError(f"vectorizer {vectorizer!r} returned a {type(transformer).__name__}, which cannot transform")
    return transformer


def transform(transformer: Transformer, texts: Sequence[str]) -> csr_matrix:
    """Return features, float32 CSR of shape (n_texts, n_features).

    Raises
    ------
    PluginError
        The transformer raised or returned something else.
    """
    given = texts or [""]  # scikit-learn's own refuse an empty list
    try:
        X = transformer.transform(given)
    except Exception as exc:  # whatever a third party's code raises
        raise PluginError(f"{type(transformer).__name__}.transform failed: {type(exc).__name__}: {exc}") from exc
    shape = getattr(X, "shape", ())
    if getattr(X, "format", None) != "csr" or X.dtype != np.float32 or shape[:1] != (len(given),):
        raise PluginError(
            f"{type(transformer).__name__}.transform must return a float32 CSR matrix with {len(given)} rows, not "
            f"{getattr(X, 'dtype', '')} {getattr(X, 'format', type(X).__name__)} of shape {shape}"
        )
    return csr_matrix(X)[: len(texts)]


def fit_classifier(
    classifier: Classifier,
    X: csr_matrix,
    y: Labels,
    *,
    last: Pipeline | None = None,
    groups: Any = None,
    sample_weight: Any = None,
) -> Pipeline:
    """Train on the columns that occur, and return selection and estimator as one pipeline.

    Parameters
    ----------
    X : csr_matrix of shape (n_rows, n_features), float32
    y : ndarray of shape (n_rows,)
    last : Pipeline, optional
        The last result of the same classifier with the same vectorizer; a linear model may start from it.

    Returns
    -------
    Pipeline
        Takes all n_features columns. To load it, scikit-learn and what the classifier requires are enough.

    Raises
    ------
    DataError
        There are fewer than two classes, or no text has a known word.
    PluginError
        The classifier raised, or returned something that the predictor cannot use: its predictions on some training
        rows have the wrong shape, are not finite, or do not sum to 1.
    """
    classes = np.unique(y)
    if len(classes) < 2:
        raise DataError(f"two different labels are needed; there is only {classes[0]!r}" if len(classes) else "no text")
    occurs = np.bincount(X.indices, minlength=X.shape[1]) > 0
    if not occurs.any():
        raise DataError("no labelled text has a word that the vectorizer knows")
    selected = _select(X, occurs)
    start = None if last is None else _linear_start(last, occurs, classes)
    try:
        # On sparse text several BLAS threads are slower than one.
        with threadpool_limits(limits=1, user_api="blas"):
            weights: Any = (
                {"sample_weight": sample_weight} if sample_weight is not None and classifier.weighs_rows() else {}
            )
            estimator = (
                classifier.fit(selected, y, **weights)
                if start is None
                else classifier.fit_from(selected, y, start, **weights)
            )
    except Exception as exc:  # whatever a third party's code raises
        raise failed("classifier", classifier, exc) from exc
    selector = VarianceThreshold()
    selector.variances_ = occurs  # one byte a column; only its sign is read
    selector.n_features_in_ = X.shape[1]
    pipeline = Pipeline([("columns", selector), ("classifier", estimator)])
    _check(classifier, pipeline, X[:: -(-X.shape[0] // N_CHECKED)], classes)
    return pipeline


def wrong_predictions(
    probabilities: NDArray[np.floating[Any]], predicted: Labels, shape: tuple[int, int]
) -> str | None:
    """Return in words what is wrong with the predictions for `shape` = (n_rows, n_classes); None if nothing is."""
    if probabilities.shape != shape:
        return f"predict_proba has shape {probabilities.shape} instead of {shape}"
    if predicted.shape != shape[:1]:
        return f"predict has shape {predicted.shape} instead of {shape[:1]}"
    if not ((probabilities >= 0) & (probabilities <= 1 + SUM_TOLERANCE)).all():  # NaN is neither
        return "predict_proba has NaN, or numbers that are not from 0 to 1"
    sums = probabilities.sum(axis=1, dtype=np.float64)
    if np.abs(sums - 1).max(initial=0) > SUM_TOLERANCE:
        return f"rows of predict_proba sum to {sums.min():.6g} … {sums.max():.6g}, and not to 1"
    return None


def failed(kind: Kind, obj: Strategy, exc: Exception) -> PluginError:
    """Return the error of a plug-in that raised something."""
    return PluginError(f"{kind} {obj!r} failed: {type(exc).__name__}: {exc}")


def _select(X: csr_matrix, occurs: NDArray[np.bool_]) -> csr_matrix:
    position = np.cumsum(occurs, dtype=X.indices.dtype) - 1
    return csr_matrix((X.data, position[X.indices], X.indptr), shape=(X.shape[0], int(occurs.sum())))


def _linear_start(last: Pipeline, occurs: NDArray[np.bool_], classes: Labels) -> LinearStart | None:
    """Align the last linear model with the columns and classes of now."""
    estimator, occurred = last[-1], last[0].variances_
    if np.ndim(getattr(estimator, "coef_", 0.0)) != 2 or occurred.shape != occurs.shape:
        return None
    coef, intercept = estimator.coef_, estimator.intercept_
    if len(coef) == 1:  # two classes: one vector for the second against the first
        coef, intercept = np.vstack([-coef / 2, coef / 2]), np.hstack([-intercept / 2, intercept / 2])
    common = np.flatnonzero(occurs & occurred)
    here, there = (np.cumsum(mask)[common] - 1 for mask in (occurs, occurred))
    kept = np.isin(estimator.classes_, classes)
    rows = np.searchsorted(classes, estimator.classes_[kept])
    aligned = LinearStart(np.zeros((len(classes), int(occurs.sum()))), np.zeros(len(classes)))
    aligned.coef[np.ix_(rows, here)] = coef[kept][:, there]
    aligned.intercept[rows] = intercept[kept]
    if len(classes) == 2:
        return LinearStart(np.diff(aligned.coef, axis=0), np.diff(aligned.intercept))
    return aligned


def _check(classifier: Classifier, pipeline: Pipeline, X: csr_matrix, classes: Labels) -> None:
    estimator = pipeline[-1]
    for needed in ("classes_", "predict", "predict_proba"):
        if not hasattr(estimator, needed):
            raise PluginError(f"classifier {classifier!r} returned a {type(estimator).__name__} without {needed}")
    if not np.array_equal(estimator.classes_, classes):
        raise PluginError(f"classifier {classifier!r} was given {len(classes)} labels; its classes_ are not those")
    try:
        probabilities, predicted = np.asarray(pipeline.predict_proba(X), np.float64), np.asarray(pipeline.predict(X))
    except Exception as exc:  # whatever a third party's code raises
        raise failed("classifier", classifier, exc) from exc
    if wrong := wrong_predictions(probabilities, predicted, (X.shape[0], len(classes))):
        raise PluginError(f"classifier {classifier!r} on its own training texts: {wrong}")
