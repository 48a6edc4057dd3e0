"""The command line: reads arguments, calls Project, prints.

What a command needs is imported when it runs, so that ``al-learner --help`` answers at once.
"""

from __future__ import annotations

import io
import json
import logging
import os
import sys
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from al_learner.commands import (
    annotators,
    demo,
    explain,
    export,
    load,
    models,
    plugins,
    predict,
    query,
    report,
    simulate,
)
from al_learner.commands.shared import (
    App,
    ClassifierName,
    Database,
    Group,
    InitSamplerName,
    Json,
    LabelAggregatorName,
    VectorizerName,
    Wait,
    chosen_strategies,
    finish,
    is_unicode,
    open_project,
    print_json,
    print_table,
    say,
)
from al_learner.core.errors import AlLearnerError, SettingsError
from al_learner.core.events import configure, event

if TYPE_CHECKING:
    from al_learner.core.configuration.settings import Settings

EXIT_ERROR = 1

db = App(help="Create or migrate al_learner's own tables.", no_args_is_help=True)


def _print_version(value: bool) -> None:  # noqa: FBT001 - typer calls it with the value alone
    if value:
        from importlib.metadata import version

        say(f"al-learner {version('al-learner')}")
        raise typer.Exit


def al_learner(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also log what is done, to standard error.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Log no warnings, only errors.")] = False,
    settings_file: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="The settings file, instead of AL_LEARNER_CONFIG. Unlike an al_learner.toml that is only found in the "
            "current folder, it may set everything.",
        ),
    ] = None,
) -> None:
    """Train a text classifier on the votes of annotators, and tell the predictor to use it."""
    del version
    if verbose and quiet:
        raise typer.BadParameter("--verbose and --quiet exclude each other")
    level = logging.INFO if verbose else logging.ERROR if quiet else logging.WARNING
    configure("text", level=level, hidden=("run.failed",))  # the command itself prints that error
    if settings_file is not None:
        from al_learner.core.configuration.settings_file import CONFIG_VARIABLE  # heavy: pydantic

        os.environ[CONFIG_VARIABLE] = str(settings_file)


def init(
    force: Annotated[bool, typer.Option("--force", help="Train one even if there is a classifier already.")] = False,
    discard_votes: Annotated[
        bool, typer.Option("--discard-votes", help="Train without the votes. They stay stored.")
    ] = False,
    wait: Wait = 10,
    classifier: ClassifierName = None,
    vectorizer: VectorizerName = None,
    init_sampler: InitSamplerName = None,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Train the first classifier: on prelabelled data, or on texts that the init sampler chooses."""
    strategies = chosen_strategies(classifier=classifier, vectorizer=vectorizer, init_sampler=init_sampler)
    with open_project(database, **strategies) as project:
        finish(project.init(force=force, discard_votes=discard_votes, wait_s=wait), as_json)


def train(
    force: Annotated[bool, typer.Option("--force", help="Train even with fewer new samples than BATCH_SIZE.")] = False,
    refit: Annotated[
        bool,
        typer.Option(
            "--refit", help="Fit a new vectorizer. Older classifiers do not fit it and cannot be downloaded any more."
        ),
    ] = False,
    wait: Wait = 10,
    classifier: ClassifierName = None,
    vectorizer: VectorizerName = None,
    label_aggregator: LabelAggregatorName = None,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Train on the votes, if there are enough new samples."""
    strategies = chosen_strategies(classifier=classifier, vectorizer=vectorizer, label_aggregator=label_aggregator)
    with open_project(database, **strategies) as project:
        finish(project.update(force=force, refit=refit, wait_s=wait), as_json)


def worker(
    projects: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|DIR",
            exists=True,
            help="Many projects, each with a settings file: a folder of them, or a file that names one in each line.",
        ),
    ] = None,
    classifier: ClassifierName = None,
    vectorizer: VectorizerName = None,
    init_sampler: InitSamplerName = None,
    label_aggregator: LabelAggregatorName = None,
) -> None:
    """Run the worker: train whenever that is due, until SIGTERM. The settings come from environment and file."""
    from al_learner.worker import main as work

    strategies = chosen_strategies(
        classifier=classifier, vectorizer=vectorizer, init_sampler=init_sampler, label_aggregator=label_aggregator
    )
    if projects is not None and strategies:
        raise typer.BadParameter("each of many projects has its strategies in its own settings file")
    raise typer.Exit(work(projects, **strategies))


def health() -> None:
    """Check whether the worker on this machine is alive: exit code 0 or 1."""
    from al_learner.core.configuration.settings import Settings
    from al_learner.core.service.heartbeat import seconds_since_beat

    settings = Settings()
    if settings.http_port is not None:
        return say(_probe(settings.http_host, settings.http_port))
    limit_s = 60
    try:
        age_s = seconds_since_beat(settings.heartbeat_file)
    except FileNotFoundError as exc:
        raise AlLearnerError(
            f"{exc.filename}: there is no heartbeat file, so no worker of this user has run here"
        ) from exc
    except OSError as exc:
        raise AlLearnerError(f"{exc.filename}: {exc.strerror}") from exc
    if age_s > limit_s:
        raise AlLearnerError(f"the worker's last heartbeat was {age_s:.0f} s ago; at most {limit_s} s is healthy")
    return say(f"alive: the last heartbeat was {age_s:.0f} s ago")


def status(database: Database = None, as_json: Json = False) -> None:
    """Show the status of the project: votes, new samples, the last run, and what is due and why."""
    with open_project(database) as project:
        found = project.status()
    if as_json:
        return print_json(
            asdict(found) | {"advice": asdict(found.stopping_advice)}
        )  # the old name, which goes away in version 0.2
    return print_table(("", ""), found.facts())


def config(
    classifier: ClassifierName = None,
    vectorizer: VectorizerName = None,
    init_sampler: InitSamplerName = None,
    label_aggregator: LabelAggregatorName = None,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Show the effective settings and where each came from; secrets are masked."""
    from al_learner.core.configuration.environment import warn_of_ignored_variables
    from al_learner.core.configuration.settings import Settings, variable  # heavy

    warn_of_ignored_variables()
    overrides: dict[str, Any] = {"database_url": database} if database else {}
    strategies = chosen_strategies(
        classifier=classifier, vectorizer=vectorizer, init_sampler=init_sampler, label_aggregator=label_aggregator
    )
    settings = _of_project(Settings(**overrides, **strategies))
    shown, origins = settings.shown(), settings.origins
    if as_json:
        return print_json({name: {"value": value, "from": origins[name]} for name, value in shown.items()})
    rows = [
        (variable(name), "" if value is None else value if isinstance(value, str) else json.dumps(value), origins[name])
        for name, value in shown.items()
    ]
    return print_table(("variable", "value", "from"), rows)


@db.command("upgrade")
def db_upgrade(database: Database = None) -> None:
    """Create or migrate al_learner's own tables."""
    with open_project(database) as project:
        say("the tables are upgraded" if project.upgrade() else "the tables are up to date")


WORK: dict[str, dict[str, App | Callable[..., object]]] = {
    "Begin": {"demo": demo.demo, "config": config, "plugins": plugins.app, "db": db},
    "Texts and votes": {"load": load.app, "export": export.export},
    "Train": {"init": init, "train": train, "worker": worker, "health": health},
    "See": {
        "status": status,
        "report": report.report,
        "annotators": annotators.annotators,
        "models": models.app,
        "predict": predict.predict,
        "explain": explain.explain,
        "query": query.query,
    },
    "Choose strategies": {"simulate": simulate.simulate},
}
"""The commands, by what they are for and in the order of the work."""


class Program(Group):
    """The program, whose help lists its commands in the order of `WORK`."""

    def list_commands(self, ctx: Any) -> list[str]:
        """As of click."""
        del ctx
        return [name for commands in WORK.values() for name in commands]


app = App(
    cls=Program,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    epilog="Exit codes: 0 done, 1 error, 2 wrong usage, 3 nothing to do.",
)
app.callback()(al_learner)
for _panel, _commands in WORK.items():
    for _name, _command in _commands.items():
        if isinstance(_command, App):
            app.add_typer(_command, name=_name, rich_help_panel=_panel)
        else:
            app.command(_name, rich_help_panel=_panel)(_command)


program = typer.main.get_command(app)
"""The command that is called; `app()` would make it anew each time."""


def main() -> None:
    """Run the command line."""
    if isinstance(sys.stdout, io.TextIOWrapper) and not is_unicode(sys.stdout):
        sys.stdout.reconfigure(errors="backslashreplace")  # as standard error: an ASCII terminal gets escapes
    try:
        program()
    except SettingsError as exc:
        _fail(exc.problems)
    except AlLearnerError as exc:
        _fail([str(exc)])


def _of_project(settings: Settings) -> Settings:
    """Return the settings with the strategies that the project began with, or as they are if it cannot be read."""
    from al_learner.core.project import Project

    try:
        project = Project.of(settings)
    except SettingsError:  # no database is named
        return settings
    with closing(project):
        try:
            return project.read_settings()
        except AlLearnerError as exc:
            event("project.not_read", level=logging.WARNING, error=str(exc), then="these are a new project's defaults")
            return settings


def _probe(host: str, port: int) -> str:
    from urllib.error import HTTPError
    from urllib.request import urlopen

    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - every address of this machine
    shown = f"[{reachable}]" if ":" in reachable else reachable
    try:
        with urlopen(f"http://{shown}:{port}/healthz", timeout=5) as answer:
            return str(answer.read().decode())
    except HTTPError as exc:
        raise AlLearnerError(f"the worker is not healthy: {exc.read().decode()}") from exc
    except OSError as exc:
        raise AlLearnerError(f"the worker does not answer on {shown}:{port}: {exc}") from exc


def _fail(problems: Iterable[str]) -> NoReturn:
    for problem in problems:
        say(f"error: {problem}", err=True)
    sys.exit(EXIT_ERROR)
