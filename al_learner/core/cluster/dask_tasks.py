"""What a Dask worker does: it supervises training processes, one for each project, as al_learner's worker does.

A process reads the project with the Dask worker's own user and password, from libpq's variables (PGUSER, PGPASSWORD,
PGPASSFILE). They are in no task. It has no account that may write, and needs none.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import psutil
from distributed import get_worker
from distributed.worker import thread_state  # type: ignore[attr-defined]  # Dask's types do not list it

from al_learner.core.cluster.messages import Answer, LossesResult, PredictedResult, Task, decode, encode
from al_learner.core.cluster.versions import difference
from al_learner.core.errors import AlLearnerError, ClusterError, ClusterUnavailable, DatabaseUnavailable
from al_learner.core.processes.task_process import TaskProcess
from al_learner.core.training.subprocess_trainer import training_tasks

RESULTS: Mapping[str, Callable[[Any], object]] = {"losses": LossesResult, "has_predicted": PredictedResult}
"""Dataclasses for the results that are none themselves."""

Limits = tuple[str, float, int | None, int]
"""Of a training process: database, timeout_s, memory_mib and niceness."""


def do(message: bytes) -> tuple[str, bytes]:
    """Do an encoded `Task`. Return the address of this Dask worker, and an encoded `Answer`; the function of a task."""
    worker = get_worker()
    try:
        task = decode(Task, message)
        if found := difference(task.versions):
            raise ClusterError(
                f"Dask worker {worker.address} {found}; install the same there as in al_learner's worker"
            )
        limits = task.database, task.timeout_s, task.memory_mib, task.niceness
        result = _processes.ask(limits, task.name, *(task.models or (task.job,)))
        wrapped = RESULTS.get(task.name)
        answer = Answer(encode(wrapped(result) if wrapped else result))
    except DatabaseUnavailable as exc:  # the worker's own connection may be well
        said = f"Dask worker {worker.address} cannot read the database: {exc}"
        answer = Answer(error=ClusterUnavailable.__name__, message=said)
    except AlLearnerError as exc:
        answer = Answer(error=type(exc).__name__, message=str(exc))
    except _Cancelled:
        answer = Answer(error=ClusterError.__name__, message="the task was cancelled")
    return worker.address, encode(answer)


class _Cancelled(BaseException):
    """Nobody waits for the task any more. Dask does not end the thread of such a task."""


def _end_if_cancelled() -> None:
    task = get_worker().state.tasks.get(thread_state.key)
    if task is None or task.state != "executing":
        raise _Cancelled


class _Process:
    def __init__(self, limits: Limits) -> None:
        database, timeout_s, memory_mib, niceness = limits
        self.lock = threading.Lock()
        self.n_users = 0
        self.tasks = TaskProcess(
            training_tasks,
            database,
            work="training",
            timeout_s=timeout_s,
            memory_mib=memory_mib,
            niceness=niceness,
            tick=_end_if_cancelled,
        )

    def bytes_held(self) -> int:
        try:
            return int(psutil.Process(self.tasks.pid).memory_info().rss) if self.tasks.pid else 0
        except psutil.Error:
            return 0


class _Processes:
    """The training processes of this Dask worker; together they hold as much memory as it may, ``--memory-limit``.

    Beyond it, those that were used longest ago end. They are not the Dask worker's own memory, which Dask limits.
    """

    def __init__(self) -> None:
        self._processes: OrderedDict[Limits, _Process] = OrderedDict()
        self._lock = threading.Lock()

    def ask(self, limits: Limits, name: str, *arguments: object) -> Any:
        with self._lock:
            process = self._processes.setdefault(limits, _Process(limits))
            self._processes.move_to_end(limits)
            process.n_users += 1
        try:
            with process.lock:
                return process.tasks.ask(name, *arguments)
        finally:
            with self._lock:
                process.n_users -= 1
                self._shrink(get_worker().memory_manager.memory_limit)

    def _shrink(self, max_bytes: int | None) -> None:
        held = {limits: process.bytes_held() for limits, process in self._processes.items()}
        for limits, process in list(self._processes.items()):
            if max_bytes is None or sum(held.values()) <= max_bytes:
                return
            if process.n_users == 0 and len(held) > 1:
                process.tasks.close()
                del self._processes[limits], held[limits]


_processes = _Processes()
