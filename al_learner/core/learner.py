"""`Learner`: a vectorizer and a classifier in memory, as a scikit-learn estimator, without a database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from al_learner.core.configuration.defaults import of_new_project
from al_learner.core.configuration.settings import Settings
from al_learner.core.errors import DataError
from al_learner.core.interfaces import Classifier, Labels, ModelSelector, Strategy, Vectorizer
from al_learner.core.registry import Kind, candidates, changed, strategy
from al_learner.core.training.candidate_selection import CandidateSelector, Choice, candidate_losses
from al_learner.core.training.fitting import fit_classifier, fit_vectorizer, groups_of, transform

_KINDS: tuple[Kind, ...] = ("classifier", "vectorizer")


class Learner(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A text classifier that is a scikit-learn estimator.

    Parameters
    ----------
    classifier : str, Classifier or None
        The name of a plug-in, or a `Classifier`. Its parameters are available as ``classifier__NAME``. By default that
        of a new `Project`.
    vectorizer : str, Vectorizer or None
        In the same way.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    transformer_ : transformer
        The fitted vectorizer: ``transform(texts)`` returns float32 CSR.
    pipeline_ : sklearn.pipeline.Pipeline
        From features to labels: it drops the columns that are zero in all training texts, then predicts.
    choice_ : Choice
        Which candidate was trained and why, if the classifier is a model selector, as ``auto`` is.

    Examples
    --------
    >>> learner = Learner(classifier="complement-nb")
    >>> learner.fit(["a good day", "good news", "a bad day", "bad news"], ["+", "+", "-", "-"])
    Learner(classifier='complement-nb')
    >>> learner.predict(["good", "bad"]).tolist()
    ['+', '-']
    """

    def __init__(
        self, *, classifier: str | Classifier | None = None, vectorizer: str | Vectorizer | None = None
    ) -> None:
        self.classifier = classifier
        self.vectorizer = vectorizer

    def fit(self, texts: Iterable[str], y: ArrayLike) -> Self:
        """Train on texts and their labels.

        Parameters
        ----------
        texts : iterable of str
            A list, an array, a pandas Series.
        y : array-like of shape (n_texts,)
            One label for each text, at least two different ones.

        Raises
        ------
        DataError
            Texts and labels cannot be used as they are.
        SettingsError, PluginError
            A strategy is unknown or failed.
        """
        texts = checked_texts(texts)
        labels = np.asarray(y)
        if labels.shape != (len(texts),):
            raise DataError(f"{len(texts)} texts need as many labels, not an array of shape {labels.shape}")
        if missing := [at for at, label in enumerate(np.asarray(y, object)) if _is_missing(label)]:
            raise DataError(f"the label of text {missing[0]} is missing (None or NaN)")
        classifier = cast(Classifier, self._resolved("classifier"))
        vectorizer = cast(Vectorizer, self._resolved("vectorizer"))
        self.transformer_ = fit_vectorizer(vectorizer, texts)
        X = transform(self.transformer_, texts)
        groups = groups_of(vectorizer, X.shape[1])
        if isinstance(classifier, ModelSelector):
            self.choice_, classifier = _selected(classifier, X, labels, groups)
        self.pipeline_ = fit_classifier(classifier, X, labels, groups=groups)
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
        if chosen is None:
            chosen = of_new_project()[kind]
        return strategy(kind, chosen) if isinstance(chosen, str) else chosen

    def _features(self, texts: Iterable[str]) -> csr_matrix:
        check_is_fitted(self)
        return transform(self.transformer_, checked_texts(texts))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags


def checked_texts(texts: Iterable[str]) -> list[str]:
    """Return texts as a list.

    Raises
    ------
    DataError
        A text is not a str. The message gives its position.
    """
    if isinstance(texts, str):
        raise DataError("a list of texts is needed, not a single text; write [text]")
    listed = list(texts)
    for position, text in enumerate(listed):
        if not isinstance(text, str):
            raise DataError(f"text {position} is a {type(text).__name__}, not a str")
    return listed


def _selected(
    selector: ModelSelector, X: csr_matrix, y: Labels, groups: Mapping[str, slice]
) -> tuple[Choice, Classifier]:
    # By default the candidates are those of a project, whose predictor has few packages.
    is_asked_for = "candidates" in selector.model_fields_set
    packages = None if is_asked_for else Settings.model_fields["predictor_packages"].default
    made = candidates(selector, packages=packages, groups=groups.keys())
    selection = CandidateSelector(selector, made)
    if selection.is_due(None, len(y)):
        choice = selection.select(
            None,
            len(y),
            lambda name: candidate_losses(selector, partial(fit_classifier, made[name], groups=groups), X, y),
        )
    else:
        choice = Choice(selection.selected(None), len(y), {}, {}, {})
    return choice, made[choice.name]


def _is_missing(label: Any) -> bool:
    try:
        return label is None or bool(label != label)  # noqa: PLR0124 - NaN
    except TypeError:  # pandas.NA cannot be compared
        return True
