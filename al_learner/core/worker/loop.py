"""The loop of one project: does what is due, at its start, on every message, and at a regular interval.

The stored state decides what is due; a message is only a notification. Notifications that arrive during a run cause one
more reconciliation, not a queue.
"""

from __future__ import annotations

import logging
import random
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from contextvars import copy_context
from functools import partial
from typing import Literal, Protocol

from al_learner.core import errors
from al_learner.core.configuration.settings import Settings
from al_learner.core.errors import BusyError, ClusterUnavailable
from al_learner.core.events import event
from al_learner.core.processes.memory import return_free_memory
from al_learner.core.processes.slots import Slot, Slots
from al_learner.core.project import Project
from al_learner.core.service.figures import OwnFigures, Source
from al_learner.core.training.compute import Compute
from al_learner.core.worker.stop import Stop

LISTENER_END_S = 2.0
"""How long the loop waits for the listener to end."""

BEAT_S = 2.0
"""The heartbeat is renewed at least so often."""

FULL_READ_S = 600
"""The project state is read at least so often, even if nothing seems to have been written."""

RETRY_S = (0.5, 30.0)
"""Shortest and longest pause after an error that may pass."""

Part = Literal["loop", "listener"]
"""A part of the loop that survives unexpected errors."""


class Stopped(KeyboardInterrupt):
    """The grace period after the request to stop is over; what is in progress is abandoned.

    Like any KeyboardInterrupt it makes psycopg cancel the statement that waits.
    """


class _StoppedBefore(Exception):
    """The loop is to stop, and nothing is in progress."""


class MakeCompute(Protocol):
    """Makes what does a project's heavy work; see `Compute`."""

    def __call__(self, settings: Settings, *, tick: Callable[[], object], on_done: Callable[[], object]) -> Compute:
        """`tick` and `on_done` as of `Compute.with_trainers`."""


class ProjectLoop:
    """One project's loop. It runs in the thread that calls `run`.

    Parameters
    ----------
    settings : Settings
    stop : Stop
    make_compute : callable
    on_beat : callable
        Called at least every `BEAT_S` seconds while the loop runs or waits.
    rests : bool
        Whether idle connections are closed when nothing is due, because there are many projects.
    turns : Slots, optional
        Held while the project looks for what is due and does it, so that not all open connections for that at once.
    """

    def __init__(
        self,
        settings: Settings,
        stop: Stop,
        *,
        make_compute: MakeCompute,
        on_beat: Callable[[], object] = lambda: None,
        rests: bool = False,
        turns: Slots | None = None,
    ) -> None:
        self._settings, self._stop, self._on_beat = settings, stop, on_beat
        self._rests, self._turns = rests, turns
        self._turn: Slot | None = None
        self._compute = make_compute(settings, tick=self._tick, on_done=lambda: self._on_message(""))
        self._project = Project.of(settings, compute=self._compute, tick=self._tick)
        self._thread: threading.Thread | None = None
        self._notifications: set[str] = set()
        self._init_received = False
        self._idle_token: str | None = None
        self._read_at = 0.0
        self._idle_reason: str | None = None
        self._beat_at = time.monotonic()
        self._new_samples = 0
        self._is_superseded = False
        self._is_aborted = False
        self._waiting_since: float | None = None
        self._problems: dict[Part, str] = {}
        self._n_unexpected: Counter[Part] = Counter()

    @property
    def trainer_pid(self) -> int | None:
        """The id of the training process; None if it is not this loop's own."""
        return self._compute.trainer_pid

    def sources(self) -> dict[str | None, Source]:
        """Return the figures for monitoring."""
        return {None: self.source}

    @staticmethod
    def problems() -> Sequence[str]:
        """Return what is wrong beside the project: nothing."""
        return ()

    @property
    def source(self) -> Source:
        """The figures of the project."""
        return Source(self._project.vitals, self._figures)

    def _figures(self) -> OwnFigures:
        return OwnFigures(
            is_alive=self.is_alive,
            is_subscribed=self._project.is_subscribed,
            is_superseded=self._is_superseded,
            new_samples=self._new_samples,
            batch_size=self._settings.batch_size,
            unexpected_errors=self._n_unexpected.total(),
            waiting_s=0 if self._waiting_since is None else time.monotonic() - self._waiting_since,
            problem=self._problem(),
        )

    @property
    def is_alive(self) -> bool:
        """Whether the loop has run a short time ago. It also renews the heartbeat while a run waits for its child."""
        return time.monotonic() - self._beat_at < 2 * BEAT_S + self._settings.reconcile_s

    def run(self) -> None:
        """Work until it is to stop.

        Raises
        ------
        MigrationError
            The tables of al_learner must be migrated by somebody else.
        """
        self._thread = threading.current_thread()
        ended = threading.Event()
        listener = threading.Thread(target=copy_context().run, args=(self._listen, ended), daemon=True)
        listener.start()
        try:
            self._until_done(partial(self._in_turn, self._project.register_worker))
            while not self._stop.stopping:
                self._until_done(partial(self._in_turn, self._work))
                self._wait(min(self._settings.reconcile_s, self._settings.reannounce_s), for_message=True)
        except Stopped:
            event("worker.aborted", level=logging.WARNING, grace_s=self._settings.grace_s)
        finally:
            ended.set()
            listener.join(LISTENER_END_S)
            self._project.close()
            self._compute.close()

    def _in_turn(self, task: Callable[[], object]) -> None:
        """Do a task when it is the project's turn, and close the connections that it has opened."""
        with suppress(_StoppedBefore), self._turns.held(self._tick_before) if self._turns else nullcontext() as turn:
            self._turn = turn
            try:
                task()
            finally:
                self._turn = None
                if self._rests:
                    self._project.release_connections()

    def _work(self) -> None:
        """Do what is due until nothing is, and repeat an announcement if that is necessary."""
        self._reconcile()
        if not (self._is_superseded or self._stop.stopping):
            self._project.repeat_announcement()

    def _reconcile(self) -> None:
        """Do what is due until nothing is. Without a notification, and if nothing was written, do nothing."""
        is_idle = self._idle_token is not None and not self._notifications
        is_recent = time.monotonic() - self._read_at < FULL_READ_S
        if is_idle and is_recent and self._idle_token == self._project.change_token():
            return None
        self._idle_token = None
        may_announce = True
        while not self._stop.stopping:
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
            if state.facts.has_classifier or state.due in ("init", "update"):  # which announces the new classifier
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
        if reason != self._idle_reason:
            event("reconcile.idle", reason=reason)
        self._idle_reason = reason

    def _wait(self, seconds: float, *, for_message: bool) -> None:
        """Wait for a signal, the time, or a message."""
        deadline = time.monotonic() + seconds
        while not self._stop.stopping and (left := deadline - time.monotonic()) > 0:
            if for_message and self._notifications:
                return
            self._beat()
            self._stop.wait(min(BEAT_S, left))

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
        if payload not in ("", "init", "update"):  # empty: subscribed again, so messages may have been missed
            event("message.ignored", level=logging.WARNING, payload=payload[:40], length=len(payload))
            return
        self._notifications.add(payload)
        self._stop.wake()

    def _until_done(self, task: Callable[[], object]) -> None:
        """Do a task. Repeat it with growing pauses after an error that may pass."""
        pause, said = RETRY_S[0], ""
        while not self._stop.stopping:
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
        if isinstance(exc, ClusterUnavailable):
            event("cluster.waiting", level=logging.WARNING, error=str(exc))
        else:
            event("database.waiting", level=logging.WARNING, error=str(exc))

    def _unexpected(self, part: Part, exc: Exception) -> None:
        """Count an unexpected error; log it, unless it is the same as the last one of this part of the worker."""
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

    def _tick(self) -> None:
        """Renew the heartbeat; raise Stopped, once, when the grace period is over. Called while something waits."""
        if threading.current_thread() is not self._thread:  # /healthz may wait too
            return
        self._beat()
        since = self._stop.stopping_since
        if not self._is_aborted and since is not None and time.monotonic() - since > self._settings.grace_s:
            self._is_aborted = True
            raise Stopped
        if self._turn is not None and self._turn.is_over:
            self._turn.give_back()  # what is in progress goes on, but another project may begin

    def _tick_before(self) -> None:
        """Renew the heartbeat; raise `_StoppedBefore` if it is to stop. Called while a turn is waited for."""
        self._beat()
        if self._stop.stopping:
            raise _StoppedBefore

    def _beat(self) -> None:
        self._beat_at = time.monotonic()
        self._on_beat()
