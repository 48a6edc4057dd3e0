"""A process behind a pipe that its parent can kill at any time, and that never outlives its parent."""

from __future__ import annotations

import atexit
import ctypes
import multiprocessing
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

PARENTS_SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""What the process leaves to its parent: a Ctrl-C on a terminal reaches both."""

PR_SET_PDEATHSIG = 1
"""Of Linux's prctl: the signal that comes when the parent ends."""


class SupervisedProcess:
    """Spawns a process at once, without waiting for it.

    Parameters
    ----------
    serve : callable
        Runs in the process, as ``serve(pipe, *arguments)``; it stands at the top of a module.
    *arguments
        What can be pickled.
    name : str

    Attributes
    ----------
    pipe : Connection
        The parent's end.
    """

    def __init__(self, serve: Callable[..., object], *arguments: Any, name: str) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_run, args=(serve, theirs, *arguments), name=name, daemon=True)
        resource_tracker.ensure_running()  # it would unblock the signals
        with _postponed(PARENTS_SIGNALS):
            allowed = signal.pthread_sigmask(signal.SIG_BLOCK, PARENTS_SIGNALS)
            try:
                self._process.start()  # it inherits the mask, until it ignores them
                atexit.register(self.kill)  # multiprocessing would wait for a process that ignores SIGTERM
                theirs.close()
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, allowed)

    @property
    def pid(self) -> int | None:
        """The process id."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process.is_alive()

    def answers_within(self, seconds: float) -> bool:
        """Wait until it has sent something or has ended. Return False when the time is over."""
        return bool(wait([self.pipe, self._process.sentinel], seconds))

    def join(self) -> int | None:
        """Wait for its end, and return its exit code; negative: the signal that killed it."""
        self._process.join()
        return self._process.exitcode

    def kill(self) -> None:
        """Kill it, and free what it took here."""
        atexit.unregister(self.kill)
        self._process.kill()
        self._process.join()
        self._process.close()
        self.pipe.close()


def how_it_ended(exitcode: int | None) -> str:
    """Say in words how a process ended that should not have."""
    if exitcode is not None and exitcode < 0:
        name = signal.Signals(-exitcode).name
        return f"was killed by {name}" + (", perhaps for want of memory" if name == "SIGKILL" else "")
    return f"ended by itself, with exit code {exitcode}"


def limit_memory(mib: int) -> None:
    """Let this process hold so many MiB of data; call it after the imports, which break under a limit."""
    resource.setrlimit(resource.RLIMIT_DATA, (mib * 2**20, resource.RLIM_INFINITY))


@contextmanager
def _postponed(numbers: Sequence[signal.Signals]) -> Iterator[None]:
    """Handle signals of this process afterwards: a Ctrl-C must not leave a child that was started by half.

    To block them is not enough: another thread, such as one of BLAS, then takes the signal, and Python's main thread
    raises KeyboardInterrupt all the same.
    """
    if threading.current_thread() is not threading.main_thread():  # only there Python runs handlers
        yield
        return
    came: list[int] = []
    handlers = {number: signal.getsignal(number) for number in numbers}
    for number in handlers:
        signal.signal(number, lambda number, _frame: came.append(number))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for late in came:
            signal.raise_signal(late)


def _run(serve: Callable[..., object], pipe: Connection[Any, Any], *arguments: Any) -> None:
    for number in PARENTS_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PARENTS_SIGNALS)
    if sys.platform == "linux":  # also in the middle of C code that lets no thread run
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # OpenMP's threads spin while they wait, which takes ten times as long when a neighbour keeps a core busy.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    serve(pipe, *arguments)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
    os._exit(1)
