"""Small labelled corpora: one that is learnt from a few labels, though not at once, and one that is learnt at once."""

from __future__ import annotations

import random
from typing import Any

WORDS = {"fruit": "apple pear plum fig", "tool": "hammer saw nail drill", "bird": "owl finch crow wren"}
COMMON = ["the", "a", "on", "under", "with", "red", "big", "old"]


def small(n: int = 120) -> tuple[list[str], list[str]]:
    """Return texts and labels: a word that tells the class among words that do not."""
    rng = random.Random(0)
    labels = [list(WORDS)[row % len(WORDS)] for row in range(n)]
    texts = [
        " ".join([rng.choice(WORDS[label].split()), *rng.sample(COMMON, 3), str(n)]) for n, label in enumerate(labels)
    ]
    return texts, labels


def add_weather(tables: Any, n: int, *, first: int = 0) -> None:
    """Add texts with a vote each: those about rain have the label a, those about the sun b."""
    for number in range(first, first + n):
        tables.add_text(f"text {number} {'sun' if number % 2 else 'rain'}", labels=["ab"[number % 2]])
