"""How good the stored models are, and whether speed costs accuracy: they are compared with plain fits."""

from __future__ import annotations

import hashlib
import pickle
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from al_learner.core.interfaces import Estimator, Labels, WeighsColumns
from al_learner.core.registry import Spec
from al_learner.core.training.candidate_selection import trained
from al_learner.core.training.cold_start import are_surest
from al_learner.core.training.fitting import fit_classifier
from benchmarks.app import App
from benchmarks.campaign import BATCH_SIZE, Event, Kind
from benchmarks.corpus import Corpus

TOLERANCE = 1e-6
EXACT_UP_TO = 10_000
"""Up to so many labelled texts the reference is fitted by scikit-learn's solver. With more it would take hours."""

SAMPLE = 10_000
"""Texts that are never labelled, on which accuracy is measured."""

LEAST_SURE = 100
CHUNK = 10_000

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Limits:
    """What must hold at every step. Speed must not ignore votes."""

    accuracy_points: float = 0.5
    given_label: float = 0.03
    same_least_sure: int = 90


@dataclass(frozen=True)
class Quality:
    """How good one stored model is.

    Attributes
    ----------
    accuracy, reference_accuracy : float
        Accuracy of the stored model and of the plain fit, on up to `SAMPLE` texts that are never labelled.
    given_label, reference_given_label : float
        Mean probability of the given label over the `BATCH_SIZE` texts that were labelled last.
    same_least_sure : int
        How many of the `LEAST_SURE` unlabelled texts with the lowest top probability are the same for both.
    solver : str
        The solver that fitted the reference.
    gradient : float or None
        Largest component of the mean gradient of the reference, computed here in double precision. Only for logistic
        regression.
    """

    kind: Kind
    at: int
    labelled: int
    accuracy: float
    reference_accuracy: float | None = None
    given_label: float | None = None
    reference_given_label: float | None = None
    same_least_sure: int | None = None
    solver: str | None = None
    gradient: float | None = None

    def holds(self, limits: Limits) -> bool | None:
        """Whether it is within the limits; None without a reference."""
        if self.reference_accuracy is None or self.given_label is None or self.reference_given_label is None:
            return None
        return (
            abs(self.accuracy - self.reference_accuracy) * 100 <= limits.accuracy_points
            and abs(self.given_label - self.reference_given_label) <= limits.given_label
            and (self.same_least_sure or 0) >= limits.same_least_sure
        )


PLAIN_FIT = Spec("logreg", {"C": 1.0})
"""What the plain worker trains: scikit-learn's logistic regression with its defaults."""


@dataclass(frozen=True)
class _Reference:
    """A plain fit, the solver that fitted it, and its error: see `Quality`."""

    model: Any
    solver: str
    gradient: float | None = None


class Judge:
    """Compares stored models with plain fits on the same features.

    Parameters
    ----------
    corpus : Corpus
    order : ndarray of int64
        The order in which its texts are labelled.
    held_out_from : int
        The texts from this position of `order` on are never labelled.
    """

    def __init__(self, corpus: Corpus, order: NDArray[np.int64], *, held_out_from: int) -> None:
        self._texts = corpus.texts
        self._truth, self._order = np.array(corpus.labels), order
        self._held_out = order[held_out_from : held_out_from + SAMPLE]
        self._features: dict[str, csr_matrix] = {}
        self._references: dict[tuple[str, int, str], _Reference] = {}

    def judge(self, app: App, events: Sequence[Event], *, is_plain: bool) -> list[Quality]:
        """Judge the last model of each kind at each step; `is_plain`: the plain worker trained them."""
        last = {(event.kind, event.at): event for event in events}
        return [self._judge(app, event, is_plain=is_plain) for event in last.values()]

    def _judge(self, app: App, event: Event, *, is_plain: bool) -> Quality:
        stored = pickle.loads(app.clf(event.clf_id))
        X, digest = self._transformed(app.countvec(event.countvec_id))
        accuracy = float((stored.predict(X[self._held_out]) == self._truth[self._held_out]).mean())
        if event.kind == "init":  # no text has a vote, so there is nothing to compare with
            return Quality(event.kind, event.at, event.labelled, accuracy)
        labelled, unlabelled = self._order[: event.labelled], self._order[event.labelled :]
        rows = np.sort(labelled)  # the order of the table, because the result of SGD depends on the order
        strategies, prior = (None, None) if is_plain else app.run_of(event.clf_id)
        spec = trained(strategies["classifier"]) if strategies else PLAIN_FIT
        key = str(spec), event.labelled, digest
        if key not in self._references:
            vectorizer: Any = Spec(**strategies["vectorizer"]).make("vectorizer") if strategies else None
            groups = vectorizer.groups(X.shape[1]) if strategies else {}
            positions, labels, weights = _texts(rows, self._truth, prior)
            self._references[key] = _reference(spec, X[positions], labels, weights, groups)
        reference = self._references[key]
        batch = labelled[-BATCH_SIZE:]
        least_sure = self._least_sure(stored, X, unlabelled)
        return Quality(
            event.kind,
            event.at,
            event.labelled,
            accuracy,
            reference_accuracy=float(
                (reference.model.predict(X[self._held_out]) == self._truth[self._held_out]).mean()
            ),
            given_label=_given(stored, X[batch], self._truth[batch]),
            reference_given_label=_given(reference.model, X[batch], self._truth[batch]),
            same_least_sure=len(least_sure & self._least_sure(reference.model, X, unlabelled)),
            solver=reference.solver,
            gradient=reference.gradient,
        )

    def _transformed(self, blob: bytes) -> tuple[csr_matrix, str]:
        """Return the features of all texts, and their digest. They are cached, for workers that keep the vectorizer."""
        name = hashlib.sha256(blob).hexdigest()
        if name not in self._features:
            self._features = {name: csr_matrix(pickle.loads(blob).transform(self._texts)).astype(np.float32)}
            self._features[name].sort_indices()
        X = self._features[name]
        digest = hashlib.sha256()
        for part in (X.indptr, X.indices, X.data):
            digest.update(part.tobytes())
        return X, digest.hexdigest()

    def _least_sure(self, model: Any, X: csr_matrix, rows: NDArray[np.int64]) -> set[int]:
        chunks = [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]
        top = np.concatenate([model.predict_proba(X[chunk]).max(axis=1) for chunk in chunks])
        return set(rows[np.argsort(top, kind="stable")[:LEAST_SURE]].tolist())


def _texts(
    voted: NDArray[np.int64], truth: NDArray[np.str_], prior: dict[str, Any] | None
) -> tuple[NDArray[np.int64], NDArray[np.str_], NDArray[np.float32]]:
    """Return positions, labels and weights of the voted texts, and of those of the prior that have no vote."""
    texts = prior["texts"] if prior else []
    if len(voted):
        stays = are_surest([label for _, _, label in texts])
        texts = [text for text, is_in in zip(texts, stays, strict=True) if is_in]
    chosen = {text_id - 1: label for text_id, _, label in texts}
    left = [position for position in chosen if position not in {*voted.tolist()}]
    positions = np.array([*voted, *left], np.int64)
    labels = np.array([*truth[voted], *(chosen[position] for position in left)])
    weights = np.repeat(np.array([1, prior["weight"] if prior else 0], np.float32), [len(voted), len(left)])
    return positions, labels, weights


class _NewtonCg(WeighsColumns):
    """The minimum of logistic regression, by scikit-learn's solver in double precision."""

    C: float

    def fit(self, X: csr_matrix, y: Labels, sample_weight: NDArray[np.float32] | None = None) -> Estimator:
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(C=self.C, solver="newton-cg", tol=TOLERANCE, max_iter=1_000)
        return model.fit(X.astype(np.float64), y, sample_weight)  # type: ignore[no-any-return]  # scikit-learn has no types


def _reference(
    spec: Spec, X: csr_matrix, y: NDArray[np.str_], weights: NDArray[np.float32], groups: Mapping[str, slice]
) -> _Reference:
    """Fit from zero: for logistic regression to the minimum, otherwise with the same parameters."""
    chosen: Any = spec.make("classifier")
    solver, fitted = f"plug-in {spec.name} from zero, with the same parameters", chosen
    if spec.name == "logreg" and len(y) <= EXACT_UP_TO and not chosen.naive_bayes:
        solver = f"scikit-learn newton-cg, float64, tol {TOLERANCE:g}"
        fitted = _NewtonCg(C=chosen.C, column_weights=chosen.column_weights)
    elif spec.name == "logreg":
        solver = f"plug-in logreg from zero, tol {TOLERANCE / 10:g}"
        fitted = Spec(spec.name, {**spec.params, "tol": TOLERANCE / 10, "max_iter": 1_000}).make("classifier")
    with threadpool_limits(limits=1, user_api="blas"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its error is computed below
        model = fit_classifier(fitted, X, y, groups=groups, sample_weight=weights)
    if spec.name != "logreg" or chosen.naive_bayes:
        return _Reference(model, solver)
    factors = np.ones(X.shape[1])
    for name, columns in groups.items():
        factors[columns] = chosen.column_weights.get(name, 1)
    factors = factors[model[0].get_support()]
    return _Reference(model, solver, _mean_gradient(model[-1], chosen.C, model[0].transform(X), y, weights, factors))


def _mean_gradient(
    model: Any, C: float, X: csr_matrix, y: NDArray[np.str_], weights: NDArray[np.float32], factors: Floats
) -> float:
    """Return the largest component of the gradient of the mean loss. It is zero only at the minimum.

    `factors`, of shape (n_features,), are those by which the columns were multiplied; `model` has them in its
    coefficients.
    """
    X = X.astype(np.float64).multiply(factors).tocsr()
    W = model.coef_.T.astype(np.float64) / factors[:, None]
    given = (y[:, None] == model.classes_[None, :]).astype(np.float64)
    Z = X @ W + model.intercept_
    if len(model.classes_) == 2:
        error = 1 / (1 + np.exp(-Z)) - given[:, 1:]
    else:
        P = np.exp(Z - Z.max(axis=1, keepdims=True))
        error = P / P.sum(axis=1, keepdims=True) - given
    error *= weights[:, None] / weights.sum()
    coef = X.T @ error + W / C / weights.sum()
    return float(max(np.abs(coef).max(), np.abs(error.sum(axis=0)).max()))


def _given(model: Any, X: csr_matrix, y: NDArray[np.str_]) -> float:
    columns = {label: column for column, label in enumerate(model.classes_.tolist())}
    P = model.predict_proba(X)
    rows = [(row, columns[label]) for row, label in enumerate(y.tolist()) if label in columns]
    return float(sum(P[row, column] for row, column in rows) / len(y))
