"""The architecture page names the modules that exist, and the layers that are checked."""

from __future__ import annotations

import re
import tomllib

from tests.docs.pages import DOCS, ROOT, blocks, section, table

PAGE = DOCS / "explanation" / "architecture.md"
PACKAGE = ROOT / "al_learner"


def test_the_page_names_every_module_and_no_other() -> None:
    modules = {path.stem for path in PACKAGE.glob("*.py")}
    modules |= {
        f"{path.parent.name}.{path.stem}" for folder in ("commands", "core") for path in PACKAGE.glob(f"{folder}/*.py")
    }
    modules |= {f"core.{path.parent.name}" for path in (PACKAGE / "core").glob("*/__init__.py")}
    modules |= {f"plugins.{path.parent.name}.{path.stem}" for path in (PACKAGE / "plugins").glob("*/*.py")}
    modules = {module for module in modules if not module.endswith("__init__")}
    documented = [row[0].strip("`") for row in table(PAGE, "Modules")]
    assert sorted(documented) == sorted(modules)


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
    assert len(steps) - 1 <= 5
