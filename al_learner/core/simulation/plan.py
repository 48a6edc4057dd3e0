"""The plan of a simulated project: how many rounds and votes, and which texts are held out."""

from __future__ import annotations

from dataclasses import dataclass, field

from al_learner.core.simulation.simulated_annotators import Noise

HELD_OUT_SHARE = 5
"""One text in so many is held out of the project. Accuracy is measured on these texts."""

MAX_HELD_OUT = 10_000


@dataclass(frozen=True)
class Plan:
    """The plan of a simulated project.

    Attributes
    ----------
    rounds, batch_size : int
        Number of rounds, and number of texts that are voted on in each.
    query : str
        Query strategy, ``NAME`` or ``NAME(parameter=value)``: which texts are voted on next. The API uses
        ``least-confidence``.
    annotators, votes : int
        How many annotators there are, and how many of them vote on each text. The second number is MIN_LABEL_COUNT too.
    noise : Noise
        By default all votes are right.
    max_texts : int or None
        Use only this number of texts of the corpus, chosen at random. None: all.
    seed : int
        Seed of everything random: the texts, those held out, the annotators and their errors, random queries, and
        strategies that have a ``random_state``.
    """

    rounds: int
    batch_size: int
    query: str = "least-confidence"
    annotators: int = 1
    votes: int = 1
    noise: Noise = field(default_factory=Noise)
    max_texts: int | None = None
    seed: int = 0

    def problems(self, n_texts: int) -> list[str]:
        """Return what is wrong with the plan for a corpus of `n_texts`; an empty list if nothing is."""
        wrong = []
        least = {"rounds": 1, "batch_size": 1, "annotators": 1, "votes": 1, "seed": 0}
        wrong += [
            f"{name} = {getattr(self, name)}: must be at least {n}"
            for name, n in least.items()
            if getattr(self, name) < n
        ]
        if self.votes > self.annotators:
            wrong.append(f"votes = {self.votes}: must be at most {self.annotators}, one from each annotator")
        if self.noise.kind == "careless" and self.annotators < 2:
            wrong.append(f"noise {self.noise}: needs at least 2 annotators, a careless one and a good one")
        pool = n_pool(n_texts, self.max_texts)
        wanted = self.rounds * self.batch_size
        if not wrong and wanted > pool:
            taken = min(n_texts, self.max_texts or n_texts)
            wrong.append(
                f"rounds = {self.rounds}, batch_size = {self.batch_size}: they need {wanted:,} texts to vote on, but "
                f"there are only {pool:,}, because {taken - pool:,} of {taken:,} texts are held out"
            )
        return wrong


def n_held_out(n_texts: int) -> int:
    """Return how many of the texts are held out of the project, to measure accuracy on."""
    return min(max(1, n_texts // HELD_OUT_SHARE), MAX_HELD_OUT)


def n_pool(n_texts: int, max_texts: int | None = None) -> int:
    """Return how many of a corpus's texts can be voted on: those that are used and not held out."""
    taken = min(n_texts, max_texts or n_texts)
    return taken - n_held_out(taken)
