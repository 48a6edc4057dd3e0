"""``python -m benchmarks.cluster_scaling``: what a second Dask worker gains, and a corpus of millions of texts."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks import corpus as corpora
from benchmarks import report
from benchmarks.app import make_template
from benchmarks.campaign import Bench, Subject, run
from benchmarks.common import OURS, end_tidily, numbers, say
from benchmarks.process import Memory, without_settings
from tests.support import servers
from tests.support.cluster import Cluster

SWEEP: Mapping[str, Any] = {"classifiers": "logreg", "vectorizers": "tfidf", "init_samplers": "balanced", "rounds": 20}
TRIALS = 8


def main() -> None:
    """Measure what was asked for, print the tables and write the JSON file."""
    chosen = _parser().parse_args()
    end_tidily()
    without_settings()  # of the developer: projects are opened in this process
    corpus = corpora.read(chosen.data, limit=None, seed=chosen.seed)
    found: dict[str, Any] = {}
    with servers.running() as running:
        if chosen.texts:
            template = make_template(running[0], "bench_texts", corpora.recombined(corpus, chosen.texts, seed=0))
            say(f"{chosen.texts:,} texts are loaded")
            found["workers"] = scaling(running, template, corpus, chosen)
        found["large"] = [large(running, corpus, size, chosen) for size in chosen.large]
        machine = report.machine(*running)
    if chosen.texts:
        print(_scaling_table(found["workers"]))
    if chosen.large:
        print(_large_table(found["large"]))
    say(f"raw figures: {report.write('cluster_scaling', chosen.json, {'machine': machine, **found})}")


def scaling(
    running: tuple[servers.Postgres, servers.Redis], template: str, corpus: corpora.Corpus, chosen: argparse.Namespace
) -> list[dict[str, Any]]:
    """Count the words of all texts, predict them and simulate projects, on one and on two Dask workers."""
    from al_learner.core.cluster.cluster_trainer import ClusterTrainer  # heavy
    from al_learner.core.cluster.compute import DO
    from al_learner.core.cluster.transport.client import Client
    from al_learner.core.project import Project
    from al_learner.core.registry import Spec
    from al_learner.core.simulation.grid import Grid
    from al_learner.core.simulation.running.sweep import sweep
    from al_learner.core.training.corpus.counts import CorpusCounts

    postgres, _ = running
    database = postgres.clone(template)
    texts, labels = corpus.texts[: chosen.sweep_texts], corpus.labels[: chosen.sweep_texts]
    trials = Grid(seeds=TRIALS, **SWEEP).trials(len(texts))
    vectorizer = Spec.read("vectorizer", "words-and-meaning")
    rows = []
    with closing(Project(postgres.url(database), classifier="logreg", vectorizer="words-and-meaning")) as project:
        project.load_labels(corpus.label_names)
        project.init()
        model = project._models.recorded(project.models()[0][0].clf_id)  # noqa: SLF001 - what export hands over
        for n_workers in (1, 2, 1, 2):
            with _cluster(n_workers) as cluster:
                client = Client(DO, cluster.address, (), max_bytes=2**30)
                trainer = ClusterTrainer(client, postgres.url(database), slot="batch", timeout_s=chosen.deadline_s)

                def count(trainer: ClusterTrainer = trainer) -> int:
                    parts = trainer._count_tasks(vectorizer)  # noqa: SLF001 - the part of a fit that runs in parallel
                    return len(trainer._ask(CorpusCounts, "merge", parts=parts).words)  # noqa: SLF001

                def predict(trainer: ClusterTrainer = trainer) -> int:
                    return sum(len(part.text_ids) for part in trainer.predict(model, at_most=8))

                def simulate(address: str = cluster.address) -> int:
                    return len(sweep(texts, labels, trials, cluster=address))

                count()  # starts the processes
                for name, work in (("vocabulary", count), ("predictions", predict), ("simulation", simulate)):
                    rows.append({"workers": n_workers, "work": name, **_timed(work, cluster)})
                    say(f"{n_workers} workers, {name}: {rows[-1]['seconds']:.1f} s")
                client.close()
    return rows


def large(
    running: tuple[servers.Postgres, servers.Redis], corpus: corpora.Corpus, size: int, chosen: argparse.Namespace
) -> dict[str, Any]:
    """Let a worker begin a project of many texts on two Dask workers, and train on votes there."""
    postgres, redis = running
    started = time.monotonic()
    labels: list[str] = []

    def rows() -> Iterator[tuple[str, str]]:
        for number, (text, label) in enumerate(corpora.recombined(corpus, size, seed=chosen.seed)):
            if number < chosen.labels * 2:
                labels.append(label)
            yield text, label

    template = make_template(postgres, f"bench_{size}", rows())
    say(f"{size:,} texts are loaded in {time.monotonic() - started:.0f} s")
    names = np.array([*labels, *corpus.label_names], object)
    bench = Bench(postgres, redis, template, names, np.arange(len(labels)), chosen.deadline_s, say)
    with _cluster(2) as cluster:
        processes = {"scheduler": cluster.scheduler, "Dask worker": cluster.workers[0]}
        watched = {name: Memory(process.pid) for name, process in processes.items()}
        for memory in watched.values():
            memory.start()
        subject = Subject("cluster", OURS, {"AL_LEARNER_CLUSTER": cluster.address})
        campaign = run(bench, subject, 0, [chosen.labels])
        peaks = {name: memory.total_peak_mib for name, memory in watched.items()}
        for memory in watched.values():
            memory.stop()
    postgres.drop(template)
    seconds = {f"{event.kind}": event.seconds for event in campaign.events}
    return {"texts": size, "seconds": seconds, "peaks_mib": {"worker": campaign.peak_mib, **peaks}}


@contextmanager
def _cluster(n_workers: int) -> Iterator[Cluster]:
    with (
        tempfile.TemporaryDirectory(prefix="al-learner-bench-") as folder,
        Cluster(Path(folder), {"PGUSER": "postgres"}) as cluster,
    ):
        for _ in range(n_workers):
            cluster.add_worker(threads=1)
        cluster.wait()
        yield cluster


def _timed(work: Callable[[], object], cluster: Cluster) -> dict[str, Any]:
    before = [_cpu_s(worker.pid) for worker in cluster.workers]
    started = time.monotonic()
    work()
    seconds = time.monotonic() - started
    after = [_cpu_s(worker.pid) for worker in cluster.workers]
    return {"seconds": seconds, "cpu_s": [b - a for a, b in zip(before, after, strict=True)]}


def _cpu_s(pid: int) -> float:
    """Return the processor time of a process and its children."""
    process = psutil.Process(pid)
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return float(sum(one.user + one.system for one in times))


def _scaling_table(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = []
    for work in dict.fromkeys(row["work"] for row in rows):
        one, two = ([row for row in rows if (row["work"], row["workers"]) == (work, n)] for n in (1, 2))
        best = [min(row["seconds"] for row in some) for some in (one, two)]
        cpu = " + ".join(f"{used:.0f}" for used in two[-1]["cpu_s"])
        lines.append([work, *(f"{s:.1f}" for s in best), f"{best[0] / best[1]:.2f}", f"{one[-1]['cpu_s'][0]:.0f}", cpu])
    header = ["work", "one worker, s", "two workers, s", "times as fast", "CPU of one, s", "CPU of two, s"]
    return report.markdown(header, lines)


def _large_table(found: Sequence[Mapping[str, Any]]) -> str:
    kinds, processes = ("init", "update", "batch"), ("worker", "scheduler", "Dask worker")
    rows = [
        [
            f"{one['texts']:,}",
            *(f"{one['seconds'][kind]:.1f}" for kind in kinds),
            *(f"{one['peaks_mib'][name]:.0f}" for name in processes),
        ]
        for one in found
    ]
    header = ["texts", "init, s", "update, s", "10 more, s", "peak of the worker, MiB", "of the scheduler"]
    return report.markdown([*header, "of a Dask worker and its processes"], rows)


def _parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="python -m benchmarks.cluster_scaling", description=__doc__)
    options.add_argument("--data", type=Path, default=corpora.DEMO, help="JSON lines (.gz) with text and label")
    options.add_argument("--texts", type=int, default=400_000, help="texts that are counted and predicted; 0: none")
    options.add_argument("--sweep-texts", type=int, default=2_000, help="texts of the simulated projects")
    options.add_argument("--large", type=numbers, default=(), help="texts of whole projects: 1000000,10000000")
    options.add_argument("--labels", type=int, default=1_000, help="labelled texts at the update of these projects")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--deadline-s", type=float, default=3_600)
    options.add_argument("--json", type=Path, help="default: benchmarks/results/cluster_scaling.json")
    return options


if __name__ == "__main__":
    main()
