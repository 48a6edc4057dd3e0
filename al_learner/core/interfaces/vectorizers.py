"""Vectorizers: from texts to features."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Protocol

from pydantic import AfterValidator, Field

from al_learner.core.interfaces.strategy import Strategy

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


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

    def groups(self, n_features: int) -> Mapping[str, slice]:
        """Return the columns of each group, such as ``words`` or ``meaning``; by default all are words.

        Parameters
        ----------
        n_features : int
            Number of columns that the fitted vectorizer returns; 0 where only the names matter.
        """
        return {"words": slice(0, n_features)}
