"""README and the pages of docs/: where they are, their tables, and their examples."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import dropwhile, takewhile
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

_FENCE = re.compile(
    r"(?P<comment><!--(?:(?!-->).)*-->\n+)?"
    r"^(?P<indent> *)```(?P<language>\w+)(?: (?P<options>[^\n]*))?\n(?P<body>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
_EXCUSE = re.compile(r"<!-- not (?:run|compared): (.+?) -->", re.DOTALL)
_TITLE = re.compile(r'title="([^"]+)"')


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes
    ----------
    line : int
        Of the page, on which its body begins.
    title : str or None
        The file that it shows.
    excuse : str or None
        Why it cannot be run, or compared.
    """

    page: Path
    line: int
    language: str
    body: str
    title: str | None
    excuse: str | None

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """Return README, CONTRIBUTING and every page of docs/."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        title = _TITLE.search(match["options"] or "")
        excuse = _EXCUSE.search(match["comment"] or "")
        body = "".join(line.removeprefix(match["indent"]) for line in match["body"].splitlines(keepends=True))
        found.append(
            Block(
                page=page,
                line=text.count("\n", 0, match.start("body")) + 1,
                language=match["language"],
                body=body,
                title=title[1] if title else None,
                excuse=excuse[1] if excuse else None,
            )
        )
    return found


def table(page: Path, heading: str) -> list[list[str]]:
    """Return the rows of the first table under a heading, cells stripped, without the header."""
    lines = section(page, heading).splitlines()
    rows = takewhile(lambda line: line.startswith("|"), dropwhile(lambda line: not line.startswith("|"), lines))
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return cells[2:]


def section(page: Path, heading: str) -> str:
    """Return the text under a heading, up to the next of the same level or above."""
    text = page.read_text(encoding="utf-8")
    start = re.search(rf"^(#+) {re.escape(heading)}(?: \{{.*\}})?$", text, re.MULTILINE)
    assert start, f"{page.name} has no heading {heading!r}"
    rest = text[start.end() :]
    end = re.search(rf"^#{{1,{len(start[1])}}} ", _without_code(rest), re.MULTILINE)
    return rest[: end.start()] if end else rest


def code(text: str) -> list[str]:
    """Return what stands between backticks, outside fenced blocks."""
    return re.findall(r"`([^`\n]+)`", _without_code(text))


def links(page: Path) -> Iterator[str]:
    """Yield the targets of a page's links."""
    yield from re.findall(r"\]\(([^)\s]+)\)", _without_code(page.read_text(encoding="utf-8")))


def _without_code(text: str) -> str:
    """Blank out fenced blocks, keeping every position."""
    return _FENCE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
