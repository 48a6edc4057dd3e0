"""LabelForward's tables, and al_labels, which adds to one: reads them. Runs and loads write to them."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, NamedTuple

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from al_learner.core.errors import DatabaseError, DataError, SchemaError
from al_learner.core.events import event
from al_learner.core.labels.votes import RANGE, VotedText, flat, intervals
from al_learner.core.storage.database import Database, chunked
from al_learner.core.storage.migrations.upgrade import INSUFFICIENT_PRIVILEGE
from al_learner.core.storage.records import MAX_LABEL_LENGTH, Ids, RowLocks, StoredClassifier
from al_learner.core.storage.schema import al_labels, classifiers, countvecs, init_data, labelforward, labels, text_data

MAX_TEXT_ID = 2**31 - 1  # of a serial; PostgreSQL refuses to look for a larger one

CHUNK = 5_000
"""Rows that are sent at a time."""

TextTable = Literal["text_data", "init_data"]
"""A table of texts."""

PART = 2**13
"""Rows whose ids are the same when they are divided by it are a part of a table."""


class PartSize(NamedTuple):
    """How many rows a part of a table has, and how many of their texts are blank."""

    table: TextTable
    number: int
    n_texts: int
    n_blank: int


_NAMES = {"clf_id": "classifier", "countvec_id": "vectorizer"}

BLANKS = "".join(chr(code) for code in range(0x3001) if chr(code).isspace())
"""Every character that str.strip() strips."""


class LabelForwardTables:
    """LabelForward's tables."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._has_warned = False

    def check(self) -> None:
        """Make sure that the tables are there.

        Raises
        ------
        SchemaError
            Names every missing table and column.
        """
        with self._database.reading() as connection:
            columns = self._database.columns(connection)
        problems = []
        for table in labelforward.sorted_tables:
            if table.name not in columns:
                problems.append(f"table {table.name} is missing")
            elif missing := {column.name for column in table.columns} - columns[table.name]:
                problems.append(f"table {table.name} lacks {', '.join(sorted(missing))}")
        if problems:
            raise SchemaError(f"{'; '.join(problems)}: db_helper or `al-learner load` creates LabelForward's tables")

    def vote_digests(self) -> dict[int, int] | None:
        """Return a digest of the votes on each range of `RANGE` text_ids, so that few texts are read again.

        PostgreSQL computes it over labels, users, major_label and taught. None on SQLite. The system column xmin would
        not do: the predictor writes every row, and transactions do not commit in the order of their ids.
        """
        if not self._database.is_postgresql:
            return None
        digest: sa.ColumnElement[int] = sa.literal_column(
            "coalesce(hash_array_extended(labels, 8 * text_id::bigint), 0)"
            " # coalesce(hash_array_extended(users, 8 * text_id::bigint + 1), 0)"  # exclusive or
            " # coalesce(hashtextextended(major_label, 8 * text_id::bigint + 2), 0)"
            " # hashint8extended(8 * text_id::bigint + taught::int, 0)"
        )
        number: sa.ColumnElement[int] = sa.literal_column(f"text_id / {RANGE}")
        query = (
            sa.select(number, sa.func.sum(digest))
            .select_from(text_data)
            .where(is_voted(self._database))
            .group_by(number)
        )
        with self._database.reading(in_transaction=True) as connection:
            connection.exec_driver_sql("SET LOCAL enable_sort = off")  # it would sort all rows to group them
            return {row[0]: int(row[1]) for row in connection.execute(query)}

    def voted_texts(self, ranges: Sequence[int] | None = None) -> Iterator[VotedText]:
        """Yield every text that has an entry in `labels` or a major label, by id; with `ranges`, only those in them."""
        query = self._voted().order_by(text_data.c.text_id)
        if ranges is not None:
            query = query.where(sa.or_(*(text_data.c.text_id.between(*pair) for pair in intervals(ranges))))
        with self._database.reading() as connection:  # without a cursor PostgreSQL scans in parallel
            yield from map(voted_text, connection.execute(query))

    def few_voted_texts(self, limit: int) -> list[VotedText] | None:
        """Return every text that has an entry in `labels` or a major label, by id; None if they are more."""
        query = self._voted().limit(limit + 1)  # in order PostgreSQL would read them by the index, which is slow
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        return sorted(map(voted_text, rows)) if len(rows) <= limit else None

    def _voted(self) -> sa.Select[Any]:
        votes: sa.ColumnElement[Any] = text_data.c.labels
        users: sa.ColumnElement[Any] = text_data.c.users
        if self._database.is_postgresql:  # the driver returns lists
            votes, users = (sa.type_coerce(column, sa.types.NULLTYPE) for column in (votes, users))
        query = sa.select(text_data.c.text_id, votes, users, text_data.c.major_label, text_data.c.taught)
        return query.where(is_voted(self._database))

    def label_names(self) -> list[str]:
        """Return the names in table labels, each once, sorted."""
        query = sa.select(labels.c.label).where(labels.c.label != "").distinct().order_by(labels.c.label)
        with self._database.reading() as connection:
            return list(connection.scalars(query))

    def descriptions(self) -> dict[str, str]:
        """Return the descriptions of labels; none without their table or the right to read it, which is logged once."""
        try:
            with self._database.reading() as connection:
                rows = connection.execute(sa.select(al_labels.c.label, al_labels.c.description)).all()
                return {row[0]: row[1] for row in rows}
        except (SchemaError, DatabaseError) as exc:
            if isinstance(exc, DatabaseError) and exc.sqlstate != INSUFFICIENT_PRIVILEGE:
                raise
            if not self._has_warned:
                event("labels.not_described", level=logging.WARNING, error=str(exc))
            self._has_warned = True
            return {}

    def init_labels(self) -> tuple[Ids, NDArray[np.object_]]:
        """Return ids and labels of init_data, by id, without rows whose label is empty."""
        query = sa.select(init_data.c.init_id, init_data.c.label).where(init_data.c.label != "")
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(init_data.c.init_id)).all()
        return np.array([row[0] for row in rows], np.int64), np.array([row[1] for row in rows], object)

    def newest_text_id(self) -> int:
        """Return the largest text_id; 0 if there is no text."""
        return self.newest_id("text_data")

    def newest_id(self, table: TextTable) -> int:
        """Return the largest id of a table; 0 if it has no row."""
        return self._newest(_source(table)[1])

    def newest_clf_id(self) -> int:
        """Return the largest clf_id; 0 if there is no classifier."""
        return self._newest(classifiers.c.clf_id)

    def newest_countvec_id(self) -> int:
        """Return the largest countvec_id; 0 if there is no vectorizer."""
        return self._newest(countvecs.c.countvec_id)

    def n_texts(self) -> int:
        """Return how many rows text_data has; it reads them all."""
        with self._database.reading() as connection:
            return connection.scalar(sa.select(sa.func.count()).select_from(text_data)) or 0

    def text_ids(self) -> Ids:
        """Return every text_id."""
        with self._database.reading() as connection:
            return np.fromiter(connection.scalars(sa.select(text_data.c.text_id)), np.int64)

    def on_one_connection(self) -> AbstractContextManager[None]:
        """Read everything with the same connection, as `Database.on_one_connection`."""
        return self._database.on_one_connection()

    def texts(self, table: TextTable, ids: Sequence[int]) -> dict[int, str]:
        """Return texts by id, those that exist."""
        source, key = _source(table)
        found: dict[int, str] = {}
        with self._database.reading() as connection:
            for chunk in chunked(ids, CHUNK):
                query = sa.select(key, source.c.text_data).where(self._database.among(key, chunk))
                found.update((row[0], row[1]) for row in connection.execute(query))
        return found

    def predictions(self, size: int) -> list[tuple[str, str | None, float | None]]:
        """Return text, predicted_label and uncertainty of texts drawn at random, first those without a prediction."""
        query = sa.select(text_data.c.text_data, text_data.c.predicted_label, text_data.c.uncertainty)
        query = query.order_by(text_data.c.uncertainty.is_not(None), sa.func.random()).limit(size)
        with self._database.reading() as connection:
            return [tuple(row) for row in connection.execute(query)]

    def digests(self, table: TextTable, ids: Sequence[int]) -> dict[int, int]:
        """Return a 64-bit digest of each text by id, of those that exist. PostgreSQL computes its own."""
        if not self._database.is_postgresql:
            return {i: _digest(text) for i, text in self.texts(table, ids).items()}
        source, key = _source(table)
        query = sa.select(key, sa.func.hashtextextended(source.c.text_data, 0))
        with self._database.reading() as connection:
            return {row[0]: row[1] for row in connection.execute(query.where(self._database.among(key, ids)))}

    def row_locks(self, ids: Ids) -> RowLocks | None:
        """Return which of these rows of text_data other sessions keep us from writing now; None if they do not."""
        with self._database.reading() as connection:
            return self._database.row_locks(connection, text_data.c.text_id, ids.tolist())

    def corpus(self) -> Iterator[str]:
        """Yield every text of text_data, then of init_data; not all are in memory at a time."""
        for table in ("text_data", "init_data"):
            for _, text in self.texts_between(table):
                yield text

    def all_texts(self) -> Iterator[tuple[int, str]]:
        """Yield id and text of text_data, by id; not all are in memory at a time."""
        return self.texts_between("text_data")

    def texts_between(self, table: TextTable, first: int = 0, last: int | None = None) -> Iterator[tuple[int, str]]:
        """Yield id and text of the rows from the first id to the last, by id; not all are in memory at a time."""
        source, key = _source(table)
        query = sa.select(key, source.c.text_data).where(key >= first).order_by(key)
        return self._streamed(query if last is None else query.where(key <= last))

    def part_sizes(self, table: TextTable) -> list[PartSize]:
        """Return how many texts each part of a table has. The database counts them."""
        source, _ = _source(table)
        number: sa.ColumnElement[int] = sa.literal_column(f"{next(iter(source.primary_key)).name} / {PART}")
        n_blank = sa.func.count(sa.case((_is_blank(source), 1)))
        query = sa.select(number, sa.func.count(), n_blank).select_from(source).group_by(number).order_by(number)
        with self._database.reading() as connection:
            return [PartSize(table, *row) for row in connection.execute(query)]

    def ids_of(self, part: PartSize, *, with_blank: bool) -> Ids:
        """Return the ids of a part, in ascending order; perhaps without those of blank texts."""
        source, key = _source(part.table)
        query = sa.select(key).where(key.between(part.number * PART, (part.number + 1) * PART - 1)).order_by(key)
        with self._database.reading() as connection:
            return np.array(
                connection.scalars(query if with_blank else query.where(~_is_blank(source))).all(), np.int64
            )

    def texts_without_votes(self) -> Iterator[tuple[int, str]]:
        """Yield id and text of what has no vote and is not blank, by id; not all are in memory at a time."""
        if self._database.is_postgresql:
            entry = sa.func.unnest(text_data.c.labels).table_valued("value").render_derived()
        else:
            entry = sa.func.json_each(text_data.c.labels).table_valued("value")
        is_vote = (entry.c.value != "") & (sa.func.length(entry.c.value) <= MAX_LABEL_LENGTH)
        query = sa.select(text_data.c.text_id, text_data.c.text_data).where(~sa.exists().where(is_vote))
        return self._streamed(query.where(~_is_blank(text_data)).order_by(text_data.c.text_id))

    def clf(self, clf_id: int) -> bytes:
        """Return a stored classifier."""
        return self._blob(classifiers.c.clf, classifiers.c.clf_id, clf_id)

    def countvec(self, countvec_id: int) -> bytes:
        """Return a stored vectorizer."""
        return self._blob(countvecs.c.countvec, countvecs.c.countvec_id, countvec_id)

    def is_countvec(self, countvec_id: int, digest: str) -> bool:
        """Whether a stored vectorizer has this SHA-256, in hexadecimal. PostgreSQL computes it."""
        if not self._database.is_postgresql:
            return hashlib.sha256(self.countvec(countvec_id)).hexdigest() == digest
        found = sa.select(sa.func.encode(sa.func.sha256(countvecs.c.countvec), "hex"))
        with self._database.reading() as connection:
            return bool(connection.scalar(found.where(countvecs.c.countvec_id == countvec_id)) == digest)

    def countvec_version(self, countvec_id: int) -> str | None:
        """Return what changes when PostgreSQL writes a stored vectorizer anew; None on SQLite."""
        if not self._database.is_postgresql:
            return None
        version: sa.ColumnElement[str] = sa.literal_column("concat_ws(' ', xmin, ctid)")
        with self._database.reading() as connection:
            return connection.scalar(sa.select(version).where(countvecs.c.countvec_id == countvec_id))

    def models(self, clf_id: int | None = None, *, limit: int | None = None) -> list[StoredClassifier]:
        """Return the stored classifiers, the newest first, at most `limit`; or the one with an id, if it is there."""
        c = classifiers.c
        query = sa.select(c.clf_id, c.created_at, c.precision_score, sa.func.length(c.clf))
        query = query.order_by(c.clf_id.desc()).limit(limit)
        if clf_id is not None:
            query = query.where(c.clf_id == clf_id)
        with self._database.reading() as connection:
            return [StoredClassifier(*row) for row in connection.execute(query)]

    def stored_bytes(self) -> int:
        """Return how many bytes all stored pickles have. PostgreSQL knows a value's length without reading it."""
        sums = [sa.select(sa.func.sum(sa.func.length(blob))) for blob in (classifiers.c.clf, countvecs.c.countvec)]
        with self._database.reading() as connection:
            return sum(connection.scalar(query) or 0 for query in sums)

    def _streamed(self, query: Any) -> Iterator[Any]:
        with self._database.reading(chunk=CHUNK) as connection, connection.execute(query) as result:
            for rows in result.partitions():
                yield from rows

    def _newest(self, column: sa.Column[int]) -> int:
        with self._database.reading() as connection:
            return connection.scalar(sa.select(sa.func.max(column))) or 0

    def _blob(self, column: sa.Column[bytes], key: sa.Column[int], value: int) -> bytes:
        with self._database.reading() as connection:
            blob = connection.scalar(sa.select(column).where(key == value))
        if blob is None:
            raise DataError(f"there is no {_NAMES[key.name]} {value}: `al-learner models` lists what is stored")
        return bytes(blob)


def is_voted(database: Database) -> sa.ColumnElement[bool]:
    """Return the condition that a row of text_data has an entry in `labels` or a major label."""
    if database.is_postgresql:
        voted = text_data.c.labels != sa.cast([], text_data.c.labels.type)
    else:
        voted = sa.type_coerce(text_data.c.labels, sa.Text) != "[]"
    return sa.or_(voted, text_data.c.major_label.is_not(None))


def voted_text(row: Sequence[Any]) -> VotedText:
    """Return a row of text_id, labels, users, major_label and taught as the votes on a text."""
    text_id, labels, users, *rest = row
    return VotedText(text_id, flat(labels), flat(users), *rest)


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), signed=True)


def _is_blank(source: sa.Table) -> sa.ColumnElement[bool]:
    return sa.func.trim(source.c.text_data, BLANKS) == ""


def _source(table: TextTable) -> tuple[sa.Table, sa.Column[int]]:
    return (text_data, text_data.c.text_id) if table == "text_data" else (init_data, init_data.c.init_id)
