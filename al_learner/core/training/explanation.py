"""Which words speak for a label and which against it, according to a linear model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from al_learner.core.errors import DataError, did_you_mean
from al_learner.core.interfaces import Transformer
from al_learner.core.representation import html_table
from al_learner.core.training.fitting import transform

N_SHOWN = 10
"""So many words are shown for a label and against it."""

SMALLEST = 0.005
"""Smaller effects are not shown in a line of text."""

TOLERANCE = 1e-4
"""How far the sum of the effects may be from the classifier's own score, which it computes in single precision."""


class Effect(NamedTuple):
    """What a word adds to a label's score; or all columns of another group together, such as ``meaning``."""

    name: str
    value: float


@dataclass(frozen=True)
class Explanation:
    """Why a linear classifier gives a text a label.

    Attributes
    ----------
    text : str
    label : str
    probability : float
        Of this label.
    score : float
        Of the label, minus the mean score of all labels: the sum of `start` and all effects. Where the classifier's
        probabilities are those of a softmax, an effect of 1 multiplies the odds against an average label by 2.7.
    start : float
        The score without a word.
    effects : tuple of Effect
        What each word of the text adds, the largest first, whether it is positive or negative.
    """

    text: str
    label: str
    probability: float
    score: float
    start: float
    effects: tuple[Effect, ...]

    def side(self, sign: int) -> list[Effect]:
        """Return the effects that speak for the label (1) or against it (-1), the largest first."""
        return [effect for effect in self.effects if effect.value * sign > 0]

    def __str__(self) -> str:
        told = [
            f"{self.label}: {self.probability:.1%}; score {self.score:+z.2f}, of it {self.start:+z.2f} without a word"
        ]
        for words, sign in (("for it", 1), ("against it", -1)):
            found = [effect for effect in self.side(sign) if abs(effect.value) >= SMALLEST]
            shown = ", ".join(f"{name} {value:+z.2f}" for name, value in found[:N_SHOWN]) or "nothing"
            rest = sum(value for _, value in found[N_SHOWN:])
            told.append(f"{words}: {shown}{f', the other {len(found) - N_SHOWN} {rest:+z.2f}' if rest else ''}")
        return "\n".join(told)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        shown = [(name, f"{value:+z.2f}") for name, value in self.effects[: 2 * N_SHOWN]]
        rest = self.effects[2 * N_SHOWN :]
        more = [(f"{len(rest):,} more", f"{sum(value for _, value in rest):+z.2f}")] if rest else []
        sums = [("without a word", f"{self.start:+z.2f}"), ("score", f"{self.score:+z.2f}")]
        return html_table([*shown, *more, *sums], heading=f"{self.label}: {self.probability:.1%}")


class LinearModel:
    """A stored model, if it is linear, as the weight of each column for each label.

    Parameters
    ----------
    transformer : Transformer
    pipeline : sklearn.pipeline.Pipeline
        What `fit_classifier` returned.
    groups : callable, optional
        The vectorizer's method `groups`. By default all columns are words.

    Raises
    ------
    DataError
        The classifier is not linear, or the columns have no names.
    """

    def __init__(
        self, transformer: Transformer, pipeline: Any, groups: Callable[[int], Mapping[str, slice]] = lambda _: {}
    ) -> None:
        self._transformer, self._pipeline = transformer, pipeline
        self.classes: list[str] = [str(label) for label in pipeline.classes_]
        weights, starts = _linear(pipeline[-1])
        support = pipeline[0].get_support(indices=True)
        if weights.shape[1] != len(support):
            raise _not_linear(pipeline[-1])
        self._weights, self._starts = _centred(weights), _centred(starts[:, np.newaxis])[:, 0]
        n_features = pipeline[0].n_features_in_
        names, is_word = column_names(transformer, n_features, groups(n_features))
        self._names, self._is_word = names[support], is_word[support]

    def explain(self, text: str, label: str | None = None) -> Explanation:
        """Explain a label of a text, by default the one that is predicted.

        Raises
        ------
        DataError
            The classifier does not know the label, or computes its scores in another way than a linear model.
        """
        X = self._pipeline[:-1].transform(transform(self._transformer, [text]))
        probabilities = self._pipeline[-1].predict_proba(X)[0]
        row = int(probabilities.argmax()) if label is None else self._row(label)
        values = csr_matrix(X)
        effects = values.data * self._weights[row, values.indices]
        score = float(effects.sum() + self._starts[row])
        if not np.isclose(score, _own_scores(self._pipeline[-1], X)[row], rtol=TOLERANCE, atol=TOLERANCE):
            raise _not_linear(self._pipeline[-1])
        is_word, names = self._is_word[values.indices], self._names[values.indices]
        found = [Effect(str(name), float(value)) for name, value in zip(names[is_word], effects[is_word], strict=True)]
        groups, of_groups = names[~is_word], effects[~is_word]
        found += [Effect(str(group), float(of_groups[groups == group].sum())) for group in dict.fromkeys(groups)]
        in_order = sorted((effect for effect in found if effect.value), key=lambda effect: -abs(effect.value))
        start, probability = float(self._starts[row]), float(probabilities[row])
        return Explanation(text, self.classes[row], probability, score, start, tuple(in_order))

    def top_features(self, n: int = N_SHOWN) -> dict[str, list[Effect]]:
        """Return the `n` words with the largest weight for each label: what a feature of 1 adds to its score."""
        words, names = self._weights[:, self._is_word], self._names[self._is_word]
        best = np.argsort(-words, axis=1, kind="stable")[:, :n]
        return {
            label: [Effect(str(names[at]), float(words[row, at])) for at in best[row] if words[row, at] > 0]
            for row, label in enumerate(self.classes)
        }

    def _row(self, label: str) -> int:
        if label not in self.classes:
            hint = did_you_mean(label, self.classes)
            known = ", ".join(self.classes)
            raise DataError(f"the classifier does not know the label {label!r}{hint}; it knows {known}")
        return self.classes.index(label)


def column_names(
    transformer: Transformer, n_features: int, groups: Mapping[str, slice]
) -> tuple[NDArray[np.object_], NDArray[np.bool_]]:
    """Return the name of each column, and whether it is a word. The others have the names of their groups.

    Raises
    ------
    DataError
        The vectorizer has no names for its columns, as ``hashing`` has none.
    """
    names, is_word = np.empty(n_features, object), np.ones(n_features, bool)
    for group, columns in groups.items():
        if group != "words":
            names[columns], is_word[columns] = group, False
    n_words = int(is_word.sum())
    words = next((found for found in _words(transformer) if len(found) == n_words), None)
    if words is None:
        raise DataError("the vectorizer has no names for its columns, as hashing has none; choose tfidf, for instance")
    names[is_word] = words
    return names, is_word


def _words(transformer: Any) -> Iterator[Sequence[str]]:
    """Yield the names that a transformer, or the first step of a pipeline, has for its columns."""
    for one in (transformer, *(step for _, step in getattr(transformer, "steps", [])[:1])):
        with suppress(AttributeError):  # also of a pipeline that has the method, but not all of its steps
            yield one.get_feature_names_out()


def _linear(estimator: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the weights of a linear model, (n_classes, n_columns), and what it adds to the score, (n_classes,)."""
    n_classes = len(estimator.classes_)
    if np.ndim(getattr(estimator, "coef_", 0.0)) == 2:
        weights, starts = np.asarray(estimator.coef_, float), np.asarray(estimator.intercept_, float)
        if len(weights) == 1:  # two classes: one vector for the second against the first
            weights, starts = np.vstack([-weights / 2, weights / 2]), np.hstack([-starts / 2, starts / 2])
    elif np.ndim(getattr(estimator, "feature_log_prob_", 0.0)) == 2:  # naive Bayes; its complement has no prior
        weights, starts = np.asarray(estimator.feature_log_prob_, float), np.zeros(n_classes)
    else:
        raise _not_linear(estimator)
    if weights.shape[:1] != (n_classes,) or starts.shape != (n_classes,):
        raise _not_linear(estimator)
    return weights, starts


def _own_scores(estimator: Any, X: Any) -> NDArray[np.float64]:
    """Return the scores that an estimator computes for a row, minus their mean, shape (n_classes,)."""
    if not hasattr(estimator, "decision_function"):
        return _centred(estimator.predict_log_proba(X).T)[:, 0]
    scores: NDArray[np.float64] = np.asarray(estimator.decision_function(X), float)[0]
    return _centred(np.array([-scores, scores]) / 2 if scores.ndim == 0 else scores)


def _centred(values: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(values - values.mean(axis=0), float)


def _not_linear(estimator: Any) -> DataError:
    return DataError(
        f"a {type(estimator).__name__} cannot be explained: it is not a linear model. Those of logreg, complement-nb "
        "and sgd are"
    )
