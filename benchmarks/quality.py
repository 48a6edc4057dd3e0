"""How good the stored models are, and whether speed costs accuracy: they are compared with plain fits."""

from __future__ import annotations

import hashlib
import pickle
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from al_learner import strategy
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

    def judge(self, app: App, events: Sequence[Event], classifier: str) -> list[Quality]:
        """Judge the last model of each kind at each step. `classifier` is the plug-in of the plain fit."""
        last = {(event.kind, event.at): event for event in events}
        return [self._judge(app, event, classifier) for event in last.values()]

    def _judge(self, app: App, event: Event, classifier: str) -> Quality:
        stored = pickle.loads(app.clf(event.clf_id))
        X, digest = self._transformed(app.countvec(event.countvec_id))
        accuracy = float((stored.predict(X[self._held_out]) == self._truth[self._held_out]).mean())
        if event.kind == "init":  # its labels are random, so there is nothing to compare with
            return Quality(event.kind, event.at, event.labelled, accuracy)
        labelled, unlabelled = self._order[: event.labelled], self._order[event.labelled :]
        key = classifier, event.labelled, digest
        if key not in self._references:
            rows = np.sort(labelled)  # the order of the table, because the result of SGD depends on the order
            self._references[key] = _Reference(classifier, X[rows], self._truth[rows])
        reference = self._references[key]
        batch = labelled[-BATCH_SIZE:]
        least_sure = self._least_sure(stored, X, unlabelled)
        return Quality(
            event.kind,
            event.at,
            event.labelled,
            accuracy,
            reference_accuracy=float((reference.predict(X[self._held_out]) == self._truth[self._held_out]).mean()),
            given_label=_given(stored, X[batch], self._truth[batch]),
            reference_given_label=_given(reference, X[batch], self._truth[batch]),
            same_least_sure=len(least_sure & self._least_sure(reference, X, unlabelled)),
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


class _Reference:
    """A plain fit on the columns that occur: for logistic regression the minimum, otherwise with equal parameters."""

    def __init__(self, classifier: str, X: csr_matrix, y: NDArray[np.str_]) -> None:
        self._occurs = np.flatnonzero(X.getnnz(axis=0))
        X = X[:, self._occurs]
        self.gradient: float | None = None
        chosen: Any = strategy("classifier", classifier)
        with threadpool_limits(limits=1, user_api="blas"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its error is computed below
            if classifier != "logreg":
                self._model = chosen.fit(X, y)
                self.solver = f"plug-in {classifier} from zero, with the same parameters"
                return
            if len(y) <= EXACT_UP_TO:
                self._model = _newton_cg(chosen.C, X, y)
                self.solver = f"scikit-learn newton-cg, float64, tol {TOLERANCE:g}"
            else:
                exact: Any = strategy("classifier", "logreg", tol=TOLERANCE / 10, max_iter=1_000)
                self._model = exact.fit(X, y)
                self.solver = f"plug-in logreg from zero, tol {TOLERANCE / 10:g}"
            self.gradient = _mean_gradient(self._model, chosen.C, X, y)

    def predict(self, X: csr_matrix) -> NDArray[np.str_]:
        """Return the most probable label of each row."""
        return self._model.predict(X[:, self._occurs])  # type: ignore[no-any-return]  # scikit-learn has no types

    def predict_proba(self, X: csr_matrix) -> Floats:
        """Return probabilities, shape (n_rows, n_classes)."""
        return self._model.predict_proba(X[:, self._occurs])  # type: ignore[no-any-return]  # scikit-learn has no types

    @property
    def classes_(self) -> NDArray[np.str_]:
        """The labels, sorted."""
        return self._model.classes_  # type: ignore[no-any-return]  # scikit-learn has no types


def _newton_cg(C: float, X: csr_matrix, y: NDArray[np.str_]) -> Any:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=C, solver="newton-cg", tol=TOLERANCE, max_iter=1_000)
    return model.fit(X.astype(np.float64), y)


def _mean_gradient(model: Any, C: float, X: csr_matrix, y: NDArray[np.str_]) -> float:
    """Return the largest component of the gradient of the mean loss. It is zero only at the minimum."""
    X = X.astype(np.float64)
    given = (y[:, None] == model.classes_[None, :]).astype(np.float64)
    Z = X @ model.coef_.T.astype(np.float64) + model.intercept_
    if len(model.classes_) == 2:
        error = 1 / (1 + np.exp(-Z)) - given[:, 1:]
    else:
        P = np.exp(Z - Z.max(axis=1, keepdims=True))
        error = P / P.sum(axis=1, keepdims=True) - given
    coef = (X.T @ error + model.coef_.T / C) / len(y)
    return float(max(np.abs(coef).max(), np.abs(error.mean(axis=0)).max()))


def _given(model: Any, X: csr_matrix, y: NDArray[np.str_]) -> float:
    columns = {label: column for column, label in enumerate(model.classes_.tolist())}
    P = model.predict_proba(X)
    rows = [(row, columns[label]) for row, label in enumerate(y.tolist()) if label in columns]
    return float(sum(P[row, column] for row, column in rows) / len(y))
