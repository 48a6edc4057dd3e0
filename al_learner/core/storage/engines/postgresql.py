"""Connections to PostgreSQL: how they are made, and how long a statement waits."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator
from typing import Any

import sqlalchemy as sa

CONNECT_TIMEOUT_S = 5

READ_LOCK_TIMEOUT_S = 5
"""How long a statement waits for a lock, unless its transaction says otherwise. PGOPTIONS can override it."""

STATEMENT_TIMEOUT_S = 60
"""How long a statement may take, unless its transaction says otherwise. PGOPTIONS can override it.

Each FETCH of a server-side cursor is a statement of its own, so a long stream may take longer.
"""

WRITE_TIMEOUT_S = 600
"""How long a statement of a writing transaction may take."""

SILENCE_S = 660
"""A server that has not answered for so long, while no statement may take as long, has fallen silent."""


def engine(url: sa.URL, *, owner: str, tick: Callable[[], object]) -> sa.Engine:
    """Return an engine.

    Parameters
    ----------
    owner : str
        Names this process in ``application_name``.
    tick : callable
        Called every tenth of a second while a statement waits for the server, in the thread that waits. When it raises
        KeyboardInterrupt, the statement is cancelled.
    """
    import psycopg  # loaded only where the database is a PostgreSQL

    made = sa.create_engine(
        url,
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
        pool_size=2,
        hide_parameters=True,
        connect_args={
            "connect_timeout": os.environ.get("PGCONNECT_TIMEOUT") or CONNECT_TIMEOUT_S,
            "application_name": f"al-learner {owner}",
            # Both ends notice within 30 s that the other is gone; the server then frees our lock.
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 30_000,
            "options": f"-c lock_timeout={READ_LOCK_TIMEOUT_S}s -c statement_timeout={STATEMENT_TIMEOUT_S}s "
            + os.environ.get("PGOPTIONS", "")
            + " -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"
            # Of statements outside of transactions. A serializable one can make the transactions of others fail.
            + r" -c default_transaction_isolation=read\ committed",
        },
    )

    class Connection(psycopg.Connection[Any]):
        """Calls `tick` while it waits, and does not wait for ever."""

        def wait(self, gen: Generator[Any, Any, Any], *args: Any, **kwargs: Any) -> Any:
            return super().wait(self._ticking(gen), *args, **kwargs)

        def _ticking(self, waiting: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
            answered = time.monotonic()
            try:
                state = next(waiting)
                while True:
                    is_ready = yield state
                    if is_ready:
                        answered = time.monotonic()
                    elif time.monotonic() - answered > SILENCE_S:
                        self.close()
                        raise psycopg.OperationalError(f"the server has not answered for {SILENCE_S} s")
                    else:  # psycopg asks again every tenth of a second
                        tick()
                    state = waiting.send(is_ready)
            except StopIteration as ended:
                return ended.value

    @sa.event.listens_for(made, "do_connect")
    def _connect(_dialect: object, _record: object, args: list[Any], params: dict[str, Any]) -> Connection:
        return Connection.connect(*args, **params)

    return made
