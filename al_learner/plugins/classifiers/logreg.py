"""Multinomial logistic regression, by a truncated Newton method made for short sparse texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from al_learner.core.interfaces import Classifier, Estimator, Labels, LinearStart

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Floats = NDArray[np.float32]

MAX_INNER = 200
"""Conjugate-gradient steps in one Newton step, at most."""

NOISE = 1e-6
"""Relative error of the loss in single precision; a step that is better by less is accepted as well."""


class LogReg(Classifier):
    """Multinomial logistic regression with an L2 penalty: strong and calibrated from a few hundred labels on."""

    C: float = Field(default=1.0, gt=0, description="Inverse strength of the L2 penalty.")
    class_weight: Literal["balanced"] | None = Field(
        default=None, description="balanced: weigh each class by the inverse of its frequency."
    )
    tol: float = Field(default=3e-5, gt=0, description="Stop when no component of the mean gradient is larger.")
    max_iter: int = Field(default=200, ge=1, description="Stop after as many Newton steps.")

    def fit(self, X: csr_matrix, y: Labels) -> Estimator:
        return self._fit(X, y, None)

    def fit_from(self, X: csr_matrix, y: Labels, start: LinearStart) -> Estimator:
        return self._fit(X, y, start)

    def _fit(self, X: csr_matrix, y: Labels, start: LinearStart | None) -> Estimator:
        from sklearn.linear_model import LogisticRegression  # heavy

        classes, codes = np.unique(y, return_inverse=True)
        n_classes = len(classes)
        weights = np.ones(len(y), np.float32)
        if self.class_weight == "balanced":
            weights = (len(y) / (n_classes * np.bincount(codes))).astype(np.float32)[codes]
        # Two classes have one vector of coefficients, the difference of ours; twice the penalty makes them the same.
        penalty = (2 if n_classes == 2 else 1) / self.C
        problem = _Softmax(X, codes, weights, n_classes, penalty)
        coef, intercept, n_iter = problem.solve(*_columns(start, n_classes), tol=self.tol, max_iter=self.max_iter)
        model = LogisticRegression(C=self.C, class_weight=self.class_weight, tol=self.tol, max_iter=self.max_iter)
        if n_classes == 2:
            coef, intercept = coef[:, 1:] - coef[:, :1], intercept[1:] - intercept[:1]
        model.classes_ = classes
        model.coef_ = np.ascontiguousarray(coef.T)
        model.intercept_ = intercept
        model.n_features_in_ = X.shape[1]
        model.n_iter_ = np.array([n_iter], np.int32)
        return model  # type: ignore[no-any-return]


def _columns(start: LinearStart | None, n_classes: int) -> tuple[Floats | None, Floats | None]:
    """Return a start as one column of coefficients a class."""
    if start is None:
        return None, None
    coef, intercept = start.coef.T.astype(np.float32), start.intercept.astype(np.float32)
    if n_classes == 2:
        coef, intercept = np.hstack([-coef / 2, coef / 2]), np.hstack([-intercept / 2, intercept / 2])
    return coef, intercept


class _Softmax:
    """The penalised loss of multinomial logistic regression, and the descent to its minimum.

    ``sum_i weight_i * (logsumexp(z_i) - z_i[code_i]) + penalty / 2 * ||coef||²`` with ``z = X @ coef + intercept``.

    Every step solves the Newton equation by conjugate gradients, only as exactly as the distance from the minimum
    deserves, preconditioned with the Hessian's diagonal: how often a word occurs spans orders of magnitude, and so
    does the curvature along its coefficients.

    References
    ----------
    Nocedal and Wright (2006). Numerical Optimization, algorithm 7.1 (line search Newton-CG). Springer.
    doi:10.1007/978-0-387-40065-5
    """

    def __init__(self, X: csr_matrix, codes: NDArray[np.intp], weights: Floats, n_classes: int, penalty: float) -> None:
        self.X, self.codes, self.weights, self.n_classes = X, codes, weights[:, None], n_classes
        self.penalty = np.float32(penalty)
        self.transposed = X.T.tocsr()
        self.squared = self.transposed.copy()
        self.squared.data **= 2
        self.total = float(weights.sum())

    def solve(
        self, coef: Floats | None, intercept: Floats | None, *, tol: float, max_iter: int
    ) -> tuple[Floats, Floats, int]:
        """Return coefficients of shape (n_features, n_classes), intercepts, and the number of steps."""
        W = np.zeros((self.X.shape[1], self.n_classes), np.float32) if coef is None else coef
        b = np.zeros(self.n_classes, np.float32) if intercept is None else intercept
        Z = self.X @ W + b
        loss, P = self._loss(Z, W)
        for step in range(max_iter):
            R = self.weights * P
            R[np.arange(len(R)), self.codes] -= self.weights[:, 0]
            gradient = self.transposed @ R + self.penalty * W, R.sum(axis=0)
            if max(np.abs(part).max() for part in gradient) <= tol * self.total:
                return W, b, step
            D, d, U = self._newton_step(P, *gradient)
            slope = _dot((D, d), gradient)
            length = np.float32(1)
            while True:
                tried = W + length * D, Z + length * U
                new_loss, new_P = self._loss(tried[1], tried[0])
                if new_loss <= loss + 1e-4 * float(length) * slope + NOISE * abs(loss):
                    break
                length /= 2
                if length < NOISE:  # nothing is gained in this direction in single precision
                    return W, b, step
            (W, Z), b, loss, P = tried, b + length * d, new_loss, new_P
        return W, b, max_iter

    def _loss(self, Z: Floats, W: Floats) -> tuple[float, Floats]:
        """Return the loss, and the probabilities."""
        top = Z.max(axis=1, keepdims=True)
        P = np.exp(Z - top)
        total = P.sum(axis=1, keepdims=True)
        P /= total
        each = self.weights * (np.log(total) + top - Z[np.arange(len(Z)), self.codes][:, None])
        return float(each.sum(dtype=np.float64)) + 0.5 * float(self.penalty) * float(np.vdot(W, W)), P

    def _newton_step(self, P: Floats, gradient: Floats, gradient_b: Floats) -> tuple[Floats, Floats, Floats]:
        """Return the step for coefficients and intercepts, and the change of ``X @ coef + intercept`` along it."""
        spread = self.weights * P * (1 - P)
        scale = self.squared @ spread + self.penalty, spread.sum(axis=0) + self.penalty
        r: tuple[Any, Any] = (-gradient, -gradient_b)
        z = r[0] / scale[0], r[1] / scale[1]
        q = z[0].copy(), z[1].copy()
        D, d = np.zeros_like(gradient), np.zeros_like(gradient_b)
        U = np.zeros_like(P)
        rz = first = _dot(r, z)
        mean_gradient = float(np.abs(gradient).sum(dtype=np.float64) + np.abs(gradient_b).sum()) / self.total
        exactness = min(0.5, mean_gradient**0.5)
        for _ in range(MAX_INNER):
            A = self.X @ q[0] + q[1]
            S = P * A
            S -= P * S.sum(axis=1, keepdims=True)
            S *= self.weights
            curved = self.transposed @ S + self.penalty * q[0], S.sum(axis=0)
            length = np.float32(rz / _dot(q, curved))
            D += length * q[0]
            d += length * q[1]
            U += length * A
            r[0][...] -= length * curved[0]
            r[1][...] -= length * curved[1]
            z = r[0] / scale[0], r[1] / scale[1]
            rz, last = _dot(r, z), rz
            if rz <= exactness**2 * first:
                break
            turn = np.float32(rz / last)
            q = z[0] + turn * q[0], z[1] + turn * q[1]
        return D, d, U


def _dot(a: tuple[Floats, Floats], b: tuple[Floats, Floats]) -> float:
    return float(np.vdot(a[0], b[0])) + float(np.vdot(a[1], b[1]))
