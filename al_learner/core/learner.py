"""`Learner`: a vectorizer and a classifier in memory, as a scikit-learn estimator, without a database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_matrix
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_is_fitted

from al_learner.core.configuration.defaults import of_new_project
from al_learner.core.configuration.settings import Settings
from al_learner.core.errors import DataError
from al_learner.core.interfaces import Classifier, Labels, ModelSelector, Strategy, Vectorizer
from al_learner.core.registry import Kind, candidates, changed, strategy
from al_learner.core.training.candidate_selection import CandidateSelector, Choice, candidate_losses
from al_learner.core.training.explanation import Effect, Explanation, LinearModel, column_names
from al_learner.core.training.fitting import fit_classifier, fit_vectorizer, groups_of, transform


def _has_decision_function(learner: Learner) -> bool:
    check_is_fitted(learner)
    return hasattr(learner.pipeline_, "decision_function")


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

    def fit(self, texts: Iterable[str], y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train on texts and their labels.

        Parameters
        ----------
        texts : iterable of str
            A list, an array, a pandas Series, or a DataFrame with one column.
        y : array-like of shape (n_texts,)
            One label for each text, at least two different ones.
        sample_weight : array-like of shape (n_texts,), optional
            How much each text counts, 0 or more. A model selector compares its candidates without weights.

        Raises
        ------
        DataError
            Texts, labels and weights cannot be used as they are, or the classifier weighs no rows.
        SettingsError, PluginError
            A strategy is unknown or failed.
        """
        texts = checked_texts(texts)
        labels = _checked_labels(y, len(texts))
        classifier = cast(Classifier, self._resolved("classifier"))
        vectorizer = self._vectorizer()
        self.transformer_ = fit_vectorizer(vectorizer, texts)
        X = transform(self.transformer_, texts)
        groups = groups_of(vectorizer, X.shape[1])
        if isinstance(classifier, ModelSelector):
            self.choice_, classifier = _selected(classifier, X, labels, groups)
        if sample_weight is None:
            self.pipeline_ = fit_classifier(classifier, X, labels, groups=groups)
        else:
            weights = _checked_weights(sample_weight, len(texts), classifier)
            counted = np.flatnonzero(weights > 0)
            self.pipeline_ = fit_classifier(
                classifier, X[counted], labels[counted], groups=groups, sample_weight=weights[counted]
            )
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

    @available_if(_has_decision_function)  # type: ignore[untyped-decorator]  # scikit-learn has no types
    def decision_function(self, texts: Iterable[str]) -> NDArray[np.floating[Any]]:
        """Return the scores of the labels, shape (n_texts, n_classes), or (n_texts,) for two; if the model has them."""
        X = self._features(texts)
        return cast("NDArray[np.floating[Any]]", self.pipeline_.decision_function(X))

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:
        """Return the names of the columns: words, and ``meaning0``, ``meaning1``, … for those of other groups.

        Raises
        ------
        DataError
            The vectorizer has no names for its columns.
        """
        del input_features  # scikit-learn's; there is one, the text
        check_is_fitted(self)
        n_features = self.pipeline_[0].n_features_in_
        names, is_word = column_names(self.transformer_, n_features, self._vectorizer().groups(n_features))
        seen: Counter[str] = Counter()
        for at in np.flatnonzero(~is_word):
            group = names[at]
            names[at] = f"{group}{seen[group]}"
            seen[group] += 1
        return names

    def explain(self, text: str, *, label: str | None = None) -> Explanation:
        """Return which words speak for a label of a text, by default the predicted one, and which against it.

        Raises
        ------
        DataError
            The classifier is not linear, or does not know the label.
        """
        checked_texts([text])
        return self._linear_model().explain(text, label)

    def top_features(self, n: int = 10) -> dict[str, list[Effect]]:
        """Return the `n` words that speak most for each label; errors as of `explain`.

        Returns
        -------
        dict of str to list of Effect
            What a feature of 1 adds to the label's score, the largest first.
        """
        return self._linear_model().top_features(n)

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

    def _vectorizer(self) -> Vectorizer:
        return cast(Vectorizer, self._resolved("vectorizer"))

    def _linear_model(self) -> LinearModel:
        check_is_fitted(self)
        return LinearModel(self.transformer_, self.pipeline_, self._vectorizer().groups)

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
    if hasattr(texts, "columns"):  # of pandas; iterating over it would give the names of the columns
        texts = _only_column(texts)
    listed = list(texts)
    for position, text in enumerate(listed):
        if not isinstance(text, str):
            raise DataError(f"text {position} is a {type(text).__name__}, not a str")
    return listed


def _only_column(frame: Any) -> Iterable[str]:
    if len(frame.columns) != 1:
        names = ", ".join(map(str, frame.columns))
        raise DataError(f"a DataFrame must have one column, the texts, not {len(frame.columns)} ({names}): choose one")
    return cast(Iterable[str], frame[frame.columns[0]])


def _checked_labels(y: ArrayLike, n_texts: int) -> Labels:
    try:
        labels = np.asarray(y)
    except ValueError:  # lists of different lengths
        labels = np.asarray(y, object)
    if (labels.ndim > 1 and labels.shape[1] != 1) or (labels.dtype == object and any(map(_is_several, labels.flat))):
        raise DataError(
            "a text has one label: several labels for a text (multi-label) are not supported. Fit a Learner for each "
            "label, with y saying whether a text has it"
        )
    if labels.shape != (n_texts,):
        raise DataError(f"{n_texts} texts need as many labels, not an array of shape {labels.shape}")
    if missing := [at for at, label in enumerate(np.asarray(y, object)) if _is_missing(label)]:
        raise DataError(f"the label of text {missing[0]} is missing (None or NaN)")
    if (kind := type_of_target(labels)) == "continuous":
        raise DataError(
            f"the labels are {kind} numbers, such as {labels[labels % 1 != 0][0]}; a classifier needs names"
        )
    return labels


def _checked_weights(sample_weight: ArrayLike, n_texts: int, classifier: Classifier) -> NDArray[np.float32]:
    weights = np.asarray(sample_weight, np.float32)
    if weights.shape != (n_texts,):
        raise DataError(f"{n_texts} texts need as many weights, not an array of shape {weights.shape}")
    if wrong := [at for at, weight in enumerate(weights) if not (np.isfinite(weight) and weight >= 0)]:
        raise DataError(f"the weight of text {wrong[0]} is {weights[wrong[0]]}: it must be a number, 0 or more")
    if not weights.any():
        raise DataError("all weights are zero; at least one text must have a larger one")
    if not classifier.weighs_rows():
        raise DataError(f"classifier {classifier!r} cannot weigh texts: leave sample_weight out")
    return weights


def _is_several(label: Any) -> bool:
    return isinstance(label, (list, tuple, set, frozenset, np.ndarray))


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
