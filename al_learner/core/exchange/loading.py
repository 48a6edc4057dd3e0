"""Loads texts, labels, prelabelled texts and votes into LabelForward's tables, from a file or from memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from al_learner.core.exchange.file_formats import Field, Row, check, read
from al_learner.core.storage.records import MAX_LABEL_LENGTH
from al_learner.core.storage.storage import Storage

BYTES_PER_CHARACTER = 4
"""Bytes per character in the predictor's fixed-width array of all texts."""

DENSE_LIMIT_BYTES = 10**9


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
        source : path, or iterable of str
        **options
            Of `file_formats.read`, for a file: ``columns``, ``progress``.

        Raises
        ------
        DataError
            Names the file, the first wrong line and the reason.
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

    def load_labels(self, source: Path | str | Iterable[str], **options: Any) -> Loaded:
        """Append label names, each once; like `load_texts`."""
        rows = _rows(source, ("label",), max_label_length=MAX_LABEL_LENGTH, **options)
        return Loaded(self._storage.tables.load_labels(dict.fromkeys(row["label"] for row in rows)))

    def load_init_data(self, source: Path | str | Iterable[tuple[str, str]], **options: Any) -> Loaded:
        """Append prelabelled texts, in memory pairs of text and label; like `load_texts`."""
        rows = _rows(source, ("text", "label"), **options)
        return Loaded(self._storage.tables.load_init_data((row["text"], row["label"]) for row in rows))

    def load_votes(self, source: Path | str | Iterable[tuple[int, str, str]], **options: Any) -> Loaded:
        """Append votes, in memory triples of text_id, label and annotator; like `load_texts`."""
        rows = _rows(source, ("text_id", "label", "user"), max_label_length=MAX_LABEL_LENGTH, **options)
        votes = ((int(row["text_id"]), row["label"], row["user"], row.where) for row in rows)
        return Loaded(self._storage.tables.load_votes(votes))


def _rows(source: Any, fields: tuple[Field, ...], **options: Any) -> Iterator[Row]:
    if isinstance(source, str | Path):
        return read(Path(source), fields, **options)
    rows = (row if isinstance(row, tuple | list) else (row,) for row in source)
    return check((dict(zip(fields, row, strict=True)) for row in rows), **options)
