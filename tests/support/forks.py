"""Processes that are forked, with their imports done, from one that has no threads: `tests.support.nursery`."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Self

from tests.support.waiting import DEADLINE_S

ROOT = Path(__file__).parents[2]

WORKER = (
    "al_learner.core.training.fitting", "alembic.command", "alembic.config", "psycopg", "sklearn.metrics",
    "sklearn.naive_bayes", "sqlalchemy.dialects.postgresql.psycopg",
)  # fmt: skip
"""What a worker and its child processes import late, beside what every project needs."""

COMMAND = (
    "alembic.command", "rich.table", "scipy.stats", "sklearn.decomposition", "sklearn.feature_selection",
    "sklearn.linear_model", "sklearn.metrics", "sklearn.naive_bayes", "sqlalchemy.dialects.sqlite", "typer.rich_utils",
)  # fmt: skip
"""What the command line does."""

DASK = ("distributed.nanny", "distributed.scheduler", "distributed.worker", "msgspec", *WORKER)
"""What a Dask scheduler and a Dask worker do."""

SHIM = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as nursery:
    nursery.connect({address!r})
    order = {{"arguments": [{script!r}, *sys.argv[1:]], "environment": dict(os.environ), "folder": os.getcwd()}}
    socket.send_fds(nursery, [json.dumps(order).encode()], [0, 1, 2])
    pid, code = nursery.makefile().read().split()
sys.exit(int(code))
"""


class Nursery:
    """Where processes are forked; used in a with statement, which ends the nursery, but none of its processes.

    Parameters
    ----------
    preloaded : sequence of str
        Modules that are imported before.
    python : Path
        The interpreter.
    """

    def __init__(self, preloaded: Sequence[str], *, python: Path = Path(sys.executable)) -> None:
        self._python, self._preloaded = python, preloaded

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="al-learner-")
        self._address = f"{self._folder.name}/nursery"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self._address)
            listener.listen()
            module = ("-W", "error", "-m", "tests.support.nursery")
            # One thread of BLAS, which none of these processes needs for long: a fork would lose the others.
            environment = {**os.environ, "PYTHONPATH": "", "OPENBLAS_NUM_THREADS": "1"}
            self._process = subprocess.Popen(
                [self._python, *module, str(listener.fileno()), *self._preloaded],
                env=environment,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                pass_fds=[listener.fileno()],
                start_new_session=True,
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=DEADLINE_S)
        self._folder.cleanup()

    def start(self, module: str, environment: Mapping[str, str]) -> Forked:
        """Fork a process that runs a module as ``python -m`` does, in this process's folder."""
        stderr, theirs = os.pipe()
        return Forked(self._order(theirs, [module], environment), os.fdopen(stderr, encoding="utf-8"))

    def start_with_threads(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> Forked:
        """Do the same with a module that starts threads: its child processes are started, not forked."""
        theirs = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        return Forked(self._order(theirs, arguments, environment, forks_children=False), None)

    def _order(
        self, stderr: int, arguments: Sequence[str], environment: Mapping[str, str], **options: bool
    ) -> socket.socket:
        """Order a process, and return the socket on which the nursery tells about it. Closes the descriptor."""
        order = {"arguments": [*arguments], "environment": dict(environment), "folder": str(Path.cwd()), **options}
        customer = socket.socket(socket.AF_UNIX)
        customer.settimeout(DEADLINE_S)
        customer.connect(self._address)
        socket.send_fds(customer, [json.dumps(order).encode()], [0, 1, stderr])
        os.close(stderr)
        return customer

    def install(self, script: Path, folder: Path) -> None:
        """Put a command into a folder that has the script's name, and runs the script in a process that is forked."""
        shim = folder / script.name
        shim.write_text(SHIM.format(python=sys.executable, address=self._address, script=str(script)), encoding="utf-8")
        shim.chmod(0o755)


class Forked:
    """A process that was forked elsewhere, with what `subprocess.Popen` has for its own."""

    def __init__(self, customer: socket.socket, stderr: IO[str] | None) -> None:
        self.stderr = stderr
        self.returncode: int | None = None
        self._answers = customer.makefile()
        self._customer = customer
        self._lock = threading.Lock()
        self.pid = int(self._answers.readline())

    def poll(self) -> int | None:
        return self._returncode(0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._returncode(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("a forked process", timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _returncode(self, timeout: float | None) -> int | None:
        with self._lock:
            if self.returncode is None and select.select([self._customer], [], [], timeout)[0]:
                self.returncode = int(self._answers.readline())
                self._answers.close()
                self._customer.close()
            return self.returncode
