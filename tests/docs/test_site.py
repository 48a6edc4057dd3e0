"""The documentation builds, and its links lead somewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT, links, table
from tests.support.browser import widths


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


def test_the_home_page_leads_to_every_how_to() -> None:
    assert {f"how-to/{page.name}" for page in (DOCS / "how-to").glob("*.md")} <= {*links(DOCS / "index.md")}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = tmp_path_factory.mktemp("site") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", site]
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
    return site


@pytest.mark.xdist_group("site")
def test_no_page_loads_something_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        sources = [part.split('"')[0] for part in page.read_text(encoding="utf-8").split('src="')[1:]]
        assert not [source for source in sources if "://" in source], f"{page.name} loads something from elsewhere"


@pytest.mark.xdist_group("site")
def test_no_page_is_wider_than_the_window(site: Path) -> None:
    pages = [str(page.relative_to(site)) for page in site.rglob("*.html") if page.name != "404.html"]
    assert len(pages) > 30
    found = widths(site, pages, (400, 800, 1280))
    assert {*found} == {*pages}
    assert {(page, width) for page, needed in found.items() for width in needed if needed[width] > int(width)} == set()
