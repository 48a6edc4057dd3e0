"""Texts that contain the name of a label."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import cycle, islice

import numpy as np
from pydantic import Field

from al_learner.core.interfaces import Codes, InitSampler

MAX_CHARACTERS = 10_000
"""Only so many characters of a text are searched."""


class LabelNames(InitSampler):
    """Texts that contain the name of a label get that label. The others are random texts with `balanced` labels.

    A text contains a label's name if it has the words of the name one after the other. Upper and lower case are the
    same, and anything but letters and digits may be between the words. A shorter name inside a longer one is ignored. A
    text with the names of several labels is used for none of them.
    """

    max_texts: int = Field(
        default=10_000,
        ge=2,
        description="Largest number of texts that are searched for label names; they are drawn at random.",
    )

    def sample(
        self, texts: Sequence[str], labels: Sequence[str], size: int, rng: np.random.Generator
    ) -> tuple[Codes, list[str]]:
        naming: dict[str, list[int]] = defaultdict(list)
        n_named = np.zeros(len(texts), np.int8)
        scanned = self.scan(texts, self.max_texts, rng)
        for position, named in _named(scanned, labels):
            n_named[position] = len(named)
            if len(named) == 1:
                naming[named[0]].append(position)
        dealt = sorted(self.deal(labels, len(labels), rng), key=lambda label: label not in naming)
        given = list(islice(cycle(dealt), size))
        draws = {label: iter(rng.permutation(positions)) for label, positions in naming.items()}
        rows = np.array([next(draws.get(label, iter(())), -1) for label in given])
        # Random texts for the other labels: first texts without a name, then the remaining ones, then all again.
        order = rng.permutation(len(texts))
        order = order[np.argsort(n_named[order] > 0, kind="stable")]
        free = order[~np.isin(order, rows)]
        rows[rows < 0] = np.concatenate([free, np.resize(order, size)])[: (rows < 0).sum()]
        return rows.astype(np.intp), given


def _named(texts: Iterable[tuple[int, str]], labels: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the position of every text that contains a label's name, and these labels."""
    called = defaultdict(list)
    for label in labels:
        called[_words(label)].append(label)
    names = sorted((name for name in called if name), key=len, reverse=True)
    for position, text in texts:
        words, found = _words(text[:MAX_CHARACTERS]), []
        for name in names:
            if name in words:
                found += called[name]
                words = words.replace(name, "\n")
        if found:
            yield position, found


def _words(text: str) -> str:
    """Return the words, each between two blanks, so that whole words can be searched in the string."""
    words = re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", text).casefold())
    return "".join(f" {word} " for word in words)
