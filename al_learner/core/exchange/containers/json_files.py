"""Reads JSON: an object on each line, a list of objects, one object, or an object of columns."""

from __future__ import annotations

import io
import json
from itertools import chain
from typing import Any

from al_learner.core.errors import DataError
from al_learner.core.exchange.containers.records import Records, Rows


def read_json(name: str, text: io.TextIOWrapper, encoding: str) -> Records:
    """Return the objects of JSON.

    Raises
    ------
    DataError
        It is not JSON, or has no objects. Of JSON lines, only the first one is read at once.
    """
    lines = ((number, line) for number, line in enumerate(text, 1))
    first = next(((number, line) for number, line in lines if line.strip()), (1, ""))
    second = next(((number, line) for number, line in lines if line.strip()), None)
    rest = chain([first], [second] if second else [], lines)
    try:
        head = json.loads(first[1])
    except (ValueError, RecursionError):
        head = None  # one document over several lines, or not JSON
    suffix = "" if encoding == "UTF-8" else f", {encoding}"
    if isinstance(head, dict) and (second is not None or not _are_columns(head)):
        return Records(name, f"JSON lines{suffix}", _line_rows(name, rest))
    text.seek(0)
    document = _parsed(name, text.read())
    kind = "JSON, columns" if isinstance(document, dict) and _are_columns(document) else "JSON"
    return Records(name, f"{kind}{suffix}", _document_rows(name, document))


def _line_rows(name: str, lines: Any) -> Rows:
    for number, line in lines:
        if line.strip():
            where = f"{name}, line {number}"
            yield where, _object(where, _parsed(where, line))


def _document_rows(name: str, document: Any) -> Rows:
    if isinstance(document, list):
        for number, row in enumerate(document, 1):
            yield f"{name}, item {number}", _object(f"{name}, item {number}", row)
    elif isinstance(document, dict) and _are_columns(document):
        values = {column: dict(enumerate(of)) if isinstance(of, list) else of for column, of in document.items()}
        keys = next(iter(values.values())).keys()
        for column, of in values.items():
            if of.keys() != keys:
                raise DataError(f"{name}: column {column!r} has other row numbers than the first column")
        for key in keys:
            yield f"{name}, row {key}", {column: of[key] for column, of in values.items()}
    elif isinstance(document, dict):
        yield f"{name}, item 1", document
    else:
        raise DataError(f"{name}: it must have one object per line, a list of objects, or an object of columns")


def _are_columns(document: dict[str, Any]) -> bool:
    return bool(document) and any(all(isinstance(of, kind) for of in document.values()) for kind in (dict, list))


def _object(where: str, row: Any) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise DataError(f"{where}: not a JSON object")
    return row


def _parsed(where: str, document: str) -> Any:
    try:
        return json.loads(document)
    except (ValueError, RecursionError) as exc:
        raise DataError(f"{where}: not JSON: {exc}") from exc
