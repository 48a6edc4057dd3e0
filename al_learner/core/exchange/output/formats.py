"""The formats of exports, by name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from al_learner.core.errors import SettingsError, did_you_mean
from al_learner.core.exchange.output import tables
from al_learner.core.exchange.output.contents import Contents
from al_learner.core.exchange.tools import (
    argilla_writer,
    doccano_writer,
    label_studio_writer,
    prodigy_writer,
)
from al_learner.core.exchange.tools.writing import Record, Target

Records = Callable[[Contents, Target], Iterator[Record]]


@dataclass(frozen=True)
class Tool:
    """Another tool's import format.

    Attributes
    ----------
    records : callable
        Yields its records.
    names : mapping of str to str
        What has a name of its own in each project there, and how it is called unless somebody says otherwise.
    is_list : bool
        The file is one JSON list; else it has a JSON object on each line.
    """

    records: Records
    names: Mapping[str, str]
    is_list: bool


TOOLS = {
    "label-studio": Tool(label_studio_writer.records, label_studio_writer.NAMES, is_list=True),
    "doccano": Tool(doccano_writer.records, doccano_writer.NAMES, is_list=False),
    "prodigy": Tool(prodigy_writer.records, prodigy_writer.NAMES, is_list=False),
    "argilla": Tool(argilla_writer.records, argilla_writer.NAMES, is_list=True),
}

SUFFIXES = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
"""The format that the name of a file says, before ``.gz``."""

FORMATS = ("csv", "jsonl", "parquet", *TOOLS)


@dataclass(frozen=True)
class WriteOptions:
    """How an export is written.

    Attributes
    ----------
    format : str
        One of `FORMATS`.
    names : mapping of str to str
        Names in the other tool's project, over its `Tool.names`.
    annotator_ids : mapping of str to str
        Who an annotator is in the other tool; "" for votes without a name.
    safe_csv : bool
        In CSV, put an apostrophe before what a spreadsheet takes for a formula.
    """

    format: str
    names: Mapping[str, str] = field(default_factory=dict)
    annotator_ids: Mapping[str, str] = field(default_factory=dict)
    safe_csv: bool = False

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            hint = did_you_mean(self.format, FORMATS)
            raise SettingsError([f"format {self.format!r}{hint}: allowed are {', '.join(FORMATS)}"])
        allowed = TOOLS[self.format].names if self.format in TOOLS else {}
        if wrong := [name for name in self.names if name not in allowed]:
            raise SettingsError(
                [f"--name {wrong[0]}: the format {self.format} has {', '.join(allowed) or 'no names to choose'}"]
            )
        if self.annotator_ids and self.format not in TOOLS:
            raise SettingsError([f"--annotator: only for {', '.join(TOOLS)}; in {self.format} annotators are exact"])
        if self.safe_csv and self.format != "csv":
            raise SettingsError([f"--safe-csv: only for csv, not for {self.format}"])


def format_of(file: Path) -> str:
    """Return the format that the name of a file says; CSV for standard output, which is ``-``.

    Raises
    ------
    SettingsError
        It says none.
    """
    suffixes = [suffix.lower() for suffix in file.suffixes if suffix.lower() != ".gz"]
    found = "csv" if file == Path("-") else SUFFIXES.get(suffixes[-1] if suffixes else "")
    if found is None:
        known = ", ".join(SUFFIXES)
        raise SettingsError([f"{file}: the name ends with none of {known}; say with --format {'|'.join(FORMATS)}"])
    return found


def write(contents: Contents, out: BinaryIO, options: WriteOptions) -> tuple[str, ...]:
    """Write an export. Return what was left out, in words.

    Raises
    ------
    DataError
        The format cannot have these contents.
    SettingsError
        A package is missing.
    """
    if options.format == "csv":
        tables.write_csv(contents, out, safe=options.safe_csv)
    elif options.format == "jsonl":
        tables.write_json_lines(contents, out)
    elif options.format == "parquet":
        tables.write_parquet(contents, out)
    else:
        tool = TOOLS[options.format]
        target = Target({**tool.names, **options.names}, options.annotator_ids)
        records = tool.records(contents, target)
        _write_list(records, out) if tool.is_list else _write_lines(records, out)
        return tuple(f"{count:,} {what}" for what, count in target.left_out.items() if count)
    return ()


def _write_lines(records: Iterable[Record], out: BinaryIO) -> None:
    out.writelines(_json(record) + b"\n" for record in records)


def _write_list(records: Iterable[Record], out: BinaryIO) -> None:
    """Write a list with a record on each line, without having them all in memory."""
    before = b"[\n"
    for record in records:
        out.write(before + _json(record))
        before = b",\n"
    out.write(b"[]\n" if before == b"[\n" else b"\n]\n")


def _json(record: Record) -> bytes:
    return json.dumps(record, ensure_ascii=False).encode()
