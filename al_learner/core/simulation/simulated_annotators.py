"""Simulated annotators: who votes on which text, and how often the votes are wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Self, cast

import numpy as np

from al_learner.core.errors import SettingsError
from al_learner.core.interfaces import Codes


@dataclass(frozen=True)
class Noise:
    """How often votes are wrong. The label of a wrong vote is any of the other labels.

    Attributes
    ----------
    kind : str
        ``uniform``: all annotators have the error rate `rate`. ``careless``: one of them has it, the others have 0.
    rate : float
        Share of votes that are wrong, from 0 to 1.
    """

    kind: Literal["uniform", "careless"] = "uniform"
    rate: float = 0.0

    @classmethod
    def of(cls, written: str) -> Self:
        """Read ``uniform:0.1`` or ``careless:0.5``.

        Raises
        ------
        SettingsError
            It is written in another form.
        """
        kind, _, number = written.partition(":")
        try:
            rate = float(number)
        except ValueError:
            rate = -1.0
        if kind not in ("uniform", "careless") or not 0 <= rate <= 1:
            raise SettingsError([f"noise {written!r}: write uniform:RATE or careless:RATE, with a rate from 0 to 1"])
        return cls(cast(Literal["uniform", "careless"], kind), rate)

    def __str__(self) -> str:
        return f"{self.kind}:{self.rate:g}"


def vote(
    truth: Codes, n_labels: int, *, annotators: int, votes: int, noise: Noise, rng: np.random.Generator
) -> tuple[Codes, Codes]:
    """Draw all votes on each text in advance, so that they do not depend on the query.

    Parameters
    ----------
    truth : ndarray of shape (n_texts,), intp
        Codes of the true labels.
    n_labels, annotators, votes : int
        How many labels there are, how many annotators, and how many of them vote on each text.

    Returns
    -------
    voters, voted : ndarray of shape (n_texts, votes), intp
        The annotators of each text, all different, and the codes of the labels that they give.
    """
    shape = len(truth), annotators
    rates = np.full(annotators, noise.rate)
    if noise.kind == "careless":
        rates[1:] = 0
    is_wrong = rng.random(shape) < rates
    wrong = (truth[:, None] + rng.integers(1, n_labels, shape)) % n_labels
    voters = rng.random(shape).argsort(axis=1)[:, :votes]
    said = np.where(is_wrong, wrong, truth[:, None])
    return voters, np.take_along_axis(said, voters, axis=1)
