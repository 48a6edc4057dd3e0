"""A small HTTP server that no client can hold up: every connection has a thread and a time limit."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

LIMIT_S = 10.0
"""How long a connection may last, with everything that the client sends and is sent."""

MAX_CONNECTIONS = 32
"""How many connections may be open. If there is one more, the oldest is closed."""


class Server(ThreadingMixIn, WSGIServer):
    """Answers by a WSGI application. `start` begins; the threads are daemons.

    Parameters
    ----------
    host : str
        IPv4 or IPv6 address, or a name of this machine.
    port : int

    Raises
    ------
    OSError
        The address is not this machine's, or the port is in use.
    """

    daemon_threads = True
    request_queue_size = 2 * MAX_CONNECTIONS

    def __init__(self, host: str, port: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._lock = threading.Lock()
        self._opened: dict[socket.socket, float] = {}
        super().__init__((host, port), _Handler)

    def start(self) -> threading.Thread:
        """Answer from now on, in a daemon thread."""
        thread = threading.Thread(target=self.serve_forever, daemon=True)
        thread.start()
        return thread

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start the connection's thread and its time."""
        with self._lock:
            self._opened[request] = time.monotonic()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close the connection. The lock keeps `service_actions` from a socket that is closed."""
        with self._lock:
            self._opened.pop(request, None)
            super().shutdown_request(request)

    def service_actions(self) -> None:
        """End what is too old or too much; called after each new connection, and every half second."""
        with self._lock:
            oldest_first = list(self._opened.items())
            for position, (request, since) in enumerate(oldest_first):
                is_too_much = position < len(oldest_first) - MAX_CONNECTIONS
                if is_too_much or time.monotonic() - since > LIMIT_S:
                    with suppress(OSError):  # the client has closed it
                        request.shutdown(socket.SHUT_RDWR)


class _Handler(WSGIRequestHandler):
    def handle(self) -> None:
        """Answer one request. A client that goes away is no error of ours."""
        with suppress(ConnectionError):
            super().handle()

    def log_message(self, *_: object) -> None:
        """Leave probes out of the log."""
