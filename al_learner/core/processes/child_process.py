"""A child process with a pipe. The parent can kill it at any time, and it ends when the parent ends."""

from __future__ import annotations

import atexit
import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

from al_learner.core.processes.memory import use_one_heap

PARENTS_SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""The child process ignores these signals and leaves them to its parent. A Ctrl-C on a terminal reaches both."""

PR_SET_PDEATHSIG = 1
"""The option of Linux's prctl that sets which signal a process gets when its parent ends."""


class ChildProcess:
    """Spawns a process, without waiting for it.

    Parameters
    ----------
    serve : callable
        Runs in the process, as ``serve(pipe, *arguments)``. It must be defined at the top of a module.
    *arguments
        Must be picklable.
    name : str

    Attributes
    ----------
    pipe : Connection
        The parent's end.
    """

    def __init__(self, serve: Callable[..., object], *arguments: Any, name: str) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._conversation: threading.Thread | None = None
        self._process = context.Process(target=_run, args=(serve, theirs, *arguments), name=name, daemon=True)
        resource_tracker.ensure_running()  # starting it unblocks signals, so start it before they are blocked
        with _postponed(PARENTS_SIGNALS):
            allowed = signal.pthread_sigmask(signal.SIG_BLOCK, PARENTS_SIGNALS)
            try:
                self._process.start()  # the child inherits the blocked signals; later it ignores them
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

    def ask(self, request: object) -> Future[Any]:
        """Send a request and receive one answer, without waiting for either.

        A thread waits instead. A process that reads nothing, or stops in the middle of its answer, keeps only this
        thread waiting, until `kill`.

        Returns
        -------
        Future
            The answer. EOFError or OSError: the process has ended.
        """
        answer: Future[Any] = Future()
        self._conversation = threading.Thread(target=_converse, args=(self.pipe, request, answer), daemon=True)
        self._conversation.start()
        return answer

    def join(self, seconds: float | None = None) -> int | None:
        """Wait for its end, at most for some seconds.

        Returns
        -------
        int or None
            Its exit code; a negative one is the signal that killed it. None: it still runs.
        """
        self._process.join(seconds)
        return self._process.exitcode

    def kill(self) -> None:
        """Kill it, and close the pipe."""
        atexit.unregister(self.kill)
        self._process.kill()
        self._process.join()
        if self._conversation is not None:
            self._conversation.join()
        self.pipe.close()


def how_it_ended(exitcode: int | None) -> str:
    """Return in words how a process ended unexpectedly; None: it still runs."""
    if exitcode is None:
        return "closed its pipe, and was killed"
    if exitcode < 0:
        name = signal.Signals(-exitcode).name
        return f"was killed by {name}" + (", perhaps because the memory was used up" if name == "SIGKILL" else "")
    return f"ended by itself, with exit code {exitcode}"


@contextmanager
def _postponed(numbers: Sequence[signal.Signals]) -> Iterator[None]:
    """Handle signals of this process after the block, so that Ctrl-C does not interrupt the start of a child.

    It is not enough to block them: another thread, such as one of BLAS, then takes the signal, and Python's main thread
    still raises KeyboardInterrupt.
    """
    if threading.current_thread() is not threading.main_thread():  # Python runs handlers only there
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


def _converse(pipe: Connection[Any, Any], request: object, answer: Future[Any]) -> None:
    try:
        pipe.send(request)
        answer.set_result(pipe.recv())
    except Exception as exc:  # noqa: BLE001 - whoever waits for the answer raises it
        answer.set_exception(exc)


def _run(serve: Callable[..., object], pipe: Connection[Any, Any], *arguments: Any) -> None:
    for number in PARENTS_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PARENTS_SIGNALS)
    if sys.platform == "linux":  # works also while C code lets no other thread run
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    use_one_heap()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # OpenMP's threads spin while they wait. Then a training takes ten times as long beside a busy process.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    serve(pipe, *arguments)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
    os._exit(1)
