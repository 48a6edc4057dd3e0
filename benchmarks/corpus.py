"""The corpus: labelled texts from a file, shuffled once, and any number of texts combined from their halves."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

DEMO = Path(str(files("al_learner") / "data" / "demo-packages.jsonl.gz"))


@dataclass(frozen=True)
class Corpus:
    """Texts and their true labels, in an order that the seed decides.

    Attributes
    ----------
    name : str
        Name of the file, without its folder.
    """

    name: str
    texts: list[str]
    labels: list[str]

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def label_names(self) -> list[str]:
        """Every label, sorted."""
        return sorted(set(self.labels))

    def rows(self) -> Iterator[tuple[str, str]]:
        """Yield texts with their labels."""
        return zip(self.texts, self.labels, strict=True)


def read(path: Path, *, limit: int | None, seed: int) -> Corpus:
    """Read JSON lines (gzipped or not) with ``text`` and ``label``; blank texts are left out, as a worker does."""
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        rows = [(row["text"], str(row["label"])) for row in map(json.loads, lines)]
    rows = [row for row in rows if row[0].strip()]
    order = np.random.default_rng(seed).permutation(len(rows))[:limit]
    return Corpus(path.name, [rows[i][0] for i in order], [rows[i][1] for i in order])


def recombined(corpus: Corpus, size: int, *, seed: int) -> Iterator[tuple[str, str]]:
    """Yield `size` texts: the first half of one text's words, the second half of another's, and the first's label."""
    halves = [_halves(text) for text in corpus.texts]
    rng = np.random.default_rng(seed)
    for start in range(0, size, 10_000):
        pairs = rng.integers(0, len(halves), size=(min(10_000, size - start), 2)).tolist()
        for first, second in pairs:
            yield f"{halves[first][0]} {halves[second][1]}", corpus.labels[first]


def _halves(text: str) -> tuple[str, str]:
    words = text.split()
    middle = (len(words) + 1) // 2
    return " ".join(words[:middle]), " ".join(words[middle:])
