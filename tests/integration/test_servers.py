"""The tests' own servers: each finds a port of its own, also when somebody was quicker."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import servers as own
from tests.support.waiting import DEADLINE_S, wait_until


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[own.Redis]:
    server = own.Redis(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def postgres_server() -> Iterator[own.Postgres]:
    with own.folder() as folder:
        server = own.Postgres(folder)
        yield server
        server.stop(immediate=True)


@pytest.mark.parametrize("kind", ["redis_server", "postgres_server"])
def test_a_port_that_was_taken_since_it_was_found_free_is_replaced_by_another(
    kind: str, request: pytest.FixtureRequest
) -> None:
    server = request.getfixturevalue(kind)
    with socket.create_server(("127.0.0.1", server.port)) as taken:
        server.start()

        assert server.answers()
        assert server.port != taken.getsockname()[1]


def test_another_server_on_the_port_is_not_taken_for_ours(
    redis_server: own.Redis, servers: tuple[own.Postgres, own.Redis]
) -> None:
    redis_server.port = servers[1].port

    redis_server.start()

    assert redis_server.port != servers[1].port


def test_a_stopped_server_comes_back_on_its_port_as_soon_as_that_is_free(redis_server: own.Redis) -> None:
    redis_server.start()
    port = redis_server.port
    redis_server.stop()
    with socket.create_server(("127.0.0.1", port)):
        restart = threading.Thread(target=redis_server.start, daemon=True)
        restart.start()
        wait_until(lambda: redis_server.process is not None and not redis_server.is_running, "a start to fail")
    restart.join(DEADLINE_S)

    assert redis_server.answers()
    assert redis_server.port == port
