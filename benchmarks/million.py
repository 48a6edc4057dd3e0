"""``python -m benchmarks.million``: a million texts, combined from the corpus: memory, seconds, and idle polls."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import corpus as corpora
from benchmarks import report
from benchmarks.app import App, make_template
from benchmarks.campaign import Bench, Campaign, Event, run
from benchmarks.common import asked_for, end_tidily, numbers, say
from benchmarks.process import without_settings
from tests.support import servers

POLLS = 200
READS = 5


def main() -> None:
    """Measure, print the tables and write the JSON file."""
    chosen = _parser().parse_args()
    end_tidily()
    without_settings()  # of the developer, because the idle poll is measured in this process
    corpus = corpora.read(chosen.data, limit=None, seed=chosen.seed)
    campaigns: list[dict[str, Any]] = []
    polls: dict[int, dict[str, float]] = {}
    with servers.running() as running:
        machine = report.machine(*running)
        for size in chosen.sizes:
            bench = _bench(running, corpus, size, chosen)
            for vectorizer in chosen.vectorizers:
                subject = asked_for(vectorizer, None, classifier=chosen.classifier, vectorizer=vectorizer)

                def poll(app: App, _events: Sequence[Event], size: int = size, name: str = vectorizer) -> None:
                    if size not in polls:
                        polls[size] = idle_polls(app, chosen.classifier, name)

                for number in range(chosen.repeat):
                    campaign = run(bench, subject, number, [chosen.labels], judge=poll)
                    campaigns.append({"texts": size, "vectorizer": vectorizer, "campaign": campaign})
            running[0].drop(bench.template)
    _print(chosen, campaigns, polls)
    content = {
        "machine": machine,
        "corpus": corpus.name,
        "campaigns": [c | {"campaign": asdict(c["campaign"])} for c in campaigns],
        "idle_polls": polls,
    }
    say(f"raw figures: {report.write('million', chosen.json, content)}")


def idle_polls(app: App, classifier: str, vectorizer: str) -> dict[str, float]:
    """Do in this process what a worker does if nothing was written. For comparison, also read the whole state.

    Returns
    -------
    dict
        Milliseconds: median, 95th percentile and largest of the idle polls; median of the full reads.
    """
    from al_learner.core.project import Project  # heavy; the rest of this module uses only tables and channels

    url = f"postgresql://{app.environment['PGUSER']}@{app.environment['PGHOST']}:{app.environment['PGPORT']}"
    project = Project(
        f"{url}/{app.database}",
        redis_host=app.environment["REDIS_HOST"],
        redis_port=int(app.environment["REDIS_PORT"]),
        classifier=classifier,
        vectorizer=vectorizer,
    )
    try:
        project.prepare()
        seen, moved, polled = project.change_token(), 0, []
        for _ in range(POLLS):
            started = time.monotonic()
            now = project.change_token()
            project.repeat_announcement()
            polled.append((time.monotonic() - started) * 1e3)
            moved += now != seen
            seen = now
        read = []
        for _ in range(READS):
            started = time.monotonic()
            project.read_state()
            read.append((time.monotonic() - started) * 1e3)
    finally:
        project.close()
    return {
        "median_ms": statistics.median(polled),
        "p95_ms": float(np.percentile(polled, 95)),
        "most_ms": max(polled),
        "polls": POLLS,
        "moved": moved,
        "full_read_ms": statistics.median(read),
    }


def _parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="python -m benchmarks.million", description=__doc__)
    options.add_argument("--data", type=Path, default=corpora.DEMO, help="JSON lines (.gz) with text and label")
    options.add_argument("--sizes", type=numbers, default=(55_000, 1_000_000), help="texts: 55000,1000000")
    options.add_argument("--labels", type=int, default=1_000, help="labelled texts at the update")
    options.add_argument("--vectorizers", type=lambda value: value.split(","), default=("count", "hashing"))
    options.add_argument("--classifier", default="logreg")
    options.add_argument("--repeat", type=int, default=3, help="campaigns for each size and vectorizer")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--deadline-s", type=float, default=1_800, help="longest wait for one classifier")
    options.add_argument("--json", type=Path, help="default: benchmarks/results/million.json")
    return options


def _bench(
    running: tuple[servers.Postgres, servers.Redis], corpus: corpora.Corpus, size: int, chosen: argparse.Namespace
) -> Bench:
    """Load combined texts as a stream, so that they are never all in memory, and keep their labels."""
    labels: list[str] = []

    def rows() -> Iterator[tuple[str, str]]:
        for text, label in corpora.recombined(corpus, size, seed=chosen.seed):
            labels.append(label)
            yield text, label

    started = time.monotonic()
    template = make_template(running[0], f"bench_{size}", rows())
    say(f"{size:,} texts loaded in {time.monotonic() - started:.0f} s")
    order = np.random.default_rng([chosen.seed, 1]).permutation(size)
    return Bench(*running, template, np.array(labels, object), order, chosen.deadline_s, say)


def _print(chosen: argparse.Namespace, campaigns: list[dict[str, Any]], polls: dict[int, dict[str, float]]) -> None:
    rows: list[list[str]] = []
    base: dict[str, float] = {}
    for size in chosen.sizes:
        for vectorizer in chosen.vectorizers:
            same = [c["campaign"] for c in campaigns if (c["texts"], c["vectorizer"]) == (size, vectorizer)]
            seconds = {kind: _median(same, kind, "seconds") for kind in ("init", "update", "batch")}
            ratio = seconds["update"] / base.setdefault(vectorizer, seconds["update"])
            peaks = [max(e.peak_mib for e in c.events if e.kind == "init") for c in same]
            rows.append(
                [
                    f"{size:,}",
                    vectorizer,
                    *(f"{seconds[kind]:.2f}" for kind in ("init", "update", "batch")),
                    f"{ratio:.2f}x",
                    f"{max(peaks):.0f}",
                    f"{max(c.peak_mib for c in same):.0f}",
                    str(len(same)),
                ]
            )
    at = f"{chosen.labels:,}"
    header = ["texts", "vectorizer", "init, s", f"update at {at}, s", f"10 more at {at}, s", f"to {chosen.sizes[0]:,}"]
    print(report.markdown([*header, "peak of init, MiB", "peak, MiB", "runs"], rows))
    figures_of = ("median_ms", "p95_ms", "most_ms", "full_read_ms")
    rows = [[f"{size:,}", *(f"{figures[name]:.2f}" for name in figures_of)] for size, figures in polls.items()]
    print()
    print(report.markdown(["texts", "idle poll, ms", "95th percentile, ms", "maximum, ms", "full read, ms"], rows))


def _median(campaigns: Sequence[Campaign], kind: str, figure: str) -> float:
    return float(
        statistics.median(getattr(event, figure) for c in campaigns for event in c.events if event.kind == kind)
    )


if __name__ == "__main__":
    main()
