"""`al-learner load`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from al_learner.commands.shared import (
    App,
    Database,
    Json,
    counted,
    named_columns,
    open_project,
    print_json,
    print_table,
    progress_bar,
    say,
)

if TYPE_CHECKING:
    from al_learner.core.exchange.loading import Loaded

app = App(
    help="Load texts, labels, prelabelled data, votes or a whole project from a file. A file with an error loads "
    "nothing.",
    no_args_is_help=True,
)

NOUNS = {"texts": "text", "labels": "label", "init_data": "prelabelled text", "votes": "vote", "project": "text"}

SHOWN_CHARACTERS = 60
"""Of a text in a dry run."""


def _existing(file: Path) -> Path:
    """Refuse a file that is not there, but not `-`; typer's own check does, because that is a Path too."""
    if file != Path("-") and not file.exists():
        raise typer.BadParameter(f"file {str(file)!r} does not exist.")
    return file


File = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        dir_okay=False,
        callback=_existing,
        help="CSV, JSON, JSON lines, Excel or Parquet, or an export of Label Studio, doccano, Prodigy or Argilla; the "
        "content says which. - is standard input.",
    ),
]
Column = Annotated[
    list[str] | None,
    typer.Option(
        "--column", metavar="FIELD=NAME", help="The column that holds a field, e.g. text=body, or text=fields.text."
    ),
]
IdColumn = Annotated[
    str | None,
    typer.Option("--id", metavar="NAME", help="The column of the ids that the texts have elsewhere, e.g. meta.id."),
]
Delimiter = Annotated[
    str | None, typer.Option("--delimiter", metavar="CHARACTER", help="Of CSV. Default: the content says.")
]
Encoding = Annotated[
    str | None, typer.Option("--encoding", metavar="NAME", help="Such as cp1252. Default: the content says.")
]
Question = Annotated[
    str | None,
    typer.Option("--question", metavar="NAME", help="Which question of a tool's project has the labels."),
]
AssumeSubmitted = Annotated[
    bool,
    typer.Option(
        "--assume-submitted", help="Take responses of Argilla that have no status for submitted ones, which are votes."
    ),
]
NewLabels = Annotated[
    bool, typer.Option("--new-labels", help="Append labels that are not in table labels, which has others.")
]
Replace = Annotated[
    bool, typer.Option("--replace", help="An annotator's vote replaces that annotator's earlier ones on the text.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Write nothing; show the first rows as they are understood.")]


class Duplicate(StrEnum):
    """What is done with a text whose external id is there already."""

    ERROR = "error"
    SKIP = "skip"
    UPDATE = "update"


OnDuplicate = Annotated[
    Duplicate, typer.Option("--on-duplicate", help="What is done with a text whose external id is there already.")
]


@app.command("texts")
def load_texts(
    file: File,
    column: Column = None,
    id_column: IdColumn = None,
    on_duplicate: OnDuplicate = Duplicate.ERROR,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    dry_run: DryRun = False,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Append texts to be labelled (column `text` or `data`)."""
    options = {"id_column": id_column, "on_duplicate": on_duplicate, "delimiter": delimiter, "encoding": encoding}
    _load("texts", file, column, database, as_json=as_json, dry_run=dry_run, **options)


@app.command("labels")
def load_labels(
    file: File,
    column: Column = None,
    question: Question = None,
    assume_submitted: AssumeSubmitted = False,
    new_labels: NewLabels = False,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    dry_run: DryRun = False,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Append label names (column `label` or `labels`), and descriptions of them (column `description`)."""
    options = {"question": question, "assume_submitted": assume_submitted, "new_labels": new_labels}
    options |= {"delimiter": delimiter, "encoding": encoding}
    _load("labels", file, column, database, as_json=as_json, dry_run=dry_run, **options)


@app.command("init")
def load_init(
    file: File,
    column: Column = None,
    question: Question = None,
    assume_submitted: AssumeSubmitted = False,
    new_labels: NewLabels = False,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    dry_run: DryRun = False,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Append prelabelled texts to start from (columns `text` or `data`, and `label`)."""
    options = {"question": question, "assume_submitted": assume_submitted, "new_labels": new_labels}
    options |= {"delimiter": delimiter, "encoding": encoding}
    _load("init_data", file, column, database, as_json=as_json, dry_run=dry_run, **options)


@app.command("votes")
def load_votes(
    file: File,
    column: Column = None,
    id_column: IdColumn = None,
    replace: Replace = False,
    question: Question = None,
    assume_submitted: AssumeSubmitted = False,
    new_labels: NewLabels = False,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    dry_run: DryRun = False,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Append votes on texts that are there (columns `text_id` or `external_id`, `label`, and `user` if known)."""
    options = {"question": question, "assume_submitted": assume_submitted, "new_labels": new_labels}
    options |= {"id_column": id_column, "replace": replace, "delimiter": delimiter, "encoding": encoding}
    _load("votes", file, column, database, as_json=as_json, dry_run=dry_run, **options)


@app.command("project")
def load_project(
    file: File,
    column: Column = None,
    id_column: IdColumn = None,
    on_duplicate: OnDuplicate = Duplicate.ERROR,
    question: Question = None,
    assume_submitted: AssumeSubmitted = False,
    new_labels: NewLabels = False,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    dry_run: DryRun = False,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Append texts with their ids, the votes on them and the labels, in one go."""
    options = {"question": question, "assume_submitted": assume_submitted, "new_labels": new_labels}
    options |= {"id_column": id_column, "on_duplicate": on_duplicate, "delimiter": delimiter, "encoding": encoding}
    _load("project", file, column, database, as_json=as_json, dry_run=dry_run, **options)


def _load(
    what: str, file: Path, column: Iterable[str] | None, database: str | None, *, as_json: bool, **options: Any
) -> None:
    with open_project(database) as project, progress_bar() as progress:
        task = progress.add_task(f"loading {file}", total=file.stat().st_size if file.is_file() else None)
        load_it: Callable[..., Loaded] = getattr(project, f"load_{what}")
        loaded = load_it(
            file,
            columns=named_columns(column),
            progress=lambda position: progress.update(task, completed=position),
            **options,
        )
    if as_json:
        return print_json(asdict(loaded))
    say(f"{'standard input' if file == Path('-') else file} is {loaded.source}", err=True)
    for warning in loaded.warnings:
        say(f"warning: {warning}", err=True)
    is_dry = options["dry_run"]
    if is_dry:
        _print_first(loaded)
    there = [(loaded.updated, "updated"), (loaded.skipped, "skipped")]
    said = "".join(f"; {counted(n, 'text')} with known ids {done}" for n, done in there if n)
    if loaded.there:
        noun = "label" if what == "labels" else "vote"
        said += f"; {counted(loaded.there, noun)} {'was' if loaded.there == 1 else 'were'} there already"
    if loaded.descriptions:
        said += f"; {counted(loaded.descriptions, 'description')} {'would be stored' if is_dry else 'stored'}"
    verb = "would be loaded" if is_dry else "loaded"
    return say(f"{_summary(what, loaded)} {verb}{said}{loaded.said_of_left_out()}")


def _summary(what: str, loaded: Loaded) -> str:
    parts = [counted(loaded.rows, NOUNS[what])]
    if what == "project":
        by = f" of {counted(loaded.annotators, 'annotator')}" if loaded.annotators and loaded.votes else ""
        parts += [counted(loaded.votes, "vote") + by, counted(loaded.labels, "new label")]
    return ", ".join(parts)


def _print_first(loaded: Loaded) -> None:
    if not loaded.first:
        return
    names = list(loaded.first[0])
    print_table(names, ([_cell(row[name]) for name in names] for row in loaded.first))


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(
            f"{vote['label']} ({vote['annotator']})" if vote["annotator"] else vote["label"] for vote in value
        )
    return str(value) if len(str(value)) <= SHOWN_CHARACTERS else f"{str(value)[:SHOWN_CHARACTERS]}…"
