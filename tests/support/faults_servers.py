"""What can happen to a PostgreSQL and to a Redis; all but the stopping itself is undone by `heal`."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from tests.support.servers import Postgres, Redis
from tests.support.waiting import wait_until

LOCKED = "pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted)"
"""Of pg_stat_activity, the session that holds the run lock. Workers also hold locks of two numbers: objsubid 2."""

WORKERS = "application_name LIKE 'al-learner %%'"


def heal(postgres: Postgres, redis: Redis) -> None:
    """Start again what was stopped or paused."""
    for server in (postgres, redis):
        if not server.is_running:
            server.start()
    wait_until(postgres.answers, "PostgreSQL to recover")
    assert redis.process is not None
    redis.process.send_signal(signal.SIGCONT)


def terminate(postgres: Postgres, database: str, which: str = WORKERS, *values: Any) -> int:
    """Terminate the backends that a condition on pg_stat_activity picks; return how many."""
    with postgres.connect() as connection:
        found = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            f" WHERE datname = %s AND pid <> pg_backend_pid() AND {which}",
            (database, *values),
        )
        return len(found.fetchall())


@contextmanager
def full_disk(postgres: Postgres, database: str, table: str) -> Iterator[None]:
    """Let every INSERT into a table fail as on a full disk."""
    with postgres.connect(database) as connection:
        connection.execute(
            "CREATE OR REPLACE FUNCTION disk_is_full() RETURNS trigger LANGUAGE plpgsql AS"
            " $$BEGIN RAISE 'No space left on device' USING ERRCODE = '53100'; END$$"
        )
        connection.execute(
            f"CREATE TRIGGER disk_is_full BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION disk_is_full()"
        )
    try:
        yield
    finally:
        with postgres.connect(database) as connection:
            connection.execute(f"DROP TRIGGER disk_is_full ON {table}")


@contextmanager
def silent_session(postgres: Postgres, which: str = WORKERS) -> Iterator[None]:
    """Stop one backend that a condition on pg_stat_activity picks: its connection stays open, and nobody answers."""
    with postgres.connect() as connection:
        pids = [pid for (pid,) in connection.execute(f"SELECT pid FROM pg_stat_activity WHERE {which} LIMIT 1")]
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@contextmanager
def paused(redis: Redis) -> Iterator[None]:
    """Stop Redis in its tracks: it keeps its connections and answers nobody."""
    assert redis.process is not None
    redis.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        redis.process.send_signal(signal.SIGCONT)


def cut(redis: Redis, kind: str) -> int:
    """Close every connection of a kind, ``normal`` or ``pubsub``; return how many."""
    with redis.client() as client:
        return int(client.client_kill_filter(_type=kind, skipme=True))
