"""Vectorizers: from texts to features."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, Annotated, ClassVar, Protocol

from pydantic import AfterValidator, Field

from al_learner.core.interfaces.strategy import Strategy

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


SAMPLED_CHARACTERS = 10_000
"""Characters of each text in a sample, so that long texts fit into memory too."""


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


class CountsWords(Vectorizer):
    """A vectorizer that learns from numbers that can be added, such as in how many texts each word occurs.

    So several machines can each count a part of the corpus. On one machine, the corpus is one part.

    Attributes
    ----------
    n_sampled : int
        Largest number of texts that `fit_counts` gets, in a class attribute. They are drawn at random. If there is a
        parameter ``random_state``, it is the seed.
    """

    n_sampled: ClassVar[int] = 0

    def in_parts(self) -> bool:
        """Return whether the corpus can be counted in parts, with these parameters; by default it always can."""
        return True

    @abstractmethod
    def count(self, texts: Iterable[str]) -> Counter[str]:
        """Count a part of the corpus.

        Parameters
        ----------
        texts : iterable of str
            As for ``fit``.

        Returns
        -------
        Counter of str
            Numbers by word. Those of several parts are added.
        """

    @abstractmethod
    def fit_counts(self, counts: Mapping[str, int], n_texts: int, sample: Sequence[str]) -> Transformer:
        """Learn the columns from the counts of the whole corpus. The result does not depend on what the parts were.

        Parameters
        ----------
        counts : mapping of str to int
            The sums over all parts.
        n_texts : int
            How many texts were counted.
        sample : sequence of str
            At most `n_sampled` texts, of each the first 10,000 characters.

        Returns
        -------
        transformer
            As of ``fit``.
        """

    def fit(self, texts: Iterable[str]) -> Transformer:
        """Count the corpus, then learn the columns; as of `Vectorizer`."""
        n_texts = 0
        sample: list[str] = []
        place_of = self._places()

        def sampled() -> Iterator[str]:
            nonlocal n_texts
            for text in texts:
                if (place := place_of(n_texts)) < self.n_sampled:
                    sample[place : place + 1] = [text[:SAMPLED_CHARACTERS]]
                n_texts += 1
                yield text

        counts = self.count(sampled())
        return self.fit_counts(counts, n_texts, sample)

    def sampled_positions(self, n_texts: int) -> list[int]:
        """Return the positions of the texts that are in the sample of a corpus, in the order of the sample."""
        positions: list[int] = []
        place_of = self._places()
        for position in range(n_texts if self.n_sampled else 0):
            if (place := place_of(position)) < self.n_sampled:
                positions[place : place + 1] = [position]
        return positions

    def _places(self) -> Callable[[int], int]:
        """Return what gives each position its place in the sample; one of `n_sampled` or more is none.

        It is algorithm R: each text is in the sample with the same probability, however many will come.
        """
        rng = Random(getattr(self, "random_state", 0))  # noqa: S311 - a sample, not a secret
        return lambda position: position if position < self.n_sampled else rng.randrange(position + 1)
