"""Slots for tasks. Who holds one for too long must give it up while others wait: its process is suspended."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from al_learner.core.processes.process_pool import Kind, ProcessPool
from al_learner.core.processes.task_process import TaskProcess

TICK_S = 1.0
"""How often `tick` is called while somebody waits, as hundreds of projects may."""

Tick = Callable[[], object]


class Slots:
    """Slots that are given out in the order in which they are asked for.

    Parameters
    ----------
    n : int
    slice_s : float
        So long a slot may be held while others wait.
    """

    def __init__(self, n: int, slice_s: float) -> None:
        self._free, self._slice_s = n, slice_s
        self._waiting: deque[threading.Event] = deque()
        self._lock = threading.Lock()

    @contextmanager
    def held(self, tick: Tick) -> Iterator[Slot]:
        """Hold a slot. `tick` is called while it is waited for; when it raises, the wait ends."""
        slot = Slot(self)
        slot.take(tick)
        try:
            yield slot
        finally:
            slot.give_back()

    def take(self, tick: Tick) -> None:
        """Wait for a slot."""
        turn = threading.Event()
        with self._lock:
            if self._free and not self._waiting:
                self._free -= 1
                return
            self._waiting.append(turn)
        try:
            while not turn.wait(TICK_S):
                tick()
        except BaseException:
            with self._lock:
                if not turn.is_set():
                    self._waiting.remove(turn)
                    raise
            self.give_back()
            raise

    def give_back(self) -> None:
        """Return a slot, or hand it to who has waited longest."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._free += 1

    def is_over(self, since: float) -> bool:
        """Whether a slot that was taken at a time of `time.monotonic` must be given up."""
        return bool(self._waiting) and time.monotonic() - since >= self._slice_s


class Slot:
    """A slot, as its holder has it."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._since: float | None = None

    @property
    def is_over(self) -> bool:
        """Whether it must be given up: others wait, and it was held for long."""
        return self._since is not None and self._slots.is_over(self._since)

    def take(self, tick: Tick) -> None:
        """Wait for the slot."""
        self._slots.take(tick)
        self._since = time.monotonic()

    def give_back(self) -> None:
        """Return it, if it is held."""
        if self._since is not None:
            self._slots.give_back()
        self._since = None


def ask_in_turn(
    slots: Slots, pool: ProcessPool, kind: Kind, tick: Callable[[], object], task: str, *arguments: object
) -> Any:
    """Do a task in a slot; parameters, result and errors as of `TaskProcess.ask`.

    A process that has to give its slot up is suspended, and goes on when it gets a slot again.
    """
    with slots.held(tick) as slot:

        def tick_and_give_way(process: TaskProcess) -> None:
            tick()
            if slot.is_over:
                with process.suspended():
                    slot.give_back()
                    slot.take(tick)

        return pool.ask(kind, tick_and_give_way, task, *arguments)
