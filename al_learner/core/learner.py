"""A vectorizer and a classifier in memory: the same training code for a notebook, the CLI and the worker."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.feature_selection import VarianceThreshold
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits

from al_learner.core import choosing
from al_learner.core.choosing import Choice, Losses
from al_learner.core.errors import AlLearnerError, DataError, PluginError
from al_learner.core.interfaces import Chooser, Classifier, Labels, LinearStart, Strategy, Transformer, Vectorizer
from al_learner.core.registry import Kind, changed, strategy

_KINDS: tuple[Kind, ...] = ("classifier", "vectorizer")


class Learner(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A text classifier with scikit-learn manners.

    Parameters
    ----------
    classifier : str or Classifier, default="logreg"
        A plug-in's name, or a strategy; parameters of either are reached as ``classifier__C``.
    vectorizer : str or Vectorizer, default="count"

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    transformer_ : transformer
        What the vectorizer learnt: ``transform(texts)`` gives float32 CSR.
    pipeline_ : sklearn.pipeline.Pipeline
        From features to labels: the columns that occur, then the classifier's estimator.
    choice_ : Choice
        Which candidate was trained and why, if the classifier chooses among others, as ``auto`` does.

    Examples
    --------
    >>> learner = Learner(classifier="complement-nb")
    >>> learner.fit(["a good day", "good news", "a bad day", "bad news"], ["+", "+", "-", "-"])
    Learner(classifier='complement-nb')
    >>> learner.predict(["good", "bad"]).tolist()
    ['+', '-']
    """

    def __init__(self, *, classifier: str | Classifier = "logreg", vectorizer: str | Vectorizer = "count") -> None:
        self.classifier = classifier
        self.vectorizer = vectorizer

    def fit(self, texts: Iterable[str], y: ArrayLike) -> Self:
        """Train on texts and their labels.

        Parameters
        ----------
        texts : iterable of str
            A list, an array, a pandas Series.
        y : array-like of shape (n_texts,)
            A label for each, at least two different ones.

        Raises
        ------
        DataError
            Texts and labels cannot be trained on as they are.
        SettingsError, PluginError
            A strategy is unknown, or failed.
        """
        texts = checked_texts(texts)
        labels = np.asarray(y)
        if labels.shape != (len(texts),):
            raise DataError(f"{len(texts)} texts need as many labels, not an array of shape {labels.shape}")
        if missing := [at for at, label in enumerate(np.asarray(y, object)) if _is_missing(label)]:
            raise DataError(f"label {missing[0]} is missing")
        classifier = cast(Classifier, self._resolved("classifier"))
        self.transformer_ = fit_vectorizer(cast(Vectorizer, self._resolved("vectorizer")), texts)
        X = transform(self.transformer_, texts)
        if isinstance(classifier, Chooser):
            self.choice_, classifier = _chosen(classifier, X, labels)
        self.pipeline_ = fit_classifier(classifier, X, labels)
        self.classes_ = self.pipeline_.classes_
        return self

    def predict(self, texts: Iterable[str]) -> Labels:
        """Return the most probable label of each text, shape (n_texts,)."""
        X = self._features(texts)
        return cast(Labels, self.pipeline_.predict(X))

    def predict_proba(self, texts: Iterable[str]) -> NDArray[np.floating[Any]]:
        """Return probabilities, shape (n_texts, n_classes); columns as in ``classes_``, rows sum to 1."""
        X = self._features(texts)
        return cast("NDArray[np.floating[Any]]", self.pipeline_.predict_proba(X))

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: FBT001, FBT002 - scikit-learn's
        """Return the strategies, and with `deep` their parameters as ``classifier__…`` and ``vectorizer__…``."""
        params: dict[str, Any] = {kind: getattr(self, kind) for kind in _KINDS}
        if deep:
            for kind in _KINDS:
                params |= {f"{kind}__{name}": value for name, value in dict(self._resolved(kind)).items()}
        return params

    def set_params(self, **params: Any) -> Self:
        """Set strategies, or parameters of theirs, as ``classifier__C=0.5``."""
        for kind in _KINDS:
            if kind in params:
                setattr(self, kind, params.pop(kind))
            nested = {name: params.pop(name) for name in list(params) if name.startswith(f"{kind}__")}
            if nested:
                short = {name.removeprefix(f"{kind}__"): value for name, value in nested.items()}
                setattr(self, kind, changed(kind, self._resolved(kind), **short))
        if params:
            raise DataError(f"Learner has no parameters {sorted(params)}; allowed: {sorted(self.get_params())}")
        return self

    def _resolved(self, kind: Kind) -> Strategy:
        chosen = getattr(self, kind)
        return strategy(kind, chosen) if isinstance(chosen, str) else chosen

    def _features(self, texts: Iterable[str]) -> csr_matrix:
        check_is_fitted(self)
        return transform(self.transformer_, checked_texts(texts))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags


def fit_vectorizer(vectorizer: Vectorizer, texts: Iterable[str]) -> Transformer:
    """Fit a vectorizer on a corpus.

    Raises
    ------
    PluginError
        It failed, or returned something without ``transform``.
    DataError
        The corpus has not one word.
    """
    try:
        transformer = vectorizer.fit(texts)
    except AlLearnerError:
        raise
    except Exception as exc:
        if "empty vocabulary" in str(exc):
            raise DataError("no text has a word that can be learnt from") from exc
        raise _failed("vectorizer", vectorizer, exc) from exc
    if not hasattr(transformer, "transform"):
        raise PluginError(f"vectorizer {vectorizer!r} returned a {type(transformer).__name__}, which cannot transform")
    return transformer


def transform(transformer: Transformer, texts: Sequence[str]) -> csr_matrix:
    """Return features, float32 CSR of shape (n_texts, n_features).

    Raises
    ------
    PluginError
        The transformer failed or returned something else.
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


def fit_classifier(classifier: Classifier, X: csr_matrix, y: Labels, *, last: Pipeline | None = None) -> Pipeline:
    """Train on the columns that occur, and wrap them with the result into what is stored.

    Parameters
    ----------
    X : csr_matrix of shape (n_rows, n_features), float32
    y : ndarray of shape (n_rows,)
    last : Pipeline, optional
        What the same classifier gave on the same columns the last time; a linear one may start from it.

    Returns
    -------
    Pipeline
        Takes all n_features columns; needs only scikit-learn and what the classifier requires.

    Raises
    ------
    DataError
        Fewer than two classes, or no word in any text.
    PluginError
        The classifier failed, or returned something that the predictor cannot use.
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
        # BLAS threads only get in each other's way on sparse text.
        with threadpool_limits(limits=1, user_api="blas"):
            estimator = classifier.fit(selected, y) if start is None else classifier.fit_from(selected, y, start)
    except Exception as exc:  # whatever a third party's code raises
        raise _failed("classifier", classifier, exc) from exc
    selector = VarianceThreshold()
    selector.variances_ = occurs  # one byte a column: all that is read is whether it is above zero
    selector.n_features_in_ = X.shape[1]
    pipeline = Pipeline([("columns", selector), ("classifier", estimator)])
    _check(classifier, pipeline, X[:1], classes)
    return pipeline


def candidate_losses(chooser: Chooser, candidate: Classifier, X: csr_matrix, y: Labels) -> Losses:
    """Return how far off a candidate is on each row when it has not seen that row, shape (n_rows,), as a chooser tells.

    Raises
    ------
    AlLearnerError
        The candidate or the chooser failed.
    """
    try:
        losses = np.asarray(chooser.losses(X, y, partial(fit_classifier, candidate)), np.float64)
    except AlLearnerError:
        raise
    except Exception as exc:  # whatever a third party's code raises
        raise _failed("classifier", chooser, exc) from exc
    if losses.shape != y.shape:
        raise PluginError(f"classifier {chooser!r}: {len(y)} rows need as many losses, not shape {losses.shape}")
    return losses


def checked_texts(texts: Iterable[str]) -> list[str]:
    """Return texts as a list.

    Raises
    ------
    DataError
        One is not a str; names its position.
    """
    if isinstance(texts, str):
        raise DataError("a list of texts is needed, not a single text; write [text]")
    listed = list(texts)
    for position, text in enumerate(listed):
        if not isinstance(text, str):
            raise DataError(f"text {position} is a {type(text).__name__}, not a str")
    return listed


def _chosen(chooser: Chooser, X: csr_matrix, y: Labels) -> tuple[Choice, Classifier]:
    made = choosing.candidates(chooser)
    specs = choosing.specs_of(made)
    if choosing.is_due(chooser, specs, None, len(y)):
        choice = choosing.choose(specs, None, len(y), lambda name: candidate_losses(chooser, made[name], X, y))
    else:
        choice = Choice(choosing.standing_in(specs, None), len(y), {}, {}, {})
    return choice, made[choice.name]


def _is_missing(label: Any) -> bool:
    try:
        return label is None or bool(label != label)  # noqa: PLR0124 - NaN
    except TypeError:  # pandas.NA is not even that
        return True


def _select(X: csr_matrix, occurs: NDArray[np.bool_]) -> csr_matrix:
    position = np.cumsum(occurs, dtype=X.indices.dtype) - 1
    return csr_matrix((X.data, position[X.indices], X.indptr), shape=(X.shape[0], int(occurs.sum())))


def _linear_start(last: Pipeline, occurs: NDArray[np.bool_], classes: Labels) -> LinearStart | None:
    """Align the last linear model to the columns that occur now and the classes that there are now."""
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
        shape, predicted = np.shape(pipeline.predict_proba(X)), np.asarray(pipeline.predict(X))
    except Exception as exc:  # whatever a third party's code raises
        raise _failed("classifier", classifier, exc) from exc
    if shape != (1, len(classes)) or predicted.shape != (1,):
        raise PluginError(
            f"classifier {classifier!r}: for one text predict_proba must have shape (1, {len(classes)}) and predict "
            f"(1,), not {shape} and {predicted.shape}"
        )


def _failed(kind: Kind, obj: Strategy, exc: Exception) -> PluginError:
    return PluginError(f"{kind} {obj!r} failed: {type(exc).__name__}: {exc}")
