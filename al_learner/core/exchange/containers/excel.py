"""Reads the first sheet of an Excel file; only this module knows openpyxl."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from al_learner.core.errors import DataError
from al_learner.core.exchange.containers.records import Records, Rows


def read_excel(name: str, file: BinaryIO) -> Records:
    """Return the rows of the first sheet, whose first row has the names of the columns.

    Raises
    ------
    DataError
        openpyxl is not installed, or cannot read the file.
    """
    try:
        import openpyxl  # an extra
    except ModuleNotFoundError as exc:
        raise DataError(
            f"{name}: Excel files need openpyxl: pip install 'al-learner[files]'; or save the sheet as CSV"
        ) from exc
    try:
        book = openpyxl.load_workbook(file, read_only=True, data_only=True)
        sheet = book.worksheets[0]
    except Exception as exc:  # openpyxl raises what it meets: KeyError, ValueError, errors of XML
        raise DataError(f"{name}: openpyxl cannot read it as an Excel file: {type(exc).__name__}: {exc}") from exc
    more = f" (the first of {len(book.worksheets)})" if len(book.worksheets) > 1 else ""
    return Records(name, f"Excel, sheet {sheet.title!r}{more}", _rows(name, _values(name, sheet)))


def _values(name: str, sheet: Any) -> Iterator[tuple[int, tuple[Any, ...]]]:
    try:
        yield from enumerate(sheet.iter_rows(values_only=True), 1)
    except Exception as exc:  # as above: the sheet is parsed as it is read
        raise DataError(f"{name}: openpyxl cannot read it as an Excel file: {type(exc).__name__}: {exc}") from exc


def _rows(name: str, values: Iterator[tuple[int, tuple[Any, ...]]]) -> Rows:
    header: list[str] | None = None
    for number, row in values:
        if all(cell is None for cell in row):
            continue
        if header is None:
            header = ["" if cell is None else str(cell) for cell in row]
        else:
            cells = dict(zip(header, row, strict=False))
            yield f"{name}, row {number}", {column: cell for column, cell in cells.items() if column}
