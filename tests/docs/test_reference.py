"""The reference pages name everything that the code has, and nothing that it has not."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

import al_learner
from al_learner.cli import app
from al_learner.core import errors
from al_learner.core.configuration.environment import is_of_kubernetes
from al_learner.core.configuration.settings import Settings, variable, variables
from al_learner.core.configuration.settings_file import CONFIG_VARIABLE, DEFAULT_CONFIG
from al_learner.core.lifecycle.status import Status
from al_learner.core.registry import INTERFACES, PLUGINS, entry_points, group, origin
from al_learner.core.storage.schema import labelforward, ours
from al_learner.core.training import evaluation
from tests.docs.pages import DOCS, ROOT, code, section, table

CLI, SETTINGS, DATABASE = (DOCS / "reference" / f"{name}.md" for name in ("cli", "settings", "database"))


def commands(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every command that does something by itself, with its name, from the root downwards."""
    if not hasattr(command, "commands") or command.invoke_without_command:
        yield name, command
    for child_name, child in getattr(command, "commands", {}).items():
        yield from commands(child, f"{name} {child_name}".strip())


COMMANDS = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_page_has_every_option_of_a_command_and_no_other(name: str) -> None:
    text = section(CLI, f"`{name}`")
    parameters = COMMANDS[name].params
    has = {option for p in parameters for option in p.opts if option.startswith("-")} - {"--help"}
    rows = table(CLI, f"`{name}`") if "\n| " in text else []
    assert {row[0].strip("`") for row in rows if row[0].startswith("`--")} == has
    arguments = [p for p in parameters if not p.opts[0].startswith("-")]
    has_arguments = {(p.metavar or p.name.upper()).strip("[]") for p in arguments}
    assert {row[0].strip("`") for row in rows if re.fullmatch("`[A-Z]+`", row[0])} == has_arguments


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_page_has_the_defaults_of_a_command(name: str) -> None:
    rows = table(CLI, f"`{name}`") if COMMANDS[name].params else []
    documented = {row[0].strip("`"): row[1].strip("`") for row in rows}
    for parameter in COMMANDS[name].params:
        if parameter.opts[0] == "--help" or not parameter.opts[0].startswith("-"):
            continue
        default = parameter.default
        shown = documented[parameter.opts[0]]
        if parameter.is_flag:
            assert shown == "off"
            assert default is False
        elif isinstance(default, int | float):
            assert shown == f"{default:g}"
        elif default is not None:
            assert shown == str(default)


def test_the_page_has_every_command_and_no_other() -> None:
    headings = re.findall(r"^## `(.+)`$", CLI.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(headings) == sorted(COMMANDS)


def test_the_page_has_every_option_of_the_program() -> None:
    root = typer.main.get_command(app)
    options = {option for parameter in root.params for option in parameter.opts} | {"--help", "-h"}
    assert {name.strip("`") for row in table(CLI, "Command line") for name in row[0].split(", ")} == options


def test_the_page_has_every_row_of_a_status() -> None:
    shown = re.findall(r'^ +\*?(?:\(?\[)?\("([a-z ]+)", ', inspect.getsource(Status.facts), re.MULTILINE)
    rows = re.findall(r"^\| ([a-z ]+) \|", section(CLI, "`status`").partition("| Row |")[2], re.MULTILINE)
    assert rows == shown


def test_the_page_has_every_exit_code() -> None:
    from al_learner import cli, worker
    from al_learner.commands import shared

    codes = {row[0] for row in table(CLI, "Exit codes")}
    named = {f"{cli.EXIT_ERROR}", f"{shared.EXIT_NOTHING_TO_DO}", f"{worker.EXIT_OK}", f"{worker.EXIT_SIGNAL} + n"}
    assert codes == {*named, "2"}


def environment_table() -> dict[str, list[str]]:
    return {row[0].strip("`"): row[1:] for row in table(SETTINGS, "Environment variables")}


def test_the_table_has_every_environment_variable_once_and_no_other() -> None:
    rows = [row[0].strip("`") for row in table(SETTINGS, "Environment variables")]
    assert sorted(rows) == sorted(variables())


def test_every_variable_has_a_type_and_a_meaning() -> None:
    for name, (kind, _default, meaning) in environment_table().items():
        assert kind, name
        assert meaning.endswith("."), name


@pytest.mark.parametrize("field", sorted({*Settings.model_fields} - {f"{kind}s" for kind in INTERFACES}))
def test_the_documented_default_is_the_default(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    default = getattr(Settings(), field)
    documented = environment_table()[variable(field)][1].strip("`")
    if documented:
        monkeypatch.setenv(variable(field), documented)
        assert getattr(Settings(), field) == default
    else:
        assert default in (None, ())


def test_the_default_settings_file_is_documented() -> None:
    assert environment_table()[CONFIG_VARIABLE][1] == f"`{DEFAULT_CONFIG}`"


def test_every_table_of_the_settings_file_is_documented() -> None:
    assert {row[0].strip("`") for row in table(SETTINGS, "Tables of the file")} == {f"[{k}s.NAME]" for k in INTERFACES}


@pytest.mark.parametrize("name", sorted({*labelforward.tables, *ours.tables}))
def test_the_page_has_every_column_of_a_table_in_order(name: str) -> None:
    documented = [row[0].strip("`") for row in table(DATABASE, f"`{name}`")]
    columns = {**labelforward.tables, **ours.tables}[name].columns
    assert documented == [column.name for column in columns]


def test_the_page_has_every_channel() -> None:
    from al_learner.core.service import redis_channels as channels

    assert {row[0].strip("`") for row in table(DATABASE, "Channels")} == {channels.LEARNER, channels.PREDICTOR}


def test_the_page_has_every_entry_point_group_with_what_is_built_in() -> None:
    rows = table(DOCS / "reference" / "plugins.md", "Entry-point groups")
    documented = {
        row[0].strip("`"): (re.findall(r"`(\w+)`", row[1]), re.findall(r"`([\w-]+)`", row[2])) for row in rows
    }
    assert documented == {
        group(kind): (
            [interface.__name__],
            [point.name for point in entry_points(kind) if origin(kind, point).startswith("al-learner ")],
        )
        for kind, interface in PLUGINS.items()
    }


def test_the_page_has_every_public_name() -> None:
    names = {
        name for row in table(DOCS / "reference" / "python.md", "Python") for name in re.findall(r"`(\w+)`", row[0])
    }
    assert names == {*al_learner.__all__}


def test_the_page_has_the_error_tree_and_every_error() -> None:
    page = DOCS / "reference" / "errors.md"
    tree = re.search(r"^    AlLearnerError.*?(?=^\S)", errors.__doc__ or "", re.MULTILINE | re.DOTALL)
    assert tree
    wanted = [line.removeprefix("    ") for line in tree[0].rstrip().splitlines()]
    assert "\n".join(wanted) in page.read_text(encoding="utf-8")
    own = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert {row[0].strip("`") for row in table(page, "Errors")} == own - {"AlLearnerError"}


def test_the_page_has_every_metric_of_the_monitor() -> None:
    source = (ROOT / "al_learner" / "core" / "service" / "metrics.py").read_text(encoding="utf-8")
    named = {*re.findall(r"\"(al_learner_\w+)\"", source)}
    assert {row[0].strip("`") for row in table(DOCS / "how-to" / "run-the-worker.md", "Metrics")} == named


def test_the_page_has_every_metric_of_a_score() -> None:
    import numpy as np

    metrics = evaluation.measure(np.array(["a", "b"]), np.eye(2), np.array(["a", "b"]), np.arange(2))
    assert {row[0].strip("`") for row in table(DOCS / "how-to" / "use-the-scores.md", "Read them")} == {
        *metrics,
        "basis",
        "query",
        "sample",
        "unknown_tokens",
        "gate",
        "promoted",
        "reason",
    }


def test_the_page_has_every_log_event_with_its_level_and_fields() -> None:
    found: dict[str, tuple[str, set[str]]] = {}
    for path in (ROOT / "al_learner").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "event":
                name = node.args[0]
                assert isinstance(name, ast.Constant), f"{path}:{node.lineno}: an event's name is a literal"
                keywords = {keyword.arg: keyword.value for keyword in node.keywords}
                level = keywords.pop("level", None)
                assert level is None or isinstance(level, ast.Attribute)
                fields = {keyword for keyword in keywords if keyword is not None}
                shown = level.attr.lower() if level is not None else "info"
                before = found.get(str(name.value), (shown, set()))
                found[str(name.value)] = (shown, before[1] | fields)
    rows = table(DOCS / "reference" / "events.md", "Log events")
    documented = {row[0].strip("`"): (row[1], {*re.findall(r"`(\w+)`", row[2])}) for row in rows}
    assert documented == found


def test_every_variable_that_a_page_names_is_one() -> None:
    known = {*variables()}
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")):
        named = {*re.findall(r"\bAL_LEARNER_[A-Z_]+\b", page.read_text(encoding="utf-8"))}
        named = {name for name in named if not is_of_kubernetes(name, "")}
        assert named - known - {"AL_LEARNER_CLASIFIER"} == set(), page.name  # the one is an example of a misspelling


def test_every_command_that_a_page_names_is_one() -> None:
    first = {name.split()[0] for name in COMMANDS}
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")):
        for snippet in code(page.read_text(encoding="utf-8")):
            if match := re.match(r"al-learner ([a-z]\S*)", snippet):
                assert match[1] in first, f"{page.name}: {snippet}"


def test_the_constraints_pin_what_the_rebuilt_images_install() -> None:
    page = (DOCS / "how-to" / "move-an-installation.md").read_text(encoding="utf-8")
    installed = {name for line in re.findall(r"--constraint \S+ (.+)", page) for name in line.split()}
    pinned = {line.partition("==")[0] for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()}
    assert installed >= {"scikit-learn", "numpy", "scipy", "pandas", "lightgbm"}
    assert installed - pinned == set()
