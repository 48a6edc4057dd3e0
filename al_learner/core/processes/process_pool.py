"""Several processes that do tasks, with a bound of their memory."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from al_learner.core.processes.child_process import ChildProcess
from al_learner.core.processes.fork_server import ForkServer
from al_learner.core.processes.memory import own_bytes
from al_learner.core.processes.task_process import TaskProcess, Tasks


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
        Imports what the processes need, which takes seconds; see `ForkServer`.
    """

    def __init__(self, max_bytes: Callable[[], int | None], prepare: Callable[[], object] | None = None) -> None:
        self._max_bytes = max_bytes
        self._prepare = prepare if ForkServer.is_possible else None
        self._server: ForkServer | None = None
        self._processes: OrderedDict[TaskProcess, Kind] = OrderedDict()  # the one that was used longest ago is first
        self._busy: set[TaskProcess] = set()
        self._held: dict[TaskProcess, int] = {}  # bytes after the last task
        self._lock = threading.Lock()

    def start(self) -> None:
        """Import what the processes need, without waiting for it. Otherwise the first task does it."""
        with self._lock:
            self._start_server()

    def ask(self, kind: Kind, tick: Callable[[TaskProcess], object], task: str, *arguments: object) -> Any:
        """Do a task; parameters, result and errors as of `TaskProcess.ask`. `tick` gets the process that does it."""
        process = self._taken(kind)
        process.tick = lambda: tick(process)
        try:
            return process.ask(task, *arguments)
        finally:
            held = own_bytes(process.pid)
            with self._lock:
                self._busy.discard(process)
                self._held[process] = held
                self._shrink()

    def forget(self, kind: Kind) -> None:
        """End the processes of a kind that have nothing to do."""
        with self._lock:
            for process in [one for one, its in self._processes.items() if its == kind and one not in self._busy]:
                self._end(process)

    def close(self) -> None:
        """Kill all processes."""
        with self._lock:
            for process in self._processes:
                process.close()
            self._processes.clear()
        if self._server is not None:
            self._server.close()

    def _taken(self, kind: Kind) -> TaskProcess:
        with self._lock:
            free = (one for one, its in reversed(self._processes.items()) if its == kind and one not in self._busy)
            process = next(free, None)
            if process is None:
                server = self._start_server()
                process = TaskProcess(
                    kind.make_tasks,
                    *kind.arguments,
                    work=kind.work,
                    timeout_s=kind.timeout_s,
                    memory_mib=kind.memory_mib,
                    niceness=kind.niceness,
                    start=ChildProcess if server is None else server.child,
                )
                self._processes[process] = kind
            self._processes.move_to_end(process)
            self._busy.add(process)
            return process

    def _start_server(self) -> ForkServer | None:
        if self._server is None and self._prepare is not None:
            self._server = ForkServer(self._prepare)
        return self._server

    def _shrink(self) -> None:
        max_bytes = self._max_bytes()
        for process in list(self._processes):
            if max_bytes is None or sum(self._held.values()) <= max_bytes:
                return
            if process not in self._busy and len(self._processes) > 1:
                self._end(process)

    def _end(self, process: TaskProcess) -> None:
        process.close()
        del self._processes[process]
        self._held.pop(process, None)
