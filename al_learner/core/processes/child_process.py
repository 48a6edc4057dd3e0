"""A child process with a pipe. The parent can kill it at any time, and it ends when the parent ends."""

from __future__ import annotations

import atexit
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from multiprocessing import Pipe, spawn
from multiprocessing.connection import Connection
from typing import Any, Protocol

from al_learner.core.processes.memory import use_one_heap

PARENTS_SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""The child process ignores these signals and leaves them to its parent. A Ctrl-C on a terminal reaches both."""

PR_SET_PDEATHSIG = 1
"""The option of Linux's prctl that sets which signal a process gets when its parent ends."""


_is_preparing = False


class Started(Protocol):
    """What is used of a `subprocess.Popen`."""

    pid: int
    returncode: int | None

    def poll(self) -> int | None:
        """Return the exit code if the process has ended, else None."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end, and return the exit code; raises `subprocess.TimeoutExpired`."""

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""

    def kill(self) -> None:
        """Kill the process."""


class ChildProcess:
    """Starts a process, without waiting for it.

    It is a new interpreter, as those of multiprocessing's method ``spawn`` are. Those cannot be started by a process
    that multiprocessing itself has started, such as a Dask worker.

    Parameters
    ----------
    serve : callable
        Runs in the process, as ``serve(pipe, *arguments)``. It must be defined at the top of a module.
    *arguments
        Must be picklable, and small: they fill the pipe before anybody reads it.
    name : str
    fork : callable, optional
        Starts the process from another one, which is prepared already, with the file descriptors that it needs.
    watches_parent : bool
        Whether it ends with its parent in any case. Otherwise only if it reads from the pipe.

    Raises
    ------
    RuntimeError
        This process is itself one that imports the parent's script, and the script starts processes as it is imported.

    Attributes
    ----------
    pipe : Connection
        The parent's end.
    """

    def __init__(
        self,
        serve: Callable[..., object],
        *arguments: Any,
        name: str,
        fork: Callable[[Sequence[int]], Started] | None = None,
        watches_parent: bool = True,
    ) -> None:
        if _is_preparing:
            raise RuntimeError("a child process imports the script that started it, which starts processes again")
        self.pipe, theirs = Pipe()
        end_of_parent, self._lifeline = os.pipe()  # the second end is closed when this process ends
        self._conversation: threading.Thread | None = None
        fds = theirs.fileno(), end_of_parent
        with _postponed(PARENTS_SIGNALS):
            allowed = signal.pthread_sigmask(signal.SIG_BLOCK, PARENTS_SIGNALS)
            try:  # the child inherits the blocked signals; later it ignores them
                self._process = _spawn(fds, watches_parent=watches_parent) if fork is None else fork(fds)
                atexit.register(self.kill)
            finally:
                theirs.close()
                os.close(end_of_parent)
                signal.pthread_sigmask(signal.SIG_SETMASK, allowed)
        with suppress(BrokenPipeError):  # it has ended, which whoever asks it notices
            if fork is None:
                prepared = spawn.get_preparation_data(name)
                del prepared["authkey"]  # which cannot be sent, and is for listeners
                self.pipe.send(prepared)
            self.pipe.send((serve, arguments))

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        self._process.send_signal(number)

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
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self._process.returncode

    def kill(self) -> None:
        """Kill it, and close the pipe."""
        atexit.unregister(self.kill)
        self._process.kill()
        self._process.wait()
        if self._conversation is not None:
            self._conversation.join()
        self.pipe.close()
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1


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


def main(fd: int, end_of_parent: int, *, watches_parent: bool) -> None:
    """Run what comes through a pipe; for the process itself."""
    for number in PARENTS_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PARENTS_SIGNALS)
    use_one_heap()
    if watches_parent:
        watch_parent(end_of_parent)
    # OpenMP's threads spin while they wait. Then a training takes ten times as long beside a busy process.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    pipe = Connection(fd)
    global _is_preparing  # noqa: PLW0603 - of the process
    _is_preparing = True
    spawn.prepare(pipe.recv())  # imports the script that the parent runs, where strategies may be defined
    _is_preparing = False
    serve_one(pipe)


def watch_parent(end_of_parent: int) -> None:
    """End this process when its parent ends, which the file descriptor tells."""
    if sys.platform == "linux":  # works also while C code lets no other thread run
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_end_with_parent, args=(end_of_parent,), daemon=True).start()


def serve_one(pipe: Connection[Any, Any]) -> None:
    """Receive from a pipe what this process is for, and do it."""
    serve, arguments = pipe.recv()
    serve(pipe, *arguments)


def _spawn(fds: Sequence[int], *, watches_parent: bool) -> subprocess.Popen[bytes]:
    """Start a new interpreter that runs `main`."""
    program = f"from {__name__} import main; main(*{tuple(fds)}, watches_parent={watches_parent})"
    return subprocess.Popen([sys.executable, *_flags(), "-c", program], pass_fds=fds, stdin=subprocess.DEVNULL)


def _flags() -> list[str]:
    """Return the options that this interpreter was started with, such as ``-W error``."""
    return subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined, no-any-return]  # noqa: SLF001 - as multiprocessing does; nothing public has them


def _end_with_parent(end_of_parent: int) -> None:
    os.read(end_of_parent, 1)
    os._exit(1)
