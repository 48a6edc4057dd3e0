"""Fits vectorizers and classifiers: the same code for a notebook, the command line and the worker.

A fitted classifier is a pipeline: it selects the columns that occur in training, then applies the plug-in's estimator.
A classifier that weighs groups of columns is trained on weighted ones. What is stored takes the columns as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.feature_selection import VarianceThreshold
from sklearn.pipeline import FeatureUnion, Pipeline
from threadpoolctl import ThreadpoolController

from al_learner.core.errors import AlLearnerError, DataError, PluginError
from al_learner.core.interfaces import (
    Classifier,
    Labels,
    LinearStart,
    Strategy,
    Transformer,
    Vectorizer,
    WeighsColumns,
)
from al_learner.core.registry import Kind

N_CHECKED = 100
"""Training rows whose predictions are checked."""

SUM_TOLERANCE = 1e-4
"""How far from 1 a row of probabilities may sum. In single precision long texts come to 1e-5."""

LINEAR = ("coef_", "feature_log_prob_")
"""Attributes of estimators, of shape (n, n_features), by which the features are multiplied in a linear model."""


def fit_vectorizer(vectorizer: Vectorizer, texts: Iterable[str]) -> Transformer:
    """Fit a vectorizer on a corpus; raises like `fitted`."""
    return fitted(vectorizer, lambda: vectorizer.fit(texts))


def fitted(vectorizer: Vectorizer, fit: Callable[[], Transformer]) -> Transformer:
    """Return what `fit` returns, a fitted vectorizer.

    Raises
    ------
    PluginError
        It raised, or returned an object without ``transform``.
    DataError
        The corpus has no word.
    """
    try:
        # Between two products other code runs. Waiting BLAS threads slow it down, and each other.
        with _blas().limit(limits=1, user_api="blas"):
            transformer = fit()
    except AlLearnerError:
        raise
    except Exception as exc:
        if "empty vocabulary" in str(exc):
            raise DataError("no text has a word that the vectorizer can use") from exc
        raise failed("vectorizer", vectorizer, exc) from exc
    if not hasattr(transformer, "transform"):
        raise PluginError(f"vectorizer {vectorizer!r} returned a {type(transformer).__name__}, which cannot transform")
    return transformer


def groups_of(vectorizer: Vectorizer, n_features: int) -> dict[str, slice]:
    """Return the vectorizer's groups of columns.

    Raises
    ------
    PluginError
        It raised, or returned something else than slices by name.
    """
    try:
        groups = {**vectorizer.groups(n_features)}
    except Exception as exc:  # whatever a third party's code raises
        raise failed("vectorizer", vectorizer, exc) from exc
    if wrong := [f"{name}: {columns!r}" for name, columns in groups.items() if not isinstance(columns, slice)]:
        raise PluginError(f"vectorizer {vectorizer!r}: groups must be slices, not {', '.join(wrong)}")
    return groups


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


def in_single_precision(transformer: Transformer) -> Transformer:
    """Convert the `components_` that a pipeline stores in half precision, in place, and return the pipeline.

    Its features stay the same: products with them are in single precision. But each one would convert them again.
    """
    for part in _parts(transformer):
        if getattr(getattr(part, "components_", None), "dtype", None) == np.float16:
            part.components_ = part.components_.astype(np.float32)
    return transformer


def _parts(estimator: Any) -> Iterator[Any]:
    """Yield an estimator, and those that a Pipeline or a FeatureUnion consists of."""
    yield estimator
    match estimator:
        case Pipeline(steps=inner) | FeatureUnion(transformer_list=inner):
            for _, part in inner:
                yield from _parts(part)


def fit_classifier(
    classifier: Classifier,
    X: csr_matrix,
    y: Labels,
    *,
    last: Pipeline | None = None,
    groups: Mapping[str, slice] | None = None,
    sample_weight: NDArray[np.float32] | None = None,
) -> Pipeline:
    """Train on the columns that occur, and return selection and estimator as one pipeline.

    Parameters
    ----------
    X : csr_matrix of shape (n_rows, n_features), float32
    y : ndarray of shape (n_rows,)
    last : Pipeline, optional
        The last result of the same classifier with the same vectorizer; a linear model may start from it.
    groups : mapping of str to slice, optional
        The vectorizer's groups of columns, for a classifier with `column_weights`. Without them, and in columns of no
        group, every factor is 1. A group that the vectorizer does not have is ignored.
    sample_weight : ndarray of shape (n_rows,), float32, optional
        How much each row counts, above 0. A classifier that does not weigh rows is trained as if all were 1: then the
        caller has to leave out rows that must not count in full.

    Returns
    -------
    Pipeline
        Takes all n_features columns. To load it, scikit-learn and what the classifier requires are enough.

    Raises
    ------
    DataError
        There are fewer than two classes, no text has a known word, or `column_weights` leave out all columns.
    PluginError
        The classifier raised, or returned something that the predictor cannot use: its predictions on some training
        rows have the wrong shape, are not finite, or do not sum to 1. Or it is not linear, and `column_weights` has
        factors other than 0 and 1.
    """
    classes = np.unique(y)
    if len(classes) < 2:
        only = f"only one class, {classes.tolist()[0]!r}" if len(classes) else "no text"
        raise DataError(f"two different labels are needed; there is {only}")
    used = np.bincount(X.indices, minlength=X.shape[1]) > 0
    if not used.any():
        raise DataError("no labelled text has a word that the vectorizer knows")
    factors = _factors(classifier, groups or {}, X.shape[1])
    used &= factors > 0
    if not used.any():
        raise DataError(
            f"classifier {classifier!r} leaves out every column that occurs in the labelled texts; the vectorizer has "
            f"the groups {', '.join(groups or {})}: give one of them a factor above 0 in column_weights"
        )
    factors = factors[used]
    selected = X[:, np.flatnonzero(used)]
    selected.data *= factors[selected.indices]
    weights = {} if sample_weight is None or not classifier.weighs_rows() else {"sample_weight": sample_weight}
    uses_start = last is not None and type(classifier).fit_from is not Classifier.fit_from
    start = _linear_start(last, used, classes, factors) if uses_start else None
    try:
        # On sparse text several BLAS threads are slower than one.
        with _blas().limit(limits=1, user_api="blas"):
            if start is None:
                estimator = classifier.fit(selected, y, **weights)
            else:
                estimator = classifier.fit_from(selected, y, start, **weights)
    except Exception as exc:  # whatever a third party's code raises
        raise failed("classifier", classifier, exc) from exc
    _fold(classifier, estimator, factors)
    selector = VarianceThreshold()
    selector.variances_ = used  # one byte a column; only its sign is read
    selector.n_features_in_ = X.shape[1]
    pipeline = Pipeline([("columns", selector), ("classifier", estimator)])
    _check(classifier, pipeline, X[:: -(-X.shape[0] // N_CHECKED)], classes)
    return pipeline


@cache
def _blas() -> ThreadpoolController:
    """Return what limits the threads of the BLAS libraries that are loaded. To find these takes milliseconds."""
    return ThreadpoolController()


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


def _factors(classifier: Classifier, groups: Mapping[str, slice], n_features: int) -> NDArray[np.float32]:
    """Return the factor of each column, shape (n_features,)."""
    factors = np.ones(n_features, np.float32)
    if isinstance(classifier, WeighsColumns):
        for name, columns in groups.items():
            factors[columns] = classifier.column_weights.get(name, 1)
    return factors


def _fold(classifier: Classifier, estimator: Any, factors: NDArray[np.float32]) -> None:
    """Multiply the coefficients by the factors, so that the estimator takes the columns as they are."""
    if (factors == 1).all():
        return
    linear = [name for name in LINEAR if np.shape(getattr(estimator, name, 0.0))[1:] == factors.shape]
    if not linear:
        raise PluginError(
            f"classifier {classifier!r} returned a {type(estimator).__name__}, which has no coefficients that could "
            "contain the factors of column_weights; only 0 and 1 are possible"
        )
    for name in linear:
        setattr(estimator, name, getattr(estimator, name) * factors)


def _linear_start(
    last: Pipeline, used: NDArray[np.bool_], classes: Labels, factors: NDArray[np.float32]
) -> LinearStart | None:
    """Align the last linear model with the columns and classes of now."""
    estimator, occurred = last[-1], last[0].variances_
    if np.ndim(getattr(estimator, "coef_", 0.0)) != 2 or occurred.shape != used.shape:
        return None
    coef, intercept = estimator.coef_, estimator.intercept_
    if len(coef) == 1:  # two classes: one vector for the second against the first
        coef, intercept = np.vstack([-coef / 2, coef / 2]), np.hstack([-intercept / 2, intercept / 2])
    common = np.flatnonzero(used & occurred)
    here, there = (np.cumsum(mask)[common] - 1 for mask in (used, occurred))
    kept = np.isin(estimator.classes_, classes)
    rows = np.searchsorted(classes, estimator.classes_[kept])
    aligned = LinearStart(np.zeros((len(classes), int(used.sum()))), np.zeros(len(classes)))
    aligned.coef[np.ix_(rows, here)] = coef[kept][:, there] / factors[here]
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
