"""Forks processes that have imported what takes long; a program, which `tests.support.forks` starts.

Its arguments are the descriptor of a listening socket and the names of modules to import. Who connects sends an order
and three descriptors: standard input, output and error. A process is forked; it leads a session, has the order's
environment and folder, and runs a module or a script as Python does. Its process id and later its exit code are the
answer. Nothing of al_learner is loaded before the fork, for some of it depends on the process: what it does at its
start, and in which order, stays as it is, but for the libraries being there already.
"""

from __future__ import annotations

import atexit
import gc
import json
import logging
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module
from itertools import pairwise
from typing import Any, NoReturn

import al_learner

MESSAGE_BYTES = 2**20


def preload(modules: Iterable[str]) -> None:
    """Import modules and what `al_learner.Project` needs, and forget what is al_learner's own."""
    for name in modules:
        import_module(name)
    assert al_learner.Project
    for name in [name for name in sys.modules if name.partition(".")[0] == "al_learner"]:
        del sys.modules[name]
    gc.freeze()  # a collection in a forked process would copy all of it
    assert threading.active_count() == 1, "a fork would lose the other threads"


def take_orders(listener: socket.socket) -> dict[str, Any]:
    """Fork a process for every order, and tell how each of them ends. Return only in a forked process: its order."""
    customers: dict[int, socket.socket] = {}
    bell, ringer = os.pipe()
    os.set_blocking(ringer, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(ringer)
    while True:
        ready, _, _ = select.select([listener, bell, sys.stdin.fileno()], [], [])
        if bell in ready:
            os.read(bell, 4096)
            tell_ends(customers)
        if listener in ready:
            customer, _ = listener.accept()
            message, fds, _, _ = socket.recv_fds(customer, MESSAGE_BYTES, 3)
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                os.setsid()
                for target, fd in enumerate(fds):
                    os.dup2(fd, target)
                    os.close(fd)
                for sock in (listener, customer, *customers.values()):
                    sock.close()
                os.close(bell)
                os.close(ringer)
                order: dict[str, Any] = json.loads(message)
                return order
            for fd in fds:
                os.close(fd)
            customers[pid] = customer
            answer(customer, pid)
        if sys.stdin.fileno() in ready:
            os._exit(0)  # whoever started this has ended, or wants it to end


def tell_ends(customers: dict[int, socket.socket]) -> None:
    """Answer with the exit code of every process that has ended."""
    while customers:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with customers.pop(pid) as customer:
            answer(customer, os.waitstatus_to_exitcode(status))


def answer(customer: socket.socket, number: int) -> None:
    with suppress(OSError):  # it may not be interested any more
        customer.sendall(f"{number}\n".encode())


class Forked(subprocess.Popen[bytes]):
    """A child process of `ChildProcess` that is forked, where an interpreter would be started; others are started.

    It then does what one that was started does: it reads from a pipe what it is to run. It keeps no other descriptors,
    and nothing of this process ends with it.
    """

    def _execute_child(self, command: Any, *options: Any) -> None:
        if "child_process import" not in str(command[-1]):
            return super()._execute_child(command, *options)  # type: ignore[misc]  # private, in CPython since 3.0
        self.pid = os.fork()
        if self.pid == 0:
            signal.set_wakeup_fd(-1)
            atexit._clear()
            logging.getLogger("al_learner").handlers.clear()
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            kept = options[3]
            for first, last in pairwise([2, *sorted(kept), os.sysconf("SC_OPEN_MAX")]):
                os.closerange(first + 1, last)
            try:
                exec(command[-1], {})  # noqa: S102 - what the interpreter would be told to run
            except SystemExit as exc:
                os._exit(exc.code if isinstance(exc.code, int) else 1)
            except Exception:  # noqa: BLE001 - ends as an interpreter does
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        self._child_created = True
        return None


def become(order: dict[str, Any], installed: list[str]) -> None:
    """Run the order's module as ``python -m`` does, or its script, with its environment and in its folder."""
    if order.get("forks_children", True):
        subprocess.Popen = Forked  # type: ignore[misc]
    os.environ.clear()
    os.environ.update(order["environment"])
    os.chdir(order["folder"])
    own = [*filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv[:] = order["arguments"]
    what = sys.argv[0]
    if what.startswith("/"):
        sys.path[:] = [os.path.dirname(what), *own, *installed]  # noqa: PTH120 - as Python does
        runpy.run_path(what, run_name="__main__")
    else:
        sys.path[:] = [order["folder"], *own, *installed]
        runpy.run_module(what, run_name="__main__", alter_sys=True)


def end(code: int) -> NoReturn:
    """End as Python does, without freeing every object of the libraries one by one, which takes half a second."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    installed = sys.path[1:]  # without the folder in which this was started
    listener = socket.socket(fileno=int(sys.argv[1]))
    preload(sys.argv[2:])
    order = take_orders(listener)
    try:
        become(order, installed)
    except SystemExit as exc:
        if isinstance(exc.code, int):
            end(exc.code)
        raise
    end(0)


if __name__ == "__main__":
    main()
