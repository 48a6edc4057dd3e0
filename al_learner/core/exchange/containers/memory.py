"""Reads tables that are in memory: DataFrames, Hugging Face datasets, and lists of tuples or dicts.

Their libraries are never imported here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any

from al_learner.core.errors import DataError
from al_learner.core.exchange.containers.parquet import class_names
from al_learner.core.exchange.containers.records import Records, Rows


def is_frame(source: Any) -> bool:
    """Whether it is a DataFrame."""
    return hasattr(source, "columns")


def is_dataset(source: Any) -> bool:
    """Whether it is a Hugging Face dataset."""
    return hasattr(source, "features") and hasattr(source, "column_names") and not isinstance(source, Mapping)


def read_frame(frame: Any) -> Records:
    """Return the rows of a DataFrame."""
    names = [name for name in frame.columns if isinstance(name, str)]
    if twice := [name for name in names if names.count(name) > 1]:
        raise DataError(f"the DataFrame has two columns with the name {twice[0]!r}")

    def rows() -> Rows:
        for number, row in enumerate(zip(*(frame[name] for name in names), strict=True)):
            yield f"item {number}", {name: _plain(value) for name, value in zip(names, row, strict=True)}

    return Records("the DataFrame", "DataFrame", rows())


def _plain(value: Any) -> Any:
    """Return an array in a cell as a list."""
    return value.tolist() if getattr(value, "ndim", 0) else value


def read_dataset(dataset: Any) -> Records:
    """Return the rows of a Hugging Face dataset."""
    described = dataset.features.to_dict() if hasattr(dataset.features, "to_dict") else {}
    rows = ((f"row {number}", row) for number, row in enumerate(dataset, 1))
    return Records("the dataset", "Hugging Face dataset", rows, class_names=class_names(described))


def read_dicts(items: Iterable[Any]) -> Records | Iterator[Any]:
    """Return the rows of a list of dicts; if the first item is none, return the items as they were."""
    rest = iter(items)
    first = list(islice(rest, 1))
    if not (first and isinstance(first[0], Mapping)):
        return chain(first, rest)

    def rows() -> Rows:
        for number, item in enumerate(chain(first, rest)):
            if not isinstance(item, Mapping):
                raise DataError(f"item {number}: a {type(item).__name__}; the first item is a dict")
            yield f"item {number}", item

    return Records("the list", "list of dicts", rows())
