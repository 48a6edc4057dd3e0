"""`al-learner query`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from al_learner.commands.shared import (
    EXIT_NOTHING_TO_DO,
    ClfId,
    Database,
    Json,
    completed_names,
    is_unicode,
    open_project,
    print_json,
    print_table,
    progress_bar,
    say,
)

if TYPE_CHECKING:
    from al_learner.core.models.querying import QueriedText


SHOWN = 300
"""Characters of a text that are shown: enough to label it."""

COLUMNS = ("text", "predicted label", "probability", "uncertainty")


def query(
    n: Annotated[int, typer.Argument(metavar="N", min=1, help="How many texts.")],
    strategy: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            autocompletion=completed_names("query_strategy"),
            help="The query strategy; NAME(parameter=value) sets parameters.",
        ),
    ] = "least-confidence",
    clf_id: ClfId = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the random numbers. Default: a new one.")] = None,
    json_lines: Annotated[
        bool, typer.Option("--json-lines", help="Print JSON lines: an object for each text.")
    ] = False,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Show the texts to label next, the most wanted first: of those without votes. Nothing is written."""
    with open_project(database) as project, progress_bar() as progress:
        task = progress.add_task("predicting", total=None)
        found = project.query(
            n,
            strategy=strategy,
            clf_id=clf_id,
            seed=seed,
            progress=lambda n_read: progress.update(task, description=f"{n_read:,} texts predicted"),
        )
    if as_json:
        print_json([text._asdict() for text in found])
    elif json_lines:
        for text in found:
            say(json.dumps(text._asdict(), ensure_ascii=not is_unicode(sys.stdout)))
    elif found:
        has_ids = any(text.external_id is not None for text in found)
        columns = ("text_id", *(("external id",) if has_ids else ()), *COLUMNS)
        print_table(columns, (_row(text, has_id=has_ids) for text in found))
    if not found:
        say("there is no text without votes that is not blank", err=as_json or json_lines)
        raise typer.Exit(EXIT_NOTHING_TO_DO)
    if len(found) < n:
        say(f"only {len(found):,} texts have no votes and are not blank", err=True)


def _row(text: QueriedText, *, has_id: bool) -> tuple[str, ...]:
    from al_learner.core.labels.annotators import excerpt  # heavy: numpy

    shares = f"{text.probability:.4f}", f"{text.uncertainty:.4f}"
    ids = (str(text.text_id), *((text.external_id or "",) if has_id else ()))
    return *ids, excerpt(text.text, SHOWN), text.predicted_label, *shares
