"""Word vectors: what words mean, as pre-trained numbers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from al_learner.core.interfaces.strategy import Strategy


class WordVectors(Strategy):
    """A source of pre-trained vectors: words of similar meaning have similar vectors.

    A setting names it ``NAME``, or ``NAME:VALUE`` if it has a parameter. To read what is stored, nothing of it is
    needed, so ``requires`` stays empty.
    """

    requires: ClassVar[tuple[str, ...]] = ()

    languages: ClassVar[tuple[str, ...]]
    """ISO 639-1 codes of the languages that it knows."""

    licence: ClassVar[str]
    """The licence of the vectors, as an SPDX identifier where there is one."""

    provenance: ClassVar[str]
    """In one sentence: which model the vectors come from."""

    @abstractmethod
    def vectors(self, words: Sequence[str]) -> NDArray[np.float32]:
        """Look words up.

        Parameters
        ----------
        words : sequence of str
            Words, or short phrases, in lower case or as they are written.

        Returns
        -------
        vectors : ndarray of shape (n_words, n_dims), float32
            Of any length; all zeros for a word that the source does not know.

        Raises
        ------
        SettingsError
            A package or a file is missing. The message says how to get it.
        """

    def lookup(self, words: Sequence[str]) -> NDArray[np.float32]:
        """Return ``vectors(words)``."""
        return self.vectors(words)

    @abstractmethod
    def digest(self) -> str:
        """Return the SHA-256 of the source's files, in hexadecimal. Raises like ``vectors``."""


class UsesWordVectors(Strategy):
    """A strategy that needs word vectors."""

    source: str = Field(
        default="use",
        description="Word vectors: use, wordllama, model2vec:FOLDER, model2vec-hub:NAME, or those of another plug-in.",
    )

    @property
    def word_vectors(self) -> WordVectors:
        """The source. Raises SettingsError if there is none of that name."""
        from al_learner.core.registry import word_vectors  # it imports this module

        return word_vectors(self.source)
