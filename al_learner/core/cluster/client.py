"""Sends tasks to a Dask cluster, through a process that holds no secret."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from multiprocessing import Pipe
from queue import SimpleQueue

from al_learner.core.cluster.messages import Order, Reply, decode, encode
from al_learner.core.errors import ClusterError, ClusterUnavailable

TICK_S = 0.2
"""How often `tick` is called while something waits."""

PING_S = 30
"""How long the question may take whether there are Dask workers."""

HELPER_ENDED = "the process that talks to the Dask scheduler has ended"

PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV", "SYSTEMROOT")
"""What the process gets of the environment, beside ``DASK_…``."""


class Client:
    """Sends tasks, several at a time, and returns their answers as bytes.

    Parameters
    ----------
    address : str
        Of the scheduler, ``tls://HOST:PORT`` or ``tcp://HOST:PORT``.
    tls : sequence of str
        For ``tls``: files of the certificates that count as known, of the own certificate, and of its key.
    max_bytes : int
        Largest answer that is accepted.
    """

    def __init__(self, address: str, tls: Sequence[str], *, max_bytes: int) -> None:
        self._arguments, self._max_bytes = [address, *tls], max_bytes
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._helper: _Helper | None = None

    @property
    def pid(self) -> int | None:
        """The id of the process that talks to the scheduler; None before it is needed, and after `close`."""
        return self._helper.pid if self._helper else None

    def ping(self, tick: Callable[[], object] = lambda: None) -> None:
        """Raise ClusterUnavailable if the scheduler cannot be reached or has no workers; `tick` as for `ask`."""
        self._reply(Order(next(self._numbers)), tick, PING_S)

    def ask(
        self, task: bytes, *, is_urgent: bool, worker: str, tick: Callable[[], object], timeout_s: float
    ) -> tuple[str, bytes]:
        """Send a task. Return the address of the Dask worker that did it, and its answer.

        Parameters
        ----------
        is_urgent : bool
            Whether it is a training, and not a score or a comparison.
        worker : str
            Preferred Dask worker; empty if there is none.
        tick : callable
            Called while waiting. When it raises, the task is cancelled.

        Raises
        ------
        ClusterUnavailable
            It was not done; later it may be.
        """
        reply = self._reply(Order(next(self._numbers), task, is_urgent, worker), tick, timeout_s)
        return reply.worker, reply.answer

    def close(self) -> None:
        """End the process. The scheduler cancels the tasks that it waits for."""
        with self._lock:
            if self._helper is not None:
                self._helper.kill()
            self._helper = None

    def _reply(self, order: Order, tick: Callable[[], object], timeout_s: float) -> Reply:
        with self._lock:
            if self._helper is None or not self._helper.is_alive:
                self._helper = _Helper(self._arguments, self._max_bytes)
            helper = self._helper
        future = helper.send(order)
        try:
            for _ in range(max(1, int(timeout_s / TICK_S))):
                if wait([future], TICK_S).done:
                    break
                tick()
            else:
                helper.kill()  # it may be stuck; the next order gets a new one
                raise ClusterUnavailable(f"the cluster has not answered for {timeout_s:g} s")
        except BaseException:
            helper.cancel(order)
            raise
        reply = future.result()
        if reply.unavailable:
            raise ClusterUnavailable(reply.unavailable)
        return reply


class _Helper:
    """The process that talks to the scheduler, and what is waited for."""

    def __init__(self, arguments: Sequence[str], max_bytes: int) -> None:
        self._pipe, theirs = Pipe()
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._waiting: dict[int, Future[Reply]] = {}
        self._orders: SimpleQueue[Order] = SimpleQueue()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "al_learner.core.cluster.client_process", str(theirs.fileno()), *arguments],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            env={name: value for name, value in os.environ.items() if name in PASSED_ON or name.startswith("DASK_")},
            start_new_session=True,  # a Ctrl-C on a terminal is for the parent, whose end closes the pipe
        )
        theirs.close()
        self.pid, self.is_alive = self._process.pid, True
        self._sender = threading.Thread(target=self._send, daemon=True)
        self._receiver = threading.Thread(target=self._receive, daemon=True)
        self._sender.start()
        self._receiver.start()

    def send(self, order: Order) -> Future[Reply]:
        """Send an order, without waiting for the reply."""
        future: Future[Reply] = Future()
        with self._lock:
            if not self.is_alive:
                future.set_result(Reply(order.number, unavailable=HELPER_ENDED))
                return future
            self._waiting[order.number] = future
        self._orders.put(order)
        return future

    def cancel(self, order: Order) -> None:
        """Cancel an order, if there is no reply yet."""
        if self._waiting.pop(order.number, None) is not None:
            self._orders.put(Order(order.number, is_cancelled=True))

    def kill(self) -> None:
        """End it. Whoever waits gets a reply that says so."""
        self._process.kill()
        self._process.wait()
        self._receiver.join()

    def _send(self) -> None:
        """Send orders, in a thread of its own: a process that reads nothing keeps only this thread waiting."""
        with suppress(OSError):  # it has ended, which the other thread notices
            while self.is_alive:
                self._pipe.send_bytes(encode(self._orders.get()))

    def _receive(self) -> None:
        said = HELPER_ENDED
        try:
            while True:
                reply = decode(Reply, self._pipe.recv_bytes(self._max_bytes))
                if (future := self._waiting.pop(reply.number, None)) is not None:
                    future.set_result(reply)
        except EOFError:
            pass
        except (OSError, ClusterError) as exc:  # OSError: a reply is too long
            said = f"{HELPER_ENDED}: {exc}"
        with self._lock:
            self.is_alive = False
            lost = dict(self._waiting)
        self._process.kill()
        self._process.wait()
        self._orders.put(Order(0))  # wakes the thread that sends, which ends as nobody reads
        self._sender.join()
        self._pipe.close()
        for number, future in lost.items():
            future.set_result(Reply(number, unavailable=said))
