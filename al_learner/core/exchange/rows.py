"""Reads tables: files and tables in memory whose columns are the fields of a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from al_learner.core.errors import DataError
from al_learner.core.exchange.containers.opening import opened
from al_learner.core.exchange.containers.records import Records
from al_learner.core.exchange.fields import (
    NO_LABEL,
    OPTIONAL,
    Field,
    Row,
    checked_row,
    find_columns,
    is_empty,
    paths,
    value_at,
)


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
        As for `opened`.
    fields : iterable of str
        ``text``, ``label``, ``description``, ``user``, ``text_id``, ``id``; a missing optional one is "".
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
    with opened(path, progress=progress) as parts:
        for part in parts:
            yield from table_rows(part, tuple(fields), columns=columns or {}, max_label_length=max_label_length)


def table_rows(
    records: Records,
    fields: Iterable[Field],
    *,
    columns: Mapping[str, str],
    optional: Iterable[Field] = OPTIONAL,
    max_label_length: int | None = None,
    left_out: Counter[str] | None = None,
    labels: dict[str, str] | None = None,
) -> Iterator[Row]:
    """Yield the checked fields of records.

    If the label is not among the `optional` fields, rows that say that they have none, by -1 in a column of class
    labels, are left out and counted in `left_out`. Otherwise the label of a row without one is "". `labels` gets all
    labels of a column of class labels.
    """
    first = records.peek()
    if not first:
        return
    names = dict.fromkeys(name for record in first for name in paths(record))
    found = find_columns(records.source, names, fields, columns, optional)
    class_names = records.class_names.get(found.get("label") or "")
    if labels is not None:
        labels.update(dict.fromkeys(class_names or (), records.source))
    for where, record in records.rows:
        values = {field: None if name is None else value_at(record, name) for field, name in found.items()}
        label = values.get("label")
        if class_names is not None and label is not None:
            label = values["label"] = _class_name(where, class_names, label)
        is_missing = "label" in optional and is_empty(label)
        if label is NO_LABEL or is_missing:
            if left_out is not None:
                left_out["unlabelled"] += 1
            if "label" not in optional:
                continue
            del values["label"]
        row = checked_row(where, values, max_label_length)
        yield row if "label" not in found or "label" in row else _with(row, "label", "")


def _with(row: Row, field: Field, value: str) -> Row:
    row[field] = value
    return row


def _class_name(where: str, names: Sequence[str], value: Any) -> Any:
    """Return the name of a class label; `NO_LABEL` if it is -1."""
    if isinstance(value, bool) or not isinstance(value, int) or not -1 <= value < len(names):
        raise DataError(f"{where}: the label is {value!r}; the column has {len(names):,} classes, numbered from 0")
    return names[value] if value >= 0 else NO_LABEL


def tuple_rows(
    items: Iterable[Any],
    fields: Sequence[Field],
    *,
    optional: Iterable[Field] = OPTIONAL,
    max_label_length: int | None = None,
) -> Iterator[Row]:
    """Yield the checked fields of tuples, lists or arrays; a row of one field may be its value."""
    n_required = sum(field not in optional for field in fields)
    for number, item in enumerate(items):
        if isinstance(item, Mapping):
            raise DataError(f"item {number}: a dict; the first item is none. Expected {', '.join(fields)} as a tuple")
        is_value = isinstance(item, str | bytes) or not (hasattr(item, "__len__") and hasattr(item, "__getitem__"))
        values = (item,) if is_value else tuple(item)
        if not n_required <= len(values) <= len(fields):
            counts = " or ".join(map(str, range(n_required, len(fields) + 1)))
            raise DataError(f"item {number}: {len(values)} values; expected {counts}: {', '.join(fields)}")
        row: dict[Field, Any] = dict(zip_longest(fields, values))
        if "label" in optional and is_empty(row.get("label")):
            yield _with(checked_row(f"item {number}", {**row, "label": "-"}, None), "label", "")
        else:
            yield checked_row(f"item {number}", row, max_label_length)
