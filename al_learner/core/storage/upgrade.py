"""Creates and migrates al_runs, the only table that is ours."""

from __future__ import annotations

import sqlalchemy as sa

from al_learner.core.errors import DatabaseError, MigrationError
from al_learner.core.storage.database import Database
from al_learner.core.storage.run_lock import LOCK_KEY

VERSION = "0002"
"""The newest migration of al_runs."""

INSUFFICIENT_PRIVILEGE = "42501"

UPGRADE_KEY = LOCK_KEY + 1


def upgrade_runs(database: Database) -> bool:
    """Create al_runs, or migrate it to this version. Return whether there was something to do.

    Raises
    ------
    MigrationError
        It is of a newer version, or may not be changed by this user.
    """
    found = _version(database)
    if found == VERSION:
        return False
    if found is not None and found > VERSION:
        raise MigrationError(f"al_runs has version {found}; this al_learner knows {VERSION}: install a newer one")
    try:
        database.write(lambda connection: _migrate(database, connection))
    except DatabaseError as exc:
        if exc.sqlstate == INSUFFICIENT_PRIVILEGE:
            raise MigrationError(
                f"al_runs must be created or migrated, but this user may not: run `al-learner db upgrade` as the "
                f"owner of the database ({exc})"
            ) from exc
        raise
    return True


def _version(database: Database) -> str | None:
    with database.reading() as connection:
        if "al_learner_version" not in database.columns(connection):
            return None
        return connection.exec_driver_sql("SELECT version_num FROM al_learner_version").scalar()


def _migrate(database: Database, connection: sa.Connection) -> None:
    from alembic import command  # heavy, and needed once in a project's life
    from alembic.config import Config

    if database.is_postgresql:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(UPGRADE_KEY)))
    config = Config()
    config.set_main_option("script_location", "al_learner.core.storage:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
