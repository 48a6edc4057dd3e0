"""``python -m benchmarks.cluster``: a Dask cluster on this machine beside the worker's own training process."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks import corpus as corpora
from benchmarks import report
from benchmarks.campaign import Bench, Campaign, Subject, run
from benchmarks.common import OURS, end_tidily, numbers, say
from tests.support import servers
from tests.support.cluster import Cluster


def main() -> None:
    """Measure both in turn, print the table and write the JSON file."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.cluster", description=__doc__)
    options.add_argument("--data", type=Path, default=corpora.DEMO, help="JSON lines (.gz) with text and label")
    options.add_argument("--texts", type=int, help="number of texts to use, chosen at random; default: all")
    options.add_argument("--labels", type=numbers, default=(100, 1_000), help="labelled texts at each step: 100,1000")
    options.add_argument("--dask-workers", type=int, default=2)
    options.add_argument("--repeat", type=int, default=3, help="number of campaigns of each")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--deadline-s", type=float, default=900)
    options.add_argument("--json", type=Path, help="default: benchmarks/results/cluster.json")
    chosen = options.parse_args()
    end_tidily()
    corpus = corpora.read(chosen.data, limit=chosen.texts, seed=chosen.seed)
    with (
        servers.running() as running,
        tempfile.TemporaryDirectory(prefix="al-learner-bench-") as folder,
        Cluster(Path(folder), {"PGUSER": "postgres"}) as cluster,
    ):
        for _ in range(chosen.dask_workers):
            cluster.add_worker()
        bench = Bench.of(running, corpus, seed=chosen.seed, deadline_s=chosen.deadline_s, say=say)
        subjects = [Subject("process", OURS, {}), Subject("cluster", OURS, {"AL_LEARNER_CLUSTER": cluster.address})]
        campaigns: dict[str, list[Campaign]] = {subject.name: [] for subject in subjects}
        for number in range(chosen.repeat):
            for subject in subjects:
                campaigns[subject.name].append(run(bench, subject, number, chosen.labels))
        machine = report.machine(*running)
    summaries = [report.Summary(name, found, []) for name, found in campaigns.items()]
    print(table(*summaries))
    figures = {"machine": machine, "workers": [summary.plain_data() for summary in summaries]}
    say(f"raw figures: {report.write('cluster', chosen.json, figures)}")


def table(process: report.Summary, cluster: report.Summary) -> str:
    """Return a row for each event: the median seconds with each, and the difference."""
    rows = []
    for step in process.events:
        here, there = process.seconds(step) or 0.0, cluster.seconds(step) or 0.0
        rows.append([report.title(*step), f"{here:.2f}", f"{there:.2f}", f"{1000 * (there - here):+.0f}"])
    return report.markdown(["event", "process, s", "cluster, s", "more, ms"], rows)


if __name__ == "__main__":
    main()
