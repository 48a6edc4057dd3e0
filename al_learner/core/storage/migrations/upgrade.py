"""Creates and migrates al_learner's own tables; `schema` lists them."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import sqlalchemy as sa

from al_learner.core.errors import DatabaseError, MigrationError
from al_learner.core.storage.database import Database
from al_learner.core.storage.run_lock import LOCK_KEY
from al_learner.core.storage.schema import al_project, ours

VERSION = "0006"
"""The newest migration."""

REPEATED_FROM = {
    "al_runs": "base", "al_workers": "0002", "al_project": "0003", "al_labels": "0004", "al_priors": "0004",
    "al_external_ids": "0005",
}  # fmt: skip
"""The migrations after this one are repeated if a table was dropped."""

INSUFFICIENT_PRIVILEGE = "42501"

UPGRADE_KEY = LOCK_KEY + 1

al_learner_version = sa.Table(
    "al_learner_version",
    sa.MetaData(),
    sa.Column("version_num", sa.String(32), nullable=False),
    sa.PrimaryKeyConstraint("version_num", name="al_learner_version_pkc"),
)
"""As Alembic makes it."""

_ALEMBIC = threading.Lock()
"""Alembic keeps the connection in global variables: another thread's migrations would get it."""


def upgrade_runs(database: Database) -> bool:
    """Create al_learner's own tables, or migrate them to this version. Return whether there was something to do.

    A table that somebody has dropped is created again.

    Raises
    ------
    MigrationError
        It is of a newer version, or may not be changed by this user.
    """
    found, missing = _version(database)
    if found == VERSION and not missing:
        return False
    if found is not None and found > VERSION:
        raise MigrationError(f"al_runs has version {found}; this al_learner knows {VERSION}: install a newer one")
    with needing_privileges("al_runs must be created or migrated"):
        database.write(lambda connection: _migrate(database, connection, _repeated_from(found, missing)))
    return True


@contextmanager
def needing_privileges(what: str) -> Iterator[None]:
    """Raise the database's refusal of something necessary as MigrationError, with what to do."""
    try:
        yield
    except DatabaseError as exc:
        if exc.sqlstate == INSUFFICIENT_PRIVILEGE:
            raise MigrationError(
                f"{what}, but this user may not ({exc}): run `al-learner db upgrade` as the owner of the database, and "
                "grant what the worker needs (docs: how-to/limit-privileges)"
            ) from exc
        raise


def _version(database: Database) -> tuple[str | None, list[str]]:
    """Return the version of the tables, None if there are none; and the tables that are missing."""
    with database.reading() as connection:
        tables = database.columns(connection)
        missing = [name for name in REPEATED_FROM if name not in tables]
        if al_learner_version.name not in tables:
            return None, missing
        return connection.scalar(sa.select(al_learner_version.c.version_num)), missing


def _repeated_from(found: str | None, missing: Sequence[str]) -> str | None:
    """Return from where the migrations must be repeated because a table was dropped; None if none was."""
    dropped = [name for name in missing if found == VERSION or (found is not None and name == "al_runs")]
    return REPEATED_FROM[dropped[0]] if dropped else None


def _migrate(database: Database, connection: sa.Connection, repeated_from: str | None) -> None:
    if database.is_postgresql:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(UPGRADE_KEY)))
    if database.columns(connection).keys().isdisjoint({*ours.tables, al_learner_version.name}):
        return _create(connection)
    from alembic import command  # heavy, and needed once in the life of a version
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "al_learner.core.storage:migrations")
    config.attributes["connection"] = connection
    with _ALEMBIC:
        if repeated_from is not None:
            command.stamp(config, repeated_from)
        command.upgrade(config, "head")
    return None


def _create(connection: sa.Connection) -> None:
    """Make what all migrations together make, which takes longer."""
    ours.create_all(connection, checkfirst=False)
    connection.execute(al_project.insert(), {"project_id": str(uuid.uuid4()), "signed_v1": []})
    al_learner_version.create(connection)
    connection.execute(al_learner_version.insert(), {"version_num": VERSION})
