"""Replays a labelled corpus as a project: a cold start, then rounds of votes on the texts it is least sure of."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from al_learner.core.errors import AlLearnerError
from al_learner.core.files import read
from al_learner.core.project import Project

ANNOTATORS = ("ada", "ben", "cleo")


@dataclass(frozen=True)
class Round:
    """What a round of votes achieved.

    Attributes
    ----------
    number : int
        0 is the cold start.
    labelled : int
        Texts with a vote by now.
    accuracy : float
        Of the round's classifier, on the texts that nobody has voted on.
    seconds : float
        From the votes to the stored classifier.
    """

    number: int
    labelled: int
    accuracy: float
    seconds: float


def demo_corpus() -> tuple[list[str], list[str]]:
    """Return the bundled sample, texts and labels: descriptions of 2,384 Debian packages in 12 sections."""
    path = Path(str(files("al_learner") / "data" / "demo-packages.jsonl.gz"))
    rows = list(read(path, ("text", "label")))
    return [row["text"] for row in rows], [row["label"] for row in rows]


def replay(
    database: str, texts: Sequence[str], labels: Sequence[str], *, rounds: int, batch_size: int, **settings: Any
) -> Iterator[Round]:
    """Play a project from nothing: annotators who know the truth vote on the texts with the lowest top probability.

    Parameters
    ----------
    database : str
        URL of an empty database.
    texts, labels : sequence of str
        The corpus and its true labels.
    rounds, batch_size : int
        Rounds of votes, and texts voted on in each.
    **settings
        Of the project. Redis is never used.

    Yields
    ------
    Round
        The cold start, then one a round, as long as there are texts without a vote.
    """
    settings = {"init_sampler_params": {"random_state": 0}, **settings}
    project = Project(database, redis_url=None, redis_host=None, redis_port=6379, batch_size=batch_size, **settings)
    try:
        project.load_texts(texts)
        project.load_labels(sorted(set(labels)))
        project.prepare()
        voted = np.zeros(len(texts), bool)
        truth = np.array(labels)
        for number in range(rounds + 1):
            started = time.monotonic()
            run = project.update() if number else project.init()
            if run.run is None:
                raise AlLearnerError(f"round {number}: {run}")
            seconds = time.monotonic() - started
            predictions = list(project.predict())
            correct = np.array([prediction.label for prediction in predictions]) == truth
            yield Round(number, int(voted.sum()), float(correct[~voted].mean()), seconds)
            probabilities = np.array([prediction.probability for prediction in predictions])
            asked = np.flatnonzero(~voted)[np.argsort(probabilities[~voted], kind="stable")[:batch_size]]
            if number == rounds or len(asked) < batch_size or voted.sum() + len(asked) == len(texts):
                return
            project.load_votes(
                (predictions[i].number, labels[i], ANNOTATORS[n % len(ANNOTATORS)])
                for n, i in enumerate(asked.tolist())
            )
            voted[asked] = True
    finally:
        project.close()


def plot(rounds: Sequence[Round], path: Path) -> None:
    """Draw the learning curve into a PNG; needs matplotlib (extra ``plots``)."""
    from matplotlib.figure import Figure  # heavy, and an extra

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([r.labelled for r in rounds], [r.accuracy for r in rounds], marker="o", markersize=4, color="#2a6f97")
    axes.set(
        title="The more votes, the better: texts chosen by uncertainty",
        xlabel="texts voted on",
        ylabel="accuracy on texts that nobody voted on",
        ylim=(0, 1),
        xlim=(0, None),
    )
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
