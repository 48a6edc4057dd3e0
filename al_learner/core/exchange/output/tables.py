"""Exports as tables: rows, a DataFrame, CSV, JSON lines and Parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np

from al_learner.core.errors import SettingsError
from al_learner.core.exchange.output.contents import Contents, ExportedText, What
from al_learner.core.storage.database import chunked
from al_learner.core.storage.labelforward_tables import CHUNK

Row = dict[str, Any]

_TEXT = ("text_id", "external_id", "text")
_LABEL = ("label", "votes", "annotators", "agreement")
_PREDICTION = ("predicted_label", "uncertainty", "clf_id")

COLUMNS: Mapping[What, tuple[str, ...]] = {
    "labels": (*_TEXT, *_LABEL),
    "votes": (*_TEXT, "label", "annotator"),
    "texts": (*_TEXT, *_LABEL, *_PREDICTION),
    "predictions": (*_TEXT, *_PREDICTION),
}
"""The columns of each export. With predictions, one for each class follows: see `probability_column`."""

NUMBERS = {"text_id": "int64", "agreement": "float64", "uncertainty": "float64", "clf_id": "int64"}
"""Columns that are not text. `votes` and `annotators` are lists of text."""

LISTS = ("votes", "annotators")

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet takes for a formula."""


def rows(contents: Contents) -> Iterator[Row]:
    """Yield a dict for each row, with the columns of `COLUMNS`; ``probabilities`` is a dict by class."""
    columns, has_predictions = COLUMNS[contents.what], bool(contents.classes)
    for text in contents.texts:
        row = _row(text)
        if contents.what == "votes":
            for label, annotator in text.votes:
                given = {"label": label, "annotator": annotator}
                yield {name: given[name] if name in given else row[name] for name in columns}
        else:
            probabilities = {"probabilities": dict(text.prediction.probabilities)} if text.prediction else {}
            yield {name: row[name] for name in columns} | (probabilities if has_predictions else {})


def flat_rows(contents: Contents) -> Iterator[Row]:
    """Yield the same with a column for the probability of each class."""
    for row in rows(contents):
        probabilities = row.pop("probabilities", {})
        yield row | {probability_column(label): share for label, share in probabilities.items()}


def flat_columns(contents: Contents) -> tuple[str, ...]:
    """Return the columns of `flat_rows`."""
    return (*COLUMNS[contents.what], *map(probability_column, contents.classes))


def probability_column(label: str) -> str:
    """Return the name of the column with the probability of a class."""
    return f"probability_{label}"


def frame(contents: Contents) -> Any:
    """Return a pandas.DataFrame; columns that may be missing are objects, NaN where they are numbers."""
    try:
        import pandas as pd  # heavy, and an extra
    except ImportError:
        raise ImportError(
            "an export as a pandas.DataFrame needs pandas: pip install 'al-learner[notebook]'; "
            "Project.export_rows needs nothing"
        ) from None  # a notebook would show two tracebacks that say the same
    values: dict[str, list[Any]] = {name: [] for name in flat_columns(contents)}
    for row in flat_rows(contents):
        for name, column in values.items():
            column.append(row[name])
    return pd.DataFrame({name: _array(name, column) for name, column in values.items()})


def write_csv(contents: Contents, out: BinaryIO, *, safe: bool = False) -> None:
    """Write CSV with a header; lists are JSON. `safe`: an apostrophe goes before what looks like a formula."""
    lines = _Lines(out)
    writer = csv.writer(lines)
    columns = flat_columns(contents)
    writer.writerow(columns)
    for row in flat_rows(contents):
        writer.writerow([cell(row[name], safe=safe) for name in columns])


def cell(value: Any, *, safe: bool = False) -> str:
    """Return a value as the text of a cell of CSV: nothing for None, JSON for lists and dicts."""
    if value is None:
        return ""
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    text = str(value)
    return f"'{text}" if safe and isinstance(value, str) and text.startswith(FORMULA) else text


def write_json_lines(contents: Contents, out: BinaryIO) -> None:
    """Write a JSON object on each line."""
    out.writelines(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows(contents))


def write_parquet(contents: Contents, out: BinaryIO) -> None:
    """Write Parquet; missing values are null.

    Raises
    ------
    SettingsError
        pyarrow is not installed.
    """
    try:
        import pyarrow as pa  # heavy, and an extra
        import pyarrow.parquet as pq
    except ImportError as exc:
        raise SettingsError(["Parquet needs the extra: pip install 'al-learner[files]'"]) from exc
    types = {name: getattr(pa, kind)() for name, kind in NUMBERS.items()}
    types |= {name: pa.list_(pa.string()) for name in LISTS}
    types |= dict.fromkeys(map(probability_column, contents.classes), pa.float64())
    schema = pa.schema([(name, types.get(name, pa.string())) for name in flat_columns(contents)])
    with pq.ParquetWriter(out, schema) as writer:
        for chunk in chunked(flat_rows(contents), CHUNK):
            writer.write_batch(pa.RecordBatch.from_pylist(chunk, schema=schema))


class _Lines:
    """Rows of CSV that end with a newline alone. If csv wrote that end, it would not quote CR."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out

    def write(self, row: str) -> None:
        self._out.write(row.removesuffix("\r\n").encode() + b"\n")


def _row(text: ExportedText) -> Row:
    prediction = text.prediction
    return {
        "text_id": text.text_id,
        "external_id": text.external_id,
        "text": text.text,
        "label": text.label,
        "votes": [label for label, _ in text.votes],
        "annotators": [annotator for _, annotator in text.votes],
        "agreement": text.agreement,
        "predicted_label": prediction and prediction.label,
        "uncertainty": prediction and prediction.uncertainty,
        "clf_id": prediction and prediction.clf_id,
    }


def _array(name: str, values: list[Any]) -> Any:
    if name in NUMBERS or name.startswith("probability_"):
        kind = NUMBERS.get(name, "float64") if None not in values else "float64"
        return np.array(values, kind)
    array = np.empty(len(values), object)
    array[:] = values
    return array
