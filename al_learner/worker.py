"""The worker: does what is due, at its start, on every message, and at a regular interval.

The stored state decides what is due; a message is only a notification. Notifications that arrive during a run cause one
more reconciliation, not a queue.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import FrameType
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from al_learner.core.configuration.settings import Settings

EXIT_OK = 0
EXIT_ERROR = 1
EXIT_SIGNAL = 128
"""Plus the signal's number: a second signal ended the worker at once."""

LISTENER_END_S = 2.0
"""How long the worker waits for the listener to end."""

BEAT_S = 2.0
"""The heartbeat is renewed at least so often."""

FULL_READ_S = 600
"""The project state is read at least so often, even if nothing seems to have been written."""

RETRY_S = (0.5, 30.0)
"""Shortest and longest pause after an error that may pass."""

Part = Literal["loop", "listener"]
"""A part of the worker that survives unexpected errors."""


END_S = 1.5
"""So long after the grace period the process ends, whatever it waits for. Docker kills 10 s after SIGTERM."""


class Stopped(KeyboardInterrupt):
    """The grace period after the first signal is over; what is in progress is abandoned.

    Like any KeyboardInterrupt it makes psycopg cancel the statement that waits.
    """


class Signals:
    """The first SIGTERM or SIGINT asks to stop; the second ends the process at once."""

    def __init__(self) -> None:
        self._wakes: SimpleQueue[None] = SimpleQueue()  # its put, unlike Event.set, may be interrupted by itself
        self._first: SimpleQueue[None] = SimpleQueue()
        self.stopping_since: float | None = None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._received)

    @property
    def stopping(self) -> bool:
        """Whether the first signal has come."""
        return self.stopping_since is not None

    def wake(self) -> None:
        """End the wait of the main thread."""
        self._wakes.put(None)

    def wait(self, seconds: float) -> None:
        """Wait until `wake`, or until the time is over. Called by the main thread."""
        with suppress(Empty):
            self._wakes.get(timeout=seconds)
            while True:
                self._wakes.get_nowait()

    def wait_for_first(self) -> None:
        """Wait for the first signal. Called by one thread."""
        self._first.get()

    def _received(self, number: int, _frame: FrameType | None) -> None:
        if self.stopping:
            os._exit(EXIT_SIGNAL + number)
        self.stopping_since = time.monotonic()
        self._first.put(None)
        self.wake()


class Worker:
    """One project's worker.

    Parameters
    ----------
    settings : Settings
    signals : Signals
    """

    def __init__(self, settings: Settings, signals: Signals) -> None:
        from al_learner.core.project import Project  # late, like all of core: the signal handlers come first
        from al_learner.core.training.compute import Compute

        self._settings, self._signals = settings, signals
        make = Compute.in_subprocesses
        if settings.cluster is not None:
            from al_learner.core.cluster.compute import (
                on_cluster as make,  # needs an extra; imported only if it is used
            )
        self._compute = make(settings, tick=self._tick, on_done=lambda: self._on_message(""))
        self._project = Project.of(settings, compute=self._compute, tick=self._tick)
        self._notifications: set[str] = set()
        self._init_received = False
        self._idle_token: str | None = None
        self._read_at = 0.0
        self._has_heart = True
        self._idle_reason: str | None = None
        self._beat_at = time.monotonic()
        self._new_samples = 0
        self._is_superseded = False
        self._is_aborted = False
        self._waiting_since: float | None = None
        self._problems: dict[Part, str] = {}
        self._n_unexpected: Counter[Part] = Counter()

    def run(self) -> int:
        """Work until a signal comes. Return the exit code."""
        from al_learner.core.errors import MigrationError
        from al_learner.core.events import event

        if self._settings.http_port is not None:
            from al_learner.core.service import http  # needs an extra; imported only if a port is configured

            http.serve(
                self._settings.http_host,
                self._settings.http_port,
                vitals=self._project.vitals,
                figures=lambda: http.OwnFigures(
                    is_alive=self._is_alive(),
                    is_subscribed=self._project.is_subscribed,
                    is_superseded=self._is_superseded,
                    new_samples=self._new_samples,
                    unexpected_errors=self._n_unexpected.total(),
                    waiting_s=0 if self._waiting_since is None else time.monotonic() - self._waiting_since,
                    problem=self._problem(),
                ),
            )
        event("worker.started", pid=os.getpid(), trainer_pid=self._compute.trainer_pid)
        ended = threading.Event()
        listener = threading.Thread(target=self._listen, args=(ended,), daemon=True)
        listener.start()
        threading.Thread(target=self._end_in_time, daemon=True).start()
        try:
            self._until_done(self._project.register_worker)
            while not self._signals.stopping:
                self._until_done(self._work)
                self._wait(min(self._settings.reconcile_s, self._settings.reannounce_s), for_message=True)
        except Stopped:
            event("worker.aborted", level=logging.WARNING, grace_s=self._settings.grace_s)
        except MigrationError as exc:
            event("worker.failed", level=logging.ERROR, error=str(exc))
            return EXIT_ERROR
        finally:
            ended.set()
            listener.join(LISTENER_END_S)
            self._project.close()
            self._compute.close()
        event("worker.stopped")
        return EXIT_OK

    def _work(self) -> None:
        """Do what is due until nothing is, and repeat an announcement if that is necessary."""
        self._reconcile()
        if not (self._is_superseded or self._signals.stopping):
            self._project.repeat_announcement()

    def _reconcile(self) -> None:
        """Do what is due until nothing is. Without a notification, and if nothing was written, do nothing."""
        from al_learner.core.errors import BusyError
        from al_learner.core.events import event
        from al_learner.core.processes.memory import return_free_memory

        is_idle = self._idle_token is not None and not self._notifications
        is_recent = time.monotonic() - self._read_at < FULL_READ_S
        if is_idle and is_recent and self._idle_token == self._project.change_token():
            return None
        self._idle_token = None
        may_announce = True
        while not self._signals.stopping:
            # Swapped in one statement, because the listener's thread adds to the set.
            notifications, self._notifications = self._notifications, set()
            self._init_received |= "init" in notifications
            token = self._project.change_token()
            self._read_at = time.monotonic()
            try:
                state = self._project.reconcile(init_received=self._init_received, may_announce=may_announce)
            except BusyError as exc:
                return self._idle(str(exc))
            self._new_samples = state.facts.new_samples
            if state.facts.superseded and not self._is_superseded:
                event("worker.superseded", level=logging.WARNING, reason=state.facts.superseded)
            self._is_superseded = state.facts.superseded is not None
            if state.facts.has_classifier:
                self._init_received = False
            if state.due is None:
                return_free_memory()  # of runs and of reading the state; now there is time
                # Votes do not change when a pause is over or another worker ends.
                may_rest = not state.facts.blocked and not self._is_superseded
                if may_rest and not self._project.is_announcement_pending(state.newest):
                    self._idle_token = token
                return self._idle(state.reason)
            may_announce = state.due == "score"
        return None

    def _idle(self, reason: str) -> None:
        from al_learner.core.events import event

        if reason != self._idle_reason:
            event("reconcile.idle", reason=reason)
        self._idle_reason = reason

    def _wait(self, seconds: float, *, for_message: bool) -> None:
        """Wait for a signal, the time, or a message."""
        deadline = time.monotonic() + seconds
        while not self._signals.stopping and (left := deadline - time.monotonic()) > 0:
            if for_message and self._notifications:
                return
            self._beat()
            self._signals.wait(min(BEAT_S, left))

    def _listen(self, ended: threading.Event) -> None:
        """Receive messages until `ended` is set. Runs in the listener's thread."""

        def on_message(payload: str) -> None:
            self._problems.pop("listener", None)
            self._on_message(payload)

        pause = RETRY_S[0]
        while not ended.is_set():
            try:
                return self._project.listen(on_message, ended)
            except Exception as exc:  # noqa: BLE001 - the worker survives whatever nobody expected
                pause = RETRY_S[0] if "listener" not in self._problems else min(2 * pause, RETRY_S[1])
                self._unexpected("listener", exc)
            ended.wait(random.uniform(pause / 2, pause))  # noqa: S311 - jitter, not a secret
        return None

    def _on_message(self, payload: str) -> None:
        """Keep a message as a notification. Runs in the listener's thread."""
        from al_learner.core.events import event

        if payload not in ("", "init", "update"):  # empty: subscribed again, so messages may have been missed
            event("message.ignored", level=logging.WARNING, payload=payload[:40], length=len(payload))
            return
        self._notifications.add(payload)
        self._signals.wake()

    def _until_done(self, task: Callable[[], object]) -> None:
        """Do a task. Repeat it with growing pauses after an error that may pass."""
        from al_learner.core import errors
        from al_learner.core.events import event

        pause, said = RETRY_S[0], ""
        while not self._signals.stopping:
            try:
                task()
            except errors.MigrationError:
                raise
            except (errors.DatabaseUnavailable, errors.SchemaError, errors.ClusterUnavailable) as exc:
                self._waiting_since = self._waiting_since or time.monotonic()
                self._problems.pop("loop", None)
                if str(exc) != said:
                    self._say_waiting(exc)
                said = str(exc)
            except errors.DatabaseError as exc:
                self._unexpected("loop", exc)
            except errors.AlLearnerError as exc:
                if self._is_new("loop", str(exc)):
                    event("reconcile.failed", level=logging.ERROR, error=str(exc))
            except Exception as exc:  # noqa: BLE001 - the worker survives whatever nobody expected
                self._unexpected("loop", exc)
            else:
                self._waiting_since = None
                self._problems.pop("loop", None)
                return
            self._wait(random.uniform(pause / 2, pause), for_message=False)  # noqa: S311 - jitter, not a secret
            pause = min(2 * pause, RETRY_S[1])

    def _say_waiting(self, exc: Exception) -> None:
        from al_learner.core.errors import ClusterUnavailable
        from al_learner.core.events import event

        if isinstance(exc, ClusterUnavailable):
            event("cluster.waiting", level=logging.WARNING, error=str(exc))
        else:
            event("database.waiting", level=logging.WARNING, error=str(exc))

    def _unexpected(self, part: Part, exc: Exception) -> None:
        """Count an unexpected error; log it, unless it is the same as the last one of this part of the worker."""
        from al_learner.core.events import event

        self._n_unexpected[part] += 1
        error = f"{type(exc).__name__}: {exc}"
        if self._is_new(part, error):
            where = "".join(traceback.format_tb(exc.__traceback__))  # without causes: their messages may hold texts
            event("worker.unexpected_error", level=logging.ERROR, part=part, error=error, traceback=where)

    def _is_new(self, part: Part, error: str) -> bool:
        """Keep an error as the last one of a part. Return whether it is another one than before."""
        former, self._problems[part] = self._problems.get(part), error
        return former != error

    def _problem(self) -> str | None:
        """Return which parts of the worker failed last; None if none did. Anybody may read it: it quotes no error."""
        parts = " and ".join(f"the {part}" for part in sorted(self._problems))
        return f"{parts} failed; the worker's log says why" if parts else None

    def _end_in_time(self) -> None:
        """End the process soon after the grace period, even if a library waits. Runs in a thread of its own."""
        from al_learner.core.events import event

        self._signals.wait_for_first()
        time.sleep(self._settings.grace_s + END_S)
        event("worker.stuck", level=logging.WARNING, grace_s=self._settings.grace_s)
        os._exit(EXIT_OK)

    def _is_alive(self) -> bool:
        """Whether the loop has run a short time ago. It also renews the heartbeat while a run waits for its child."""
        return time.monotonic() - self._beat_at < 2 * BEAT_S + self._settings.reconcile_s

    def _tick(self) -> None:
        """Renew the heartbeat; raise Stopped, once, when the grace period is over. Called while something waits."""
        if threading.current_thread() is not threading.main_thread():  # /healthz may wait too
            return
        self._beat()
        since = self._signals.stopping_since
        if not self._is_aborted and since is not None and time.monotonic() - since > self._settings.grace_s:
            self._is_aborted = True
            raise Stopped

    def _beat(self) -> None:
        from al_learner.core.events import event
        from al_learner.core.service.heartbeat import beat

        self._beat_at = time.monotonic()
        try:
            beat(self._settings.heartbeat_file)
        except OSError as exc:
            if self._has_heart:
                event("heartbeat.failed", level=logging.WARNING, error=str(exc))
            self._has_heart = False


def main() -> int:
    """Run the worker of the project that the environment names. Return the exit code."""
    signals = Signals()
    from al_learner.core import events  # late: the signal handlers come first
    from al_learner.core.configuration.environment import warn_of_ignored_variables
    from al_learner.core.configuration.settings import Settings
    from al_learner.core.errors import SettingsError
    from al_learner.core.events import printable
    from al_learner.core.processes.memory import use_one_heap

    use_one_heap()
    try:
        settings = Settings()
        events.configure(settings.log)
        warn_of_ignored_variables()
        return Worker(settings, signals).run()
    except SettingsError as exc:
        sys.stderr.write("".join(f"error: {printable(problem, multiline=True)}\n" for problem in exc.problems))
        return EXIT_ERROR


if __name__ == "__main__":
    sys.exit(main())
