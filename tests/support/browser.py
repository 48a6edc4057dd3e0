"""A page as Chromium shows it, without a window: what it says, and whether anything overlaps."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from html import escape, unescape
from pathlib import Path
from typing import Any

import pytest

PROBE = """
<!doctype html><meta charset="utf-8"><body style="margin: 0">
<iframe id="page" style="width: WIDTHpx; height: 2000px; border: 0" srcdoc="PAGE"></iframe>
<script>
document.getElementById("page").onload = event => {
  const page = event.target.contentDocument, shown = [];
  const walker = page.createTreeWalker(page.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    if (!node.textContent.trim() || node.parentElement.closest("style, script, title, desc")) continue;
    const range = page.createRange();
    range.selectNodeContents(node);
    for (const box of range.getClientRects())
      if (box.width && box.height) shown.push({node, box, text: node.textContent.trim()});
  }
  const overlaps = [];
  for (let a = 0; a < shown.length; a++) for (let b = a + 1; b < shown.length; b++) {
    const one = shown[a].box, other = shown[b].box;
    const x = Math.min(one.right, other.right) - Math.max(one.left, other.left);
    const y = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
    if (shown[a].node !== shown[b].node && x > 2 && y > 4) overlaps.push([shown[a].text, shown[b].text]);
  }
  const colour = (element, name) => getComputedStyle(element)[name];
  const svg = page.querySelector("svg text");
  const found = {
    text: page.body.innerText,
    tables: [...page.querySelectorAll("table")].map(table =>
      [...table.rows].map(row => [...row.cells].map(cell => cell.innerText))),
    width: page.scrollingElement.scrollWidth,
    overlaps: overlaps,
    paper: colour(page.body, "backgroundColor"),
    ink: colour(page.body, "color"),
    ink_of_pictures: svg && colour(svg, "fill"),
    pictures: page.querySelectorAll("svg").length,
    requests: performance.getEntriesByType("resource").length,
  };
  const told = document.createElement("pre");
  told.textContent = JSON.stringify(found);
  document.body.replaceChildren(told);
};
</script>
"""


@dataclass(frozen=True)
class Shown:
    """A page as it is shown.

    Attributes
    ----------
    text : str
    tables : list of list of list of str
        The cells of each table, the header first.
    width : int
        Pixels that the page needs; more than it has, and it scrolls sideways.
    overlaps : list of list of str
        Pairs of texts that are shown over each other.
    paper, ink, ink_of_pictures : str
        Colours, such as ``rgb(0, 0, 0)``.
    pictures : int
    requests : int
        Files that were loaded from elsewhere.
    """

    text: str
    tables: list[list[list[str]]]
    width: int
    overlaps: list[list[str]]
    paper: str
    ink: str
    ink_of_pictures: str | None
    pictures: int
    requests: int


def shown(page: str, folder: Path, *, width: int, dark: bool) -> Shown:
    """Show a page in a window of some width. Without Chromium the test is skipped, except in CI."""
    chromium = shutil.which("chromium")
    if chromium is None:
        if os.environ.get("CI"):
            pytest.fail("Chromium is missing; .ci/run installs it")
        pytest.skip("Chromium is missing")
    file = folder / f"probe-{width}-{dark}.html"
    probe = PROBE.replace("WIDTH", str(width)).replace("PAGE", escape(page))
    file.write_text(probe, encoding="utf-8")
    command = [
        chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}", f"--user-data-dir={folder / 'chromium'}",
        "--window-size=1600,2000", "--virtual-time-budget=5000", "--dump-dom", file.as_uri(),
    ]  # fmt: skip
    dom = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
    found: dict[str, Any] = json.loads(unescape(dom[dom.index("<pre>") + 5 : dom.rindex("</pre>")]))
    return Shown(**found)
