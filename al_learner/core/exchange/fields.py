"""The fields of a row: under which names a column is found, and which values are allowed."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Iterable, Iterator, Mapping
from numbers import Integral
from typing import Any, Literal

from al_learner.core.errors import DataError, did_you_mean
from al_learner.core.storage.exchange.annotated_texts import MAX_ID_LENGTH

Field = Literal["text", "label", "description", "user", "text_id", "id"]


class Row(dict[str, str]):
    """The checked fields of a row; `where` is its place in the file, for errors."""

    where: str = ""


COLUMNS: dict[Field, tuple[str, ...]] = {
    "text": ("text", "data", "text_data"),
    "label": ("label", "labels"),
    "description": ("description", "descriptions"),
    "user": ("user", "users", "annotator", "worker"),
    "text_id": ("text_id", "id"),
    "id": ("external_id",),
}
"""The column names under which each field is found."""

OPTIONAL: tuple[Field, ...] = ("description", "user", "id")

MAX_DESCRIPTION_LENGTH = 1_000
"""Of the description of a label, in characters: it says in a few words what the label means."""

MAX_DIGITS = 18
"""Of a number in a file: so it fits into 64 bits, and Python converts it."""

N_SHOWN = 20
"""An error lists so many names."""

NO_LABEL = object()
"""The label of a row of which its source says that it has none: -1 in a column of class labels."""


def check(rows: Iterable[Mapping[Field, Any]], *, max_label_length: int | None = None) -> Iterator[Row]:
    """Check rows from memory like those of a file. An error names the position."""
    for number, row in enumerate(rows):
        yield checked_row(f"item {number}", row, max_label_length)


def find_columns(
    where: object,
    names: Iterable[str],
    fields: Iterable[Field],
    columns: Mapping[str, str],
    optional: Iterable[Field] = OPTIONAL,
) -> dict[Field, str | None]:
    """Return the column of each field; None for an optional one that is missing.

    Parameters
    ----------
    where : object
        The file, or what else has the columns, for errors.
    names : iterable of str
        The columns that there are; of what is nested, also the paths, such as ``fields.text``.
    fields : iterable of str
    columns : mapping of str to str
        The column of each field that has none of the names in `COLUMNS`.
    optional : iterable of str
        The fields that may be missing.

    Raises
    ------
    DataError
        There is no column for a field, or `columns` has an unknown field.
    """
    names, fields, optional = list(names), list(fields), set(optional)
    if unknown := set(columns) - set(fields):
        raise DataError(f"unknown field {', '.join(sorted(unknown))}; allowed: {', '.join(fields)}")
    found: dict[Field, str | None] = {}
    for field in fields:
        candidates = (columns[field],) if field in columns else COLUMNS[field]
        found[field] = next((name for name in candidates if name in names), None)
        if found[field] is None and (field in columns or field not in optional):
            raise DataError(
                f"{where}: no column for the {field}: expected {' or '.join(map(repr, candidates))}, found "
                f"{listed(names)}{did_you_mean(candidates[0], names)}; say which one it is with {_option(field)}"
            )
    return found


def _option(field: Field) -> str:
    if field == "id":
        return "--id NAME, in Python with id_column=NAME"
    return f"--column {field}=NAME, in Python with columns={{'{field}': NAME}}"


def paths(record: Mapping[Any, Any], *, depth: int = 2) -> list[str]:
    """Return the names of a record's values; those of what is nested as paths, such as ``fields.text``."""
    found: list[str] = []
    for name, value in record.items():
        if isinstance(name, str):
            found.append(name)
            if isinstance(value, Mapping) and depth:
                found += (f"{name}.{inner}" for inner in paths(value, depth=depth - 1))
    return found


def value_at(record: Any, path: str) -> Any:
    """Return the value of a column, or at a path such as ``fields.text``; None if there is none."""
    if not isinstance(record, Mapping):
        return None
    if path in record:
        return record[path]
    first, dot, rest = path.partition(".")
    while dot:
        if isinstance(inner := record.get(first), Mapping) and (value := value_at(inner, rest)) is not None:
            return value
        more, dot, rest = rest.partition(".")
        first = f"{first}.{more}"
    return None


def listed(names: Iterable[str]) -> str:
    """Return names for an error, the first ones of many."""
    names = list(names)
    more = f" and {len(names) - N_SHOWN:,} more" if len(names) > N_SHOWN else ""
    return ", ".join(map(reprlib.repr, names[:N_SHOWN])) + more


def name_of(value: Any) -> str:
    """Return a value as text, as the name of something; a number of thousands of digits has none."""
    try:
        return str(value)
    except ValueError:  # Python converts no longer ones
        return ""


def _shown(value: Any) -> str:
    try:
        return reprlib.repr(value)
    except ValueError:  # as above
        return "a number of thousands of digits"


def checked_row(where: str, row: Mapping[Field, Any], max_label_length: int | None) -> Row:
    """Return the fields of a row if their values are allowed.

    Raises
    ------
    DataError
        Names the place, the field and the value.
    """
    checked = Row((field, checked_value(where, field, value)) for field, value in row.items())
    checked.where = where
    if max_label_length and len(checked.get("label", "")) > max_label_length:
        raise DataError(
            f"{where}: the label has {len(checked['label'])} characters; at most {max_label_length} are allowed"
        )
    return checked


def checked_value(where: str, field: Field, value: Any) -> str:
    """Return a value as text if it is allowed in a field; "" for a missing one that may be missing."""
    is_missing = _is_missing(value)
    if field in OPTIONAL and is_missing:
        return ""
    if field != "text" and isinstance(value, Integral) and not isinstance(value, bool):
        if abs(int(value)) >= 10**MAX_DIGITS:
            raise DataError(f"{where}: the {field} has more than {MAX_DIGITS} digits")
        value = str(value)
    if not isinstance(value, str):
        shown = "missing" if is_missing else f"{_shown(value)}, not a string"
        raise DataError(f"{where}: the {field} is {shown}")
    if "\0" in value:
        raise DataError(f"{where}: the {field} contains a NUL byte, which PostgreSQL cannot store")
    try:
        value.encode()
    except UnicodeEncodeError as exc:
        raise DataError(f"{where}: the {field} contains half a surrogate pair, which is not UTF-8") from exc
    if field == "label" and not value:
        raise DataError(f"{where}: the label is empty")
    if field == "text_id":
        _check_text_id(where, value)
    longest = {"id": MAX_ID_LENGTH, "description": MAX_DESCRIPTION_LENGTH}.get(field)
    if longest and len(value) > longest:
        raise DataError(f"{where}: the {field} has {len(value):,} characters; at most {longest:,} are allowed")
    return value


def _check_text_id(where: str, value: str) -> None:
    if not value.isdecimal():
        raise DataError(f"{where}: the text_id is {_shown(value)}, not a number")
    if len(value) > MAX_DIGITS:
        raise DataError(f"{where}: the text_id has {len(value):,} digits; at most {MAX_DIGITS} are allowed")


def is_empty(value: Any) -> bool:
    """Whether a value is missing, or an empty text."""
    return _is_missing(value) or value == ""


def _is_missing(value: Any) -> bool:
    """Whether a value is None, or what pandas has for a missing one: NaN or NA."""
    return value is None or type(value).__name__ == "NAType" or (isinstance(value, float) and math.isnan(value))
