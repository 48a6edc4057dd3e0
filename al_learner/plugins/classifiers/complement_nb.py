"""Complement naive Bayes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from al_learner.core.interfaces import Classifier, Estimator, Labels

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


class ComplementNb(Classifier):
    """Complement naive Bayes: the fastest, and often the best with fewer than some 200 labels.

    References
    ----------
    Rennie, Shih, Teevan and Karger (2003). Tackling the poor assumptions of naive Bayes text classifiers. ICML.
    """

    alpha: float = Field(default=1.0, gt=0, description="Additive smoothing.")
    norm: bool = Field(default=False, description="Normalise the weights a second time.")

    def fit(self, X: csr_matrix, y: Labels) -> Estimator:
        from sklearn.naive_bayes import ComplementNB  # heavy

        return ComplementNB(alpha=self.alpha, norm=self.norm).fit(X, y)  # type: ignore[no-any-return]  # scikit-learn has no types
