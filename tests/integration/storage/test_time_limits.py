"""How long a statement of PostgreSQL may take, and what happens while it waits."""

from __future__ import annotations

import socket
import threading
from contextlib import closing, contextmanager

import pytest
import sqlalchemy as sa

from al_learner.core.errors import DatabaseError, DatabaseUnavailable
from al_learner.core.storage.database import Database
from al_learner.core.storage.engines import postgresql as engine
from tests.support.waiting import wait_until


@pytest.fixture
def connect(postgresql):
    """Return a function that connects to the test's database."""
    opened = []

    def connect_one(url=None, **waits):
        opened.append(Database(url or postgresql.engine_url, **waits))
        return opened[-1]

    yield connect_one
    for database in opened:
        database.close()


def slow_rows(n, seconds):
    return sa.select(sa.func.pg_sleep(seconds)).select_from(sa.func.generate_series(1, n).alias())


def test_a_stream_may_take_longer_than_a_statement(connect, monkeypatch):
    monkeypatch.setenv("PGOPTIONS", "-c statement_timeout=500ms")
    database = connect()

    with database.reading(chunk=1) as connection:
        assert sum(map(len, connection.execute(slow_rows(6, 0.1)).partitions())) == 6
    with pytest.raises(DatabaseError, match="statement timeout"), database.reading() as connection:
        connection.execute(slow_rows(6, 0.1)).all()


def test_a_tick_that_raises_cancels_the_statement(connect, postgresql):
    class Over(KeyboardInterrupt):
        pass

    def tick():
        raise Over

    database = connect(tick=tick)
    with pytest.raises(Over), database.reading() as connection:
        connection.exec_driver_sql("SELECT pg_sleep(600)")

    running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)' AND state = 'active'"
    wait_until(lambda: postgresql.value(running) == 0, "the statement to end")


def test_a_server_that_falls_silent_is_noticed_while_its_answer_is_awaited(connect, postgresql, monkeypatch):
    monkeypatch.setattr(engine, "SILENCE_S", 0.5)
    with proxy(postgresql.server.port) as (port, silent):
        database = connect(postgresql.engine_url.replace(f":{postgresql.server.port}/", f":{port}/"))
        with pytest.raises(DatabaseUnavailable, match="has not answered"):
            ask_twice(database, between=silent.set)


def ask_twice(database, between):
    with database.reading() as connection:
        connection.exec_driver_sql("SELECT 1")
        between()
        connection.exec_driver_sql("SELECT 2")


@contextmanager
def proxy(target):
    """Forward one connection to a port, until it is told to be silent; its kernel goes on confirming what it gets."""
    silent, ended = threading.Event(), threading.Event()

    def forward(source, sink):
        while data := source.recv(65536):
            if silent.is_set():
                ended.wait()
                return
            sink.sendall(data)

    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def serve():
            client, _ = listener.accept()
            server = socket.create_connection(("127.0.0.1", target))
            with client, server:
                threading.Thread(target=forward, args=(server, client), daemon=True).start()
                forward(client, server)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1], silent
        ended.set()
        thread.join()
