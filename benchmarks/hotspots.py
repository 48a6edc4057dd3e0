"""``python -m benchmarks.hotspots``: what takes the time in one more batch, by cProfile, at each number of labels.

The run is that of a worker, but in this process and without a child process. So one profiler sees all of it.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import corpus as corpora
from benchmarks.app import App
from benchmarks.campaign import BATCH_SIZE, Bench
from benchmarks.common import end_tidily, numbers, say
from benchmarks.process import without_settings
from tests.support import servers

TOP = 12
OURS = ("al_learner/", "core/", "classifiers/", "vectorizers/", "aggregators/")
"""The folders of the modules of al_learner."""


def main() -> None:
    """Label, train, label one more batch, and profile the training that follows."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.hotspots", description=__doc__)
    options.add_argument("--classifier", help="default: that of a new project")
    options.add_argument("--vectorizer", help="the same for the vectorizer")
    options.add_argument("--data", type=Path, default=corpora.DEMO, help="JSON lines (.gz) with text and label")
    options.add_argument("--texts", type=int, help="number of texts to use, chosen at random; default: all")
    options.add_argument("--labels", type=numbers, default=(100, 1_000), help="labelled texts at each step")
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args()
    end_tidily()
    without_settings()
    corpus = corpora.read(chosen.data, limit=chosen.texts, seed=chosen.seed)
    with servers.running() as running:
        bench = Bench.of(running, corpus, seed=chosen.seed, deadline_s=0, say=say)
        for at in sorted(chosen.labels):
            print(f"\n## {BATCH_SIZE} more at {at:,}\n")
            for line in profiled(bench, corpus, at, chosen):
                print(line)


def profiled(bench: Bench, corpus: corpora.Corpus, at: int, chosen: argparse.Namespace) -> Iterator[str]:
    """Yield the functions that took most of the time, with their share of the whole."""
    from al_learner.core.project import Project  # in this process, because a profiler cannot see into a worker

    with App(bench.postgres, bench.redis, bench.template, corpus.label_names) as app:
        app.end_loading()
        project = Project(
            bench.postgres.url(app.database),
            classifier=chosen.classifier,
            vectorizer=chosen.vectorizer,
            predictor_packages=("scikit-learn", "numpy", "scipy", "lightgbm"),
        )
        try:
            app.vote(*bench.labels(0, at))
            project.reconcile()
            app.vote(*bench.labels(at, at + BATCH_SIZE))
            profile = cProfile.Profile()
            profile.enable()
            state = project.reconcile()
            profile.disable()
        finally:
            project.close()
    assert state.due == "update", f"{state.due} was due, not an update: {state.reason}"
    stats: Any = pstats.Stats(profile)  # its figures are documented, its attributes are not typed
    yield f"{stats.total_tt:.2f} s with the profiler. It makes Python code slower, but not C code."
    figures = [Figure(_where(*place), *row[1:4]) for place, row in stats.stats.items()]
    ours = [figure for figure in figures if figure.where.startswith(OURS)]
    yield "\nal_learner's functions, with what they call:\n"
    yield from _top(ours, lambda figure: figure.all_s, stats.total_tt)
    yield "\nAll functions, without what they call:\n"
    yield from _top(figures, lambda figure: figure.own_s, stats.total_tt)


@dataclass(frozen=True)
class Figure:
    """What the profiler measured for one function."""

    where: str
    calls: int
    own_s: float
    all_s: float


def _top(figures: Iterable[Figure], by: Callable[[Figure], float], total_s: float) -> Iterator[str]:
    for figure in sorted(figures, key=by, reverse=True)[:TOP]:
        yield f"{by(figure) / total_s:6.1%} {by(figure):7.3f} s {figure.calls:>8} x {figure.where}"


def _where(file: str, line: int, name: str) -> str:
    return f"{'/'.join(Path(file).parts[-2:])}:{line} {name}" if line else name


if __name__ == "__main__":
    main()
