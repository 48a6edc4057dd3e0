"""Reads texts, labels, prelabelled data and votes from CSV, JSON lines and pandas-style JSON."""

from __future__ import annotations

import csv
import gzip
import json
import math
import reprlib
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from numbers import Integral
from pathlib import Path
from typing import Any, BinaryIO, Literal

from al_learner.core.errors import DataError

Field = Literal["text", "label", "description", "user", "text_id"]
Rows = Iterator[tuple[str, Mapping[str, Any]]]


class Row(dict[str, str]):
    """The checked fields of a row; `where` is its place in the file, for errors."""

    where: str = ""


COLUMNS: dict[Field, tuple[str, ...]] = {
    "text": ("text", "data", "text_data"),
    "label": ("label", "labels"),
    "description": ("description", "descriptions"),
    "user": ("user", "users", "annotator", "worker"),
    "text_id": ("text_id", "id"),
}
"""The column names under which each field is found."""

OPTIONAL: tuple[Field, ...] = ("description", "user")

MAX_DESCRIPTION_LENGTH = 1_000
"""Of the description of a label, in characters: it says in a few words what the label means."""

DELIMITERS = {".csv": ",", ".tsv": "\t"}

GZIP_MAGIC = b"\x1f\x8b"

MAX_UNZIPPED_BYTES = 2**30
"""A gzipped file may not expand to more. A few kilobytes can expand to gigabytes, and a line is held in memory."""

MAX_DIGITS = 18
"""Of a number in a file: so it fits into 64 bits, and Python converts it."""


def read(
    path: Path,
    fields: Iterable[Field],
    *,
    columns: Mapping[str, str] | None = None,
    max_label_length: int | None = None,
    progress: Callable[[int], object] = lambda _: None,
) -> Iterator[Row]:
    """Yield the checked rows of a file, each with all of `fields`.

    Parameters
    ----------
    path : Path
        ``.csv`` with a header, or JSON: an object per line, a list of objects, or an object of columns as pandas writes
        it. Either gzipped, of at most 1 GiB when it is unpacked. UTF-8.
    fields : iterable of str
        ``text``, ``label``, ``description``, ``user``, ``text_id``; a missing description or user is "".
    columns : mapping of str to str, optional
        The column of each field that has none of the names in `COLUMNS`.
    max_label_length : int, optional
        A longer label is an error.
    progress : callable
        Called with the number of bytes that were read so far.

    Raises
    ------
    DataError
        Names the file, the line and the reason.
    """
    wanted = tuple(fields)
    try:
        with path.open("rb") as raw:
            lines = _lines(path, raw, progress)
            suffix = next((suffix for suffix in map(str.lower, reversed(path.suffixes)) if suffix != ".gz"), "")
            delimiter = DELIMITERS.get(suffix)
            rows = _csv_rows(path, lines, delimiter) if delimiter else _json_rows(path, lines)
            found: dict[Field, str | None] | None = None
            for where, row in rows:
                if found is None:
                    found = find_columns(path, row, wanted, columns or {})
                yield _row(
                    where, {field: column and row.get(column) for field, column in found.items()}, max_label_length
                )
    except (OSError, EOFError, zlib.error) as exc:
        raise DataError(f"{path}: {exc.strerror if isinstance(exc, OSError) and exc.strerror else exc}") from exc


def check(rows: Iterable[Mapping[Field, Any]], *, max_label_length: int | None = None) -> Iterator[Row]:
    """Check rows from memory like those of a file. An error names the position."""
    for number, row in enumerate(rows):
        yield _row(f"item {number}", row, max_label_length)


def find_columns(
    where: object, names: Iterable[str], fields: Iterable[Field], columns: Mapping[str, str]
) -> dict[Field, str | None]:
    """Return the column of each field; None for an optional one that is missing.

    Parameters
    ----------
    where : object
        The file, or what else has the columns, for errors.
    names : iterable of str
        The columns that there are.
    fields : iterable of str
    columns : mapping of str to str
        As for `read`.

    Raises
    ------
    DataError
        There is no column for a field, or `columns` has an unknown field.
    """
    names, fields = list(names), list(fields)
    if unknown := set(columns) - set(fields):
        raise DataError(f"unknown field {', '.join(sorted(unknown))}; allowed: {', '.join(fields)}")
    found: dict[Field, str | None] = {}
    for field in fields:
        candidates = (columns[field],) if field in columns else COLUMNS[field]
        found[field] = next((name for name in candidates if name in names), None)
        if found[field] is None and (field in columns or field not in OPTIONAL):
            raise DataError(
                f"{where}: no column for the {field}: expected {' or '.join(map(repr, candidates))}, found "
                f"{', '.join(map(repr, names))}; say which one it is with --column {field}=NAME, in Python with "
                f"columns={{'{field}': NAME}}"
            )
    return found


def _lines(path: Path, raw: BinaryIO, progress: Callable[[int], object]) -> Iterator[tuple[int, str]]:
    is_zipped = raw.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    raw.seek(0)
    for number, line in enumerate(_unzipped(path, raw) if is_zipped else raw, 1):
        try:
            yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as exc:
            raise DataError(f"{path}, line {number}: not UTF-8: {exc.reason}") from exc
        progress(raw.tell())


def _unzipped(path: Path, raw: BinaryIO) -> Iterator[bytes]:
    left = MAX_UNZIPPED_BYTES
    with gzip.GzipFile(fileobj=raw) as stream:
        while line := stream.readline(left + 1):
            left -= len(line)
            if left < 0:
                raise DataError(
                    f"{path}: gzipped, it expands to more than {MAX_UNZIPPED_BYTES:,} bytes; unpack it, or split it"
                )
            yield line


def _csv_rows(path: Path, lines: Iterator[tuple[int, str]], delimiter: str) -> Rows:
    csv.field_size_limit(sys.maxsize)
    number = 0

    def counted() -> Iterator[str]:
        nonlocal number
        for at, line in lines:
            number = at
            yield line

    reader = csv.DictReader(counted(), strict=True, delimiter=delimiter)
    try:
        for row in reader:
            where = f"{path}, line {number}"
            if None in row or None in row.values():
                raise DataError(f"{where}: {len(reader.fieldnames or ())} columns are expected, as in the header")
            yield where, row
    except csv.Error as exc:
        raise DataError(f"{path}, line {number}: {exc}") from exc


def _json_rows(path: Path, lines: Iterator[tuple[int, str]]) -> Rows:
    first = next(((number, line) for number, line in lines if line.strip()), (1, ""))
    try:
        head = json.loads(first[1])
    except (ValueError, RecursionError):
        head = None  # one document over several lines, or not JSON
    if isinstance(head, dict) and not _are_columns(head):
        for number, line in chain([first], lines):
            if line.strip():
                where = f"{path}, line {number}"
                yield where, _object(where, _parsed(where, line))
        return
    yield from _document_rows(path, _parsed(str(path), "".join(line for _, line in chain([first], lines))))


def _document_rows(path: Path, document: Any) -> Rows:
    if isinstance(document, list):
        for number, row in enumerate(document, 1):
            yield f"{path}, item {number}", _object(f"{path}, item {number}", row)
    elif isinstance(document, dict) and _are_columns(document):
        values = {
            name: dict(enumerate(column)) if isinstance(column, list) else column for name, column in document.items()
        }
        keys = next(iter(values.values())).keys()
        for name, column in values.items():
            if column.keys() != keys:
                raise DataError(f"{path}: column {name!r} has other row numbers than the first column")
        for key in keys:
            yield f"{path}, row {key}", {name: column[key] for name, column in values.items()}
    else:
        raise DataError(f"{path}: it must have one object per line, a list of objects, or an object of columns")


def _are_columns(document: dict[str, Any]) -> bool:
    return bool(document) and all(isinstance(column, dict | list) for column in document.values())


def _object(where: str, row: Any) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise DataError(f"{where}: not a JSON object")
    return row


def _parsed(where: str, document: str) -> Any:
    try:
        return json.loads(document)
    except (ValueError, RecursionError) as exc:
        raise DataError(f"{where}: not JSON: {exc}") from exc


def _row(where: str, row: Mapping[Field, Any], max_label_length: int | None) -> Row:
    checked = Row((field, _checked(where, field, value)) for field, value in row.items())
    checked.where = where
    if max_label_length and len(checked["label"]) > max_label_length:
        raise DataError(
            f"{where}: the label has {len(checked['label'])} characters; at most {max_label_length} are allowed"
        )
    if (length := len(checked.get("description", ""))) > MAX_DESCRIPTION_LENGTH:
        raise DataError(
            f"{where}: the description has {length:,} characters; at most {MAX_DESCRIPTION_LENGTH:,} are allowed"
        )
    return checked


def _checked(where: str, field: Field, value: Any) -> str:
    is_missing = _is_missing(value)
    if field in OPTIONAL and is_missing:
        return ""
    if field != "text" and isinstance(value, Integral) and not isinstance(value, bool):
        if abs(int(value)) >= 10**MAX_DIGITS:
            raise DataError(f"{where}: the {field} has more than {MAX_DIGITS} digits")
        value = str(value)
    if not isinstance(value, str):
        shown = "missing" if is_missing else f"{reprlib.repr(value)}, not a string"
        raise DataError(f"{where}: the {field} is {shown}")
    if "\0" in value:
        raise DataError(f"{where}: the {field} contains a NUL byte, which PostgreSQL cannot store")
    try:
        value.encode()
    except UnicodeEncodeError as exc:
        raise DataError(f"{where}: the {field} contains half a surrogate pair, which is not UTF-8") from exc
    if field == "label" and not value:
        raise DataError(f"{where}: the label is empty")
    if field == "text_id" and not value.isdecimal():
        raise DataError(f"{where}: the text_id is {reprlib.repr(value)}, not a number")
    if field == "text_id" and len(value) > MAX_DIGITS:
        raise DataError(f"{where}: the text_id has {len(value):,} digits; at most {MAX_DIGITS} are allowed")
    return value


def _is_missing(value: Any) -> bool:
    """Whether a value is None, or what pandas has for a missing one: NaN or NA."""
    return value is None or type(value).__name__ == "NAType" or (isinstance(value, float) and math.isnan(value))
