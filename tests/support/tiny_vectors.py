"""A source of word vectors that needs no file, found by the worker through an entry point."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from al_learner.core.interfaces import WordVectors

NAME = "tiny"
N_DIMS = 24
TOPICS = (
    ("football", "goal", "match", "referee", "league"),
    ("rain", "cloud", "storm", "snow", "forecast"),
    ("bread", "oven", "flour", "butter", "dough"),
)
"""Words of similar meaning: they have similar vectors. The vectors of other words are random."""


class Tiny(WordVectors):
    """Vectors from the hash of a word; words of one topic are near each other. What begins with a digit is unknown."""

    languages: ClassVar[tuple[str, ...]] = ("en",)
    licence: ClassVar[str] = "CC0-1.0"
    provenance: ClassVar[str] = "Made up by a hash."

    def vectors(self, words: Sequence[str]) -> NDArray[np.float32]:
        return np.array([_vector(word) for word in words], np.float32).reshape(len(words), N_DIMS)

    def digest(self) -> str:
        return hashlib.sha256(NAME.encode()).hexdigest()


def install(folder: Path) -> Path:
    """Write what makes a folder on PYTHONPATH a distribution that offers this source; return the folder."""
    info = folder / "tiny_vectors-0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-vectors\nVersion: 0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(
        f"[al_learner.word_vectors]\n{NAME} = {__name__}:{Tiny.__name__}\n", encoding="utf-8"
    )
    return folder


def _vector(word: str) -> NDArray[np.float64]:
    if word[0].isdigit():
        return np.zeros(N_DIMS)
    topic = next((topic[0] for topic in TOPICS if word.lower() in topic), None)
    return _random(word) + (3 * _random(topic) if topic else 0)


def _random(word: str) -> NDArray[np.float64]:
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")
    return np.random.default_rng(seed).normal(size=N_DIMS)
