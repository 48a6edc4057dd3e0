"""What the commands share: options, opening the project, and printing."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO, TypeVar, cast

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from al_learner.core.errors import SettingsError
from al_learner.core.events import printable
from al_learner.core.representation import local_time

if TYPE_CHECKING:
    from rich.progress import Progress
    from rich.table import Table

    from al_learner.core.lifecycle.result import Result
    from al_learner.core.project import Project
    from al_learner.core.registry import Kind

EXIT_NOTHING_TO_DO = 3

F = TypeVar("F", bound=Callable[..., Any])

SAID = {bool: "", int: "N", float: "N", str: "TEXT", Path: "PATH"}
"""How the help says what an option takes, if the option does not say it itself; a flag takes nothing."""

BETWEEN = 3
"""Characters between two columns, and before the first."""

MIN_WIDTH = 20
"""A column of a table that does not fit is folded to at least so many characters."""

UNBROKEN = 100_000
"""Characters of a line outside of a terminal."""


class _Plain:
    """A command whose help says in words what its options take."""

    def get_params(self, context: Any) -> list[Any]:
        params: list[Any] = super().get_params(context)  # type: ignore[misc]  # of the command that this is mixed into
        for param in params:
            if isinstance(param, TyperOption) and param.metavar is None and not param.type_descriptor.is_choice:
                param.metavar = SAID.get(param.type_descriptor.annotation)
            elif isinstance(param, TyperArgument):  # its name says what it is
                setattr(param, "display_type_rich", lambda ctx: None)  # noqa: ARG005, B010 - a method of typer's
        return params

    def make_context(self, *args: Any, **options: Any) -> Any:
        try:
            return super().make_context(*args, **options)  # type: ignore[misc]  # of the command that this is mixed into
        except typer.BadParameter as exc:
            exc.message = exc.message.removeprefix("Value error, ")  # pydantic's, which says nothing
            raise


class Command(_Plain, TyperCommand):
    """A command."""


class Group(_Plain, TyperGroup):
    """A command with sub-commands."""


class App(typer.Typer):
    """Commands that have ``-h`` too, and whose help says in words what their options take."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"cls": Group, "context_settings": {"help_option_names": ["-h", "--help"]}, **options})

    def command(self, name: str | None = None, **options: Any) -> Callable[[F], F]:
        """As of `typer.Typer`."""
        return super().command(name, **{"cls": Command, **options})


def completed_names(kind: Kind) -> Callable[[str], list[str]]:
    """Return what completes the name of a plug-in."""

    def names_with(beginning: str) -> list[str]:
        from al_learner.core.registry import names

        return [name for name in names(kind) if name.startswith(beginning)]

    return names_with


def completed_plugins(beginning: str) -> list[str]:
    """Complete the name of any plug-in."""
    from al_learner.core.registry import PLUGINS

    return [name for kind in PLUGINS for name in completed_names(kind)(beginning)]


def completed_classifiers(beginning: str) -> list[tuple[str, str]]:
    """Complete the id of a stored classifier; nothing if the project cannot be read."""
    from al_learner.core.errors import AlLearnerError
    from al_learner.core.project import Project

    try:
        with closing(Project()) as project:
            found = [(str(model.clf_id), local_time(model.created_at)) for model, _ in project.models(50)]
    except AlLearnerError:
        return []
    return [pair for pair in found if pair[0].startswith(beginning)]


def completed_texts(beginning: str) -> list[tuple[str, str]]:
    """Complete a text_id to one of at most two digits more; nothing if the project cannot be read."""
    from al_learner.core.errors import AlLearnerError
    from al_learner.core.labels.annotators import excerpt
    from al_learner.core.project import Project

    if not beginning.isdecimal() or len(beginning) > 10:
        return []
    first = int(beginning)
    text_ids = (text_id for n in (1, 10, 100) for text_id in range(first * n, (first + 1) * n))
    try:
        with closing(Project()) as project:
            return [(str(text_id), excerpt(text)) for text_id, text in sorted(project.texts(text_ids).items())]
    except AlLearnerError:
        return []


def _strategy(kind: Kind, what: str) -> Any:
    return typer.Option(
        f"--{kind.replace('_', '-')}",
        metavar="NAME",
        autocompletion=completed_names(kind),
        help=f"{what}: a plug-in, or NAME(parameter=value). Over environment and file.",
        rich_help_panel="Strategies",
    )


ClassifierName = Annotated[str | None, _strategy("classifier", "What is trained")]
VectorizerName = Annotated[str | None, _strategy("vectorizer", "What makes features of texts")]
InitSamplerName = Annotated[str | None, _strategy("init_sampler", "What starts a project without prelabelled data")]
LabelAggregatorName = Annotated[str | None, _strategy("label_aggregator", "What makes one label of a text's votes")]

ClfId = Annotated[
    int | None,
    typer.Option(
        "--clf-id", metavar="ID", autocompletion=completed_classifiers, help="Default: the newest classifier."
    ),
]
Database = Annotated[
    str | None,
    typer.Option(metavar="URL", help="postgresql://… or sqlite:///FILE; default: from the environment."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Wait = Annotated[
    float, typer.Option(metavar="SECONDS", min=0, help="How long to wait while another run is in progress.")
]


def chosen_strategies(**names: str | None) -> dict[str, Any]:
    """Return settings from the options that name strategies, by kind; those that were not given are left out."""
    from al_learner.core.registry import Spec

    specs = {kind: Spec.read(cast("Kind", kind), name) for kind, name in names.items() if name is not None}
    return {kind: spec.name for kind, spec in specs.items()} | {
        f"{kind}_params": dict(spec.params) for kind, spec in specs.items()
    }


@contextmanager
def open_project(database: str | None, **settings: Any) -> Iterator[Project]:
    """Open the project of `database`, or of the environment; `settings` go over environment and file."""
    from al_learner.core.configuration.environment import warn_of_ignored_variables
    from al_learner.core.project import Project

    warn_of_ignored_variables()
    project = Project(database, **settings)
    try:
        yield project
    finally:
        project.close()


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
    """Print a table, without a header if no column has a name; only there, a cell may have several lines.

    A terminal that is too narrow gets one line for each cell. What is no terminal gets lines without rules.
    """
    from rich.cells import cell_len
    from rich.console import Console

    has_header = any(columns)
    cells = [[printable(cell, multiline=not has_header) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        return _print_lines(columns if has_header else (), cells)
    console = Console(markup=False, highlight=False)
    lines_of = ([line for row in column for line in row.split("\n")] for column in zip(columns, *cells, strict=True))
    widths = [max(map(cell_len, lines)) for lines in lines_of]
    left = console.width - sum(widths) - BETWEEN * (len(widths) + 1)
    if left < 0 and max(widths) + left < MIN_WIDTH:
        return _print_records(columns, cells)
    return console.print(_table(columns, cells, has_header=has_header, folded=widths.index(max(widths))))


def _table(columns: Sequence[str], cells: Sequence[Sequence[str]], *, has_header: bool, folded: int) -> Table:
    """Return a table for a terminal; if it is too wide, one column has several lines."""
    from rich import box
    from rich.table import Column, Table

    made = [
        Column(name, no_wrap=at != folded, overflow="fold")  # which cuts no text with an ellipsis
        for at, name in enumerate(columns)
    ]
    table = Table(*made, box=box.SIMPLE_HEAD, show_header=has_header)
    for row in cells:
        table.add_row(*row)
    return table


def _print_lines(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    """Print a line for each row, with columns below each other."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns or [""] * len(cells[0] if cells else ()), box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.show_header = bool(columns)
    for row in cells:
        table.add_row(*row)
    console = Console(width=UNBROKEN, markup=False, highlight=False)
    with console.capture() as captured:
        console.print(table)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def _print_records(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    """Print each row as lines of a name and a value, between empty lines."""
    if any(columns):
        records = [[f"{name}: {cell}" for name, cell in zip(columns, row, strict=True) if cell] for row in cells]
    else:
        records = [[f"{name}: {value}" for name, value in cells]]
    say("\n" + "\n\n".join("\n".join(record) for record in records) + "\n")


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
