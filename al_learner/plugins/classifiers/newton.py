"""Softmax regression on short sparse texts, by a truncated Newton method in single precision.

It minimises ``sum_i weight_i * (logsumexp(z_i) - z_i[code_i]) + penalty / 2 * ||coef||²`` with
``z = X @ coef + intercept``. The intercepts have no penalty.

Algorithm
    1. The words that occur in only one text are merged into one column for each text (`_merge`). This is exact, and
       halves the number of columns.
    2. Every step solves the Newton equation roughly, by conjugate gradients. They are preconditioned with the diagonal
       of the Hessian, because word frequencies differ by orders of magnitude, and so does the curvature.
    3. A step is shortened until the loss falls. The fit ends when no component of the mean gradient is above ``tol``.

Complexity
    A conjugate-gradient step costs two products of X with a dense matrix: 4 · nnz(X) · n_classes operations. A Newton
    step consists of several such steps. Memory: X twice, its transpose squared, and eight arrays of
    n_features by n_classes in single precision. The products run on several threads where X is large.

References
----------
Nocedal and Wright (2006). Numerical Optimization, algorithm 7.1 (line search Newton-CG). Springer.
doi:10.1007/978-0-387-40065-5
"""

from __future__ import annotations

from concurrent.futures import Executor, ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from al_learner.core.interfaces import LinearStart

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Floats = NDArray[np.float32]

MAX_INNER = 200
"""Largest number of conjugate-gradient steps in one Newton step."""

EXACTNESS = 0.8
"""Conjugate gradients end when this share of the error is left. Smaller values took more products with X in total."""

WORTH_A_THREAD = 100_000
"""Smallest number of non-zeros for which another thread makes a product faster."""

NOISE = 1e-6
"""Relative rounding error of the loss in single precision. A step may increase the loss by this much."""


def fit_softmax(
    X: csr_matrix,
    codes: NDArray[np.intp],
    weights: Floats,
    *,
    penalty: float,
    start: LinearStart | None,
    tol: float,
    max_iter: int,
) -> tuple[Floats, Floats, int]:
    """Fit coefficients and intercepts.

    Parameters
    ----------
    X : csr_matrix of shape (n_rows, n_features), float32
    codes : ndarray of shape (n_rows,), intp
        The class of each row, from 0; every class has a row.
    weights : ndarray of shape (n_rows,), float32
    penalty : float
        Strength of the L2 penalty.
    start : LinearStart or None
        Where to begin. None: at zero.
    tol : float
        Stop when no component of the mean gradient is larger.
    max_iter : int
        Stop after as many Newton steps.

    Returns
    -------
    coef : ndarray of shape (n_classes, n_features), or (1, n_features) for two classes, float32
    intercept : ndarray of shape (n_classes,) or (1,), float32
    n_iter : int
        Newton steps.
    """
    from joblib import cpu_count  # heavy

    n_classes = int(codes.max()) + 1
    # Two classes have one vector of coefficients, the difference of ours; twice the penalty makes them the same.
    penalty = 2 * penalty if n_classes == 2 else penalty
    merge = _merge(X)
    with ThreadPoolExecutor(n_threads := cpu_count()) as pool:
        problem = _Softmax(X @ merge, codes, weights, n_classes, penalty, pool=pool, n_threads=n_threads)
        W, n_iter = problem.solve(_columns(start, merge, n_classes), tol=tol, max_iter=max_iter)
    if n_classes == 2:
        W = W[:, 1:] - W[:, :1]
    return np.ascontiguousarray((merge @ W[:-1]).T), W[-1].copy(), n_iter


def _merge(X: csr_matrix) -> csr_matrix:
    """Return the matrix that merges the words that occur in only one text into one column for each text.

    At the minimum the coefficients of such words are proportional to their counts, so nothing is lost. If ``v`` are the
    counts in a text, the merged column has the value ``|v|``. If ``w`` are the coefficients of the merged column, those
    of the words are ``v w / |v|``.

    Returns
    -------
    csr_matrix of shape (n_features, n_merged), float32
        Its columns are orthonormal. Its transpose maps coefficients to the merged ones, and it maps them back.
    """
    from scipy.sparse import csr_matrix  # heavy

    n_texts, n_features = X.shape
    alone = np.bincount(X.indices, minlength=n_features) == 1
    entries = np.flatnonzero(alone[X.indices])
    texts = np.repeat(np.arange(n_texts), np.diff(X.indptr))[entries]
    words, counts = X.indices[entries], X.data[entries]
    norm = np.sqrt(np.bincount(texts, counts**2, minlength=n_texts))
    n_others = n_features - len(words)
    column, value = np.empty(n_features, np.int32), np.ones(n_features, np.float32)
    column[~alone] = np.arange(n_others)
    column[words] = n_others + np.cumsum(norm > 0)[texts] - 1
    value[words] = counts / norm[texts]
    shape = (n_features, n_others + np.count_nonzero(norm))
    return csr_matrix((value, column, np.arange(n_features + 1)), shape=shape)


def _columns(start: LinearStart | None, merge: csr_matrix, n_classes: int) -> Floats | None:
    """Return a start as one column of merged coefficients for each class, with the intercepts in the last row."""
    if start is None:
        return None
    W = np.vstack([merge.T @ start.coef.T, start.intercept], dtype=np.float32)
    return np.hstack([-W / 2, W / 2]) if n_classes == 2 else W


class _Parts:
    """A sparse matrix that is multiplied in parts, each on its own thread."""

    def __init__(self, matrix: csr_matrix, pool: Executor, n_parts: int) -> None:
        n_parts = max(1, min(n_parts, matrix.nnz // WORTH_A_THREAD))
        cuts = np.searchsorted(matrix.indptr, np.linspace(0, matrix.nnz, n_parts + 1)[1:-1])
        self.n_rows, self.pool = matrix.shape[0], pool
        self.parts = [(slice(a, b), matrix[a:b]) for a, b in pairwise([0, *cuts.tolist(), self.n_rows])]

    def __matmul__(self, dense: Floats) -> Floats:
        product = np.empty((self.n_rows, dense.shape[1]), np.float32)

        def multiply(part: tuple[slice, csr_matrix]) -> None:
            product[part[0]] = part[1] @ dense

        list(self.pool.map(multiply, self.parts) if len(self.parts) > 1 else map(multiply, self.parts))
        return product


class _Softmax:
    """The penalised loss, and the descent to its minimum.

    The intercepts are one more row of the coefficients, without penalty. X has a column of ones for them. The arrays
    are large and the products are cheap. So the loop reuses its memory, and passes over it as seldom as possible.
    """

    def __init__(
        self, X: csr_matrix, codes: NDArray[np.intp], weights: Floats, n_classes: int, penalty: float, *,
        pool: Executor, n_threads: int,
    ) -> None:  # fmt: skip
        from scipy.sparse import csr_matrix, hstack  # heavy

        X = hstack([X, csr_matrix(np.ones((X.shape[0], 1), np.float32))], format="csr")
        self.codes, self.weights, self.n_classes = codes, weights[:, None], n_classes
        self.penalty = np.full((X.shape[1], 1), penalty, np.float32)
        self.penalty[-1] = 0
        self.rows = np.arange(X.shape[0])
        transposed = X.T.tocsr()
        self.X, self.transposed = _Parts(X, pool, n_threads), _Parts(transposed, pool, n_threads)
        transposed.data **= 2
        self.squared = _Parts(transposed, pool, n_threads)

    def solve(self, start: Floats | None, *, tol: float, max_iter: int) -> tuple[Floats, int]:
        """Return coefficients of shape (n_features + 1, n_classes), and the number of steps."""
        W = np.zeros((len(self.penalty), self.n_classes), np.float32) if start is None else start
        work = [np.empty_like(W) for _ in range(4)]
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
                if length < NOISE:  # single precision shows no gain in this direction
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
        D, q, z, inverse = work
        weighted = self.weights * P
        np.add(self.squared @ (weighted * (1 - P)), self.penalty[0], out=inverse)
        np.reciprocal(inverse, out=inverse)
        r = -gradient
        np.multiply(r, inverse, out=q)
        D[...] = 0
        U = np.zeros_like(P)
        rz = first = float(np.vdot(r, q))
        for _ in range(MAX_INNER):
            A = self.X @ q
            S = A - np.einsum("ij,ij->i", P, A)[:, None]
            S *= weighted
            curved = self.transposed @ S
            _add(curved[:-1], self.penalty[0, 0], q[:-1])
            length = rz / float(np.vdot(q, curved))
            _add(D, length, q)
            _add(U, length, A)
            _add(r, -length, curved)
            np.multiply(r, inverse, out=z)
            rz, last = float(np.vdot(r, z)), rz
            if rz <= EXACTNESS**2 * first:
                break
            _add(z, rz / last, q)
            q, z = z, q
        return D, U


def _add(to: Floats, factor: float, what: Floats) -> None:
    """Add a multiple in place, in one pass."""
    from scipy.linalg.blas import saxpy  # heavy

    saxpy(what.ravel(), to.ravel(), a=factor)
