"""The examples of README and docs/ run, page by page, in a folder of their own, and print what the page says.

On a page, from top to bottom:

- a block with ``title="NAME"`` is a file of that name;
- a ``python`` block is executed; the blocks of a page share their names;
- a ``sh`` block is run by a shell that finds `al-learner`; later ones have what it exported;
- a ``text`` block right after one of them is its output; ``...`` stands for whatever varies. Times and durations may
  differ, and numbers with a decimal point by a tenth, because they depend on the machine's floating-point unit;
- ``<!-- not run: REASON -->`` or ``<!-- not compared: REASON -->`` before a block excuses it.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from contextlib import redirect_stdout
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest

from tests.docs.pages import ROOT, Block, blocks, pages

RUNNABLE = ("python", "sh")

_RULE = re.compile("─+")  # of a table on a terminal
_VARYING = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [A-Z]+|\d+(?:\.\d+)?(?: s\b| ms\b| seconds\b)|\d[\d,]* KiB|\bp = \S+"
)
_NUMBER = re.compile(r"[+-]?\d+\.\d+(?:e-?\d+)?")
_PIECE = re.compile(rf"(?P<varying>{_VARYING.pattern})|(?P<number>{_NUMBER.pattern})|(?P<any>\.\.\.)|(?P<space>\s+)")

TOLERANCE = 0.1
"""How far a number may be from that of the page, as a share of it; at least as much as its last digit."""


def examples() -> list[Path]:
    return [page for page in pages() if any(block.language in RUNNABLE and not block.excuse for block in blocks(page))]


@pytest.mark.parametrize("page", examples(), ids=lambda page: str(page.relative_to(ROOT)))
def test_the_examples_of_a_page_run_and_print_what_it_says(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forked_command: Path
) -> None:
    commands = [forked_command, Path(sys.executable).parent]
    monkeypatch.setenv("PATH", os.pathsep.join([*map(str, commands), os.environ["PATH"]]))
    monkeypatch.syspath_prepend(tmp_path)
    module = ModuleType(re.sub(r"\W", "_", f"page_{page.stem}"))
    monkeypatch.setitem(sys.modules, module.__name__, module)  # a class of an example is found where it says it is
    printed: str | None = None
    exported = dict(os.environ)
    for block in blocks(page):
        if block.excuse:
            printed = None
        elif block.title:
            target = tmp_path / block.title
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.body, encoding="utf-8")
            printed = None
        elif block.language == "python":
            printed = _python(block, module)
        elif block.language == "sh":
            printed = _shell(block, tmp_path, exported)
        elif block.language == "text" and printed is not None:
            _compare(block, printed)
            printed = None


def test_every_excuse_gives_a_reason() -> None:
    for page in pages():
        n_comments = len(re.findall(r"^ *<!-- not ", page.read_text(encoding="utf-8"), re.MULTILINE))
        excused = [block for block in blocks(page) if block.excuse]
        assert len(excused) == n_comments, f"{page.relative_to(ROOT)}: an excuse without a reason, or without a block"
        assert all(len(block.excuse or "") > 5 for block in excused)


def test_output_stands_right_after_what_printed_it() -> None:
    for page in pages():
        for before, block in pairwise(blocks(page)):
            if block.language == "text" and before.language in RUNNABLE and not before.excuse:
                between = page.read_text(encoding="utf-8").splitlines()[
                    before.line + before.body.count("\n") : block.line - 2
                ]
                assert not [line for line in between if line.startswith("#")], f"{block.where}: whose output is this?"


def _python(block: Block, module: ModuleType) -> str:
    # As many empty lines before it as on the page, so that a traceback names the page's line.
    program = compile("\n" * (block.line - 1) + block.body, block.page, "exec", dont_inherit=True)
    out = io.StringIO()
    with redirect_stdout(out):
        exec(program, vars(module))  # noqa: S102 - the project's own examples
    return out.getvalue()


def _shell(block: Block, folder: Path, exported: dict[str, str]) -> str:
    """Run a block. `exported` is the environment, which gets what the block exports."""
    after = folder / ".exported"
    done = subprocess.run(
        ["/bin/sh", "-e", "-c", f"{block.body}\nenv -0 > '{after}'"],
        cwd=folder,
        env=exported,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, f"{block.where}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    exported.update(variable.split("=", 1) for variable in after.read_text(encoding="utf-8").split("\0") if variable)
    return done.stdout


def _compare(block: Block, printed: str) -> None:
    told = f"{block.where}: it says\n{block.body}\nbut what is printed is\n{printed}"
    body, printed = (_comparable(text) for text in (block.body, printed))
    found = re.fullmatch(_pattern(body), printed, re.DOTALL)
    assert found, told
    wanted = [match["number"] for match in _PIECE.finditer(body) if match["number"]]
    for text, number in zip(wanted, found.groups(), strict=True):
        last_digit = 10.0 ** -len(text.partition(".")[2].partition("e")[0])
        is_near = abs(float(text) - float(number)) <= max(TOLERANCE * abs(float(text)), last_digit)
        assert is_near, f"{text} is {number}; {told}"


def _comparable(output: str) -> str:
    """Return an output without rules of tables, and with the unit behind durations in a column that says it."""
    text = _RULE.sub("", output).strip()
    return re.sub(r"(\d+\.\d+)\s*$", r"\1 s", text, flags=re.MULTILINE) if " s/update" in text else text


def _pattern(body: str) -> str:
    """Return a regular expression for an output, with a group for each number that has a decimal point."""
    patterns = {"varying": f"(?:{_VARYING.pattern})", "number": f"({_NUMBER.pattern})", "any": ".*?", "space": r"\s+"}
    parts, at = [], 0
    for match in _PIECE.finditer(body):
        parts += [re.escape(body[at : match.start()]), patterns[match.lastgroup or ""]]
        at = match.end()
    return "".join([*parts, re.escape(body[at:])])
