"""`al-learner export`."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, BinaryIO, cast

import typer

from al_learner.commands.shared import ClfId, Database, counted, open_project, progress_bar, say
from al_learner.core.errors import SettingsError
from al_learner.core.events import printable

STANDARD_OUTPUT = Path("-")


class What(StrEnum):
    """What can be exported."""

    LABELS = "labels"
    VOTES = "votes"
    TEXTS = "texts"
    PREDICTIONS = "predictions"


def export(  # noqa: PLR0913, PLR0917 - each is an option
    what: Annotated[What, typer.Argument(metavar="WHAT", help="labels, votes, texts or predictions.")],
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The file to write; gzipped if its name ends with .gz.")
    ] = STANDARD_OUTPUT,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="NAME",
            help="csv, jsonl, parquet, label-studio, doccano, prodigy or argilla. Default: what the name of the file "
            "says; csv for standard output.",
        ),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(metavar="WHAT=NAME", help="A name in the other tool's project, e.g. from_name=sentiment."),
    ] = None,
    annotator: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=ID", help="Who an annotator is in the other tool, e.g. ada=ada@example.org."),
    ] = None,
    anonymous: Annotated[bool, typer.Option("--anonymous", help="Leave out who voted.")] = False,
    clf_id: ClfId = None,
    ids: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Only the texts of this file's column text_id, or else external_id; - is standard input.",
        ),
    ] = None,
    safe_csv: Annotated[
        bool, typer.Option("--safe-csv", help="Put an apostrophe before text that a spreadsheet takes for a formula.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite FILE.")] = False,
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Dask scheduler; the predictions for all texts are computed on its cluster."
        ),
    ] = None,
    database: Database = None,
) -> None:
    """Write labels, votes, texts or predictions as a table, or in the import format of another tool."""
    names, annotators = _pairs("--name", name), _pairs("--annotator", annotator)
    is_standard = file == STANDARD_OUTPUT
    if is_standard and form == "parquet" and sys.stdout.isatty():
        raise SettingsError(["Parquet is not for a terminal: name a file"])
    with open_project(database) as project, progress_bar(hidden=is_standard and sys.stdout.isatty()) as bar:
        task = bar.add_task(f"exporting {what}", total=None)
        exported = project.export_file(
            what.value,
            _standard_output() if is_standard else file,
            format=form,
            names=names,
            annotators=annotators,
            anonymous=anonymous,
            clf_id=clf_id,
            cluster=cluster,
            text_ids=None if ids is None else _ids(ids),
            safe_csv=safe_csv,
            force=force,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    for warning in exported.warnings:
        say(f"warning: {warning}", err=True)
    if exported.names:
        used = ", ".join(f"{name}={value}" for name, value in exported.names.items())
        say(f"names in the other tool's project: {used}; --name changes them", err=True)
    if not is_standard:
        whose = "" if what is What.TEXTS else f"{what} of "
        say(f"{whose}{counted(exported.texts, 'text')} written to {file}")


def _ids(file: Path) -> list[int | str]:
    """Return the texts that a file names: by text_id, or if it has only external ids, by these, as str."""
    from al_learner.core.exchange.containers.opening import opened
    from al_learner.core.exchange.fields import paths
    from al_learner.core.exchange.rows import table_rows

    found: list[int | str] = []
    with opened(file) as parts:
        for part in parts:
            names = {name for record in part.peek() for name in paths(record)}
            if "external_id" in names and "text_id" not in names:
                found += (row["id"] for row in table_rows(part, ("id",), columns={}, optional=()))
            else:
                found += (int(row["text_id"]) for row in table_rows(part, ("text_id",), columns={}))
    return found


def _pairs(option: str, given: Sequence[str] | None) -> dict[str, str]:
    """Return pairs from options like ``ada=ada@example.org``; the part before the last = may be empty."""
    pairs = [pair.rpartition("=") for pair in given or ()]
    if wrong := [pair for pair, (_, sign, value) in zip(given or (), pairs, strict=True) if not sign or not value]:
        raise SettingsError([f"{option} {wrong[0]}: write it with =, such as {option} a=b"])
    return {name: value for name, _, value in pairs}


class _Terminal(io.RawIOBase):
    """Writes to a terminal, which control characters must not reach."""

    def write(self, data: object) -> int:
        text = bytes(cast(bytes, data))
        sys.stdout.write(printable(text.decode(), multiline=True))
        return len(text)


def _standard_output() -> BinaryIO:
    """Return standard output for bytes, which are UTF-8 in every locale."""
    if sys.stdout.isatty() or not isinstance(sys.stdout, io.TextIOWrapper):
        return cast(BinaryIO, _Terminal())
    sys.stdout.flush()
    return cast(BinaryIO, sys.stdout.buffer)
