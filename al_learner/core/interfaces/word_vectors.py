"""Word vectors: what words mean, as pre-trained numbers."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from al_learner.core.errors import AlLearnerError, PluginError, SettingsError
from al_learner.core.interfaces.strategy import Strategy

MAX_CHARACTERS = 1_000
"""Of a longer word only so many characters are looked up, so that an encoded file in a text costs no memory."""


class WordVectors(Strategy):
    """A source of pre-trained vectors: words of similar meaning have similar vectors.

    A setting names it ``NAME``, or ``NAME:VALUE`` if it has a parameter. To read what is stored, nothing of it is
    needed, so ``requires`` stays empty.
    """

    requires: ClassVar[tuple[str, ...]] = ()

    languages: ClassVar[tuple[str, ...]]
    """ISO 639-1 codes of the languages that it knows; none if the parameter decides that."""

    licence: ClassVar[str]
    """The licence of the vectors, as an SPDX identifier; NOASSERTION if the parameter decides that."""

    provenance: ClassVar[str]
    """In one sentence: which model the vectors come from."""

    def lookup(self, words: Sequence[str]) -> NDArray[np.float32]:
        """Look words up, and check what the source returns. Users of word vectors call this, not ``vectors``.

        Parameters
        ----------
        words : sequence of str
            Words, or short phrases. Of a longer one only the first `MAX_CHARACTERS` characters count. What UTF-8 cannot
            encode becomes a question mark.

        Returns
        -------
        vectors : ndarray of shape (n_words, n_dims), float32
            All numbers are finite. ``n_dims`` is the same in every call, also if there are no words.

        Raises
        ------
        SettingsError
            A package or a file of the source is missing.
        PluginError
            The source failed, or its vectors have the wrong type, shape or width, NaN or infinity.
        """
        if self not in _looked_up:
            _looked_up.append(self)
        words = [word[:MAX_CHARACTERS].encode(errors="replace").decode() for word in words]
        try:
            none, found = self.vectors([]), self.vectors(words)
        except AlLearnerError:
            raise
        except Exception as exc:  # whatever a third party's code raises
            raise PluginError(f"word_vector {self!r} failed: {type(exc).__name__}: {exc}") from exc
        for n_words, array in ((0, none), (len(words), found)):
            shape: tuple[int, ...] = getattr(array, "shape", ())
            if getattr(array, "dtype", None) != np.float32 or len(shape) != 2 or shape[0] != n_words or not shape[1]:
                raise PluginError(
                    f"word_vector {self!r} must return float32 vectors of shape ({n_words}, n_dims), not "
                    f"{getattr(array, 'dtype', type(array).__name__)} of shape {shape}"
                )
        if found.shape[1] != none.shape[1]:
            raise PluginError(
                f"word_vector {self!r} returned vectors of {found.shape[1]} numbers, and of {none.shape[1]} in another "
                "call; every call must return vectors of one width"
            )
        if not np.isfinite(found).all():
            word = words[int(np.argmin(np.isfinite(found).all(axis=1)))]
            raise PluginError(f"word_vector {self!r} returned NaN or infinity for {word[:50]!r}")
        return found

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
            Of any length; all zeros for a word that the source has no vector for. Of shape (0, n_dims) if there are no
            words: the worker calls this with an empty list, so that a model is loaded before it is needed.

        Raises
        ------
        SettingsError
            A package or a file is missing. The message says how to get it.
        """

    def known(self, words: Sequence[str]) -> NDArray[np.bool_]:
        """Return whether the source knows what each word means.

        Some sources have a vector for every row of letters, because they split it into pieces. The vector of such a
        word means nothing, so a label that is called so gets no texts.

        Parameters
        ----------
        words : sequence of str
            As for ``vectors``.

        Returns
        -------
        known : ndarray of shape (n_words,), bool
            By default true where the vector has other numbers than zeros.

        Raises
        ------
        SettingsError, PluginError
            As of `lookup`.
        """
        return np.asarray(self.lookup(words).any(axis=1))

    @abstractmethod
    def digest(self) -> str:
        """Return the SHA-256 of the source's files, in hexadecimal. Raises like ``vectors``."""

    def release(self) -> None:
        """Free the memory of what ``vectors`` keeps, such as a model. The next call of ``vectors`` loads it again.

        The worker calls it after each training: few trainings need word vectors. By default it does nothing.
        """


_looked_up: list[WordVectors] = []
"""The sources that were used in this process since `release_word_vectors`."""


def release_word_vectors() -> None:
    """Let all sources that were used in this process free their memory.

    Raises
    ------
    PluginError
        A source failed.
    """
    while _looked_up:
        source = _looked_up.pop()
        try:
            source.release()
        except Exception as exc:  # whatever a third party's code raises
            raise PluginError(f"word_vector {source!r} failed: {type(exc).__name__}: {exc}") from exc
    sha256.cache_clear()  # the next time the files may be others


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


def package_folder(module: str, extra: str) -> Path:
    """Return the folder of an installed package, without importing it.

    Raises
    ------
    SettingsError
        The package is missing. The message names the extra of al-learner that brings it.
    """
    found = find_spec(module)
    if found is None or not found.submodule_search_locations:
        raise SettingsError([f"the package of these word vectors is missing: pip install 'al-learner[{extra}]'"])
    return Path(found.submodule_search_locations[0])


def is_known(pieces: Sequence[str]) -> bool:
    """Return whether a word has a meaning for a model that splits it into these pieces.

    It has one if it is a piece itself, or if a piece has three letters or more: shorter ones are in words of any
    meaning. Without upper and lower case, as in Chinese, one sign is enough. A piece in angle or square brackets stands
    for something that the model does not know.
    """
    letters = [piece.lstrip("▁Ġ#") for piece in pieces]
    if not any(letters) or any(piece.startswith(("<", "[")) for piece in letters):
        return False
    word = "".join(letters)
    return len(pieces) == 1 or word.lower() == word.upper() or max(map(len, letters)) >= 3


@cache
def sha256(*files: Path) -> str:
    """Return the SHA-256 of files, one after the other, in hexadecimal.

    They are read once until `release_word_vectors`.
    """
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()
