"""A test's own database with LabelForward's tables, read and written through the bare driver as its services do."""

from __future__ import annotations

import json
import pickle
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect
from sqlalchemy.schema import CreateTable

from al_learner.core.storage.schema import al_runs, classifiers, labelforward
from tests.support.servers import Postgres

SCHEMA = Path(__file__).with_name("labelforward.sql")
WORKER_ROLE = "al_learner_worker"
"""A user of the server that owns nothing."""

ON_BOTH = pytest.mark.parametrize("database", ["postgresql", "sqlite"], indirect=True)
"""For a test whose `database` is SQLite if nothing else is said."""

Array = Sequence[str | None] | None
Row = tuple[Any, ...]


class Tables(ABC):
    """The tables, whichever database holds them. Statements have ``?`` for a value."""

    url: str
    """For `Project`."""

    engine_url: str
    """For `Database`."""

    environment: dict[str, str]
    """For a worker's process."""

    @abstractmethod
    def query(self, statement: str, *values: Any) -> list[Row]:
        """Run one statement in a transaction of its own and return its rows, if it has any."""

    @abstractmethod
    def array(self, entries: Array) -> Any:
        """Return the votes or their users as the driver takes them."""

    @abstractmethod
    def vote(self, text_id: int, label: str, user: str = "anna") -> None:
        """Append a vote in one statement, as the API does."""

    @abstractmethod
    def content(self) -> dict[str, list[Row]]:
        """Return every table's rows, and what tells that a row was written anew with the same values."""

    @abstractmethod
    def refuse_teaching(self) -> None:
        """Make every statement that sets `taught` to true fail, from now on."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""

    def value(self, statement: str, *values: Any) -> Any:
        """Return the first value of the first row."""
        return self.query(statement, *values)[0][0]

    def count(self, table: str) -> int:
        return int(self.value(f"SELECT count(*) FROM {table}"))

    def add_texts(self, *texts: str) -> list[int]:
        """Insert texts that nobody has voted on, in one transaction, and return their ids."""
        self.query("BEGIN")
        ids = [self.add_text(text, labels=[], users=[]) for text in texts]
        self.query("COMMIT")
        return ids

    def add_text(
        self, text: str, *, labels: Array = (), users: Array = (), major_label: str | None = None, taught: bool = False
    ) -> int:
        insert = (
            "INSERT INTO text_data (text_data, labeled, selected, taught, labels, users, major_label)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING text_id"
        )
        values = (text, False, False, taught, self.array(labels), self.array(users), major_label)
        return int(self.value(insert, *values))

    def add_labels(self, *names: str) -> None:
        for name in names:
            self.query("INSERT INTO labels (label) VALUES (?)", name)

    def add_init_data(self, *rows: tuple[str, str]) -> None:
        for text, label in rows:
            self.query("INSERT INTO init_data (text_data, label) VALUES (?, ?)", text, label)

    def add_countvec(self, blob: bytes) -> int:
        return int(self.value("INSERT INTO countvecs (countvec) VALUES (?) RETURNING countvec_id", blob))

    def add_clf(self, blob: bytes) -> int:
        return int(self.value("INSERT INTO classifiers (clf, download) VALUES (?, 0) RETURNING clf_id", blob))

    def copy_newest_model(self) -> None:
        """Store what another training on the same votes would: an equal classifier, and its run."""
        clf_id = self.value("SELECT max(clf_id) FROM classifiers")
        for table in (classifiers, al_runs):
            names = [column.name for column in table.columns if not column.primary_key]
            values = ", ".join("clf_id + 1" if name == "clf_id" else name for name in names)
            insert = f"INSERT INTO {table.name} ({', '.join(names)})"
            self.query(f"{insert} SELECT {values} FROM {table.name} WHERE clf_id = ?", clf_id)

    def text(self, text_id: int, columns: str = "major_label, taught") -> Row:
        return self.query(f"SELECT {columns} FROM text_data WHERE text_id = ?", text_id)[0]


class PostgresqlTables(Tables):
    """On PostgreSQL, in a clone of the template."""

    def __init__(self, server: Postgres, template: str) -> None:
        self.server = server
        self.name = server.clone(template)
        self.url = server.url(self.name)
        self.engine_url = self.url.replace("postgresql://", "postgresql+psycopg://")
        self.environment = server.environment(self.name)
        self._connection = server.connect(self.name)

    def query(self, statement: str, *values: Any) -> list[Row]:
        cursor = self._connection.execute(statement.replace("?", "%s"), values or None)
        return cursor.fetchall() if cursor.description is not None else []  # [] for a query of no columns

    def array(self, entries: Array) -> Any:
        return None if entries is None else list(entries)

    def vote(self, text_id: int, label: str, user: str = "anna") -> None:
        self.query(
            "UPDATE text_data SET labels = array_append(labels, ?), users = array_append(users, ?) WHERE text_id = ?",
            label, user, text_id,
        )  # fmt: skip

    def content(self) -> dict[str, list[Row]]:
        tables = self.query("SELECT relname FROM pg_stat_user_tables WHERE schemaname = 'public' ORDER BY 1")
        return {name: self.query(f"SELECT t.xmin::text, t.* FROM {name} AS t ORDER BY 2") for (name,) in tables}

    def refuse_teaching(self) -> None:
        self.query("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''refused''; END'")
        self.query(
            "CREATE TRIGGER refuse BEFORE UPDATE OF taught ON text_data"
            " FOR EACH ROW WHEN (NEW.taught) EXECUTE FUNCTION refuse()"
        )

    def close(self) -> None:
        self._connection.close()
        self.server.drop(self.name)


class SqliteTables(Tables):
    """On SQLite, made as `al-learner load` makes them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = self.engine_url = f"sqlite:///{path}"
        self.environment = {"AL_LEARNER_DATABASE_URL": self.url}
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=10)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=OFF")  # no test is about a power failure
        for table in labelforward.sorted_tables:
            self._connection.execute(str(CreateTable(table).compile(dialect=sqlite_dialect())))

    def query(self, statement: str, *values: Any) -> list[Row]:
        return self._connection.execute(statement, values).fetchall()

    def array(self, entries: Array) -> Any:
        return None if entries is None else json.dumps(list(entries))

    def vote(self, text_id: int, label: str, user: str = "anna") -> None:
        self.query(
            "UPDATE text_data SET labels = json_insert(coalesce(labels, '[]'), '$[#]', ?),"
            " users = json_insert(coalesce(users, '[]'), '$[#]', ?) WHERE text_id = ?",
            label, user, text_id,
        )  # fmt: skip

    def content(self) -> dict[str, list[Row]]:
        tables = self.query("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")
        rows = {name: self.query(f"SELECT * FROM {name} ORDER BY 1") for (name,) in tables}
        return rows | {"commits of others": self.query("PRAGMA data_version")}

    def refuse_teaching(self) -> None:
        self.query(
            "CREATE TRIGGER refuse BEFORE UPDATE OF taught ON text_data WHEN NEW.taught"
            " BEGIN SELECT RAISE(ABORT, 'refused'); END"
        )

    def close(self) -> None:
        self._connection.close()


def add_voted_texts(tables: Tables, labels: Iterable[str], *, prefix: str = "text") -> list[int]:
    """Add a text with one vote for each label. Return the texts' ids."""
    labels = list(labels)
    ids = tables.add_texts(*(f"{prefix} {number} about {label}" for number, label in enumerate(labels)))
    for text_id, label in zip(ids, labels, strict=True):
        tables.vote(text_id, label)
    return ids


def newest_classifier(tables: Tables) -> Any:
    return pickle.loads(tables.value("SELECT clf FROM classifiers ORDER BY clf_id DESC LIMIT 1"))


def stored_counts(tables: Tables) -> tuple[int, int, int]:
    """Return how many classifiers and vectorizers there are, and how many texts are taught."""
    taught = tables.value("SELECT count(*) FROM text_data WHERE taught")
    return tables.count("classifiers"), tables.count("countvecs"), taught
