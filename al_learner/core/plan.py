"""How a simulated project is played: how many votes, who gives them and how well, and which texts are asked about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self, cast, get_args

import numpy as np

from al_learner.core.errors import SettingsError
from al_learner.core.interfaces import Codes, Estimator
from al_learner.core.registry import allowed

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Query = Literal["least-confidence", "margin", "random"]
"""Which texts are voted on next: lowest top probability, smallest gap between the two top ones, or any."""

QUERIES: tuple[Query, ...] = get_args(Query)

HELD_OUT_SHARE = 5
"""One text in so many is held out of the project, to measure accuracy on."""

MAX_HELD_OUT = 10_000


@dataclass(frozen=True)
class Noise:
    """How often annotators err; a wrong label is any of the others.

    Attributes
    ----------
    kind : str
        ``uniform``: all annotators err at `rate`; ``careless``: one of them does, the others never.
    rate : float
        Share of votes that are wrong, 0 to 1.
    """

    kind: Literal["uniform", "careless"] = "uniform"
    rate: float = 0.0

    @classmethod
    def of(cls, written: str) -> Self:
        """Read ``uniform:0.1`` or ``careless:0.5``.

        Raises
        ------
        SettingsError
            It is written otherwise.
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


@dataclass(frozen=True)
class Plan:
    """How a project is played.

    Attributes
    ----------
    rounds, batch_size : int
        Rounds of votes, and texts voted on in each.
    query : str
        One of `QUERIES`. The API does ``least-confidence``.
    annotators, votes : int
        How many annotators there are, and how many of them, drawn anew for each text, vote on it; the latter is
        MIN_LABEL_COUNT too.
    noise : Noise
        By default annotators know the truth.
    max_texts : int or None
        Take as many texts of the corpus, at random; None: all.
    seed : int
        Decides which texts those are, which are held out, who votes, how they err, what a random query picks, and the
        chance of strategies that have a ``random_state``.
    """

    rounds: int
    batch_size: int
    query: Query = "least-confidence"
    annotators: int = 1
    votes: int = 1
    noise: Noise = Noise()
    max_texts: int | None = None
    seed: int = 0

    def problems(self, n_texts: int) -> list[str]:
        """Say what is wrong with it, for a corpus of `n_texts`; nothing if it can be played."""
        wrong = []
        least = {"rounds": 1, "batch_size": 1, "annotators": 1, "votes": 1, "seed": 0}
        wrong += [
            f"{name} = {getattr(self, name)}: at least {n}" for name, n in least.items() if getattr(self, name) < n
        ]
        if self.query not in QUERIES:
            wrong.append(f"query {self.query!r} is unknown; {allowed(self.query, QUERIES)}")
        if self.votes > self.annotators:
            wrong.append(f"votes = {self.votes}: at most {self.annotators}, one from each annotator")
        if self.noise.kind == "careless" and self.annotators < 2:
            wrong.append(f"noise {self.noise}: one careless annotator among good ones needs at least 2 annotators")
        pool = n_pool(n_texts, self.max_texts)
        wanted = self.rounds * self.batch_size
        if not wrong and wanted > pool:
            taken = min(n_texts, self.max_texts or n_texts)
            wrong.append(
                f"rounds = {self.rounds}, batch_size = {self.batch_size}: they need {wanted:,} texts to vote on, and "
                f"there are {pool:,}: of {taken:,} texts {taken - pool:,} are held out"
            )
        return wrong


def n_held_out(n_texts: int) -> int:
    """Return how many of the texts that are taken are held out of the project, to measure accuracy on."""
    return min(max(1, n_texts // HELD_OUT_SHARE), MAX_HELD_OUT)


def n_pool(n_texts: int, max_texts: int | None = None) -> int:
    """Return how many of a corpus's texts can be voted on: those that are taken and not held out."""
    taken = min(n_texts, max_texts or n_texts)
    return taken - n_held_out(taken)


def vote(truth: Codes, n_labels: int, plan: Plan, rng: np.random.Generator) -> tuple[Codes, Codes]:
    """Decide what each text's annotators say, whenever they are asked: not even the query changes it.

    Parameters
    ----------
    truth : ndarray of shape (n_texts,), intp
        Codes of the true labels.

    Returns
    -------
    voters, voted : ndarray of shape (n_texts, plan.votes), intp
        Who votes on each text, all different, and the codes of the labels that they give.
    """
    shape = len(truth), plan.annotators
    rates = np.full(plan.annotators, plan.noise.rate)
    if plan.noise.kind == "careless":
        rates[1:] = 0
    is_wrong = rng.random(shape) < rates
    wrong = (truth[:, None] + rng.integers(1, n_labels, shape)) % n_labels
    voters = rng.random(shape).argsort(axis=1)[:, : plan.votes]
    said = np.where(is_wrong, wrong, truth[:, None])
    return voters, np.take_along_axis(said, voters, axis=1)


def pick(plan: Plan, classifier: Estimator, X: csr_matrix, rng: np.random.Generator) -> Codes:
    """Return the positions of the `plan.batch_size` rows to vote on next; among equals the first."""
    if plan.query == "random":
        return rng.choice(X.shape[0], plan.batch_size, replace=False)
    top = np.sort(classifier.predict_proba(X), axis=1)[:, -2:]
    certainty = top[:, 1] if plan.query == "least-confidence" else top[:, 1] - top[:, 0]
    return certainty.argsort(kind="stable")[: plan.batch_size]
