"""``python -m benchmarks.crowd``: how often the aggregated label is the true one, by aggregator. See README.md."""

from __future__ import annotations

import argparse
import csv
import resource
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from al_learner import LabelAggregator, strategy
from al_learner.core.labels.new_samples import aggregate_votes
from al_learner.core.labels.votes import VotedText
from benchmarks.report import markdown

Vote = tuple[str, str, str]
"""Text, annotator, label."""

AGGREGATORS = ("majority", "dawid-skene")

SIMULATED = [
    # votes, annotators, votes a text, labels, accuracy of the worst annotator
    (1_000, 5, 1, 12, 0.3),
    (1_000, 5, 3, 12, 0.3),
    (5_000, 5, 3, 12, 0.3),
    (5_000, 20, 2, 12, 0.3),
    (5_000, 20, 3, 53, 0.3),
    (5_000, 20, 3, 53, 0.7),
    (5_000, 100, 3, 53, 0.3),
    (5_000, 100, 3, 53, 0.7),
    (50_000, 20, 3, 53, 0.3),
    (50_000, 20, 3, 53, 0.7),
]


@dataclass(frozen=True)
class Crowd:
    """Votes, in the order in which they were cast, and the true labels of texts."""

    name: str
    votes: Sequence[Vote]
    truth: Mapping[str, str]

    def rows(self) -> list[VotedText]:
        """Return the votes as text_data holds them."""
        labels: dict[str, list[str]] = {}
        users: dict[str, list[str]] = {}
        for text, user, label in self.votes:
            labels.setdefault(text, []).append(label)
            users.setdefault(text, []).append(user)
        return [VotedText(n, labels[text], users[text], None, taught=False) for n, text in enumerate(labels)]


def main() -> None:
    """Aggregate the votes of every set with every aggregator, and print the table."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.crowd", description=__doc__)
    options.add_argument("--data", type=Path, help="folder with NAME.answer.csv and NAME.truth.csv")
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args()
    aggregators = {name: strategy("label_aggregator", name) for name in AGGREGATORS}
    for aggregator in aggregators.values():
        aggregated(simulated(9, 3, 3, 3, 0.5, seed=0), aggregator)  # so that the time of the imports is not measured
    rows = []
    for crowd in [*read(chosen.data), *(simulated(*shape, seed=chosen.seed) for shape in SIMULATED)]:
        texts, annotators, labels = (len(set(column)) for column in zip(*crowd.votes, strict=True))
        row = [crowd.name, *(f"{n:,}" for n in (len(crowd.votes), annotators, texts, labels))]
        for aggregator in aggregators.values():
            accuracy, seconds = aggregated(crowd, aggregator)
            row += [f"{accuracy:.3f}", f"{seconds:.1f}"]
        rows.append(row)
    measured = [column for name in aggregators for column in (name, "seconds")]
    print(markdown(["set", "votes", "annotators", "texts", "labels", *measured], rows))
    print(f"\npeak: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB")


def read(folder: Path | None) -> Iterator[Crowd]:
    """Yield the sets of a folder: question, worker, answer; and question, truth."""
    for answers in sorted(folder.glob("*.answer.csv")) if folder else ():
        name = answers.name.partition(".")[0]
        with answers.open(encoding="utf-8", newline="") as file:
            votes = [(row["question"], row["worker"], row["answer"]) for row in csv.DictReader(file)]
        with answers.with_name(f"{name}.truth.csv").open(encoding="utf-8", newline="") as file:
            yield Crowd(name, votes, {row["question"]: row["truth"] for row in csv.DictReader(file)})


def simulated(n_votes: int, n_annotators: int, votes_a_text: int, n_labels: int, worst: float, *, seed: int) -> Crowd:
    """Simulate votes. The best annotators are right in 19 of 20 votes. Wrong votes are mostly for similar labels.

    The n-th most frequent label is 1 / sqrt(n) times as frequent as the first. Some annotators vote much more often
    than others.
    """
    rng = np.random.default_rng(seed)
    frequency = np.arange(1, n_labels + 1) ** -0.5
    truth = rng.choice(n_labels, n_votes // votes_a_text, p=frequency / frequency.sum())
    accuracy, diligence = rng.uniform(worst, 0.95, n_annotators), rng.dirichlet(np.ones(n_annotators))
    votes = []
    for text, true in enumerate(truth):
        for annotator in rng.choice(n_annotators, votes_a_text, replace=False, p=diligence):
            wrong = true + rng.integers(1, 4) if rng.random() < 0.7 else rng.integers(n_labels)
            label = true if rng.random() < accuracy[annotator] else wrong % n_labels
            votes.append((str(text), str(annotator), str(label)))
    return Crowd(f"simulated, {worst} to 0.95", votes, {str(text): str(true) for text, true in enumerate(truth)})


def aggregated(crowd: Crowd, aggregator: LabelAggregator) -> tuple[float, float]:
    """Return the share of texts whose aggregated label is the true one, and the CPU seconds."""
    rows = crowd.rows()
    started = time.process_time()
    found = aggregate_votes(rows, aggregator, min_label_count=1, max_label_length=50)
    seconds = time.process_time() - started
    texts = list(dict.fromkeys(text for text, _, _ in crowd.votes))
    right = [label == crowd.truth[text] for text, label in zip(texts, found.labels, strict=True) if text in crowd.truth]
    return float(np.mean(right)), seconds


if __name__ == "__main__":
    main()
