"""`al-learner load`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from al_learner.commands.shared import Database, Json, named_columns, open_project, print_json, progress_bar, say

app = typer.Typer(help="Load texts, labels, prelabelled data or votes from a file. A file with an error loads nothing.")

File = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        exists=True,
        dir_okay=False,
        help="CSV with a header, JSON lines, or pandas-style JSON; gzipped or not.",
    ),
]
Column = Annotated[
    list[str] | None,
    typer.Option("--column", metavar="FIELD=NAME", help="The column that holds a field, e.g. text=body."),
]


@app.command("texts")
def load_texts(file: File, column: Column = None, database: Database = None, as_json: Json = False) -> None:
    """Append texts to be labelled (column `text` or `data`)."""
    _load("load_texts", "texts", file, column, database, as_json)


@app.command("labels")
def load_labels(file: File, column: Column = None, database: Database = None, as_json: Json = False) -> None:
    """Append label names (column `label` or `labels`), and descriptions of them (column `description`)."""
    _load("load_labels", "labels", file, column, database, as_json)


@app.command("init")
def load_init(file: File, column: Column = None, database: Database = None, as_json: Json = False) -> None:
    """Append prelabelled texts to start from (columns `text` or `data`, and `label`)."""
    _load("load_init_data", "prelabelled texts", file, column, database, as_json)


@app.command("votes")
def load_votes(file: File, column: Column = None, database: Database = None, as_json: Json = False) -> None:
    """Append votes (columns `text_id`, `label`, and `user` if known)."""
    _load("load_votes", "votes", file, column, database, as_json)


def _load(
    method: str,
    what: str,
    file: Path,
    column: Sequence[str] | None,
    database: str | None,
    as_json: bool,  # noqa: FBT001 - typer gives the option --json as a bool
) -> None:
    columns = named_columns(column)
    with open_project(database) as project, progress_bar() as progress:
        task = progress.add_task(f"loading {what}", total=file.stat().st_size)
        load_it: Callable[..., Any] = getattr(project, method)
        loaded = load_it(
            file,
            columns=columns,
            progress=lambda position: progress.update(task, completed=position),
        )
    if as_json:
        return print_json(asdict(loaded))
    for warning in loaded.warnings:
        say(f"warning: {warning}", err=True)
    return say(f"{loaded.rows:,} {what} loaded")
