"""What the commands share: options, opening the project, and printing."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from al_learner.core.errors import SettingsError
from al_learner.core.events import printable

if TYPE_CHECKING:
    from rich.progress import Progress

    from al_learner.core.lifecycle.result import Result
    from al_learner.core.project import Project

EXIT_NOTHING_TO_DO = 3

Database = Annotated[
    str | None,
    typer.Option(metavar="URL", help="postgresql://… or sqlite:///FILE; default: from the environment."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Wait = Annotated[
    float, typer.Option(metavar="SECONDS", min=0, help="How long to wait while another run is in progress.")
]


@contextmanager
def open_project(database: str | None) -> Iterator[Project]:
    """Open the project of `database`, or of the environment."""
    from al_learner.core.project import Project

    log_warnings()
    project = Project(database)
    try:
        yield project
    finally:
        project.close()


def log_warnings() -> None:
    """Write warnings and errors to standard error, first of all which variables are ignored."""
    from al_learner.core import events
    from al_learner.core.configuration.environment import warn_of_ignored_variables

    events.configure("text", level=logging.WARNING)
    warn_of_ignored_variables()


def named_columns(column: Iterable[str] | None) -> dict[str, str]:
    """Return the column of each field, from options like ``text=body``."""
    pairs = [pair.partition("=") for pair in column or ()]
    if wrong := [field for field, _, name in pairs if not field or not name]:
        raise SettingsError([f"--column {wrong[0]}: write FIELD=NAME, e.g. text=body"])
    return {field: name for field, _, name in pairs}


def progress_bar(*, hidden: bool = False) -> Progress:
    """Return a progress bar for standard error; it is hidden if that is no terminal, or if `hidden`."""
    from rich.console import Console
    from rich.progress import Progress

    return Progress(console=Console(stderr=True), transient=True, disable=hidden or not sys.stderr.isatty())


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table, without a header if no column has a name; only there, a cell may have several lines."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    has_header = any(columns)
    table = Table(*columns, box=box.SIMPLE_HEAD, show_header=has_header)
    for column in table.columns:
        column.overflow = "fold"  # do not cut the text with an ellipsis
    for row in rows:
        table.add_row(*(printable(cell, multiline=not has_header) for cell in row))
    width = 1_000 if has_header else 160  # in a file or a pipe, rows are not broken
    Console(width=None if sys.stdout.isatty() else width, markup=False, highlight=False).print(table)


def print_json(value: Any) -> None:
    """Print JSON; times and other objects as text."""
    say(json.dumps(value, indent=2, ensure_ascii=not is_unicode(sys.stdout), default=str))


def is_unicode(stream: TextIO) -> bool:
    """Whether every character can be written to a stream."""
    return (stream.encoding or "utf-8").lower().startswith("utf")


def say(text: str, *, err: bool = False) -> None:
    """Print one or more lines, to standard output or to standard error; see `printable`."""
    (sys.stderr if err else sys.stdout).write(f"{printable(text, multiline=True)}\n")


def counted(n: int, noun: str) -> str:
    """Return a number with its noun, in the plural where it must be."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def finish(result: Result, as_json: bool) -> None:  # noqa: FBT001 - the option --json, as typer gives it
    """Print the result of a run; end with exit code 3 if there was nothing to do."""
    if as_json:
        print_json(asdict(result))
    else:
        say(str(result))
    if result.run is None:
        raise typer.Exit(EXIT_NOTHING_TO_DO)


def local_time(moment: datetime) -> str:
    """Return a time as text, in the machine's time zone."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"
