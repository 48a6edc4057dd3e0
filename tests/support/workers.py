"""The worker as a process of its own, and what it logs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.forks import Forked, Nursery
from tests.support.waiting import DEADLINE_S

COMMAND = (sys.executable, "-W", "error", "-m", "al_learner.worker")

Event = dict[str, Any]


class WorkerProcess:
    """A worker, from ``with`` to its end; leaving the block stops it as Docker would, and fails if it does not stop.

    Parameters
    ----------
    environment : mapping of str to str
        Added to this process's own, which the tests keep free of settings.
    folder : Path
        Where the heartbeat is left.
    command : sequence of str or Path
        A Python that runs a module.
    nursery : Nursery, optional
        Where that module is run in a process that is forked. Default: the command is started, as a user starts it.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        folder: Path,
        *,
        command: Sequence[str | Path] = COMMAND,
        nursery: Nursery | None = None,
    ) -> None:
        self.heartbeat = folder / "heartbeat"
        self._environment = {
            **os.environ,
            "AL_LEARNER_LOG": "json",
            "AL_LEARNER_HEARTBEAT_FILE": str(self.heartbeat),
            **environment,
        }
        self._command, self._nursery = command, nursery
        self._changed = threading.Condition()
        self._lines: list[str] = []
        self._events: list[Event] = []
        self._stray: list[str] = []
        self._ended = False
        self._process: subprocess.Popen[str] | Forked | None = None

    def __enter__(self) -> Self:
        if self._nursery is not None:
            self._process = self._nursery.start(str(self._command[-1]), self._environment)
        else:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stderr=subprocess.PIPE, text=True, start_new_session=True
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.terminate()
        try:
            self.wait()
        except subprocess.TimeoutExpired:
            self.kill()
            self.wait()
            if exc is None:
                raise AssertionError(f"the worker did not stop within {DEADLINE_S} s; it logged\n{self.log}") from None
        finally:
            if exc is not None:
                exc.add_note(f"the worker logged\n{self.log}")

    @property
    def process(self) -> subprocess.Popen[str] | Forked:
        assert self._process is not None, "the worker was not started: use it in a with statement"
        return self._process

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def trainer_pid(self) -> int:
        """The process id of the first training process."""
        return int(self.wait_for("worker.started")["trainer_pid"])

    @property
    def events(self) -> list[Event]:
        """Every event logged so far: its fields, with its name under ``event``."""
        with self._changed:
            return list(self._events)

    @property
    def log(self) -> str:
        """Everything written to standard error so far, also what is no event."""
        with self._changed:
            return "\n".join(self._lines)

    @property
    def stray(self) -> list[str]:
        """The lines that are no events: tracebacks, warnings, problems of the settings."""
        with self._changed:
            return list(self._stray)

    @property
    def complaints(self) -> list[Event]:
        """The events that are warnings or errors."""
        return [event for event in self.events if event["level"] != "info"]

    def logged(self, name: str, *, since: int = 0, **fields: Any) -> list[Event]:
        """Return the events with this name and these fields; `since`: without the first so many of all events."""
        with self._changed:
            return self._matching(name, since, fields)

    def wait_for(self, name: str, *, since: int = 0, deadline_s: float = DEADLINE_S, **fields: Any) -> Event:
        """Return the first such event, which may have been logged already; fail after the deadline."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._matching(name, since, fields), deadline_s)
        found = self.logged(name, since=since, **fields)
        wanted = " ".join([name, *(f"{field}={value!r}" for field, value in fields.items())])
        assert found, f"waited for {wanted}; the worker {'ended' if self._ended else 'runs'} and logged\n{self.log}"
        return found[0]

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.process.terminate()

    def interrupt(self) -> None:
        """Send SIGINT."""
        self.process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """Send SIGKILL; the training process ends by itself then."""
        self.process.kill()

    def wait(self, deadline_s: float = DEADLINE_S) -> int:
        """Wait until it has ended, and return its exit code."""
        code = self.process.wait(deadline_s)
        self._reader.join(deadline_s)
        return code

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in lines:
                with self._changed:
                    self._lines.append(line.rstrip("\n"))
                    try:
                        self._events.append(json.loads(line))
                    except ValueError:
                        self._stray.append(self._lines[-1])
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _matching(self, name: str, since: int, fields: Mapping[str, Any]) -> list[Event]:
        wanted = {"event": name, **fields}
        return [
            event
            for event in self._events[since:]
            if all(field in event and event[field] == value for field, value in wanted.items())
        ]
