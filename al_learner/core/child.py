"""The training process: spawned once and kept warm, behind a pipe, killed when it takes too long."""

from __future__ import annotations

import atexit
import ctypes
import multiprocessing
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any, Literal, cast

from al_learner.core import errors
from al_learner.core.choosing import Losses
from al_learner.core.commits import Trained
from al_learner.core.errors import AlLearnerError, SettingsError, TrainerError
from al_learner.core.trainer import Job, Score, Workbench

PARENTS_SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""What the child leaves to its parent: a Ctrl-C on a terminal reaches both."""

PR_SET_PDEATHSIG = 1
"""Of Linux's prctl: the signal that comes when the parent ends."""

TICK_S = 0.2
"""How often the parent looks up while it waits for the child."""


class ChildTrainer:
    """A `Trainer` whose work is done in one child process. A crash costs one job, not this process.

    Parameters
    ----------
    database_url : str
    timeout_s : float
        A job that takes longer is given up, and the child killed.
    memory_mib : int, optional
        MiB of data that the child may hold.
    tick : callable
        Called while waiting; what it raises kills the child and is raised.
    """

    def __init__(
        self,
        database_url: str,
        *,
        timeout_s: float,
        memory_mib: int | None = None,
        tick: Callable[[], object] = lambda: None,
    ) -> None:
        self._database_url, self._timeout_s, self._memory_mib, self._tick = database_url, timeout_s, memory_mib, tick
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection[Any, Any] | None = None

    @property
    def pid(self) -> int | None:
        """The child's process id."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Spawn the child, which imports what is heavy at once; without waiting for it."""
        atexit.register(self.close)  # multiprocessing would wait for a child that ignores SIGTERM
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        arguments = (theirs, self._database_url, self._memory_mib)
        self._process = context.Process(target=_serve, args=arguments, name="trainer", daemon=True)
        resource_tracker.ensure_running()  # it would unblock the signals
        allowed = signal.pthread_sigmask(signal.SIG_BLOCK, PARENTS_SIGNALS)
        try:
            self._process.start()  # the child inherits the mask, until it ignores them
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, allowed)
        theirs.close()

    def train(self, job: Job) -> Trained:
        """Train on everything. Raises AlLearnerError."""
        return cast(Trained, self._ask("train", job))

    def score(self, job: Job) -> Score:
        """Train the twin and measure it. Raises AlLearnerError."""
        return cast(Score, self._ask("score", job))

    def losses(self, job: Job) -> Losses:
        """Return how far off the classifier is on each row, as the job's chooser tells. Raises AlLearnerError."""
        return cast(Losses, self._ask("losses", job))

    def close(self) -> None:
        """Kill the child."""
        atexit.unregister(self.close)
        if self._process is not None and self._pipe is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
            self._pipe.close()
        self._process = self._pipe = None

    def _ask(self, task: Literal["train", "score", "losses"], job: Job) -> object:
        if self._process is None or not self._process.is_alive():
            self.close()
            self.start()
        process, pipe = self._process, self._pipe
        assert process is not None  # noqa: S101 - start() set it
        assert pipe is not None  # noqa: S101 - start() set it
        deadline = time.monotonic() + self._timeout_s
        try:
            pipe.send((task, job))
            while not wait([pipe, process.sentinel], TICK_S):
                self._tick()
                if time.monotonic() > deadline:
                    raise TrainerError(f"training took longer than {self._timeout_s:g} s and was killed")
            answer = pipe.recv()
        except (EOFError, OSError) as exc:
            process.join()
            raise TrainerError(_epitaph(process.exitcode)) from exc
        except BaseException:
            self.close()
            raise
        if isinstance(answer, _Failure):
            raise answer.error()
        return answer


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
            self.message += "; training needs more memory than AL_LEARNER_TRAIN_MEMORY_MIB or the machine has"

    def error(self) -> AlLearnerError:
        cls = getattr(errors, self.name, TrainerError)
        return cls(self.message.splitlines()) if cls is SettingsError else cls(self.message)


def _epitaph(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        name = signal.Signals(-exitcode).name
        hint = ", perhaps for want of memory" if name == "SIGKILL" else ""
        return f"the training process was killed by {name}{hint}"
    return f"the training process ended by itself, with exit code {exitcode}"


def _serve(pipe: Connection[Any, Any], database_url: str, memory_mib: int | None) -> None:
    for number in PARENTS_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PARENTS_SIGNALS)
    if sys.platform == "linux":  # also in the middle of C code that lets no thread run
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # OpenMP's threads spin while they wait, which takes ten times as long when a neighbour keeps a core busy.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    import al_learner.core.learner  # noqa: F401 - heavy: paid before the first job comes

    if memory_mib is not None:  # after the imports, which break under a limit
        resource.setrlimit(resource.RLIMIT_DATA, (memory_mib * 2**20, resource.RLIM_INFINITY))
    workbench = Workbench(database_url)
    tasks = {"train": workbench.train, "score": workbench.score, "losses": workbench.losses}
    while True:
        try:
            task, job = pipe.recv()
        except EOFError:
            return
        try:
            answer: object = tasks[task](job)
        except Exception as exc:  # noqa: BLE001 - the parent raises it
            answer = _Failure(exc)
        pipe.send(answer)
        if isinstance(answer, _Failure) and answer.is_out_of_memory:
            return  # what is left is torn; the next job gets a fresh process


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
    os._exit(1)
