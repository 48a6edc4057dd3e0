"""`al-learner predict`."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from al_learner.commands.shared import ClfId, Database, Json, is_unicode, named_columns, open_project, progress_bar
from al_learner.core.errors import DataError
from al_learner.core.events import printable

if TYPE_CHECKING:
    from al_learner.core.project import Project

STANDARD_INPUT = Path("-")


def predict(  # noqa: PLR0913, PLR0917 - typer makes an option of each parameter
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="A file as for `load texts`; with `-` each line of standard input is a text. Default: all texts.",
        ),
    ] = None,
    clf_id: ClfId = None,
    all_classes: Annotated[
        bool, typer.Option("--all-classes", help="Also print the probability of every class.")
    ] = False,
    votes: Annotated[
        bool, typer.Option("--votes", help="Also print the votes on each text of the project, and who gave them.")
    ] = False,
    texts: Annotated[bool, typer.Option("--texts", help="Also print the texts, and external ids.")] = False,
    column: Annotated[
        list[str] | None, typer.Option(metavar="FIELD=NAME", help="The column of FILE that holds a field: text=body.")
    ] = None,
    id_column: Annotated[
        str | None,
        typer.Option("--id", metavar="NAME", help="The column of FILE with ids to print, too."),
    ] = None,
    safe_csv: Annotated[
        bool, typer.Option("--safe-csv", help="Put an apostrophe before what a spreadsheet takes for a formula.")
    ] = False,
    cluster: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Dask scheduler; the texts of the project are predicted on its cluster."),
    ] = None,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Predict a label and its probability for every text, as CSV."""
    if votes and file is not None:
        raise typer.BadParameter("--votes is for the project's texts; the texts of a file have none")
    if cluster is not None and file is not None:
        raise typer.BadParameter("--cluster is for the project's texts; those of a file are predicted here")
    if safe_csv and as_json:
        raise typer.BadParameter("--safe-csv is not for --json")
    if (column or id_column) and file in (None, STANDARD_INPUT):
        raise typer.BadParameter("--column and --id are for a file")
    if file not in (None, STANDARD_INPUT) and not file.exists():
        raise typer.BadParameter(f"file {str(file)!r} does not exist. For a text: echo TEXT | al-learner predict -")
    columns = named_columns(column) | ({"id": id_column} if id_column else {})
    with open_project(database) as project, progress_bar(hidden=sys.stdout.isatty()) as bar:
        task = bar.add_task("predicting", total=None)

        def progress(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total)

        if file is None:
            rows = _of_project(project, clf_id, cluster, with_votes=votes, progress=progress)
        else:
            rows = _of_file(project, clf_id, file, columns, progress)
        first = next(rows, None)  # an error comes before the header
        header = [
            "text_id" if file is None else "position",
            *(["external_id"] if id_column or (texts and file is None) else []),
            *(["text"] if texts else []),
            *("label", "probability"),
            *(["votes", "annotators"] if votes else []),
        ]
        names = [*header, "probabilities"] if all_classes else header
        chosen = ({name: row[name] for name in names} for row in chain([first] if first else [], rows))
        if as_json:
            _print_json(chosen)
        else:
            _print_csv(chosen, header, safe=safe_csv)


def _of_project(
    project: Project,
    clf_id: int | None,
    cluster: str | None,
    *,
    with_votes: bool,
    progress: Callable[[int, int], object],
) -> Iterator[dict[str, Any]]:
    """Yield the predictions of all texts of the project."""
    project.load_model(clf_id)  # texts are also exported without a classifier
    options: dict[str, Any] = {"clf_id": clf_id, "cluster": cluster, "progress": progress}
    for row in project.export_rows("texts" if with_votes else "predictions", **options):
        ids = {name: row[name] for name in ("text_id", "external_id", "text")}
        given = {name: row[name] for name in ("votes", "annotators")} if with_votes else {}
        yield ids | _prediction(row["probabilities"]) | given


def _of_file(
    project: Project,
    clf_id: int | None,
    file: Path,
    columns: Mapping[str, str],
    progress: Callable[[int, int | None], object],
) -> Iterator[dict[str, Any]]:
    """Yield the predictions of the texts of a file, or of standard input."""
    given: deque[Mapping[str, str]] = deque()

    def texts() -> Iterator[str]:
        for row in _rows(file, columns, progress):
            given.append(row)
            yield row["text"]

    for number, probabilities in project.predict_proba(texts(), clf_id=clf_id):
        row = given.popleft()
        ids = {"position": number, "external_id": row.get("id") or None}
        yield ids | {"text": row["text"]} | _prediction(probabilities)


def _prediction(probabilities: Mapping[str, float]) -> dict[str, Any]:
    label = max(probabilities, key=probabilities.__getitem__)
    return {"label": label, "probability": probabilities[label], "probabilities": probabilities}


def _rows(
    file: Path, columns: Mapping[str, str], progress: Callable[[int, int | None], object]
) -> Iterator[Mapping[str, str]]:
    from al_learner.core.exchange.rows import read

    if file == STANDARD_INPUT:
        yield from ({"text": text} for text in _standard_input())
    else:
        size = file.stat().st_size if file.exists() else None
        yield from read(file, ("text", "id"), columns=columns, progress=lambda done: progress(done, size))


def _standard_input() -> Iterator[str]:
    """Yield the lines of standard input, which are UTF-8 in every locale."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8", errors="strict")
    try:
        for line in sys.stdin:
            yield line.rstrip("\n")
    except UnicodeDecodeError as exc:
        raise DataError(f"standard input is not UTF-8: {exc.reason}") from exc


def _print_csv(rows: Iterator[dict[str, Any]], header: list[str], *, safe: bool) -> None:
    """Print CSV; a column for each class goes after the others."""
    from al_learner.core.exchange.output.tables import cell, probability_column

    writer = csv.writer(_Lines())
    first = next(rows, None)
    classes = [*(first or {}).get("probabilities", {})]
    writer.writerow((*header, *(_shown(probability_column(name)) for name in classes)))
    for row in chain([first] if first else [], rows):
        row["probability"] = f"{row['probability']:.4f}"
        shares = (f"{row['probabilities'][name]:.4f}" for name in classes)
        writer.writerow((*(_shown(cell(row[name], safe=safe)) for name in header), *shares))


def _print_json(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print a JSON list with a row on each line, without having them all in memory."""
    before = "[\n"
    for row in rows:
        text = json.dumps(row, ensure_ascii=not is_unicode(sys.stdout))
        sys.stdout.write(before + printable(text))
        before = ",\n"
    sys.stdout.write("[]\n" if before == "[\n" else "\n]\n")


def _shown(text: str) -> str:
    return printable(text) if sys.stdout.isatty() else text


class _Lines:
    """Standard output for rows of CSV that end with a newline alone. If csv wrote that end, it would not quote CR."""

    def write(self, row: str) -> None:
        sys.stdout.write(row.removesuffix("\r\n") + "\n")
