"""TLS to Redis: trusted by the authority that is configured, and by no other."""

from __future__ import annotations

import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trustme

from al_learner.core.configuration.settings import Settings
from al_learner.core.errors import ChannelError
from al_learner.core.service.redis_channels import Channels
from tests.support.servers import Redis
from tests.support.waiting import DEADLINE_S


class Front(socketserver.ThreadingTCPServer):
    """Takes TLS connections on a port of its own and hands what they say to a plain server."""

    daemon_threads = True

    def __init__(self, port: int, authority: trustme.CA) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(self.context)
        self.behind = port
        super().__init__(("127.0.0.1", 0), _Connection)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Connection(socketserver.BaseRequestHandler):
    server: Front

    def handle(self) -> None:
        with (
            suppress(OSError),
            self.server.context.wrap_socket(self.request, server_side=True) as front,
            socket.create_connection(("127.0.0.1", self.server.behind)) as back,
        ):
            threading.Thread(target=_pump, args=(back, front), daemon=True).start()
            _pump(front, back)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def front(servers: tuple[Any, Redis], authority: trustme.CA) -> Iterator[Front]:
    with Front(servers[1].port, authority) as front:
        yield front
        front.shutdown()


def written(authority: trustme.CA, folder: Path) -> str:
    file = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(file))
    return str(file)


def by_host(front: Front) -> dict[str, Any]:
    return {"redis_host": "127.0.0.1", "redis_port": front.port, "redis_tls": True}


def by_url(front: Front) -> dict[str, Any]:
    return {"redis_url": f"rediss://127.0.0.1:{front.port}"}


@pytest.mark.parametrize("named", [by_host, by_url])
def test_messages_come_and_go_over_tls(named, front, authority, tmp_path):
    settings = Settings(database_url="sqlite://", redis_ca_file=written(authority, tmp_path), **named(front))
    channels, stop, heard = Channels(settings), threading.Event(), []
    has_heard = threading.Event()

    def hear(payload: str) -> None:
        heard.append(payload)
        if payload:
            has_heard.set()
        else:
            channels._client.publish("learner", "update")

    listener = threading.Thread(target=channels.listen, args=(hear, stop))
    listener.start()
    assert has_heard.wait(DEADLINE_S)
    assert channels.announce() == 0
    stop.set()
    channels.close()
    listener.join(DEADLINE_S)

    assert heard == ["", "update"]


@pytest.mark.parametrize("named", [by_host, by_url])
@pytest.mark.parametrize("trusted", ["none", "another"])
def test_a_server_of_another_authority_is_not_trusted(trusted, named, front, tmp_path):
    files = {"redis_ca_file": written(trustme.CA(), tmp_path)} if trusted == "another" else {}

    with pytest.raises(ChannelError, match="certificate verify failed"):
        Channels(Settings(database_url="sqlite://", **files, **named(front))).announce()
