"""Talks to a Dask scheduler; a program that `Client` starts.

Dask unpickles what comes from a cluster, so whoever controls a machine of it can run code here. Therefore this process
is started without the environment of al_learner's worker: it has no signing key and no password of a database. It
hands over bytes that are parsed.
"""

from __future__ import annotations

import sys
import threading
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any, get_args

import distributed
from distributed.scheduler import KilledWorker

from al_learner.core.cluster.transport.messages import Order, Reply, Slot, decode, encode

CONNECT_S = 5
"""How long a connection to the scheduler may take."""

MERGED = 4
"""So many answers are merged by one task."""

TRIES = 5
"""How often a task is sent whose data was lost with a Dask worker."""


CHECK_S = 2
"""How often is checked whether a preferred Dask worker is still there."""


class _WorkerGone(Exception):
    """The preferred Dask worker has ended."""


class Helper:
    """Sends tasks to a scheduler, each in a thread, and replies as soon as there is an answer.

    Parameters
    ----------
    pipe : Connection
    do : callable
        Does a task on a Dask worker; see `Client`.
    address : str
        Of the scheduler.
    tls : sequence of str
        Files of the certificates that count as known, of the own certificate, and of its key; empty without TLS.
    """

    def __init__(self, pipe: Connection, do: Callable[..., tuple[str, bytes]], address: str, tls: list[str]) -> None:
        self._pipe, self._task, self._address, self._tls = pipe, do, address, tls
        self._client: distributed.Client | None = None
        self._connecting, self._sending, self._keeping = threading.Lock(), threading.Lock(), threading.Lock()
        self._futures: dict[int, list[Any]] = {}
        self._cancelled: set[int] = set()
        self._kept: dict[int, bytes] = {}
        self._scattered: dict[int, distributed.Future[Any]] = {}

    def serve(self) -> None:
        """Do what the worker orders, until it ends."""
        while True:
            try:
                order = decode(Order, self._pipe.recv_bytes())
            except EOFError:
                return
            if order.is_cancelled:
                self._cancelled.add(order.number)
                for future in self._futures.get(order.number, []):
                    future.cancel()
            elif order.is_kept:
                self._kept[order.number] = order.task
            else:
                threading.Thread(target=self._do, args=(order,), daemon=True).start()

    def _do(self, order: Order) -> None:
        try:
            client = self._connected()
            workers = client.scheduler_info(n_workers=-1)["workers"]
            offered = {slot for one in workers.values() for slot in one["resources"]}
            if not workers:
                reply = Reply(order.number, unavailable=f"the Dask scheduler at {self._address} has no workers")
            elif not offered.isdisjoint(get_args(Slot)) and order.slot not in offered:
                said = f"no Dask worker offers {order.slot}: start one with --resources {order.slot}=1"
                reply = Reply(order.number, unavailable=said)
            elif not order.task:
                reply = Reply(order.number)
            else:
                reply = self._done(client, order, workers, has_slots=order.slot in offered)
        except Exception as exc:  # noqa: BLE001 - whatever Dask raises, the worker waits for it to pass
            self._client = None
            said = f"{type(exc).__name__}: {exc}".rstrip(": ")
            reply = Reply(order.number, unavailable=f"the Dask scheduler at {self._address} cannot be used: {said}")
        self._futures.pop(order.number, None)
        self._cancelled.discard(order.number)
        with self._sending:
            self._pipe.send_bytes(encode(reply))

    def _done(self, client: distributed.Client, order: Order, workers: Mapping[str, Any], *, has_slots: bool) -> Reply:
        for _ in range(TRIES):
            try:
                future = self._submit(client, order, workers, has_slots=has_slots)
                worker, answer = self._result(client, future, needed=order.worker if order.worker in workers else "")
            except CancelledError:
                if order.uses and order.number not in self._cancelled and client.status == "running":
                    continue
                break
            except KilledWorker as exc:
                return Reply(order.number, unavailable=f"every Dask worker that got the task ended: {exc}")
            except _WorkerGone:
                workers = client.scheduler_info(n_workers=-1)["workers"]
                continue
            return Reply(order.number, answer, worker)
        return Reply(order.number, unavailable="the connection to the Dask scheduler was lost")

    def _result(self, client: distributed.Client, future: distributed.Future[Any], *, needed: str) -> Any:
        """Return the result. Raise _WorkerGone if the preferred Dask worker has ended.

        If there is no other one at that moment, the scheduler would keep the task for that one for ever.
        """
        while True:
            try:
                return future.result(CHECK_S if needed else None)
            except TimeoutError:
                if needed not in client.scheduler_info(n_workers=-1)["workers"]:
                    raise _WorkerGone from None

    def _submit(
        self, client: distributed.Client, order: Order, workers: Mapping[str, Any], *, has_slots: bool
    ) -> distributed.Future[Any]:
        futures = self._futures[order.number] = []
        is_warm = order.worker in workers
        if is_warm:  # but another project may have a task there
            is_warm = not any(
                str(key).startswith(order.slot) for key in client.processing([order.worker])[order.worker]
            )

        def submit(task: bytes, *given: Any, **where: Any) -> distributed.Future[Any]:
            future = client.submit(
                self._task,
                task,
                *given,
                key=f"{order.slot}-{uuid.uuid4()}",
                pure=False,
                priority=int(order.slot == "training"),
                resources={order.slot: 1} if has_slots else None,
                **where,
            )
            futures.append(future)
            if order.number in self._cancelled:
                future.cancel()
            return future

        level = [submit(part) for part in order.parts]
        while len(level) > 1:
            pieces = [level[n : n + MERGED] for n in range(0, len(level), MERGED)]
            level = [submit(order.merge, *piece) if len(piece) > 1 else piece[0] for piece in pieces]
        given = [*level, *([self._sent(client, order.uses)] if order.uses else [])]
        return submit(order.task, *given, workers=[order.worker] if is_warm else None, allow_other_workers=is_warm)

    def _sent(self, client: distributed.Client, number: int) -> distributed.Future[Any]:
        """Send data to all Dask workers, if it is not there. It is lost with the last of them."""
        with self._keeping:
            sent = self._scattered.get(number)
            if sent is None or sent.client is not client or sent.status != "finished":
                self._scattered[number] = client.scatter(self._kept[number], broadcast=True, hash=False)
            return self._scattered[number]

    def _connected(self) -> distributed.Client:
        with self._connecting:
            if self._client is None or self._client.status != "running":
                security = None
                if self._tls:
                    ca, certificate, key = self._tls
                    security = distributed.Security(
                        require_encryption=True, tls_ca_file=ca, tls_client_cert=certificate, tls_client_key=key
                    )
                self._client = distributed.Client(
                    self._address, security=security, timeout=CONNECT_S, set_as_default=False, name="al-learner"
                )
            return self._client


def main() -> None:
    """Serve.

    The arguments are the number of a pipe's descriptor, ``MODULE:FUNCTION`` that does tasks, the scheduler's address,
    and the files of TLS.
    """
    fd, do, address, *tls = sys.argv[1:]
    module, _, name = do.partition(":")
    Helper(Connection(int(fd)), getattr(import_module(module), name), address, tls).serve()


if __name__ == "__main__":
    main()
