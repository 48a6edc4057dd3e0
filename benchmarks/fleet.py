"""``python -m benchmarks.fleet``: one worker of many projects, beside a worker for each of some projects."""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import psycopg

from benchmarks import corpus as corpora
from benchmarks import report
from benchmarks.app import App, make_template
from benchmarks.common import OURS, end_tidily, say
from benchmarks.process import Worker
from tests.support import servers
from tests.support.waiting import wait_until

BATCH_SIZE = 10
FIRST = 10
"""So many projects are there before the others come; their worker's memory is what all others are compared with."""

SAMPLE_S = 0.5
"""How often connections are counted."""

QUIET_S = 35
"""A project is read every 30 seconds, so by then every loop has rested."""


@dataclass
class Figures:
    """What was measured of a way to serve projects.

    Attributes
    ----------
    projects : int
    seconds : list of float
        From the tenth vote of a project to its announcement, for each batch.
    resident_mib, children_mib : float
        Memory of the worker, or of all of them, and of their training processes, when nothing is due.
    connections, most_connections : float
        Connections to PostgreSQL for each project, of the workers and their training processes, when nothing is due;
        and the most of all projects at a time.
    start_s : float or None
        From the settings files of the other projects until every project had a classifier.
    project_kib : float or None
        Memory of the worker for each project beyond the first.
    """

    projects: int
    seconds: list[float]
    resident_mib: float
    children_mib: float
    connections: float
    most_connections: int
    start_s: float | None = None
    project_kib: float | None = None


def main() -> None:
    """Measure both, print the table and write the JSON file."""
    chosen = _parser().parse_args()
    end_tidily()
    corpus = corpora.read(chosen.data, limit=chosen.texts, seed=chosen.seed)
    with ExitStack() as stack:
        place = stack.enter_context(servers.folder())
        postgres = servers.Postgres(place)
        stack.callback(postgres.stop, immediate=True)
        postgres.start("-c", f"max_connections={5 * chosen.projects + 100}")
        template = make_template(postgres, "bench_texts", corpus.rows())
        apps = [_app(stack, postgres, template, corpus, place / f"{number}") for number in range(chosen.projects)]
        say(f"{len(apps)} databases and Redis servers")
        with one_worker(apps, place, chosen, postgres) as (worker, peak, alone_mib, start_s):
            together = _measured([worker], apps, corpus, postgres, chosen)
            together.project_kib = 1024 * (together.resident_mib - alone_mib) / (len(apps) - FIRST)
            together.start_s, together.most_connections = start_s, peak.stop()
            say(f"one worker of {len(apps)} projects is measured")
        some = apps[: chosen.separate]
        with separate_workers(some, place, chosen) as workers:
            apart = _measured(workers, some, corpus, postgres, chosen)
        machine = report.machine(postgres, _redis(stack, place))
    print(table(together, apart))
    figures = {"machine": machine, "one": asdict(together), "separate": asdict(apart)}
    say(f"raw figures: {report.write('fleet', chosen.json, figures)}")


class Peak(threading.Thread):
    """Counts the connections of workers and their training processes, and keeps the highest number."""

    def __init__(self, postgres: servers.Postgres, workers: Sequence[Worker]) -> None:
        super().__init__(daemon=True)
        self._postgres, self._workers = postgres, workers
        self._ended = threading.Event()
        self.connections = 0

    def run(self) -> None:
        """Count until `stop`."""
        with self._postgres.connect() as connection:
            while not self._ended.wait(SAMPLE_S):
                self.connections = max(self.connections, _connections(connection, self._workers))

    def stop(self) -> int:
        """Stop counting, and return the highest number."""
        self._ended.set()
        self.join()
        return self.connections


@contextmanager
def one_worker(
    apps: Sequence[App], place: Path, chosen: argparse.Namespace, postgres: servers.Postgres
) -> Iterator[tuple[Worker, Peak, float, float]]:
    """Start one worker: first with some of the projects.

    Yield it, the peak of its connections, the MiB that it had then, and how long the others took to get classifiers.
    """
    folder = place / "projects"
    folder.mkdir()
    environment = {**_settings(chosen), "AL_LEARNER_TRAINERS": str(chosen.trainers)}
    for app in apps[:FIRST]:
        _settings_file(folder, app)
    with Worker([*OURS, str(folder)], environment, _scratch(place, "fleet")) as worker:
        _wait_for_classifiers(apps[:FIRST], worker.is_alive, chosen)
        time.sleep(QUIET_S)
        before = _resident_mib(worker)
        peak = Peak(postgres, [worker])
        peak.start()
        started = time.monotonic()
        for app in apps[FIRST:]:
            _settings_file(folder, app)
        _wait_for_classifiers(apps, worker.is_alive, chosen)
        seconds = time.monotonic() - started
        say(f"all projects have classifiers, after {seconds:.0f} s")
        time.sleep(QUIET_S)
        yield worker, peak, before, seconds


@contextmanager
def separate_workers(apps: Sequence[App], place: Path, chosen: argparse.Namespace) -> Iterator[list[Worker]]:
    """Start a worker for each project, on databases in which there are classifiers."""
    with ExitStack() as stack:
        workers = []
        for app in apps:
            environment = {**app.environment, **_settings(chosen)}
            workers.append(stack.enter_context(Worker(OURS, environment, _scratch(place, app.database))))
        wait_until(lambda: all(app.is_received() for app in apps), "the workers to subscribe", deadline_s=300)
        time.sleep(QUIET_S)
        yield workers


def _measured(
    workers: Sequence[Worker], apps: Sequence[App], corpus: corpora.Corpus, postgres: servers.Postgres,
    chosen: argparse.Namespace,
) -> Figures:  # fmt: skip
    """Measure memory and connections at rest, and then batches of votes at random times."""
    with postgres.connect() as connection:
        connections = _connections(connection, workers) / len(apps)
    resident, children = sum(map(_resident_mib, workers)), sum(map(_children_mib, workers))
    peak = Peak(postgres, workers)
    peak.start()
    rng = np.random.default_rng(chosen.seed)
    locks = [threading.Lock() for _ in apps]

    def is_alive() -> bool:
        return all(worker.is_alive() for worker in workers)

    def batch(number: int) -> float:
        app = apps[number]
        with locks[number]:  # a project that has not answered yet gets its next votes later
            start = app.n_voted()
            rows = range(start, start + BATCH_SIZE)
            app.vote([row + 1 for row in rows], [corpus.labels[row] for row in rows])
            return app.seconds_until_announced("update", is_alive=is_alive, deadline_s=chosen.deadline_s)[0]

    with ThreadPoolExecutor(32) as pool:
        waiting = []
        for number in rng.permutation(np.resize(np.arange(len(apps)), chosen.batches)).tolist():
            time.sleep(rng.exponential(chosen.every))
            waiting.append(pool.submit(batch, number))
        seconds = [one.result() for one in waiting]
    return Figures(len(apps), seconds, resident, children, connections, peak.stop())


def _connections(connection: psycopg.Connection[Any], workers: Sequence[Worker]) -> int:
    """Return how many connections workers and their training processes have."""
    pids = [process.pid for worker in workers for process in _family(worker)]
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name ~ '^al-learner' AND datname ~ '^test_'"
        " AND substring(application_name from '[0-9]+$')::int = ANY(%s)"
    )
    return int((connection.execute(query, [pids]).fetchone() or (0,))[0])


def _family(worker: Worker) -> list[psutil.Process]:
    process = psutil.Process(worker.pid)
    return [process, *process.children(recursive=True)]


def table(one: Figures, separate: Figures) -> str:
    """Return a row for each way."""
    rows = []
    for name, figures in (("one worker", one), ("a worker for each", separate)):
        p95 = float(np.percentile(figures.seconds, 95))
        kib = "" if figures.project_kib is None else f"{figures.project_kib:.0f}"
        memory = f"{figures.resident_mib:.0f}", f"{figures.children_mib:.0f}", kib
        times = f"{statistics.median(figures.seconds):.2f}", f"{p95:.2f}"
        connections = f"{figures.connections:.2f}", str(figures.most_connections)
        start = "" if figures.start_s is None else f"{figures.start_s:.0f}"
        rows.append([name, str(figures.projects), start, *times, *memory, *connections])
    header = ["", "projects", "start, s", "median, s", "95th percentile, s", "workers, MiB", "trainers, MiB"]
    return report.markdown([*header, "KiB a project", "connections a project", "most connections"], rows)


def _app(stack: ExitStack, postgres: servers.Postgres, template: str, corpus: corpora.Corpus, folder: Path) -> App:
    folder.mkdir()
    redis_server = _redis(stack, folder)
    app = stack.enter_context(App(postgres, redis_server, template, corpus.label_names))
    app.end_loading()
    return app


def _redis(stack: ExitStack, folder: Path) -> servers.Redis:
    redis_server = servers.Redis(folder)
    stack.callback(redis_server.stop)
    redis_server.start()
    return redis_server


def _settings(chosen: argparse.Namespace) -> dict[str, str]:
    """Return the strategies that were asked for, as settings."""
    names = "classifier", "vectorizer", "init_sampler"
    given = {name.upper(): getattr(chosen, name) for name in names}
    return {f"AL_LEARNER_{name}": value for name, value in given.items() if value} | {"BATCH_SIZE": str(BATCH_SIZE)}


def _settings_file(folder: Path, app: App) -> None:
    place = app.environment
    database = f"postgresql://{place['PGUSER']}@{place['PGHOST']}:{place['PGPORT']}/{app.database}"
    redis = f"redis://{place['REDIS_HOST']}:{place['REDIS_PORT']}"
    lines = f'database_url = "{database}"\nredis_url = "{redis}"\n'
    (folder / f"{app.database}.toml").write_text(lines, encoding="utf-8")


def _scratch(place: Path, name: str) -> Path:
    folder = place / f"worker-{name}"
    folder.mkdir()
    return folder


def _wait_for_classifiers(apps: Sequence[App], is_alive: Callable[[], bool], chosen: argparse.Namespace) -> None:
    wait_until(
        lambda: not is_alive() or all(app.newest("classifiers", "clf_id") for app in apps),
        "every project to have a classifier",
        deadline_s=chosen.deadline_s,
    )
    if not is_alive():
        raise RuntimeError("the worker has ended")


def _resident_mib(worker: Worker) -> float:
    return float(psutil.Process(worker.pid).memory_info().rss / 2**20)


def _children_mib(worker: Worker) -> float:
    """Return the memory of the training processes. What several share is divided among them."""
    return float(sum(child.memory_full_info().pss for child in _family(worker)[1:]) / 2**20)


def _parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=__doc__)
    options.add_argument("--projects", type=int, default=200)
    options.add_argument("--trainers", type=int, default=2, help="trainings at a time")
    options.add_argument("--separate", type=int, default=20, help="number of projects with a worker of their own")
    options.add_argument("--data", type=Path, default=corpora.DEMO, help="JSON lines (.gz) with text and label")
    options.add_argument("--texts", type=int, default=500, help="texts of each project")
    options.add_argument("--batches", type=int, default=100, help="batches of ten votes, in projects chosen at random")
    options.add_argument("--every", type=float, default=2.0, help="mean seconds between two batches")
    options.add_argument("--classifier", help="default: that of a new project")
    options.add_argument("--vectorizer", help="the same for the vectorizer")
    options.add_argument("--init-sampler", help="the same for the init sampler")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--deadline-s", type=float, default=3_600)
    options.add_argument("--json", type=Path, help="default: benchmarks/results/fleet.json")
    return options


if __name__ == "__main__":
    main()
