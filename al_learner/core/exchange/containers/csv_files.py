"""Reads CSV with any delimiter."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator

from al_learner.core.errors import DataError
from al_learner.core.exchange.containers.records import Records, Rows

DELIMITERS = ",;\t|"
"""Those that are recognised. Of equally good ones, the first is taken."""

SAMPLE_LINES = 200

SAMPLE_CHARACTERS = 2**20


def read_csv(name: str, text: io.TextIOWrapper, encoding: str, delimiter: str | None = None) -> Records:
    """Return the rows of CSV with a header.

    Raises
    ------
    DataError
        The delimiter is not one character.
    """
    if delimiter == "\\t":
        delimiter = "\t"
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise DataError(f"{name}: the delimiter is {delimiter!r}; it must be one character, and no quote or line end")
    csv.field_size_limit(sys.maxsize)
    found = delimiter or _delimiter(text)
    shown = "tab" if found == "\t" else repr(found)
    kind = f"CSV, delimiter {shown}" + ("" if encoding == "UTF-8" else f", {encoding}")
    return Records(name, kind, _rows(name, text, found))


def _delimiter(text: io.TextIOWrapper) -> str:
    """Return the delimiter with which most rows have as many columns as the header, which has more than one."""
    sample: list[str] = []
    while len(sample) < SAMPLE_LINES and sum(map(len, sample)) < SAMPLE_CHARACTERS and (line := text.readline(2**16)):
        sample.append(line)
    text.seek(0)
    fits = {delimiter: _fit(sample, delimiter) for delimiter in DELIMITERS}
    return max(DELIMITERS, key=lambda delimiter: (fits[delimiter], -DELIMITERS.index(delimiter)))


def _fit(sample: list[str], delimiter: str) -> tuple[float, int]:
    try:
        rows = [row for row in csv.reader(iter(sample), delimiter=delimiter) if row]
    except csv.Error:
        return 0.0, 0
    width = len(rows[0]) if rows else 0
    if width < 2:
        return 0.0, 0
    if len(rows) > 2:
        rows.pop()  # the sample may end within it
    return sum(len(row) == width for row in rows) / len(rows), width


def _rows(name: str, text: io.TextIOWrapper, delimiter: str) -> Rows:
    number = 0

    def counted() -> Iterator[str]:
        nonlocal number
        for line in text:
            number += 1
            yield line

    reader = csv.reader(counted(), strict=True, delimiter=delimiter)
    try:
        header = next((row for row in reader if row), [])
        twice = {column for column in header if column and header.count(column) > 1} if len(header) < 1_000 else set()
        if twice:
            raise DataError(f"{name}, line {number}: two columns have the name {min(twice)!r}; rename one of them")
        for row in reader:
            if not row:
                continue
            where = f"{name}, line {number}"
            if len(row) != len(header):
                raise DataError(
                    f"{where}: {len(header)} columns are expected, as in the header, and there are {len(row)}; if "
                    "another delimiter separates them, say which with --delimiter"
                )
            yield where, dict(zip(header, row, strict=True))
    except csv.Error as exc:
        raise DataError(f"{name}, line {number}: {exc}") from exc
