"""The ids that texts have in other tools, in table al_external_ids. Without the table no text has one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import sqlalchemy as sa

from al_learner.core.errors import DatabaseError, SchemaError
from al_learner.core.storage.database import Database, chunked
from al_learner.core.storage.migrations.upgrade import INSUFFICIENT_PRIVILEGE
from al_learner.core.storage.schema import al_external_ids, text_data

CHUNK = 500
"""Ids that are looked up at a time; SQLite allows 32,766 parameters."""


def known(database: Database, external_ids: Sequence[str]) -> dict[str, int]:
    """Return text_ids by external id; none if there is no table or no database, or if this user may not read it."""
    if not external_ids or not (database.is_postgresql or database.path.exists()):
        return {}
    try:
        with database.reading() as connection:
            return text_ids(connection, external_ids)
    except (SchemaError, DatabaseError) as exc:
        if isinstance(exc, DatabaseError) and exc.sqlstate != INSUFFICIENT_PRIVILEGE:
            raise
        return {}


def text_ids(connection: sa.Connection, external_ids: Iterable[str]) -> dict[str, int]:
    """Return text_ids by external id, of those whose text is there."""
    query = sa.select(al_external_ids.c.external_id, al_external_ids.c.text_id)
    query = query.join(text_data, text_data.c.text_id == al_external_ids.c.text_id)
    found: dict[str, int] = {}
    for chunk in chunked(external_ids, CHUNK):
        rows = connection.execute(query.where(al_external_ids.c.external_id.in_(chunk)))
        found.update((row[0], row[1]) for row in rows)
    return found


def forget_deleted_texts(connection: sa.Connection) -> None:
    """Delete the ids of texts that somebody has deleted, so that other texts can get them."""
    there = sa.select(text_data.c.text_id).where(text_data.c.text_id == al_external_ids.c.text_id)
    connection.execute(al_external_ids.delete().where(~there.exists()))


def store(connection: sa.Connection, external_ids: Mapping[int, str]) -> None:
    """Store external ids by text_id, of texts that had none."""
    rows = ({"text_id": text_id, "external_id": name} for text_id, name in external_ids.items())
    for chunk in chunked(rows, CHUNK):
        connection.execute(al_external_ids.insert(), chunk)
