"""Texts and votes as they were at one moment, for an export."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import sqlalchemy as sa

from al_learner.core.labels.votes import RANGE, VotedText, flat, intervals
from al_learner.core.storage.database import Database, chunked
from al_learner.core.storage.exchange import external_ids
from al_learner.core.storage.labelforward_tables import CHUNK, MAX_TEXT_ID, is_voted, voted_text
from al_learner.core.storage.schema import al_external_ids, labels, text_data


class StoredText(NamedTuple):
    """A text with its votes, as other services wrote them; `external_id` is the id that it had elsewhere."""

    text_id: int
    text: str
    labels: Sequence[str | None] | None
    users: Sequence[str | None] | None
    external_id: str | None


class Snapshot:
    """Reads in one transaction, so that votes which arrive meanwhile are in all of them or in none."""

    def __init__(self, connection: sa.Connection, database: Database) -> None:
        self._connection, self._database = connection, database
        self._votes: tuple[sa.ColumnElement[Any], ...] = (text_data.c.labels, text_data.c.users)
        if database.is_postgresql:  # the driver returns lists
            self._votes = tuple(sa.type_coerce(column, sa.types.NULLTYPE) for column in self._votes)

    def label_names(self) -> list[str]:
        """Return the names in table labels, each once, sorted."""
        query = sa.select(labels.c.label).where(labels.c.label != "").distinct().order_by(labels.c.label)
        return list(self._connection.scalars(query))

    def n_texts(self) -> int:
        """Return how many rows text_data has."""
        return self._connection.scalar(sa.select(sa.func.count()).select_from(text_data)) or 0

    def voted_ranges(self) -> list[int]:
        """Return the ranges of `RANGE` text_ids in which texts have votes or labels, ascending."""
        number = text_data.c.text_id // RANGE
        query = sa.select(number).where(is_voted(self._database)).distinct().order_by(number)
        return list(self._connection.scalars(query))

    def voted_texts(self, ranges: Sequence[int] | None = None) -> Iterator[VotedText]:
        """Yield the votes on every text that has votes or a label, by id; with `ranges`, only those in them."""
        query = sa.select(text_data.c.text_id, *self._votes, text_data.c.major_label, text_data.c.taught)
        query = query.where(is_voted(self._database)).order_by(text_data.c.text_id)
        if ranges is not None:
            query = query.where(sa.or_(*(text_data.c.text_id.between(*pair) for pair in intervals(ranges))))
        yield from map(voted_text, self._streamed(query))

    def existing(self, ids: Sequence[int]) -> list[int]:
        """Return those text_ids that there are."""
        return [row[0] for row in self._chosen(sa.select(text_data.c.text_id), ids)]

    def by_external_id(self, names: Sequence[str]) -> dict[str, int]:
        """Return text_ids by external id, of those that there are."""
        return external_ids.text_ids(self._connection, names) if names and self._has_external_ids() else {}

    def texts(self, ids: Sequence[int] | None = None) -> Iterator[StoredText]:
        """Yield every text, by id; with `ids`, those of them that exist, in their order."""
        has_ids = self._has_external_ids()
        elsewhere = al_external_ids.c.external_id if has_ids else sa.null()
        query = sa.select(text_data.c.text_id, text_data.c.text_data, *self._votes, elsewhere).select_from(text_data)
        if has_ids:
            query = query.outerjoin(al_external_ids, al_external_ids.c.text_id == text_data.c.text_id)
        rows = self._streamed(query.order_by(text_data.c.text_id)) if ids is None else self._chosen(query, ids)
        for text_id, text, names, voters, external_id in rows:
            yield StoredText(text_id, text, flat(names), flat(voters), external_id)

    def _has_external_ids(self) -> bool:
        """Whether this user may read the table of external ids; it may be missing."""
        name = al_external_ids.name
        if name not in self._database.columns(self._connection):
            return False
        may_read = sa.select(sa.func.has_table_privilege(name, "select"))
        return not self._database.is_postgresql or bool(self._connection.scalar(may_read))

    def _chosen(self, query: sa.Select[Any], ids: Sequence[int]) -> Iterator[Any]:
        for chunk in chunked((text_id for text_id in ids if abs(text_id) <= MAX_TEXT_ID), CHUNK):
            among = self._database.among(text_data.c.text_id, chunk)
            found = {row[0]: row for row in self._connection.execute(query.where(among))}
            yield from (found[text_id] for text_id in chunk if text_id in found)

    def _streamed(self, query: sa.Select[Any]) -> Iterator[Any]:
        with self._connection.execute(query, execution_options={"yield_per": CHUNK}) as result:
            for rows in result.partitions():
                yield from rows


@contextmanager
def snapshot(database: Database) -> Iterator[Snapshot]:
    """Open a snapshot. It keeps nobody from writing.

    Raises
    ------
    DatabaseUnavailable
    SchemaError
    """
    with database.reading() as connection:
        if database.is_postgresql:  # a transaction of SQLite always reads one snapshot
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        yield Snapshot(connection, database)
