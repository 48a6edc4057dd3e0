"""Fixtures for every test: an environment without settings, own servers, own databases."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from al_learner.core.configuration.settings import Settings
from al_learner.core.project import Project
from tests.support import servers as own
from tests.support.forks import COMMAND, Nursery
from tests.support.tables import SCHEMA, WORKER_ROLE, PostgresqlTables, SqliteTables, Tables

AL_LEARNER = Path(sys.executable).with_name("al-learner")
TEMPLATE = "labelforward"
SETTINGS = ("AL_LEARNER_", "PG", "REDIS_", "BATCH_SIZE", "MIN_LABEL_COUNT", "ACTIVE_LEARNING")

Servers = tuple[own.Postgres, own.Redis]


def pytest_configure() -> None:
    """Let SIGTERM end the tests as Ctrl-C does, so that no server of theirs is left.

    And let Python keep what it compiles, or each of the hundreds of processes would compile the package anew; and let
    OpenBLAS have one thread, for several that wait for each other take the time of the other tests' processes.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["OPENBLAS_NUM_THREADS"] = "1"


def pytest_xdist_auto_num_workers() -> int:
    """Return how many processes `make test` runs: twice the number of cores, for half of the time they wait."""
    return 2 * len(os.sched_getaffinity(0))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what takes longest, or one process would be at it when all others have ended."""
    grouped = [item for item in items if item.get_closest_marker("xdist_group")]
    if getattr(config.option, "loadgroup", False) and not all("@" in item.nodeid for item in grouped):
        raise pytest.UsageError("pytest-xdist does not group the tests: see pyproject.toml")
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_collection_finish() -> None:
    """Let the garbage collector leave alone what imports and collected tests have made, a million objects."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _no_settings() -> Iterator[None]:
    """Take every setting of the developer's own out of the environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.upper().startswith(SETTINGS)]:
            patch.delenv(name)
        yield


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep away from a settings file that may lie where pytest was started."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """PostgreSQL and Redis, started when the first test wants one of them."""
    with own.running() as (postgres, redis):
        with postgres.connect() as connection:
            connection.execute(f"CREATE DATABASE {TEMPLATE}")
            connection.execute(f"CREATE ROLE {WORKER_ROLE} LOGIN")
        with postgres.connect(TEMPLATE) as connection:
            connection.execute(SCHEMA.read_text())
        yield postgres, redis


@pytest.fixture
def postgresql(servers: Servers) -> Iterator[PostgresqlTables]:
    """A database on PostgreSQL with LabelForward's empty tables; the test's own."""
    tables = PostgresqlTables(servers[0], TEMPLATE)
    yield tables
    tables.close()


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[SqliteTables]:
    """A SQLite file with LabelForward's empty tables."""
    tables = SqliteTables(tmp_path / "project.db")
    yield tables
    tables.close()


@pytest.fixture
def database(request: pytest.FixtureRequest) -> Tables:
    """A database with LabelForward's empty tables: SQLite, and for tests marked `ON_BOTH` PostgreSQL too."""
    tables: Tables = request.getfixturevalue(getattr(request, "param", "sqlite"))
    return tables


@pytest.fixture
def redis(servers: Servers) -> own.Redis:
    """A Redis without keys or subscribers."""
    server = servers[1]
    with server.client() as client:
        client.flushall()
        client.client_kill_filter(_type="pubsub")
    return server


@pytest.fixture(scope="session")
def forked_command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with an al-learner that is the installed script, run in a process that has loaded what takes long."""
    folder = tmp_path_factory.mktemp("command")
    with Nursery(COMMAND) as nursery:
        nursery.install(AL_LEARNER, folder)
        yield folder


FAST = {"classifier": "complement-nb", "vectorizer": "tfidf", "init_sampler": "balanced"}
"""Strategies of tests that are about something else; word vectors would take a second in every process."""


@pytest.fixture
def open_project() -> Iterator[Callable[..., Project]]:
    """Return a function like `Project`, with fast strategies; what it opens is prepared, and closed in the end."""
    opened: list[Project] = []

    def open_one(tables: Tables, *, pause: Callable[[float], object] | None = None, **settings: Any) -> Project:
        chosen = Settings(**{"database_url": tables.url, **FAST, **settings})
        opened.append(Project.of(chosen, **({"pause": pause} if pause else {})))
        opened[-1].prepare()
        return opened[-1]

    yield open_one
    for project in opened:
        project.close()


class Logged(logging.Handler):
    """The events that were logged during a test."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[str, dict[str, Any]]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.events.append((record.event, record.fields))  # type: ignore[attr-defined]  # `event` adds them

    def named(self, name: str) -> list[dict[str, Any]]:
        """Return the fields of every event with this name."""
        return [fields for found, fields in self.events if found == name]


@pytest.fixture
def logged() -> Iterator[Logged]:
    handler, logger = Logged(), logging.getLogger("al_learner")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.setLevel(level)
    logger.removeHandler(handler)
