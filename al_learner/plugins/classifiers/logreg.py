"""Multinomial logistic regression, alone or together with naive Bayes."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from al_learner.core.interfaces import Estimator, Labels, LinearStart, WeighsColumns
from al_learner.plugins.classifiers.newton import fit_softmax

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


Floats = NDArray[np.float32]


class LogReg(WeighsColumns):
    """Multinomial logistic regression with an L2 penalty: accurate and calibrated from some hundreds of texts on.

    Its coefficients can be added to those of complement naive Bayes, which needs fewer texts to learn what a word says.

    References
    ----------
    Wang and Manning (2012). Baselines and bigrams: simple, good sentiment and topic classification. ACL.
    https://aclanthology.org/P12-2018

    Rennie, Shih, Teevan and Karger (2003). Tackling the poor assumptions of naive Bayes text classifiers. ICML.
    """

    C: float = Field(default=10.0, gt=0, description="Inverse strength of the L2 penalty.")
    class_weight: Literal["balanced"] | None = Field(
        default=None, description="balanced: weigh each class by the inverse of its frequency."
    )
    tol: float = Field(
        default=5e-5, gt=0, description="Stop when the loss is above its minimum by about this share of it."
    )
    max_iter: int = Field(default=200, ge=1, description="Largest number of Newton steps.")
    naive_bayes: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Add coefficients of complement naive Bayes, scaled: on the training texts, the standard deviation "
        "of their logits is this share of that of the others. Columns with negative values, such as those of meaning, "
        "get none.",
    )

    def fit(self, X: csr_matrix, y: Labels, sample_weight: NDArray[np.float32] | None = None) -> Estimator:
        return self._fit(X, y, None, sample_weight)

    def fit_from(
        self, X: csr_matrix, y: Labels, start: LinearStart, sample_weight: NDArray[np.float32] | None = None
    ) -> Estimator:
        return self._fit(X, y, start, sample_weight)

    def _fit(
        self, X: csr_matrix, y: Labels, start: LinearStart | None, sample_weight: NDArray[np.float32] | None
    ) -> Estimator:
        from sklearn.exceptions import ConvergenceWarning  # heavy
        from sklearn.linear_model import LogisticRegression

        classes, codes = np.unique(y, return_inverse=True)
        weights = np.ones(len(y), np.float32) if sample_weight is None else np.asarray(sample_weight, np.float32)
        if self.class_weight == "balanced":
            of_class = np.bincount(codes, weights)
            weights = weights * (of_class.sum() / (len(classes) * of_class)).astype(np.float32)[codes]
        if self.naive_bayes:
            bayes = _naive_bayes(X, codes, weights)
            of_bayes = X @ bayes.T
            if start is not None:
                scale = _scale_in(X @ start.coef.T + start.intercept, of_bayes, weights, self.naive_bayes)
                start = LinearStart(start.coef - scale * bayes, start.intercept)
        model = LogisticRegression(C=self.C, class_weight=self.class_weight, tol=self.tol, max_iter=self.max_iter)
        model.classes_ = classes
        model.coef_, model.intercept_, n_iter, has_converged = fit_softmax(
            X, codes, weights, penalty=1 / self.C, start=start, tol=self.tol, max_iter=self.max_iter
        )
        if not has_converged:
            warnings.warn(
                f"logreg did not converge: after {n_iter} of {self.max_iter} Newton steps the loss was above its "
                f"minimum by more than about tol ({self.tol:g}); raise tol or max_iter, or lower C ({self.C:g})",
                ConvergenceWarning,
                stacklevel=2,
            )
        if self.naive_bayes:
            own, added = (_square(z, weights) for z in (X @ model.coef_.T + model.intercept_, of_bayes))
            model.coef_ += np.float32(self.naive_bayes * np.sqrt(own / added) if added else 0) * bayes
        model.n_features_in_ = X.shape[1]
        model.n_iter_ = np.array([n_iter], np.int32)
        return model  # type: ignore[no-any-return]  # scikit-learn has no types


def _naive_bayes(X: csr_matrix, codes: NDArray[np.intp], weights: Floats) -> Floats:
    """Return coefficients of complement naive Bayes, of the shape of ``coef_``; 0 for columns with negative values.

    They are those of scikit-learn's ComplementNB, which checks its input for as long as this takes, less their mean
    over the classes.
    """
    from scipy.sparse import csr_matrix  # heavy

    is_count = np.ones(X.shape[1], bool)
    is_count[X.indices[X.data < 0]] = False
    of_class = csr_matrix((weights, (codes, np.arange(len(codes)))))
    found = np.zeros((of_class.shape[0], X.shape[1]), np.float32)
    if is_count.any():
        counts = (of_class @ X).toarray()[:, is_count]
        others = counts.sum(axis=0) + 1 - counts
        log_share = np.log(others / others.sum(axis=1, keepdims=True))
        found[:, is_count] = log_share.mean(axis=0) - log_share
    return found if len(found) > 2 else found[1:] - found[:1]


def _scale_in(
    of_all: NDArray[np.floating[Any]], of_bayes: NDArray[np.floating[Any]], weights: Floats, naive_bayes: float
) -> float:
    """Return the factor with which the coefficients of naive Bayes were added to those of a former fit.

    Naive Bayes was fitted on nearly the same texts then. So it is the factor at which the logits of naive Bayes have
    the standard deviation that `naive_bayes` says, compared with the rest: the positive root of a quadratic equation.
    """
    a = (naive_bayes**-2 - 1) * _square(of_bayes, weights)
    b, c = 2 * float(np.einsum("i,ij,ij->", weights, of_bayes, of_all)), -_square(of_all, weights)
    divisor = b + np.sqrt(b * b - 4 * a * c)
    return -2 * c / divisor if divisor > 0 else 0.0


def _square(logits: NDArray[np.floating[Any]], weights: Floats) -> float:
    """Return the sum of squares, weighted by row."""
    return float(np.einsum("i,ij,ij->", weights, logits, logits))
