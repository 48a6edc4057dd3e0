"""Loads texts, labels, prelabelled texts and votes into LabelForward's tables, from a file or from memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import repeat, zip_longest
from pathlib import Path
from typing import Any

from al_learner.core.errors import DataError
from al_learner.core.exchange.file_formats import OPTIONAL, Field, Row, check, find_columns, read
from al_learner.core.storage.migrations.upgrade import upgrade_runs
from al_learner.core.storage.records import MAX_LABEL_LENGTH
from al_learner.core.storage.storage import Storage

BYTES_PER_CHARACTER = 4
"""Bytes per character in the predictor's fixed-width array of all texts."""

DENSE_LIMIT_BYTES = 10**9

NAME_LENGTH = 100
"""An error shows so many characters of a text that was given as the name of a file."""


@dataclass(frozen=True)
class Loaded:
    """Number of rows that were loaded, and warnings."""

    rows: int
    warnings: tuple[str, ...] = ()


class LoadingMethods:
    """The methods of `Project` that load data."""

    _storage: Storage

    def load_texts(self, source: Path | str | Iterable[str], **options: Any) -> Loaded:
        """Append texts from a file or from memory; all or none. Missing tables of LabelForward are created.

        Parameters
        ----------
        source : path, iterable of str, or DataFrame
            A str is the name of a file. Of a DataFrame, the columns with the names that are found in files.
        **options
            Of `file_formats.read`: ``columns`` for a file or a DataFrame, ``progress`` for a file.

        Raises
        ------
        DataError
            Names the file, the first wrong line and the reason. A file without rows, and what is none of the above,
            such as a dict, is an error too.
        """
        longest = 0

        def texts() -> Iterator[str]:
            nonlocal longest
            for row in _rows(source, ("text",), **options):
                longest = max(longest, len(row["text"]))
                yield row["text"]

        loaded = self._storage.tables.load_texts(texts())
        dense_gib = self._storage.tables.n_texts() * longest * BYTES_PER_CHARACTER / 2**30
        warning = (
            f"the longest text has {longest:,} characters; the predictor makes an array of all texts that is as wide "
            f"as the longest, so it needs {dense_gib:.1f} GiB: shorten the text, or give the predictor more memory"
        )
        return Loaded(loaded, (warning,) if dense_gib * 2**30 > DENSE_LIMIT_BYTES else ())

    def load_labels(self, source: Path | str | Iterable[str | tuple[str, str | None]], **options: Any) -> Loaded:
        """Append label names, each once; in memory names, or pairs of name and description; like `load_texts`.

        A description replaces an older one. A label with a description is not appended if it is there already.

        Raises
        ------
        MigrationError
            There is no table for the descriptions yet, and this user may not create it.
        """
        rows = [*_rows(source, ("label", "description"), max_label_length=MAX_LABEL_LENGTH, **options)]
        if descriptions := {row["label"]: row["description"] for row in rows if row["description"].strip()}:
            self._storage.database.may_create = True
            upgrade_runs(self._storage.database)
        return Loaded(self._storage.tables.load_labels(dict.fromkeys(row["label"] for row in rows), descriptions))

    def load_init_data(self, source: Path | str | Iterable[tuple[str, str]], **options: Any) -> Loaded:
        """Append prelabelled texts, in memory pairs of text and label; like `load_texts`."""
        rows = _rows(source, ("text", "label"), **options)
        return Loaded(self._storage.tables.load_init_data((row["text"], row["label"]) for row in rows))

    def load_votes(
        self, source: Path | str | Iterable[tuple[int, str] | tuple[int, str, str | None]], **options: Any
    ) -> Loaded:
        """Append votes, in memory tuples of text_id, label and, if known, annotator; like `load_texts`."""
        rows = _rows(source, ("text_id", "label", "user"), max_label_length=MAX_LABEL_LENGTH, **options)
        votes = ((int(row["text_id"]), row["label"], row["user"], row.where) for row in rows)
        return Loaded(self._storage.tables.load_votes(votes))


def _rows(
    source: Any, fields: tuple[Field, ...], *, max_label_length: int | None = None, **options: Any
) -> Iterator[Row]:
    if isinstance(source, str | Path):
        return _file_rows(source, fields, max_label_length=max_label_length, **options)
    if hasattr(source, "columns"):  # a DataFrame; the library that it is of is never imported here
        return check(_frame_rows(source, fields, **options), max_label_length=max_label_length)
    if isinstance(source, Mapping | bytes) or not isinstance(source, Iterable):
        what = "texts" if fields == ("text",) else "labels" if fields[0] == "label" else f"({', '.join(fields)})"
        columns = " and ".join(f"`{field}`" for field in fields if field not in OPTIONAL)
        raise DataError(
            f"a {type(source).__name__} cannot be loaded: give a file, a list of {what}, or a DataFrame with "
            f"{columns} among its columns"
        )
    return check(_tuple_rows(source, fields), max_label_length=max_label_length, **options)


def _file_rows(source: Path | str, fields: tuple[Field, ...], **options: Any) -> Iterator[Row]:
    if isinstance(source, str) and not os.path.exists(source):  # noqa: PTH110 - False for what no file can be named
        raise DataError(f"{source[:NAME_LENGTH]}: No such file; a text itself goes into a list")
    rows = read(Path(source), fields, **options)
    first = next(rows, None)
    if first is None:
        raise DataError(f"{source}: the file has no rows, so there is nothing to load")
    yield first
    yield from rows


def _frame_rows(
    frame: Any, fields: tuple[Field, ...], *, columns: Mapping[str, str] | None = None
) -> Iterator[dict[Field, Any]]:
    names = [name for name in frame.columns if isinstance(name, str)]
    found = find_columns("the DataFrame", names, fields, columns or {})
    for name in found.values():
        if name is not None and names.count(name) > 1:
            raise DataError(f"the DataFrame has two columns with the name {name!r}")
    values = (repeat(None) if name is None else frame[name] for name in found.values())
    for row in zip(*values, strict=False):  # without strict, because `repeat` has no end
        yield dict(zip(found, row, strict=True))


def _tuple_rows(rows: Iterable[Any], fields: tuple[Field, ...]) -> Iterator[dict[Field, Any]]:
    """Yield rows from tuples, lists or arrays; a row of one field may be its value."""
    n_required = sum(field not in OPTIONAL for field in fields)
    for number, row in enumerate(rows):
        if isinstance(row, Mapping):
            raise DataError(f"item {number}: a dict; expected {', '.join(fields)} as a tuple")
        is_value = isinstance(row, str | bytes) or not (hasattr(row, "__len__") and hasattr(row, "__getitem__"))
        values = (row,) if is_value else tuple(row)
        if not n_required <= len(values) <= len(fields):
            count = f"{n_required}" if n_required == len(fields) else f"{n_required} or {len(fields)}"
            raise DataError(f"item {number}: {len(values)} values; expected {count}: {', '.join(fields)}")
        yield dict(zip_longest(fields, values))
