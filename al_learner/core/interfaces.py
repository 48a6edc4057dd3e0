"""The four interfaces of plug-ins, and the small types that they exchange.

A *strategy* is a frozen pydantic model: its fields are its parameters. Unknown, misspelt or out-of-range
parameters are refused, by name, when it is made. Training returns another object, the *artifact*. Artifacts are stored,
strategies are not.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Labels = NDArray[Any]
"""Class labels, one a row: an array of str (of int or bool in a notebook)."""

Codes = NDArray[np.intp]
"""Row numbers or codes: a one-dimensional array of intp."""

SCANNED = 1_000
"""Texts that an init sampler's `scan` reads at a time."""


def _ascending(pair: tuple[int, int]) -> tuple[int, int]:
    if pair[0] > pair[1]:
        raise ValueError("the first number must not be larger than the second")
    return pair


NgramRange = Annotated[tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]], AfterValidator(_ascending)]
"""Parameter type: the shortest and the longest run of words."""

DocumentFrequency = Annotated[int, Field(ge=1)] | Annotated[float, Field(ge=0, le=1)]
"""Parameter type: a number of texts (an integer), or a share of them (a fraction)."""


class Transformer(Protocol):
    """What a vectorizer's ``fit`` returns."""

    def transform(self, texts: Iterable[str], /) -> csr_matrix:
        """Return the features, float32 CSR of shape (n_texts, n_features)."""


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


class Strategy(BaseModel, ABC):
    """Base class of all plug-ins: named parameters, checked when it is made, then unchangeable."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    requires: ClassVar[tuple[str, ...]] = ("scikit-learn", "numpy", "scipy")
    """Distributions that are needed to unpickle and use this strategy's artifact."""

    @model_validator(mode="after")
    def _is_finite(self) -> Self:
        """Refuse infinity and NaN, also inside lists and tables and as defaults. JSON has neither."""
        if wrong := [f"{name} = {value!r}" for name, value in self if not _has_finite_numbers(value)]:
            raise ValueError(f"{', '.join(wrong)}: every number must be finite, neither infinite nor NaN")
        return self


def _has_finite_numbers(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Mapping):
        return all(map(_has_finite_numbers, value.values()))
    return not isinstance(value, list | tuple | set | frozenset) or all(map(_has_finite_numbers, value))


class Vectorizer(Strategy):
    """Turns texts into features."""

    @abstractmethod
    def fit(self, texts: Iterable[str]) -> Transformer:
        """Learn the columns from the corpus.

        Parameters
        ----------
        texts : iterable of str
            All texts of the project. It can be iterated only once, and may not fit into memory.

        Returns
        -------
        transformer
            ``transform(texts)`` gives float32 CSR of shape (n_texts, n_features).
        """


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

        Parameters
        ----------
        X : csr_matrix of shape (n_rows, n_features), float32
            Every column has at least one non-zero value. Neither `X` nor `y` may be changed.
        y : ndarray of shape (n_rows,)
            At least two different labels.

        Returns
        -------
        estimator
            With ``classes_``, ``predict`` and ``predict_proba``.
        """

    def fit_from(self, X: csr_matrix, y: Labels, start: LinearStart) -> Estimator:
        """Train like ``fit``; the last model of this strategy may be used as the start.

        Called only if strategy, parameters and vectorizer are those of the last model. The result must equal that of
        ``fit``, within its tolerance.
        """
        del start
        return self.fit(X, y)


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


class InitSampler(Strategy):
    """Starts a project that has no labelled text: picks texts and gives them labels."""

    random_state: int | None = Field(
        default=None, ge=0, description="Seed of the random numbers. null: a new seed for each run."
    )

    @abstractmethod
    def sample(
        self, texts: Sequence[str], labels: Sequence[str], size: int, rng: np.random.Generator
    ) -> tuple[Codes, list[str]]:
        """Pick texts to train the first classifier on.

        Parameters
        ----------
        texts : sequence of str
            All texts that are not blank. Each access may read from the database, so access only what is needed.
        labels : sequence of str
            The label names, at least two, without duplicates.
        size : int
            How many texts to pick, at least 2; at most ``len(texts)`` of them are different.
        rng : numpy.random.Generator
            The only source of randomness.

        Returns
        -------
        rows : ndarray of shape (size,), intp
            Positions in `texts`.
        labels : list of str, length `size`
            A label for each; at least two different ones.
        """

    def pick(self, n_texts: int, size: int, rng: np.random.Generator) -> Codes:
        """Return `size` random positions; they are different if there are enough texts."""
        rounds, rest = divmod(size, n_texts)
        picks = [rng.permutation(n_texts) for _ in range(rounds)]
        return np.concatenate([*picks, rng.choice(n_texts, rest, replace=False)]).astype(np.intp)

    def deal(self, labels: Sequence[str], size: int, rng: np.random.Generator) -> list[str]:
        """Return `size` labels in random order, all labels equally often as far as possible."""
        order = rng.permutation(len(labels))
        return [labels[order[i % len(order)]] for i in range(size)]

    def scan(self, texts: Sequence[str], at_most: int, rng: np.random.Generator) -> Iterator[tuple[int, str]]:
        """Yield position and text of a random sample: every n-th text from a random start, read in few pieces.

        Parameters
        ----------
        at_most : int
            Maximum number of texts. At least half as many are read, if there are so many.
        """
        step = -(-len(texts) // at_most)
        start = int(rng.integers(step))
        for first in range(start, len(texts), step * SCANNED):
            piece = range(first, min(first + step * SCANNED, len(texts)), step)
            yield from zip(piece, texts[piece.start : piece.stop : step], strict=True)


@dataclass(frozen=True)
class Votes:
    """The votes of all countable texts, in voting order within each text.

    Attributes
    ----------
    text, annotator, label : ndarray of shape (n_votes,), intp
        Codes: the text 0 … n_texts-1, sorted; the annotator, -1 where nobody is named (each such vote is an
        annotator of its own); the label, a position in `label_names`.
    label_names : tuple of str
    stored : ndarray of shape (n_texts,), intp
        The label that each text has now, as a position in `label_names`; -1 for none.
    """

    text: Codes
    annotator: Codes
    label: Codes
    label_names: tuple[str, ...]
    stored: Codes

    @property
    def is_shared(self) -> NDArray[np.bool_]:
        """For each vote, whether another annotator voted on the same text, shape (n_votes,)."""
        n_votes = np.bincount(self.text)[self.text]
        width = self.annotator.max(initial=-1) + 2
        _, pair, own = np.unique(self.text * width + self.annotator + 1, return_inverse=True, return_counts=True)
        return n_votes > np.where(self.annotator < 0, 1, own[pair])


class LabelAggregator(Strategy):
    """Aggregates the votes on each text to one label."""

    requires: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def aggregate(self, votes: Votes) -> Codes:
        """Return one label code for each text, shape (n_texts,), intp.

        In a tie the stored label stays if it is among the tied labels; else the tied label that was voted first wins.
        """

    def accuracies(self, votes: Votes) -> NDArray[np.float64] | None:
        """Estimate each annotator's accuracy; None, the default, if this aggregator does not estimate it.

        Returns
        -------
        accuracies : ndarray of shape (n_annotators,), float64, or None
            Shares from 0 to 1, by annotator code; NaN where there is no shared vote.
        """
        del votes
        return None
