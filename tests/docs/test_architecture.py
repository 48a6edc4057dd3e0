"""The architecture page draws the folders that there are, and the layers that are checked."""

from __future__ import annotations

import ast
import re
import tomllib

import pytest

from tests.docs.pages import DOCS, ROOT, blocks, section

PAGE = DOCS / "explanation" / "architecture.md"
PACKAGE = ROOT / "al_learner"
CORE = PACKAGE / "core"

INDENT = 4
MOST_MODULES = 9
MOST_LINES = 350

FOLDERS = [CORE, *sorted(path.parent for path in CORE.glob("*/__init__.py"))]


def drawn() -> set[str]:
    """Return every module that the page's tree names, as a path below the package."""
    [tree] = [block.body for block in blocks(PAGE) if block.body in section(PAGE, "Folders")]
    folders: list[str] = []
    found = set()
    for line in tree.splitlines()[1:]:
        name = line.split()[0]
        folders[(len(line) - len(line.lstrip())) // INDENT - 1 :] = [name.rstrip("/")]
        if not name.endswith("/"):
            found.add("/".join(folders))
    return found


def test_the_page_names_every_module_and_no_other() -> None:
    modules = {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py") if "versions" not in path.parts}
    assert drawn() == {module for module in modules if not module.endswith("/__init__.py")}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_folder_says_what_lives_there_and_what_may_not(folder) -> None:
    said = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    assert re.search(r"\b(No|Nothing)\b", said), said


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_folder_can_be_overlooked(folder) -> None:
    modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
    assert len(modules) <= MOST_MODULES
    too_long = {path.name: n for path in modules if (n := len(path.read_text().splitlines())) > MOST_LINES}
    assert too_long == {}


def test_the_page_shows_the_layers_that_import_linter_checks() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    checked = ["\n".join(contract["layers"]) + "\n" for contract in contracts if contract["type"] == "layers"]
    text = section(PAGE, "Who may import whom")
    shown = [block.body for block in blocks(PAGE) if block.body in text]
    assert shown == checked


def test_the_path_from_the_command_line_to_a_plugin_exists() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    path = re.search(r"`cli\.train`(?: → `[\w.]+`)+", " ".join(PAGE.read_text(encoding="utf-8").split()))
    assert path
    steps = [step.rpartition(".")[2] for step in re.findall(r"`([\w.]+)`", path[0])]
    assert [step for step in steps if f"def {step}(" not in source] == []
    behind_the_facade = steps[2:]
    assert len(behind_the_facade) <= 5
