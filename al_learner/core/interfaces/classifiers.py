"""Classifiers: from features to labels."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from al_learner.core.interfaces.strategy import Labels, Strategy

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


class Estimator(Protocol):
    """What a classifier's ``fit`` returns: a fitted scikit-learn classifier, which a pipeline accepts as its last step.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted; the columns of ``predict_proba``.
    """

    classes_: Labels

    def predict(self, X: csr_matrix, /) -> Labels:
        """Return the most probable label of each row, shape (n_rows,)."""

    def predict_proba(self, X: csr_matrix, /) -> NDArray[np.floating[Any]]:
        """Return probabilities from 0 to 1, shape (n_rows, n_classes); each row sums to 1."""


@dataclass(frozen=True)
class LinearStart:
    """The last linear model, aligned with the columns and classes of the next fit.

    Attributes
    ----------
    coef : ndarray of shape (n_classes, n_features), or (1, n_features) for two classes, float64
        Zero where the class or the column is new.
    intercept : ndarray of shape (n_classes,) or (1,), float64
    """

    coef: NDArray[np.float64]
    intercept: NDArray[np.float64]


class Classifier(Strategy):
    """Learns to predict labels from features."""

    @abstractmethod
    def fit(self, X: csr_matrix, y: Labels) -> Estimator:
        """Train on labelled rows.

        The core selects the columns that occur, limits the threads, and puts the result into a pipeline. A classifier
        need not do that.

        A classifier that can weigh rows has one more parameter, here and in `fit_from`: ``sample_weight``, by default
        None, an ndarray of shape (n_rows,), float32, above 0. Without it, texts that nobody voted on cannot stay in
        training with a small weight (the prior; see the glossary).

        Parameters
        ----------
        X : csr_matrix of shape (n_rows, n_features), float32
            Every column has at least one non-zero value. Columns of meaning, unlike those of words, are full and have
            negative values too. A classifier that fails on them leaves them out; see `WeighsColumns`. Neither `X` nor
            `y` may be changed.
        y : ndarray of shape (n_rows,)
            At least two different labels.

        Returns
        -------
        estimator
            With ``classes_``, ``predict`` and ``predict_proba``.
        """

    @classmethod
    def weighs_rows(cls) -> bool:
        """Whether ``fit`` has the parameter ``sample_weight``, and ``fit_from`` too if the classifier has its own."""
        own: list[Callable[..., Any]] = [cls.fit] if cls.fit_from is Classifier.fit_from else [cls.fit, cls.fit_from]
        return all("sample_weight" in signature(train).parameters for train in own)

    def fit_from(self, X: csr_matrix, y: Labels, start: LinearStart) -> Estimator:
        """Train like ``fit``; the last model of this strategy may be used as the start.

        Called only if strategy, parameters and vectorizer are those of the last model. The result must equal that of
        ``fit``, within its tolerance.
        """
        del start
        return self.fit(X, y)


class WeighsColumns(Classifier):
    """A classifier that uses some groups of columns more than others, or not at all; see `Vectorizer.groups`.

    The core multiplies the columns before ``fit``. What is stored takes the columns as they are: a group with the
    factor 0 is not among the selected ones, and the coefficients of a linear model contain the other factors. A model
    that is not linear can have only the factors 0 and 1.

    A classifier that fails on negative values has ``{"meaning": 0}`` as the default of `column_weights`.
    """

    column_weights: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default={},
        description='Factors of groups of columns, such as {"meaning": 0.5}. 0 leaves a group out; the others have 1.',
    )


class ModelSelector(Classifier):
    """A classifier that selects one of its candidates, which is then trained and stored.

    It only computes the losses of a candidate. The core makes the candidates, compares their losses, and trains the one
    that is selected.
    """

    candidates: tuple[str, ...] = Field(
        min_length=1, description="Classifiers, NAME or NAME(parameter=value), the preferred one first."
    )
    min_labels: int = Field(default=2, ge=2, description="With fewer labelled texts the first candidate is trained.")

    def fit(self, X: csr_matrix, y: Labels) -> Estimator:
        """Raise TypeError: `Learner` and `Project` train one of the candidates instead."""
        del X, y
        raise TypeError(f"{self!r} is not trained itself: Learner and Project train one of its candidates")

    @abstractmethod
    def losses(
        self, X: csr_matrix, y: Labels, fit: Callable[[csr_matrix, Labels], Estimator]
    ) -> NDArray[np.floating[Any]]:
        """Return a candidate's loss on each row, by models that were not trained on that row.

        Parameters
        ----------
        X : csr_matrix of shape (n_rows, n_features), float32
            Columns may be empty: `fit` selects those that occur. Neither `X` nor `y` may be changed.
        y : ndarray of shape (n_rows,)
        fit : callable
            Trains the candidate on rows of `X` and `y`; raises what training raises.

        Returns
        -------
        ndarray of shape (n_rows,)
            Lower is better; nan where it is unknown, for the same rows with every candidate.
        """
