"""Finds out by content which annotation tool wrote records, and reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from al_learner.core.errors import DataError, SettingsError
from al_learner.core.exchange.containers.records import Records
from al_learner.core.exchange.reading import ExportFormat, Reading
from al_learner.core.exchange.tools import argilla_reader, doccano_reader, label_studio_reader, prodigy_reader
from al_learner.core.storage.exchange.annotated_texts import AnnotatedText

FORMATS: tuple[ExportFormat, ...] = (
    *label_studio_reader.FORMATS,
    *argilla_reader.FORMATS,
    *prodigy_reader.FORMATS,
    *doccano_reader.FORMATS,
)

COLUMNS = {"text", "text_id"}
"""The fields of a tool's record that can have other names."""


def recognised(parts: Sequence[Records]) -> ExportFormat | None:
    """Return the format of a tool, if all parts are of it; None for tables.

    Raises
    ------
    DataError
        There are several files, and not all are of one tool.
    """
    formats = [_format(part.peek()) for part in parts]
    found = next((of for of in formats if of is not None), None)
    if len(parts) > 1 and (found is None or any(of not in (None, found) for of in formats)):
        raise DataError(
            f"{parts[0].source}: this and {len(parts) - 1:,} more files are no export of one tool; unpack the zip "
            "file, and load one file after the other"
        )
    return found


def _format(records: Sequence[Mapping[str, Any]]) -> ExportFormat | None:
    return next((of for of in FORMATS if records and of.recognises(records)), None)


def read_export(parts: Sequence[Records], of: ExportFormat, reading: Reading) -> Iterator[AnnotatedText]:
    """Yield the texts of a tool's export.

    Raises
    ------
    SettingsError
        `columns` has a field that a tool's record does not have.
    DataError
        Names the place and the reason.
    """
    if wrong := reading.columns.keys() - COLUMNS:
        raise SettingsError(
            [f"column {min(wrong)}: of {of.name} only these can be chosen: {', '.join(sorted(COLUMNS))}"]
        )
    yield from chain.from_iterable(of.read(part, reading) for part in parts)
