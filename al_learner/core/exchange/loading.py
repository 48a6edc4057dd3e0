"""Loads texts, labels, prelabelled texts and votes into LabelForward's tables, from a file or from memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from al_learner.core.exchange.file_formats import Field, Row, check, read
from al_learner.core.storage.labelforward_tables import LabelForwardTables
from al_learner.core.storage.records import MAX_LABEL_LENGTH

BYTES_PER_CHARACTER = 4
"""Bytes per character in the predictor's fixed-width array of all texts."""

DENSE_LIMIT_BYTES = 10**9


@dataclass(frozen=True)
class Loaded:
    """Number of rows that were loaded, and warnings."""

    rows: int
    warnings: tuple[str, ...] = ()


def load_texts(tables: LabelForwardTables, source: Path | str | Iterable[str], **options: Any) -> Loaded:
    """Append texts; see `Project.load_texts`."""
    longest = 0

    def texts() -> Iterator[str]:
        nonlocal longest
        for row in _rows(source, ("text",), **options):
            longest = max(longest, len(row["text"]))
            yield row["text"]

    loaded = tables.load_texts(texts())
    dense_gib = tables.n_texts() * longest * BYTES_PER_CHARACTER / 2**30
    warning = (
        f"the longest text has {longest:,} characters; the predictor makes an array of all texts that is as wide as "
        f"the longest, so it needs {dense_gib:.1f} GiB: shorten the text, or give the predictor more memory"
    )
    return Loaded(loaded, (warning,) if dense_gib * 2**30 > DENSE_LIMIT_BYTES else ())


def load_labels(tables: LabelForwardTables, source: Path | str | Iterable[str], **options: Any) -> Loaded:
    """Append label names, each once; see `Project.load_labels`."""
    rows = _rows(source, ("label",), max_label_length=MAX_LABEL_LENGTH, **options)
    return Loaded(tables.load_labels(dict.fromkeys(row["label"] for row in rows)))


def load_init_data(
    tables: LabelForwardTables, source: Path | str | Iterable[tuple[str, str]], **options: Any
) -> Loaded:
    """Append prelabelled texts; see `Project.load_init_data`."""
    rows = _rows(source, ("text", "label"), **options)
    return Loaded(tables.load_init_data((row["text"], row["label"]) for row in rows))


def load_votes(
    tables: LabelForwardTables, source: Path | str | Iterable[tuple[int, str, str]], **options: Any
) -> Loaded:
    """Append votes; see `Project.load_votes`."""
    rows = _rows(source, ("text_id", "label", "user"), max_label_length=MAX_LABEL_LENGTH, **options)
    votes = ((int(row["text_id"]), row["label"], row["user"], row.where) for row in rows)
    return Loaded(tables.load_votes(votes))


def _rows(source: Any, fields: tuple[Field, ...], **options: Any) -> Iterator[Row]:
    if isinstance(source, str | Path):
        return read(Path(source), fields, **options)
    rows = (row if isinstance(row, tuple | list) else (row,) for row in source)
    return check((dict(zip(fields, row, strict=True)) for row in rows), **options)
