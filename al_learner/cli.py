"""The command line: reads arguments, calls Project, prints.

What a command needs is imported when it runs, so that ``al-learner --help`` answers at once.
"""

from __future__ import annotations

import csv
import json
import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from al_learner.core.errors import AlLearnerError, SettingsError

if TYPE_CHECKING:
    from rich.progress import Progress

    from al_learner.core.project import Project
    from al_learner.core.status import Result

EXIT_ERROR = 1
EXIT_NOTHING_TO_DO = 3

app = typer.Typer(
    help="From annotators' votes to a served text classifier.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    epilog="Exit codes: 0 done, 1 error, 2 wrong usage, 3 nothing to do.",
)
load = typer.Typer(help="Load texts, labels, prelabelled data or votes from a file; all of it or nothing.")
plugins = typer.Typer(help="List the installed plug-ins, or show one.", invoke_without_command=True)
db = typer.Typer(help="Look after al_learner's own table.")
app.add_typer(load, name="load", no_args_is_help=True)
app.add_typer(plugins, name="plugins")
app.add_typer(db, name="db", no_args_is_help=True)

Database = Annotated[
    str | None,
    typer.Option(metavar="URL", help="postgresql://… or sqlite:///FILE; by default the environment says."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Wait = Annotated[float, typer.Option(metavar="SECONDS", min=0, help="How long to wait for a run that is on.")]
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
    typer.Option("--column", metavar="FIELD=NAME", help="Which column of the file holds a field, e.g. text=body."),
]


@app.command()
def init(
    force: Annotated[bool, typer.Option("--force", help="Also if there is a classifier.")] = False,
    wait: Wait = 10,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Train the first classifier: on prelabelled data, or on random texts with random labels."""
    with _project(database) as project:
        _finish(project.init(force=force, wait_s=wait), as_json)


@app.command()
def train(
    force: Annotated[bool, typer.Option("--force", help="Also with fewer new samples than BATCH_SIZE.")] = False,
    refit: Annotated[
        bool, typer.Option("--refit", help="Fit a new vectorizer; older classifiers can then not be downloaded.")
    ] = False,
    wait: Wait = 10,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Train on the votes, if enough new samples are there."""
    with _project(database) as project:
        _finish(project.update(force=force, refit=refit, wait_s=wait), as_json)


@app.command()
def worker() -> None:
    """Train whenever it is due, until SIGTERM; configured by the environment alone."""
    from al_learner.worker import main as work

    raise typer.Exit(work())


@app.command()
def health() -> None:
    """Tell whether the worker on this machine is alive: exit 0 or 1."""
    from al_learner.core.settings import Settings

    settings = Settings()
    if settings.http_port is not None:
        return _say(_probe(settings.http_port))
    file = settings.heartbeat_file
    limit_s = 60
    if not file.exists():
        raise AlLearnerError(f"{file}: there is no heartbeat, so no worker has run here")
    age_s = time.time() - file.stat().st_mtime
    if age_s > limit_s:
        raise AlLearnerError(
            f"{file}: the worker's last heartbeat is {age_s:.0f} s ago; at most {limit_s} s is healthy"
        )
    return _say(f"alive: the last heartbeat is {age_s:.0f} s ago")


@load.command("texts")
def load_texts(file: File, column: Column = None, database: Database = None, as_json: Json = False) -> None:
    """Append texts to be labelled (column `text` or `data`)."""
    _load("load_texts", "texts", file, column, database, as_json)


@load.command("labels")
def load_labels(file: File, column: Column = None, database: Database = None, as_json: Json = False) -> None:
    """Append label names (column `label` or `labels`)."""
    _load("load_labels", "labels", file, column, database, as_json)


@load.command("init")
def load_init(file: File, column: Column = None, database: Database = None, as_json: Json = False) -> None:
    """Append prelabelled texts to start from (columns `text` or `data`, and `label`)."""
    _load("load_init_data", "prelabelled texts", file, column, database, as_json)


@load.command("votes")
def load_votes(file: File, column: Column = None, database: Database = None, as_json: Json = False) -> None:
    """Append votes (columns `text_id`, `label`, and `user` if known)."""
    _load("load_votes", "votes", file, column, database, as_json)


@app.command()
def status(database: Database = None, as_json: Json = False) -> None:
    """Show how the project stands: votes, new samples, the last run, and why it does or does not train."""
    with _project(database) as project:
        found = project.status()
    if as_json:
        return _print_json(asdict(found))
    last = found.last_run
    unknown = "-" if found.unknown_tokens is None else f"{found.unknown_tokens:.1%}"
    rows = [
        ("texts", f"{found.texts:,}"),
        ("votes", f"{found.votes:,}"),
        ("countable texts", f"{found.countable_texts:,}"),
        ("new samples", f"{found.new_samples:,} of {found.batch_size:,}, {found.missing:,} missing"),
        ("newest classifier", str(found.clf_id or "none")),
        ("unknown tokens", unknown),
        ("last run", f"{last.kind} {last.run_id}, {last.status}, {_time(last.started)}" if last else "none"),
        *([("its error", last.error)] if last and last.error else []),
        ("due", found.due or "nothing"),
        ("because", found.reason),
    ]
    return _print_table(("", ""), rows)


@app.command()
def models(database: Database = None, as_json: Json = False) -> None:
    """List every stored classifier: score, date, strategy, training size."""
    with _project(database) as project:
        found = project.models()
    if as_json:
        return _print_json([asdict(model) | {"run": asdict(run) if run else None} for model, run in found])
    rows = [
        (
            str(model.clf_id),
            _time(model.created_at),
            "-" if model.precision_score is None else f"{model.precision_score:.3f}",
            (run.metrics or {}).get("basis", "-") if run else "-",
            f"{run.strategies['classifier']['name']} + {run.strategies['vectorizer']['name']}" if run else "not ours",
            f"{run.texts:,}" if run and run.texts else "-",
            str(run.classes) if run and run.classes else "-",
            f"{model.size_bytes / 1024:,.0f} KiB",
        )
        for model, run in found
    ]
    return _print_table(("id", "stored", "precision", "measured on", "strategy", "texts", "classes", "size"), rows)


@app.command()
def predict(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]", help="As for `load texts`; - reads a text a line. Default: the project's texts."
        ),
    ] = None,
    clf_id: Annotated[int | None, typer.Option("--clf-id", help="Default: the newest classifier.")] = None,
    database: Database = None,
) -> None:
    """Predict a label and its probability for every text, as CSV."""
    from al_learner.core.files import read

    texts: Iterable[str] | None = None
    if file == Path("-"):
        texts = (line.rstrip("\n") for line in sys.stdin)
    elif file is not None:
        texts = (row["text"] for row in read(file, ("text",)))
    writer = csv.writer(sys.stdout, lineterminator="\n")
    with _project(database) as project:
        predictions = project.predict(texts, clf_id=clf_id)
        first = next(predictions, None)  # an error comes before the header
        writer.writerow(("text_id" if file is None else "row", "label", "probability"))
        for number, label, probability in chain([first] if first else [], predictions):
            writer.writerow((number if file is None else number + 1, label, f"{probability:.4f}"))


@plugins.callback()
def plugins_list(context: typer.Context, as_json: Json = False) -> None:
    """List the installed plug-ins, or show one."""
    if context.invoked_subcommand is None:
        found = list(_plugins())
        if as_json:
            return _print_json(found)
        rows = [(p["kind"], p["name"], p["from"], p["problem"] or p["summary"]) for p in found]
        return _print_table(("kind", "name", "from", "what it is"), rows)
    return None


@plugins.command("show")
def plugins_show(name: str, as_json: Json = False) -> None:
    """Show one plug-in: its parameters, where it comes from, what its artifact needs; or why it cannot be loaded."""
    from al_learner.core.registry import INTERFACES, allowed, names

    found = [plugin for plugin in _plugins() if plugin["name"] == name]
    if not found:
        known = {known for kind in INTERFACES for known in names(kind)}
        raise SettingsError([f"plug-in {name!r} is unknown; {allowed(name, known)}"])
    if as_json:
        return _print_json(found)
    for plugin in found:
        _say(f"{plugin['kind']} {plugin['name']}, from {plugin['from']} ({plugin['value']})")
        if plugin["problem"]:
            _say(plugin["problem"])
            continue
        _say(plugin["summary"])
        _say(f"its artifact needs: {', '.join(plugin['requires']) or 'nothing'}")
        parameters = [(p["name"], p["type"], json.dumps(p["default"]), p["description"]) for p in plugin["parameters"]]
        _print_table(("parameter", "type", "default", "meaning"), parameters)
    return None


@app.command()
def config(database: Database = None, as_json: Json = False) -> None:
    """Show the effective settings and where each came from; secrets are masked."""
    from al_learner.core.settings import Settings, variable

    overrides: dict[str, Any] = {"database_url": database} if database else {}
    settings = Settings(**overrides)
    shown, origins = settings.shown(), settings.origins
    if as_json:
        return _print_json({name: {"value": value, "from": origins[name]} for name, value in shown.items()})
    rows = [
        (variable(name), "" if value is None else value if isinstance(value, str) else json.dumps(value), origins[name])
        for name, value in shown.items()
    ]
    return _print_table(("variable", "value", "from"), rows)


@db.command("upgrade")
def db_upgrade(database: Database = None) -> None:
    """Make or migrate the table al_runs."""
    with _project(database) as project:
        _say("al_runs is upgraded" if project.upgrade() else "al_runs is up to date")


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Where the project and the picture go.")] = Path("al-learner-demo"),
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of votes.")] = 20,
    batch_size: Annotated[int, typer.Option(min=2, help="Votes in a round.")] = 20,
) -> None:
    """Play the whole loop on a bundled sample, without any server: cold start, voting, retraining, learning curve."""
    from rich.console import Console
    from rich.progress import track

    from al_learner.core.simulation import demo_corpus, plot, replay

    folder.mkdir(parents=True, exist_ok=True)
    project = folder / "project.db"
    for leftover in folder.glob(f"{project.name}*"):
        leftover.unlink()
    texts, labels = demo_corpus()
    _say(f"{len(texts):,} package descriptions, {len(set(labels))} classes; {rounds} rounds of {batch_size} votes")
    played = replay(f"sqlite:///{project}", texts, labels, rounds=rounds, batch_size=batch_size)
    bar = Console(stderr=True)
    done = list(track(played, total=rounds + 1, description="voting and learning", console=bar))
    rows = [(str(r.number), str(r.labelled), f"{r.accuracy:.1%}", f"{r.seconds:.2f} s") for r in done]
    _print_table(("round", "texts voted on", "accuracy on the others", "vote to classifier"), rows)
    try:
        plot(done, folder / "learning-curve.png")
        _say(f"the learning curve: {folder / 'learning-curve.png'}")
    except ImportError:
        _say("for the learning curve as a picture: pip install 'al-learner[plots]'")
    _say(f"the project: al-learner status --database sqlite:///{project}")


def main() -> None:
    """Run the command line."""
    try:
        app()
    except SettingsError as exc:
        _fail(exc.problems)
    except AlLearnerError as exc:
        _fail([str(exc)])


@contextmanager
def _project(database: str | None) -> Iterator[Project]:
    from al_learner.core import events
    from al_learner.core.project import Project

    events.configure("text", level=logging.WARNING)
    project = Project(database)
    try:
        yield project
    finally:
        project.close()


def _probe(port: int) -> str:
    from urllib.error import HTTPError
    from urllib.request import urlopen

    try:
        with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            return str(answer.read().decode())
    except HTTPError as exc:
        raise AlLearnerError(f"the worker is not well: {exc.read().decode()}") from exc
    except OSError as exc:
        raise AlLearnerError(f"the worker does not answer on port {port}: {exc}") from exc


def _finish(result: Result, as_json: bool) -> None:  # noqa: FBT001 - as the option
    if as_json:
        _print_json(asdict(result))
    else:
        _say(str(result))
    if result.run is None:
        raise typer.Exit(EXIT_NOTHING_TO_DO)


def _load(
    method: str,
    what: str,
    file: Path,
    column: Sequence[str] | None,
    database: str | None,
    as_json: bool,  # noqa: FBT001
) -> None:
    pairs = [pair.partition("=") for pair in column or ()]
    if wrong := [field for field, _, name in pairs if not field or not name]:
        raise SettingsError([f"--column {wrong[0]}: write FIELD=NAME, e.g. text=body"])
    with _project(database) as project, _progress() as progress:
        task = progress.add_task(f"loading {what}", total=file.stat().st_size)
        load_it: Callable[..., Any] = getattr(project, method)
        loaded = load_it(
            file,
            columns={field: name for field, _, name in pairs},
            progress=lambda position: progress.update(task, completed=position),
        )
    if as_json:
        return _print_json(asdict(loaded))
    for warning in loaded.warnings:
        sys.stderr.write(f"warning: {warning}\n")
    return _say(f"{loaded.rows:,} {what} loaded")


def _progress() -> Progress:
    from rich.console import Console
    from rich.progress import Progress

    return Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())


def _plugins() -> Iterator[dict[str, Any]]:
    from al_learner.core.errors import PluginError
    from al_learner.core.registry import INTERFACES, entry_points, origin, strategy_class

    for kind in INTERFACES:
        for entry_point in entry_points(kind):
            found: dict[str, Any] = {
                "kind": kind,
                "name": entry_point.name,
                "from": origin(kind, entry_point),
                "value": entry_point.value,
                "problem": None,
            }
            try:
                cls = strategy_class(kind, entry_point.name)
            except PluginError as exc:
                yield found | {"problem": str(exc), "summary": "", "requires": [], "parameters": []}
                continue
            properties = cls.model_json_schema()["properties"]
            yield found | {
                "summary": (cls.__doc__ or "").strip().partition("\n")[0],
                "requires": list(cls.requires),
                "parameters": [
                    {
                        "name": name,
                        "type": _type(properties[name]),
                        "default": field.get_default(call_default_factory=True),
                        "description": field.description or "",
                    }
                    for name, field in cls.model_fields.items()
                ],
            }


def _type(schema: Mapping[str, Any]) -> str:
    """Say in words what a JSON schema allows."""
    if "anyOf" in schema:
        return " or ".join(_type(part) for part in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return " or ".join(json.dumps(value) for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array" and "prefixItems" in schema:
        return f"[{', '.join(_type(part) for part in schema['prefixItems'])}]"
    bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [f"{sign} {schema[key]:g}" for key, sign in bounds.items() if key in schema]
    return " ".join([schema.get("type", "anything"), *limits])


def _print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, box=box.SIMPLE_HEAD, show_header=any(columns))
    for row in rows:
        table.add_row(*row)
    width = None if sys.stdout.isatty() else 160
    Console(width=width, markup=False, highlight=False).print(table)


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _time(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}"


def _fail(problems: Iterable[str]) -> NoReturn:
    sys.stderr.writelines(f"error: {problem}\n" for problem in problems)
    sys.exit(EXIT_ERROR)
