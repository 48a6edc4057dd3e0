"""A Dask scheduler and its workers, as processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import distributed
import psutil

from al_learner.core.cluster.transport.client import Client
from al_learner.core.errors import ClusterUnavailable
from tests.support.forks import Forked, Nursery
from tests.support.waiting import DEADLINE_S, wait_until

ROOT = Path(__file__).parents[2]

Process = subprocess.Popen[bytes] | Forked


class Cluster:
    """A scheduler and workers on loopback.

    Parameters
    ----------
    folder : Path
    environment : mapping of str to str
        Of the Dask workers.
    tls : sequence of Path
        CA, certificate and key; without them, nothing is encrypted.
    nursery : Nursery, optional
        Where its processes are forked. Without it, they are started as users start them.
    """

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str],
        *,
        tls: Sequence[Path] = (),
        nursery: Nursery | None = None,
    ) -> None:
        self._folder, self._environment, self._nursery = folder, environment, nursery
        names = ("ca-file", "cert", "key") if tls else ()
        self._options = [word for name, file in zip(names, tls, strict=True) for word in (f"--tls-{name}", str(file))]
        self._protocol = "tls" if tls else "tcp"
        self._port = 0
        self.scheduler: Process
        self.workers: list[Process] = []

    def __enter__(self) -> Self:
        self.start_scheduler()
        return self

    def __exit__(self, *_: object) -> None:
        for process in [*self.workers, self.scheduler]:
            kill(process)

    @property
    def address(self) -> str:
        return f"{self._protocol}://127.0.0.1:{self._port}"

    @property
    def port(self) -> int:
        """The scheduler's."""
        return self._port

    def start_scheduler(self) -> None:
        """Start it, on the same port as before."""
        file = self._folder / "scheduler.json"
        file.unlink(missing_ok=True)
        self.scheduler = self._start(
            "dask_scheduler", "--host", f"{self._protocol}://127.0.0.1", "--port", str(self._port), "--no-show",
            "--scheduler-file", str(file), "--no-dashboard", "--dashboard-address", "127.0.0.1:0",
        )  # fmt: skip
        wait_until(lambda: file.exists() and file.read_text(encoding="utf-8"), "the Dask scheduler to start")
        self._port = int(json.loads(file.read_text(encoding="utf-8"))["address"].rpartition(":")[2])

    def add_worker(self, memory_limit: str = "4GiB", *, trainings: int = 1, threads: int = 2) -> Process:
        """Start a Dask worker, without waiting for it."""
        worker = self._start(
            "dask_worker", self.address, "--nthreads", str(max(threads, trainings)), "--resources",
            f"training={trainings} scoring=1 batch=1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1",
            "--memory-limit", memory_limit, "--local-directory", str(self._folder),
        )  # fmt: skip
        self.workers.append(worker)
        return worker

    def wait(self) -> None:
        """Wait until all Dask workers have come."""
        with distributed.Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(len(self.workers), timeout=DEADLINE_S)

    def _start(self, module: str, *arguments: str) -> Process:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(self._folder), **self._environment}
        command = [f"distributed.cli.{module}", *arguments, *self._options]
        file = self._folder / f"{module}.log"
        if self._nursery is not None:
            return self._nursery.start_with_threads(command, environment, file)
        with file.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", *command], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )


def answers(client: Client) -> bool:
    """Whether the scheduler has a Dask worker."""
    try:
        client.ping()
    except ClusterUnavailable:
        return False
    return True


def kill(process: Process) -> None:
    """Kill a process, and wait for its end."""
    process.send_signal(signal.SIGKILL)
    process.wait(DEADLINE_S)


def training_processes(process: Process) -> set[int]:
    """Return the ids of the training processes of a Dask worker."""
    (server,) = psutil.Process(process.pid).children()
    return {child.pid for child in server.children()}
