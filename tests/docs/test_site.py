"""The documentation builds, and its links lead somewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT, links, table


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_every_relative_link_of_a_page_in_the_root_leads_to_a_file(name: str) -> None:
    targets = [link.partition("#")[0] for link in links(ROOT / name) if "://" not in link]
    assert [target for target in targets if target and not (ROOT / target).exists()] == []


def test_every_relative_link_of_the_documentation_leads_to_a_page() -> None:
    for page in DOCS.rglob("*.md"):
        targets = [link.partition("#")[0] for link in links(page) if "://" not in link]
        assert [target for target in targets if target and not (page.parent / target).is_file()] == [], page.name


def test_contributing_names_every_folder_of_tests() -> None:
    named = {row[0].strip("`") for row in table(ROOT / "CONTRIBUTING.md", "Where what lives")}
    folders = {f"tests/{folder.name}/" for folder in (ROOT / "tests").iterdir() if [*folder.glob("*.py")]}
    assert {name for name in named if name.startswith("tests/")} == folders


@pytest.mark.skipif(
    find_spec("mkdocs") is None, reason="the extra `docs` is not installed; `make docs` builds the site"
)
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    for page in (tmp_path / "site").rglob("*.html"):
        sources = [part.split('"')[0] for part in page.read_text(encoding="utf-8").split('src="')[1:]]
        assert not [source for source in sources if "://" in source], f"{page.name} loads something from elsewhere"
