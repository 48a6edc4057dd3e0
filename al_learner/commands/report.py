"""`al-learner report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from al_learner.commands.shared import Database, open_project, say


def report(
    file: Annotated[Path, typer.Argument(metavar="FILE", dir_okay=False, help="The HTML file to write.")] = Path(
        "report.html"
    ),
    force: Annotated[bool, typer.Option("--force", help="Overwrite FILE.")] = False,
    database: Database = None,
) -> None:
    """Write a page about the project: accuracy, errors, words, annotators, and whether labelling still pays."""
    with open_project(database) as project:
        written = project.report().write(file, force=force)
    say(f"{written}: one file that needs no other; open it in a browser")
