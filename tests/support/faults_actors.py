"""Those who work beside the worker while it is under fire: a predictor in a process of its own, and voters."""

from __future__ import annotations

import json
import random
import subprocess
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import psutil
import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support.faults_processes import is_running, wait_for_end
from tests.support.predictor import is_outage
from tests.support.servers import Postgres, Redis
from tests.support.waiting import DEADLINE_S, wait_until

PACKAGES = ("scikit-learn", "numpy", "scipy", "psycopg[binary]", "redis")
"""What a predictor's interpreter has."""

PROGRAM = Path(__file__).with_name("predictor.py")
RESTART_S = 0.1
ACCURACY = 0.8
"""How often a vote is for the true label, at least."""

Event = dict[str, Any]
Vote = tuple[int, str, str]


class Predictors:
    """The program `tests.support.predictor`: makes predictors, and ends with the ``with`` block, as they do."""

    def __init__(self, python: Path) -> None:
        self._command = (python, "-I", "-W", "error", PROGRAM)

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def start(self, **order: Any) -> psutil.Process:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return psutil.Process(int(self._process.stdout.readline()))


class Predictor:
    """A predictor's process, and what it said, also in earlier lives."""

    def __init__(self, home: Predictors, file: Path, environment: Mapping[str, str], *, seed: int, write_s: float):
        self._home, self._file = home, file
        self._order = {"environment": environment, "file": str(file), "seed": seed, "write_s": write_s}
        self._process: psutil.Process | None = None

    def start(self) -> None:
        self._process = self._home.start(**self._order)

    def kill(self) -> None:
        """Send SIGKILL and wait for the end."""
        if self._process is not None:
            with suppress(psutil.NoSuchProcess):
                self._process.kill()
            wait_for_end([self._process])
            self._process = None

    @property
    def events(self) -> list[Event]:
        """What it said; a line that was cut short is left out."""
        if not self._file.exists():
            return []
        lines = self._file.read_text(encoding="utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}\n")]

    def said(self, name: str, **fields: Any) -> list[Event]:
        wanted = {"event": name, **fields}
        return [event for event in self.events if wanted.items() <= event.items()]

    def wait_for(self, name: str, count: int = 1, **fields: Any) -> None:
        """Wait until it has said this so often."""
        wait_until(lambda: len(self.said(name, **fields)) >= count, f"the predictor to say {name} {fields}")

    def errors(self) -> list[str]:
        """Return what went wrong, apart from servers that went away."""
        errors = [str(event["error"]) for event in self.said("failed")]
        has_ended = self._process is not None and not is_running(self._process)
        return [*errors, "it ended"] if has_ended and not errors else errors


class Voters:
    """Annotators, a thread each: a vote is appended in one statement, now and then `update` is published.

    Parameters
    ----------
    pause_s : float
        Between an annotator's votes.
    """

    def __init__(
        self, postgres: Postgres, database: str, server: Redis, truth: Mapping[int, str], *, seed: int, every: int
    ) -> None:
        self._postgres, self._database, self._redis = postgres, database, server
        self._truth, self._every = truth, every
        self._labels = sorted({*truth.values()})
        self._chance = random.Random(seed)
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self.stored: list[Vote] = []
        """Votes that the database has confirmed, so that they must be in the tables."""
        self.given: list[Vote] = []
        """All votes. Some connections broke before the answer came, so these votes may be in the tables."""
        self.publications = 0
        self.outages = 0
        self.errors: list[str] = []
        self._number = 0

    def start(self, n_annotators: int = 2, *, pause_s: float = 0.05) -> Self:
        self._over.clear()
        self._threads = [threading.Thread(target=self._work, args=(pause_s,), daemon=True) for _ in range(n_annotators)]
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(DEADLINE_S)
            assert not thread.is_alive(), "a voter waits for the database without end"
        self._threads = []

    def give(self, votes: Iterable[tuple[int, str]]) -> None:
        """Give votes, each a text_id and a label, and publish `update`."""
        with self._postgres.connect(self._database) as connection:
            for text_id, label in votes:
                self._store(connection, (text_id, label, self._annotator()))
        self.publish()

    def publish(self, payload: str = "update") -> None:
        """Tell the learner, if Redis is there."""
        options = {"retry": Retry(NoBackoff(), 0), "socket_timeout": DEADLINE_S}
        with suppress(redis.RedisError, OSError), redis.Redis(port=self._redis.port, **options) as client:
            client.publish("learner", payload)
            self.publications += 1

    def _work(self, pause_s: float) -> None:
        while not self._over.is_set():
            try:
                with self._postgres.connect(self._database) as connection:
                    while not self._over.wait(pause_s):
                        if self._store(connection, self._draw()) % self._every == 0:
                            threading.Thread(target=self.publish, daemon=True).start()  # Redis may be paused
            except Exception as exc:  # noqa: BLE001 - whatever it was, the test shows it
                if is_outage(exc):
                    self.outages += 1
                else:
                    self.errors.append(f"{type(exc).__name__}: {exc}")
                self._over.wait(RESTART_S)

    def _draw(self) -> Vote:
        with self._lock:
            text_id = self._chance.choice([*self._truth])
            is_right = self._chance.random() < ACCURACY
            label = self._truth[text_id] if is_right else self._chance.choice(self._labels)
        return text_id, label, self._annotator()

    def _annotator(self) -> str:
        with self._lock:
            self._number += 1
            return f"annotator {self._number}"

    def _store(self, connection: psycopg.Connection[Any], vote: Vote) -> int:
        text_id, label, user = vote
        with self._lock:
            self.given.append(vote)
        done = connection.execute(
            "UPDATE text_data SET labels = array_append(labels, %s), users = array_append(users, %s)"
            " WHERE text_id = %s",
            (label, user, text_id),
        )
        assert done.rowcount == 1
        with self._lock:
            self.stored.append(vote)
            return len(self.stored)
