"""Several processes that do tasks, with a bound of their memory."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

from al_learner.core.processes.child_process import ChildProcess
from al_learner.core.processes.memory import resident_bytes
from al_learner.core.processes.task_process import TaskProcess, Tasks, serve_later


@dataclass(frozen=True)
class Kind:
    """What a process is made for. Tasks of the same kind are done by the same process, if it has nothing else to do.

    Attributes
    ----------
    make_tasks, arguments, work, timeout_s, memory_mib, niceness
        As of `TaskProcess`.
    """

    make_tasks: Callable[..., Tasks]
    arguments: tuple[Any, ...] = ()
    work: str = "training"
    timeout_s: float = math.inf
    memory_mib: int | None = None
    niceness: int = 0


class ProcessPool:
    """Processes that are kept between tasks. Threads may use it.

    Together they hold at most as much memory at rest as `max_bytes`. Beyond it, those that were used longest ago end.

    Parameters
    ----------
    max_bytes : callable
    prepare : callable, optional
        Imports what the processes need. Then one is always started in advance, because imports take seconds.
    """

    def __init__(self, max_bytes: Callable[[], int | None], prepare: Callable[[], object] | None = None) -> None:
        self._max_bytes = max_bytes
        self._spares = _Spares(prepare) if prepare is not None else None
        self._processes: OrderedDict[TaskProcess, Kind] = OrderedDict()  # the one that was used longest ago is first
        self._busy: set[TaskProcess] = set()
        self._lock = threading.Lock()

    def ask(self, kind: Kind, tick: Callable[[TaskProcess], object], task: str, *arguments: object) -> Any:
        """Do a task; parameters, result and errors as of `TaskProcess.ask`. `tick` gets the process that does it."""
        process = self._taken(kind)
        process.tick = lambda: tick(process)
        try:
            return process.ask(task, *arguments)
        finally:
            with self._lock:
                self._busy.discard(process)
                self._shrink()

    def forget(self, kind: Kind) -> None:
        """End the processes of a kind that have nothing to do."""
        with self._lock:
            for process in [one for one, its in self._processes.items() if its == kind and one not in self._busy]:
                process.close()
                del self._processes[process]

    def close(self) -> None:
        """Kill all processes."""
        with self._lock:
            for process in self._processes:
                process.close()
            self._processes.clear()
        if self._spares is not None:
            self._spares.close()

    def _taken(self, kind: Kind) -> TaskProcess:
        with self._lock:
            free = (one for one, its in reversed(self._processes.items()) if its == kind and one not in self._busy)
            process = next(free, None)
            if process is None:
                process = TaskProcess(
                    kind.make_tasks,
                    *kind.arguments,
                    work=kind.work,
                    timeout_s=kind.timeout_s,
                    memory_mib=kind.memory_mib,
                    niceness=kind.niceness,
                    spare=lambda: None if self._spares is None else self._spares.take(),
                )
                self._processes[process] = kind
            self._processes.move_to_end(process)
            self._busy.add(process)
            return process

    def _shrink(self) -> None:
        max_bytes = self._max_bytes()
        held = {process: resident_bytes(process.pid) for process in self._processes}
        for process in list(self._processes):
            if max_bytes is None or sum(held.values()) <= max_bytes:
                return
            if process not in self._busy and len(held) > 1:
                process.close()
                del self._processes[process], held[process]


class _Spares:
    """A process that has no work yet. A thread of its own starts it: a process ends with the thread that started it."""

    def __init__(self, prepare: Callable[[], object]) -> None:
        self._prepare = prepare
        self._ready: SimpleQueue[ChildProcess] = SimpleQueue()
        self._wanted: SimpleQueue[bool] = SimpleQueue()
        self._thread = threading.Thread(target=self._make, daemon=True)
        self._wanted.put(True)
        self._thread.start()

    def take(self) -> ChildProcess | None:
        """Return the process, if there is one, and let the next be started."""
        with suppress(Empty):
            found = self._ready.get_nowait()
            self._wanted.put(True)
            if found.is_alive:
                return found
            found.kill()
        return None

    def close(self) -> None:
        """Kill it."""
        self._wanted.put(False)
        self._thread.join()
        with suppress(Empty):
            self._ready.get_nowait().kill()

    def _make(self) -> None:
        while self._wanted.get():
            self._ready.put(ChildProcess(serve_later, self._prepare, name="spare"))
