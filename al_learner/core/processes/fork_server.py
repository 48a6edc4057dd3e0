"""A process that has imported what others need, and forks itself for each of them.

A fork takes some milliseconds, where imports take seconds, and all forks share the memory of what was imported.
multiprocessing has such a server too. Its processes cannot be started by one that multiprocessing itself has started,
such as a Dask worker.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any, NoReturn, cast

from al_learner.core.errors import TrainerError
from al_learner.core.processes.child_process import ChildProcess, how_it_ended, serve_one, watch_parent

END_S = 5
"""How long the end of a server is waited for whose pipe is closed."""

N_FDS = 3
"""The pipe of the new process, the pipe that tells it the end of its parent, and the one that tells how it ended."""


class ForkServer:
    """Starts the server, without waiting for it. Threads may use it.

    Parameters
    ----------
    prepare : callable
        Imports what the processes need. It must start no thread and open nothing. It must be defined at the top of a
        module.
    """

    is_possible = sys.platform == "linux"
    """Elsewhere, libraries of the system may fail in a process that was forked."""

    def __init__(self, prepare: Callable[[], object]) -> None:
        self._prepare = prepare
        self._lock = threading.Lock()
        self._server = self._start()

    def child(self, serve: Callable[..., object], *arguments: Any, name: str) -> ChildProcess:
        """Start a process; parameters as of `ChildProcess`.

        Raises
        ------
        TrainerError
            The server ended, also after it was started again.
        """
        return ChildProcess(serve, *arguments, name=name, fork=self._fork)

    def close(self) -> None:
        """Kill the server, and with it all processes that it has started."""
        with self._lock:
            self._server.kill()

    def _start(self) -> ChildProcess:
        return ChildProcess(_serve_forks, self._prepare, name="fork server", watches_parent=False)

    def _fork(self, fds: Sequence[int]) -> ForkedProcess:
        status, theirs = os.pipe()
        try:
            return ForkedProcess(self._pid_of_fork([*fds, theirs]), status)
        except BaseException:
            os.close(status)
            raise
        finally:
            os.close(theirs)

    def _pid_of_fork(self, fds: Sequence[int]) -> int:
        with self._lock:
            try:
                pid, error = self._asked(fds)
            except (EOFError, OSError):  # it has ended
                self._server.kill()
                self._server = self._start()
                try:
                    pid, error = self._asked(fds)
                except (EOFError, OSError) as exc:
                    how = how_it_ended(self._server.join(END_S))
                    raise TrainerError(f"the process that starts training processes {how}") from exc
        if error is not None:
            raise TrainerError(f"no process could be started: {error}")
        return pid

    def _asked(self, fds: Sequence[int]) -> tuple[int, str | None]:
        with _socket(self._server.pipe) as channel:
            socket.send_fds(channel, [b"f"], fds)
        return cast(tuple[int, str | None], self._server.pipe.recv())


class ForkedProcess:
    """A process that the server has forked. It can be used as a `subprocess.Popen`, also by several threads.

    Parameters
    ----------
    pid : int
    status : int
        File descriptor of the pipe through which its exit code comes.
    """

    def __init__(self, pid: int, status: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._status = Connection(status, writable=False)
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """Return the exit code if the process has ended, else None."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; raises `subprocess.TimeoutExpired`."""
        if self.returncode is None and not self._status.poll(timeout):
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        with self._lock:  # several threads may wait
            if self.returncode is None:
                try:
                    self.returncode = self._status.recv()
                except EOFError:  # the server has ended, and everything that it has started with it
                    self.returncode = -signal.SIGKILL
            return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)


def _serve_forks(pipe: Connection[Any, Any], prepare: Callable[[], object]) -> None:
    """Fork for each request, and tell how the processes ended, until the pipe is closed."""
    prepare()
    gc.collect()
    gc.freeze()  # a collection would write to the memory that is shared
    ended, wakeup = os.pipe()
    os.set_blocking(wakeup, False)
    signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    running: dict[int, int] = {}
    while True:
        ready = wait([pipe, ended])
        if ended in ready:
            os.read(ended, 4096)
            _tell_ends(running)
        if pipe not in ready:
            continue
        with _socket(pipe) as channel:
            request, every, _, _ = socket.recv_fds(channel, 1, N_FDS)
        if not request:
            return
        *fds, status = every
        try:
            pid, error = os.fork(), None
        except OSError as exc:
            pid, error = -1, str(exc)
            os.close(status)
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            pipe.close()
            for fd in (*running.values(), status, ended, wakeup):
                os.close(fd)
            _serve(*fds)
        if pid > 0:
            running[pid] = status
        pipe.send((pid, error))
        for fd in fds:
            os.close(fd)


def _tell_ends(running: dict[int, int]) -> None:
    """Write the exit codes of the processes that have ended."""
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with Connection(running.pop(pid), readable=False) as told, suppress(BrokenPipeError):
            told.send(os.waitstatus_to_exitcode(status))


def _serve(fd: int, end_of_parent: int) -> NoReturn:
    """Do what comes through a pipe, in a process that was forked, and end."""
    code = 1
    try:
        watch_parent(end_of_parent)
        serve_one(Connection(fd))
        code = 0
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else 1
    except BaseException:  # noqa: BLE001 - nobody else would say it
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _socket(pipe: Connection[Any, Any]) -> socket.socket:
    """Return another handle of a pipe, which can send and receive file descriptors."""
    return socket.fromfd(pipe.fileno(), socket.AF_UNIX, socket.SOCK_STREAM)
