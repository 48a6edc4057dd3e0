"""Sends tasks to a Dask cluster, through a process that holds no secret."""

from __future__ import annotations

import itertools
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from multiprocessing import Pipe
from queue import SimpleQueue

from al_learner.core.cluster.transport.messages import Order, Reply, Slot, decode, encode
from al_learner.core.errors import ClusterError, ClusterUnavailable
from al_learner.core.events import event

TICK_S = 0.2
"""How often `tick` is called while something waits."""

PING_S = 30
"""How long the question may take whether there are Dask workers."""

RETRY_S = 2
"""Pause before a lost task is sent again."""

HELPER_ENDED = "the process that talks to the Dask scheduler has ended"

PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV", "SYSTEMROOT")
"""What the process gets of the environment, beside ``DASK_…``."""


class Client:
    """Sends tasks, several at a time, and returns their answers as bytes.

    Parameters
    ----------
    do : str
        ``MODULE:FUNCTION`` that does a task on a Dask worker. It is called as ``do(task, *given)``, and returns the
        worker's address and an encoded `Answer`. `given` is kept data, or what it returned for the parts of the task.
        It is not imported here, because it needs Dask.
    address : str
        Of the scheduler, ``tls://HOST:PORT`` or ``tcp://HOST:PORT``.
    tls : sequence of str
        For ``tls``: files of the certificates that count as known, of the own certificate, and of its key.
    max_bytes : int
        Largest answer that is accepted.
    """

    def __init__(self, do: str, address: str, tls: Sequence[str], *, max_bytes: int) -> None:
        self._arguments, self._max_bytes = [do, address, *tls], max_bytes
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._helper: _Helper | None = None
        self._kept: list[Order] = []

    @property
    def pid(self) -> int | None:
        """The id of the process that talks to the scheduler; None before it is needed, and after `close`."""
        return self._helper.pid if self._helper else None

    def ping(self, slot: Slot = "training", tick: Callable[[], object] = lambda: None) -> None:
        """Raise ClusterUnavailable if the scheduler cannot be reached or no Dask worker offers a slot.

        `tick` as for `ask`.
        """
        self._done(Order(next(self._numbers), slot=slot), tick, PING_S)

    def ask(
        self,
        task: bytes,
        *,
        slot: Slot,
        worker: str = "",
        parts: Sequence[bytes] = (),
        merge: bytes = b"",
        tick: Callable[[], object],
        timeout_s: float,
    ) -> tuple[str, bytes]:
        """Send a task. Return the address of the Dask worker that did it, and its answer.

        Parameters
        ----------
        slot, worker, parts, merge
            See `Order`.
        tick : callable
            Called while waiting. When it raises, the task is cancelled.
        timeout_s : float
            How long to wait.

        Raises
        ------
        ClusterUnavailable
            It was not done; later it may be.
        """
        order = Order(next(self._numbers), task, slot, worker, parts=tuple(parts), merge=merge)
        return self._done(order, tick, timeout_s)

    def ask_all(
        self, tasks: Iterable[bytes], *, slot: Slot, uses: int = 0, at_most: int, tick: Callable[[], object]
    ) -> Iterator[tuple[int, bytes]]:
        """Send many tasks. Yield number and answer of each as it is done; parameters as of `ask`.

        No task is sent before those are done that come more than `at_most` before it. A task that the cluster has lost
        is sent again, as soon as it can be reached.
        """
        numbered, is_over, said, n_sent = enumerate(tasks), False, "", 0
        waiting: dict[Future[Reply], tuple[_Helper, Order, int]] = {}

        def send(number: int, task: bytes) -> None:
            order = Order(next(self._numbers), task, slot, uses=uses)
            helper, reply = self._send(order)
            waiting[reply] = helper, order, number

        def oldest() -> int:
            return min((number for _, _, number in waiting.values()), default=n_sent)

        try:
            while not is_over or waiting:
                while not is_over and n_sent - oldest() < at_most:
                    following = next(numbered, None)
                    is_over = following is None
                    if following is not None:
                        send(*following)
                        n_sent += 1
                for reply in wait(waiting, TICK_S, FIRST_COMPLETED).done:
                    _, order, number = waiting.pop(reply)
                    try:
                        yield number, _answer(reply)[1]
                    except ClusterUnavailable as exc:
                        if said != str(exc):
                            event("cluster.waiting", level=logging.WARNING, error=str(exc))
                        said = str(exc)
                        self._until_available(slot, tick)
                        send(number, order.task)
                tick()
        finally:
            for helper, order, _ in waiting.values():
                helper.cancel(order)

    def keep(self, data: bytes) -> int:
        """Send data to all Dask workers, once, for later tasks. Return what these call it (`uses`)."""
        order = Order(next(self._numbers), data, is_kept=True)
        with self._lock:
            self._kept.append(order)
            if self._helper is not None:
                self._helper.tell(order)
        return order.number

    def close(self) -> None:
        """End the process. The scheduler cancels the tasks that it waits for."""
        with self._lock:
            if self._helper is not None:
                self._helper.kill()
            self._helper = None

    def _send(self, order: Order) -> tuple[_Helper, Future[Reply]]:
        with self._lock:
            if self._helper is None or not self._helper.is_alive:
                self._helper = _Helper(self._arguments, self._max_bytes)
                for kept in self._kept:
                    self._helper.tell(kept)
            return self._helper, self._helper.send(order)

    def _done(self, order: Order, tick: Callable[[], object], timeout_s: float) -> tuple[str, bytes]:
        helper, reply = self._send(order)
        try:
            for _ in range(max(1, int(timeout_s / TICK_S))):
                if wait([reply], TICK_S).done:
                    return _answer(reply)
                tick()
            if not order.task:
                helper.kill()  # it is stuck; a task, which may be another project's fault, is only cancelled
            raise ClusterUnavailable(f"the cluster has not answered for {timeout_s:g} s")
        except BaseException:
            helper.cancel(order)
            raise

    def _until_available(self, slot: Slot, tick: Callable[[], object]) -> None:
        while True:
            for _ in range(int(RETRY_S / TICK_S)):
                time.sleep(TICK_S)
                tick()
            with suppress(ClusterUnavailable):
                return self.ping(slot, tick)


def _answer(reply: Future[Reply]) -> tuple[str, bytes]:
    found = reply.result()
    if found.unavailable:
        raise ClusterUnavailable(found.unavailable)
    return found.worker, found.answer


class _Helper:
    """The process that talks to the scheduler, and what is waited for."""

    def __init__(self, arguments: Sequence[str], max_bytes: int) -> None:
        self._pipe, theirs = Pipe()
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._waiting: dict[int, Future[Reply]] = {}
        self._orders: SimpleQueue[Order] = SimpleQueue()
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "al_learner.core.cluster.transport.client_process",
                str(theirs.fileno()),
                *arguments,
            ],
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

    def tell(self, order: Order) -> None:
        """Send an order that has no reply."""
        self._orders.put(order)

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
