"""Reads Parquet, with the names of class labels that Hugging Face keeps in it; only this module knows pyarrow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, BinaryIO

from al_learner.core.errors import DataError
from al_learner.core.exchange.containers.records import Records, Rows

BATCH = 1_000
"""Rows that are held in memory."""

FEATURES = b"huggingface"
"""The key of the schema's metadata under which `datasets` keeps the types of columns."""


def read_parquet(name: str, file: BinaryIO) -> Records:
    """Return the rows of a Parquet file.

    Raises
    ------
    DataError
        pyarrow is not installed, or cannot read the file.
    """
    try:
        from pyarrow import ArrowException, parquet  # an extra, and heavy
    except ModuleNotFoundError as exc:
        raise DataError(f"{name}: Parquet needs pyarrow: pip install 'al-learner[files]'") from exc

    def rows() -> Rows:
        number = 0
        try:
            for batch in table.iter_batches(BATCH):
                for record in batch.to_pylist():
                    number += 1
                    yield f"{name}, row {number}", record
        except (ArrowException, ValueError, OSError, OverflowError, UnicodeDecodeError) as exc:
            raise DataError(f"{name}: pyarrow cannot read it after row {number:,}: {exc}") from exc

    try:
        table = parquet.ParquetFile(file)
        metadata = table.schema_arrow.metadata or {}
    except (ArrowException, ValueError, OSError, OverflowError) as exc:
        raise DataError(f"{name}: pyarrow cannot read it as Parquet: {exc}") from exc
    return Records(name, "Parquet", rows(), class_names=_class_names(metadata))


def _class_names(metadata: Mapping[bytes, bytes]) -> dict[str, tuple[str, ...]]:
    try:
        features = json.loads(metadata.get(FEATURES, b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return class_names(features) if isinstance(features, dict) else {}


def class_names(features: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the labels of each column of class labels, or of lists of them, from Hugging Face's description."""
    found = {}
    for column, feature in features.items():
        of = feature[0] if isinstance(feature, list) and feature else feature
        while isinstance(of, dict) and isinstance(of.get("feature"), dict):
            of = of["feature"]
        if isinstance(of, dict) and of.get("_type") == "ClassLabel" and isinstance(of.get("names"), list):
            found[column] = tuple(map(str, of["names"]))
    return found
