"""Talks to a Dask scheduler; a program that `Client` starts.

Dask unpickles what comes from a cluster, so whoever controls a machine of it can run code here. Therefore this process
is started without the environment of al_learner's worker: it has no signing key and no password of a database. It
hands over bytes that are parsed.
"""

from __future__ import annotations

import sys
import threading
import uuid
from collections.abc import Mapping
from concurrent.futures import CancelledError
from multiprocessing.connection import Connection
from typing import Any

import distributed
from distributed.scheduler import KilledWorker

from al_learner.core.cluster.dask_tasks import do
from al_learner.core.cluster.messages import Order, Reply, decode, encode

TRAINING, SCORING = "training", "scoring"
"""How the keys of tasks begin, and the names of Dask's resources: a Dask worker may offer one of each.

Then a score, which may take a minute, never keeps a training waiting.
"""

CONNECT_S = 5
"""How long a connection to the scheduler may take."""


class Helper:
    """Sends tasks to a scheduler, each in a thread, and replies as soon as there is an answer.

    Parameters
    ----------
    pipe : Connection
    address : str
        Of the scheduler.
    tls : sequence of str
        Files of the certificates that count as known, of the own certificate, and of its key; empty without TLS.
    """

    def __init__(self, pipe: Connection, address: str, tls: list[str]) -> None:
        self._pipe, self._address, self._tls = pipe, address, tls
        self._client: distributed.Client | None = None
        self._connecting, self._sending = threading.Lock(), threading.Lock()
        self._futures: dict[int, Any] = {}
        self._cancelled: set[int] = set()

    def serve(self) -> None:
        """Do what the worker orders, until it ends."""
        while True:
            try:
                order = decode(Order, self._pipe.recv_bytes())
            except EOFError:
                return
            if order.is_cancelled:
                self._cancelled.add(order.number)
                if (future := self._futures.get(order.number)) is not None:
                    future.cancel()
            else:
                threading.Thread(target=self._do, args=(order,), daemon=True).start()

    def _do(self, order: Order) -> None:
        try:
            client = self._connected()
            workers = client.scheduler_info(n_workers=-1)["workers"]
            if not workers:
                reply = Reply(order.number, unavailable=f"the Dask scheduler at {self._address} has no workers")
            elif not order.task:
                reply = Reply(order.number)
            else:
                reply = self._done(client, order, workers)
        except Exception as exc:  # noqa: BLE001 - whatever Dask raises, the worker waits for it to pass
            self._client = None
            said = f"{type(exc).__name__}: {exc}".rstrip(": ")
            reply = Reply(order.number, unavailable=f"the Dask scheduler at {self._address} cannot be used: {said}")
        with self._sending:
            self._pipe.send_bytes(encode(reply))

    def _done(self, client: distributed.Client, order: Order, workers: Mapping[str, Any]) -> Reply:
        slot = TRAINING if order.is_urgent else SCORING
        is_warm = order.worker in workers
        if is_warm:  # but another project may train there
            is_warm = not any(str(key).startswith(slot) for key in client.processing([order.worker])[order.worker])
        future = client.submit(
            do,
            order.task,
            key=f"{slot}-{uuid.uuid4()}",
            pure=False,
            priority=int(order.is_urgent),
            resources={slot: 1} if any(slot in one["resources"] for one in workers.values()) else None,
            workers=[order.worker] if is_warm else None,
            allow_other_workers=is_warm,
        )
        self._futures[order.number] = future
        if order.number in self._cancelled:
            future.cancel()
        try:
            worker, answer = future.result()
        except CancelledError:
            return Reply(order.number, unavailable="the connection to the Dask scheduler was lost")
        except KilledWorker as exc:
            return Reply(order.number, unavailable=f"every Dask worker that got the task ended: {exc}")
        finally:
            self._futures.pop(order.number, None)
            self._cancelled.discard(order.number)
        return Reply(order.number, answer, worker)

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
    """Serve; the arguments are the number of a pipe's descriptor, the scheduler's address, and the files of TLS."""
    fd, address, *tls = sys.argv[1:]
    Helper(Connection(int(fd)), address, tls).serve()


if __name__ == "__main__":
    main()
