"""The errors of SQLAlchemy and of the drivers as ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from al_learner.core.configuration.secrets import masked
from al_learner.core.errors import DatabaseError, DatabaseUnavailable, SchemaError
from al_learner.core.storage.schema import ours


class RowsLocked(DatabaseError):
    """Another session writes the same rows. The transaction was rolled back and can be tried again."""


@contextmanager
def translated() -> Iterator[None]:
    """Raise SQLAlchemy's errors as ours, without statement and parameters: those may contain texts."""
    try:
        yield
    except DBAPIError as exc:
        error = _translation(exc)
        if isinstance(error, DatabaseError):
            error.sqlstate = _sqlstate(exc)
        raise error from exc
    except SQLAlchemyError as exc:
        raise DatabaseError(f"{type(exc).__name__}: {exc}") from exc


def _translation(exc: DBAPIError) -> DatabaseError | SchemaError:
    state = _sqlstate(exc)
    said = str(exc.orig).strip().splitlines()[0] if str(exc.orig).strip() else type(exc.orig).__name__
    said = masked(said)  # libpq repeats a host or a database that is a URL by mistake
    if state in {"55P03", "40P01", "40001"} or "database is locked" in said:
        return RowsLocked(said)
    if state in {"42P01", "42703"} or "no such table" in said or "no such column" in said:
        if any(name in said for name in ours.tables):
            return SchemaError(f"{said}; the worker or `al-learner db upgrade` creates al_learner's own tables")
        return SchemaError(f"{said}; db_helper or `al-learner load` creates LabelForward's tables")
    lost = exc.connection_invalidated or state[:2] == "08" or state[:4] == "57P0" or state == "53300"
    if lost or (not state and isinstance(exc, sa.exc.OperationalError) and _is_psycopg(exc)):
        return DatabaseUnavailable(said)
    return DatabaseError(f"{said}{f' (SQLSTATE {state})' if state else ''}")


def _sqlstate(exc: DBAPIError) -> str:
    return getattr(exc.orig, "sqlstate", None) or ""


def _is_psycopg(exc: DBAPIError) -> bool:
    return type(exc.orig).__module__.startswith("psycopg")
