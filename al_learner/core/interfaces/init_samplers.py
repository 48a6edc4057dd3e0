"""Init samplers: texts and labels for the first classifier of a project without labelled texts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from pydantic import Field

from al_learner.core.interfaces.strategy import Codes, Strategy

SCANNED = 1_000
"""Texts that an init sampler's `scan` reads at a time."""


IGNORED = "ignored"
"""The label that the app gives to texts that fit no other label."""


class InitSampler(Strategy):
    """Starts a project that has no labelled text: picks texts and gives them labels."""

    random_state: int | None = Field(
        default=None, ge=0, description="Seed of the random numbers. null: a new seed for each run."
    )

    @abstractmethod
    def sample(
        self, texts: Sequence[str], labels: Sequence[str], size: int, rng: np.random.Generator
    ) -> tuple[Codes, list[str]]:
        """Pick texts to train the first classifier on.

        Parameters
        ----------
        texts : sequence of str
            All texts that are not blank. Each access may read from the database, so access only what is needed.
        labels : sequence of str
            The label names, at least two, without duplicates.
        size : int
            How many texts to pick at least; it is 2 or more. At most ``len(texts)`` of them are different.
        rng : numpy.random.Generator
            The only source of randomness.

        Returns
        -------
        rows : ndarray of shape (n_picked,), intp
            Positions in `texts`, `size` or more. They are different if there are enough texts.
        labels : list of str, length n_picked
            A label for each; at least two different ones.
        """

    def pick(self, n_texts: int, size: int, rng: np.random.Generator) -> Codes:
        """Return `size` random positions; they are different if there are enough texts."""
        rounds, rest = divmod(size, n_texts)
        picks = [rng.permutation(n_texts) for _ in range(rounds)]
        return np.concatenate([*picks, rng.choice(n_texts, rest, replace=False)]).astype(np.intp)

    def deal(self, labels: Sequence[str], size: int, rng: np.random.Generator) -> list[str]:
        """Return `size` labels in random order, all labels equally often as far as possible."""
        order = rng.permutation(len(labels))
        return [labels[order[i % len(order)]] for i in range(size)]

    def scan(self, texts: Sequence[str], at_most: int, rng: np.random.Generator) -> Iterator[tuple[int, str]]:
        """Yield position and text of a random sample: every n-th text from a random start, read in few pieces.

        Parameters
        ----------
        at_most : int
            Maximum number of texts. At least half as many are read, if there are so many.
        """
        step = -(-len(texts) // at_most)
        start = int(rng.integers(step))
        for first in range(start, len(texts), step * SCANNED):
            piece = range(first, min(first + step * SCANNED, len(texts)), step)
            yield from zip(piece, texts[piece.start : piece.stop : step], strict=True)

    def prior(
        self, texts: Sequence[str], labels: Mapping[str, str], rng: np.random.Generator
    ) -> tuple[Codes, list[str]] | None:
        """Pick texts whose labels are probably right. They stay in training, with a small weight; see the glossary.

        Parameters
        ----------
        texts : sequence of str
            As for ``sample``.
        labels : mapping of str to str
            The label names, at least two, each with its description, which may be empty.
        rng : numpy.random.Generator
            The only source of randomness.

        Returns
        -------
        rows : ndarray of shape (n_picked,), intp
            Different positions in `texts`. The surest ones of each label come first: if there are many, only the first
            ones of each label are used together with votes.
        labels : list of str, length n_picked
            A label for each; at least two different ones.
            None instead of both, the default, if nothing is known about the labels. Then ``sample`` picks the texts of
            the first classifier, and they do not stay.
        """
        del texts, labels, rng
        return None
