"""A process that does tasks, one at a time. It is kept between tasks, and killed when one takes too long."""

from __future__ import annotations

import gc
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any

from al_learner.core import errors
from al_learner.core.errors import AlLearnerError, SettingsError, TrainerError
from al_learner.core.processes.child_process import ChildProcess, how_it_ended
from al_learner.core.processes.memory import limit_memory, return_free_memory

TICK_S = 0.2
"""How often the parent calls `tick` while it waits for the process."""

END_S = 5
"""How long the parent waits for the end of a process whose pipe is closed."""

Tasks = Mapping[str, Callable[..., object]]


class TaskProcess:
    """A process of its own for some tasks. A crash costs one task, not the parent.

    Parameters
    ----------
    make_tasks : callable
        Runs in the process when it starts, and returns what each task does. It must be defined at the top of a module.
    *arguments
        Of `make_tasks`; picklable.
    work : str
        What it does, for errors: ``training``.
    timeout_s : float
        The process is killed when a task takes longer. This includes sending the task and receiving the answer.
    memory_mib : int, optional
        MiB of data that the process may hold.
    niceness : int, default=0
        19 is the lowest priority: it gets what others leave.
    tick : callable
        Called while waiting. When it raises, the process is killed and the exception goes on.
    start : callable
        Starts a process; parameters as of `ChildProcess`.
    """

    def __init__(
        self,
        make_tasks: Callable[..., Tasks],
        *arguments: Any,
        work: str,
        timeout_s: float,
        memory_mib: int | None = None,
        niceness: int = 0,
        tick: Callable[[], object] = lambda: None,
        start: Callable[..., ChildProcess] = ChildProcess,
    ) -> None:
        self._served, self._start = (make_tasks, arguments, memory_mib, niceness), start
        self._work, self._timeout_s, self.tick = work, timeout_s, tick
        self._process: ChildProcess | None = None
        self._told: tuple[Future[Any], float] | None = None
        self._suspended_s = 0.0

    @property
    def pid(self) -> int | None:
        """The process's id; None before it is started, and after `close`."""
        return self._process.pid if self._process else None

    def start(self) -> ChildProcess:
        """Spawn the process, if it does not run, without waiting for it."""
        if self._process is None or not self._process.is_alive:
            self.close()
            self._process = self._start(_serve, *self._served, name=self._work)
        return self._process

    def ask(self, task: str, *arguments: object) -> Any:
        """Do a task, and return what it returned.

        Raises
        ------
        TrainerError
            The process died, was killed, or took too long.
        AlLearnerError
            The task raised it.
        """
        self._end_told()
        process = self.start()
        answer = process.ask((task, arguments))
        self._wait(answer, time.monotonic())
        if (lost := answer.exception()) is not None:
            has_ended = isinstance(lost, (EOFError, OSError))
            how = how_it_ended(process.join(END_S)) if has_ended else ""
            self.close()
            if has_ended:
                raise TrainerError(f"the {self._work} process {how}") from lost
            raise lost
        found = answer.result()
        if isinstance(found, _Failure):
            if found.is_out_of_memory:  # it ends by itself, but perhaps not before the next task
                self.close()
            raise found.error()
        return found

    def tell(self, task: str, *arguments: object) -> None:
        """Let it do a task before the next one that it is asked for. Nobody hears how it ended.

        The next `ask` waits for it. If it takes longer than the timeout, or its process ends, the next task gets a new
        process. Only one task can be told before the next `ask`; others are ignored.
        """
        if self._told is None:
            self._told = self.start().ask((task, arguments)), time.monotonic()

    def close(self) -> None:
        """Kill the process."""
        if self._process is not None:
            self._process.kill()
        self._process = self._told = None

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Suspend the process. This time does not count for the timeout. `tick` may do it."""
        since = time.monotonic()
        process = self._process
        if process is not None:
            process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            if process is not None:
                process.send_signal(signal.SIGCONT)
            self._suspended_s += time.monotonic() - since

    def _end_told(self) -> None:
        """Wait for what it was told. Kill the process if it cannot do another task."""
        if self._told is None:
            return
        answer, since = self._told
        try:
            self._wait(answer, since)
        except TrainerError:
            return  # it took too long, and was killed
        if answer.exception() is not None or (
            isinstance(answer.result(), _Failure) and answer.result().is_out_of_memory
        ):
            self.close()
        self._told = None

    def _wait(self, answer: Future[Any], since: float) -> None:
        """Wait for an answer to what was asked at `since`. Kill the process if it takes too long, or `tick` raises."""
        self._suspended_s = 0.0
        try:
            while not wait([answer], TICK_S).done:
                self.tick()
                if time.monotonic() - since - self._suspended_s > self._timeout_s:
                    raise TrainerError(f"{self._work} took longer than {self._timeout_s:g} s and was killed")
        except BaseException:
            self.close()
            raise


class _Failure:
    """An error as plain data: a class of `errors`, and what it says."""

    def __init__(self, exc: Exception) -> None:
        if isinstance(exc, AlLearnerError):
            self.name, self.message = type(exc).__name__, str(exc)
        else:
            self.name, self.message = "TrainerError", f"{type(exc).__name__}: {exc}"
        causes = exc, exc.__cause__
        self.is_out_of_memory = any(isinstance(cause, MemoryError) for cause in causes)
        if self.is_out_of_memory:
            self.message += "; it needs more memory than AL_LEARNER_TRAIN_MEMORY_MIB or the machine has"

    def error(self) -> AlLearnerError:
        cls = getattr(errors, self.name, TrainerError)
        return cls(self.message.splitlines()) if cls is SettingsError else cls(self.message)


def _serve(
    pipe: Connection[Any, Any],
    make_tasks: Callable[..., Tasks],
    arguments: tuple[Any, ...],
    memory_mib: int | None,
    niceness: int,
) -> None:
    os.nice(niceness)
    gc.disable()
    tasks = make_tasks(*arguments)
    gc.freeze()  # what was imported stays; to search all of it for garbage takes 0.1 s each time
    gc.enable()
    if memory_mib is not None:
        limit_memory(memory_mib)
    with suppress(EOFError):
        while _do_one(pipe, tasks):
            return_free_memory()


def _do_one(pipe: Connection[Any, Any], tasks: Tasks) -> bool:
    """Receive a task and send the answer, neither of which stays in memory. Return whether there can be another."""
    task, arguments = pipe.recv()
    try:
        answer: object = tasks[task](*arguments)
    except Exception as exc:  # noqa: BLE001 - the parent raises it
        answer = _Failure(exc)
    pipe.send(answer)
    # Out of memory: what is left there may be incomplete, so the next task gets a new process.
    return not (isinstance(answer, _Failure) and answer.is_out_of_memory)
