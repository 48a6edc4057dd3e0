"""Multinomial logistic regression, by a truncated Newton method made for short sparse texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from al_learner.core.interfaces import Classifier, Estimator, Labels, LinearStart

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Floats = NDArray[np.float32]

MAX_INNER = 200
"""Conjugate-gradient steps in one Newton step, at most."""

EXACTNESS = 0.8
"""How much of its error is left of a Newton step; measured: smaller takes more products with X in the end."""

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
        W, n_iter = problem.solve(_columns(start, n_classes), tol=self.tol, max_iter=self.max_iter)
        model = LogisticRegression(C=self.C, class_weight=self.class_weight, tol=self.tol, max_iter=self.max_iter)
        if n_classes == 2:
            W = W[:, 1:] - W[:, :1]
        model.classes_ = classes
        model.coef_ = np.ascontiguousarray(W[:-1].T)
        model.intercept_ = W[-1].copy()
        model.n_features_in_ = X.shape[1]
        model.n_iter_ = np.array([n_iter], np.int32)
        return model  # type: ignore[no-any-return]


def _columns(start: LinearStart | None, n_classes: int) -> Floats | None:
    """Return a start as one column of coefficients a class, the intercepts in the last row."""
    if start is None:
        return None
    W = np.vstack([start.coef.T, start.intercept], dtype=np.float32)
    return np.hstack([-W / 2, W / 2]) if n_classes == 2 else W


class _Softmax:
    """The penalised loss of multinomial logistic regression, and the descent to its minimum.

    ``sum_i weight_i * (logsumexp(z_i) - z_i[code_i]) + penalty / 2 * ||coef||²`` with ``z = X @ coef + intercept``;
    the intercepts are one more row of `coef`, without penalty, beside a column of ones in X.

    Every step solves the Newton equation by conjugate gradients, roughly, preconditioned with the Hessian's diagonal:
    how often a word occurs spans orders of magnitude, and so does the curvature along its coefficients. The arrays
    are large and the products cheap, so that the loop writes into memory that it has.

    References
    ----------
    Nocedal and Wright (2006). Numerical Optimization, algorithm 7.1 (line search Newton-CG). Springer.
    doi:10.1007/978-0-387-40065-5
    """

    def __init__(self, X: csr_matrix, codes: NDArray[np.intp], weights: Floats, n_classes: int, penalty: float) -> None:
        from scipy.sparse import csr_matrix, hstack  # heavy

        self.X = hstack([X, csr_matrix(np.ones((X.shape[0], 1), np.float32))], format="csr")
        self.codes, self.weights, self.n_classes = codes, weights[:, None], n_classes
        self.penalty = np.full((self.X.shape[1], 1), penalty, np.float32)
        self.penalty[-1] = 0
        self.transposed = self.X.T.tocsr()
        self.squared = self.transposed.copy()
        self.squared.data **= 2
        self.rows = np.arange(X.shape[0])

    def solve(self, start: Floats | None, *, tol: float, max_iter: int) -> tuple[Floats, int]:
        """Return coefficients of shape (n_features + 1, n_classes), and the number of steps."""
        W = np.zeros((self.X.shape[1], self.n_classes), np.float32) if start is None else start
        work = [np.empty_like(W) for _ in range(5)]
        Z = self.X @ W
        loss, P = self._loss(Z, W)
        for step in range(max_iter):
            R = self.weights * P
            R[self.rows, self.codes] -= self.weights[:, 0]
            gradient = self.transposed @ R
            gradient += self.penalty * W
            if np.abs(gradient).max() <= tol * float(self.weights.sum()):
                return W, step
            D, U = self._newton_step(P, gradient, work)
            slope = float(np.vdot(D, gradient))
            length = np.float32(1)
            while True:
                tried = W + length * D, Z + length * U
                new_loss, new_P = self._loss(tried[1], tried[0])
                if new_loss <= loss + 1e-4 * float(length) * slope + NOISE * abs(loss):
                    break
                length /= 2
                if length < NOISE:  # nothing is gained in this direction in single precision
                    return W, step
            (W, Z), loss, P = tried, new_loss, new_P
        return W, max_iter

    def _loss(self, Z: Floats, W: Floats) -> tuple[float, Floats]:
        """Return the loss, and the probabilities."""
        P = Z - Z.max(axis=1, keepdims=True)
        given = P[self.rows, self.codes][:, None]
        np.exp(P, out=P)
        total = P.sum(axis=1, keepdims=True)
        P /= total
        each = self.weights * (np.log(total) - given)
        return float(each.sum(dtype=np.float64)) + 0.5 * float(np.vdot(self.penalty * W, W)), P

    def _newton_step(self, P: Floats, gradient: Floats, work: list[Floats]) -> tuple[Floats, Floats]:
        """Return the step, valid until the next one, and the change of ``X @ coef`` along it."""
        D, q, z, inverse, product = work
        S = P * P
        np.subtract(P, S, out=S)
        S *= self.weights
        np.add(self.squared @ S, self.penalty[0], out=inverse)
        np.reciprocal(inverse, out=inverse)
        r = -gradient
        np.multiply(r, inverse, out=z)
        q[...], D[...] = z, 0
        U = np.zeros_like(P)
        rz = first = float(np.vdot(r, z))
        for _ in range(MAX_INNER):
            A = self.X @ q
            np.multiply(P, A, out=S)
            np.subtract(A, S.sum(axis=1, keepdims=True), out=S)
            S *= P
            S *= self.weights
            curved = self.transposed @ S
            curved += np.multiply(q, self.penalty, out=product)
            length = np.float32(rz / float(np.vdot(q, curved)))
            D += np.multiply(q, length, out=product)
            U += np.multiply(A, length, out=A)
            r -= np.multiply(curved, length, out=curved)
            np.multiply(r, inverse, out=z)
            rz, last = float(np.vdot(r, z)), rz
            if rz <= EXACTNESS**2 * first:
                break
            q *= np.float32(rz / last)
            q += z
        return D, U
