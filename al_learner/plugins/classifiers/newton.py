"""Softmax regression on short sparse texts, by a truncated Newton method in single precision.

It minimises ``sum_i weight_i * (logsumexp(z_i) - z_i[code_i]) + penalty / 2 * ||coef||²`` with
``z = X @ coef + intercept``. The intercepts have no penalty.

Algorithm
    1. Words that occur in one text alone are merged, one column a text (`_merge`): exact, and half of all columns.
       Columns with a value in most texts, such as those of a text's meaning, become one dense block, and their mean is
       subtracted. That is exact too, because the intercepts have no penalty. Otherwise each step that changes such a
       column's coefficients would have to be followed by others that change the intercepts.
    2. Every step solves the Newton equation roughly, by conjugate gradients that are preconditioned with the Hessian's
       diagonal: how often a word occurs spans orders of magnitude, and so does the curvature along its coefficients.
    3. A step is shortened until the loss falls. The fit has converged when the loss is close to its minimum: when the
       square of the gradient, weighted by the inverse of the Hessian's diagonal, is at most ``tol`` times the loss.
       That is the Newton decrement, for a diagonal Hessian. Unlike the gradient alone, it means the same whatever the
       penalty and the number of texts and classes are.
    4. A start is not used if the loss is larger there than at zero. If the fit from a start does not converge, it is
       done again from zero. A fit from zero with a weak penalty first goes to the rough minimum with a stronger one.

Complexity
    A conjugate-gradient step costs two products of X with a dense matrix: 4 · nnz(X) · n_classes operations, of which
    those of the dense block take a tenth of the time of the others. A Newton step consists of several such steps.
    Memory: X twice, its transpose squared, and eight arrays of n_features by n_classes in single precision. The
    products run on several threads where X is large.

References
----------
Nocedal and Wright (2006). Numerical Optimization, algorithm 7.1 (line search Newton-CG). Springer.
doi:10.1007/978-0-387-40065-5

Boyd and Vandenberghe (2004). Convex Optimization, section 9.5.1 (the Newton decrement). Cambridge University Press.
doi:10.1017/CBO9780511804441

Li, Fukushima, Qi and Yamashita (2004). Regularized Newton methods for convex minimization problems with singular
solutions. Computational Optimization and Applications 28. doi:10.1023/B:COAP.0000026881.96694.32
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

EXACTNESS = 0.5
"""Conjugate gradients end when this share of the error is left. Smaller and larger values took longer in total."""

STRONG_PENALTY = 0.3
"""A fit with a weaker penalty that begins at zero is first done roughly with this one: that takes fewer products."""

ROUGH_TOL = 0.2
"""The smallest tolerance of that rough fit."""

DAMPING = 0.01
"""This share of the largest component of the intercepts' gradient is added to their curvature.

The intercepts have no penalty. Where all probabilities of a class are nearly 0 or 1 their curvature is nearly 0, and a
step without damping would be nearly infinite.
"""

DENSE = 0.5
"""Columns with a value in a larger share of the texts are multiplied as one dense block."""

WORTH_A_THREAD = 3_000_000
"""Smallest number of multiplications for which another thread makes a product faster."""

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
) -> tuple[Floats, Floats, int, bool]:
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
        The fit has converged when the loss is above its minimum by about this share of it at most.
    max_iter : int
        Stop after as many Newton steps. A fit that starts over may take as many again.

    Returns
    -------
    coef : ndarray of shape (n_classes, n_features), or (1, n_features) for two classes, float32
    intercept : ndarray of shape (n_classes,) or (1,), float32
    n_iter : int
        Newton steps, without those of a rough fit or of a start that was given up.
    has_converged : bool
    """
    from joblib import cpu_count  # heavy

    n_classes = int(codes.max()) + 1
    # Two classes have one vector of coefficients, the difference of ours; twice the penalty makes them the same.
    penalty = 2 * penalty if n_classes == 2 else penalty
    merge, n_dense = _merge(X)
    with ThreadPoolExecutor(n_threads := cpu_count()) as pool:
        # The blocks are not named here, so that they do not stay in memory beside what is made of them.
        problem = _Softmax(
            *_blocks(X @ merge, n_dense), codes, weights, n_classes, penalty, pool=pool, n_threads=n_threads
        )
        W, n_iter, has_converged = problem.solve(_columns(start, merge, n_classes), tol=tol, max_iter=max_iter)
        if start is not None and not has_converged:
            W, n_iter, has_converged = problem.solve(None, tol=tol, max_iter=max_iter)
    if n_classes == 2:
        W = W[:, 1:] - W[:, :1]
    return np.ascontiguousarray((merge @ W[:-1]).T), W[-1].copy(), n_iter, has_converged


def _merge(X: csr_matrix) -> tuple[csr_matrix, int]:
    """Return the matrix that merges the words that occur in only one text into one column for each text.

    It also moves the dense columns to the end.

    At the minimum the coefficients of such words are proportional to their counts, so nothing is lost. If ``v`` are the
    counts in a text, the merged column has the value ``|v|``. If ``w`` are the coefficients of the merged column, those
    of the words are ``v w / |v|``.

    Returns
    -------
    merge : csr_matrix of shape (n_features, n_merged), float32
        Its columns are orthonormal. Its transpose maps coefficients to the merged ones, and it maps them back.
    n_dense : int
    """
    from scipy.sparse import csr_matrix  # heavy

    n_texts, n_features = X.shape
    n_values = np.bincount(X.indices, minlength=n_features)
    dense = n_values > max(1, DENSE * n_texts)
    alone, others = n_values == 1, ~dense & (n_values != 1)
    entries = np.flatnonzero(alone[X.indices])
    texts = np.repeat(np.arange(n_texts), np.diff(X.indptr))[entries]
    words, counts = X.indices[entries], X.data[entries]
    norm = np.sqrt(np.bincount(texts, counts**2, minlength=n_texts))
    n_others, n_dense = int(np.count_nonzero(others)), int(np.count_nonzero(dense))
    n_sparse = n_others + np.count_nonzero(norm)
    column, value = np.empty(n_features, np.int32), np.ones(n_features, np.float32)
    column[others] = np.arange(n_others)
    column[words] = n_others + np.cumsum(norm > 0)[texts] - 1
    column[dense] = n_sparse + np.arange(n_dense)
    value[words] = counts / norm[texts]
    shape = (n_features, n_sparse + n_dense)
    return csr_matrix((value, column, np.arange(n_features + 1)), shape=shape), n_dense


def _blocks(merged: csr_matrix, n_dense: int) -> tuple[csr_matrix, Floats]:
    """Return the columns before the dense ones, and those as an array."""
    n_sparse = merged.shape[1] - n_dense
    return merged[:, :n_sparse], merged[:, n_sparse:].toarray()


def _columns(start: LinearStart | None, merge: csr_matrix, n_classes: int) -> Floats | None:
    """Return a start as one column of merged coefficients for each class, with the intercepts in the last row."""
    if start is None:
        return None
    W = np.vstack([merge.T @ start.coef.T, start.intercept], dtype=np.float32)
    return np.hstack([-W / 2, W / 2]) if n_classes == 2 else W


class _Parts:
    """A sparse matrix that is multiplied in parts, each on its own thread."""

    def __init__(self, matrix: csr_matrix, pool: Executor, n_parts: int, n_classes: int) -> None:
        n_parts = max(1, min(n_parts, matrix.nnz * n_classes // WORTH_A_THREAD))
        cuts = np.searchsorted(matrix.indptr, np.linspace(0, matrix.nnz, n_parts + 1)[1:-1])
        self.n_rows, self.pool = matrix.shape[0], pool
        self.parts = [(slice(a, b), _rows(matrix, a, b)) for a, b in pairwise([0, *cuts.tolist(), self.n_rows])]

    def multiply(self, dense: Floats, out: Floats) -> None:
        def multiply(part: tuple[slice, csr_matrix]) -> None:
            out[part[0]] = part[1] @ dense

        list(self.pool.map(multiply, self.parts) if len(self.parts) > 1 else map(multiply, self.parts))


def _rows(matrix: csr_matrix, start: int, stop: int) -> csr_matrix:
    """Return some rows of a matrix, in the same memory."""
    from scipy.sparse import csr_matrix  # heavy

    first, last = matrix.indptr[start], matrix.indptr[stop]
    indptr = matrix.indptr[start : stop + 1] - first
    return csr_matrix((matrix.data[first:last], matrix.indices[first:last], indptr), (stop - start, matrix.shape[1]))


class _Rows:
    """A matrix of a sparse and a dense block, side by side."""

    def __init__(self, sparse: csr_matrix, dense: Floats, pool: Executor, n_parts: int, n_classes: int) -> None:
        self.sparse, self.dense, self.n_sparse = _Parts(sparse, pool, n_parts, n_classes), dense, sparse.shape[1]
        self.n_columns = self.n_sparse + dense.shape[1]

    def __matmul__(self, W: Floats) -> Floats:
        product = np.empty((len(self.dense), W.shape[1]), np.float32)
        self.sparse.multiply(W[: self.n_sparse], product)
        product += self.dense @ W[self.n_sparse :]
        return product


class _Columns:
    """A matrix of a sparse and a dense block, one below the other."""

    def __init__(self, sparse: csr_matrix, dense: Floats, pool: Executor, n_parts: int, n_classes: int) -> None:
        self.sparse, self.dense, self.n_sparse = _Parts(sparse, pool, n_parts, n_classes), dense, sparse.shape[0]

    def multiply(self, R: Floats, out: Floats) -> Floats:
        self.sparse.multiply(R, out[: self.n_sparse])
        np.matmul(self.dense, R, out=out[self.n_sparse :])
        return out


class _Softmax:
    """The penalised loss, and the descent to its minimum.

    The intercepts are one more row of the coefficients, without penalty. X has a column of ones for them, at the end of
    its dense block. The mean of the block's other columns is subtracted, which changes the intercepts, not the minimum.
    The arrays are large and the products are cheap. So the loop reuses its memory, and passes over it as seldom as
    possible.
    """

    def __init__(
        self, sparse: csr_matrix, dense: Floats, codes: NDArray[np.intp], weights: Floats, n_classes: int,
        penalty: float, *, pool: Executor, n_threads: int,
    ) -> None:  # fmt: skip
        from scipy.sparse import csr_matrix  # heavy

        dense = np.hstack([dense, np.ones((len(dense), 1), np.float32)])
        self.mean: Floats = weights @ dense[:, :-1] / weights.sum()
        dense[:, :-1] -= self.mean
        self.codes, self.weights, self.n_classes = codes, weights[:, None], n_classes
        self.penalty = penalty
        self.rows = np.arange(len(dense))
        transposed = sparse.T.tocsr()
        squared = csr_matrix((transposed.data**2, transposed.indices, transposed.indptr), transposed.shape)
        self.X = _Rows(sparse, dense, pool, n_threads, n_classes)
        self.transposed = _Columns(transposed, np.ascontiguousarray(dense.T), pool, n_threads, n_classes)
        self.squared = _Columns(squared, np.ascontiguousarray(dense.T**2), pool, n_threads, n_classes)

    def solve(self, start: Floats | None, *, tol: float, max_iter: int) -> tuple[Floats, int, bool]:
        """Return coefficients of shape (n_features + 1, n_classes), the number of steps, and if they converged."""
        if start is not None:
            W = start.copy()
            W[-1] += self._of_mean(W)
        if start is None or self._loss(self.X @ W, W)[0] > self._loss_at_zero():
            W = np.zeros((self.X.n_columns, self.n_classes), np.float32)
            if self.penalty < STRONG_PENALTY:
                weak, self.penalty = self.penalty, STRONG_PENALTY
                W, _, _ = self._descend(W, tol=max(tol, ROUGH_TOL), max_iter=max_iter)
                self.penalty = weak
        W, n_steps, has_converged = self._descend(W, tol=tol, max_iter=max_iter)
        W[-1] -= self._of_mean(W)
        return W, n_steps, has_converged

    def _of_mean(self, W: Floats) -> Floats:
        """Return what the means that were subtracted add to a text's logits."""
        return self.mean @ W[self.X.n_sparse : -1]

    def _descend(self, W: Floats, *, tol: float, max_iter: int) -> tuple[Floats, int, bool]:
        """Go from `W` to the minimum."""
        gradient, inverse, *work = (np.empty_like(W) for _ in range(6))
        Z = self.X @ W
        loss, P = self._loss(Z, W)
        for step in range(max_iter + 1):
            R = self.weights * P
            R[self.rows, self.codes] = 0
            R[self.rows, self.codes] = -R.sum(axis=1)  # weight * (P - 1) would round to 0 where P is nearly 1
            self.transposed.multiply(R, gradient)
            _add(gradient[:-1], self.penalty, W[:-1])
            weighted = self.weights * P
            damping = DAMPING * float(np.abs(gradient[-1]).max())
            self.squared.multiply(weighted * (1 - P), inverse)
            inverse[:-1] += self.penalty
            inverse[-1] += damping
            np.reciprocal(inverse, out=inverse)
            if float(np.vdot(gradient, np.multiply(gradient, inverse, out=work[0]))) <= tol * loss:
                return W, step, True
            if step == max_iter:
                break
            D, U = self._newton_step(P, weighted, gradient, inverse, damping, work)
            slope = float(np.vdot(D, gradient))
            length = 1.0
            while True:
                tried = _sum(W, length, D), _sum(Z, length, U)
                new_loss, new_P = self._loss(tried[1], tried[0])
                if new_loss <= loss + 1e-4 * length * slope + NOISE * abs(loss):
                    break
                length /= 2
                if length < NOISE:  # nothing is gained in this direction in single precision
                    return W, step, False
            (W, Z), loss, P = tried, new_loss, new_P
        return W, max_iter, False

    def _loss_at_zero(self) -> float:
        return float(self.weights.sum() * np.log(self.n_classes))

    def _loss(self, Z: Floats, W: Floats) -> tuple[float, Floats]:
        """Return the loss, and the probabilities. Both are precise where a loss is nearly 0."""
        P = Z - Z.max(axis=1, keepdims=True)
        given = P[self.rows, self.codes]
        np.exp(P, out=P)
        own = P[self.rows, self.codes]
        P[self.rows, self.codes] = 0
        others = P.sum(axis=1)
        P[self.rows, self.codes] = own
        P /= (own + others)[:, None]
        each = self.weights[:, 0] * (np.log1p(others + (own - 1)) - given)
        return float(each.sum(dtype=np.float64)) + 0.5 * float(self.penalty * np.vdot(W[:-1], W[:-1])), P

    def _newton_step(
        self, P: Floats, weighted: Floats, gradient: Floats, inverse: Floats, damping: float, work: list[Floats]
    ) -> tuple[Floats, Floats]:
        """Return the step, valid until the next one, and the change of ``X @ coef`` along it."""
        D, q, z, curved = work
        r = -gradient
        np.multiply(r, inverse, out=q)
        D[...] = 0
        U = np.zeros_like(P)
        rz = first = float(np.vdot(r, q))
        for _ in range(MAX_INNER):
            A = self.X @ q
            S = A - np.einsum("ij,ij->i", P, A)[:, None]
            S *= weighted
            self.transposed.multiply(S, curved)
            _add(curved[:-1], self.penalty, q[:-1])
            curved[-1] += damping * q[-1]
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


def _sum(one: Floats, factor: float, other: Floats) -> Floats:
    """Return one array and a multiple of another."""
    total = one.copy()
    _add(total, factor, other)
    return total


def _add(to: Floats, factor: float, what: Floats) -> None:
    """Add a multiple in place, in one pass."""
    from scipy.linalg.blas import saxpy  # heavy

    saxpy(what.ravel(), to.ravel(), a=factor)
