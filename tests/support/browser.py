"""A page as Chromium shows it, without a window: what it says, and whether anything overlaps."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import pytest

SECONDS = 120
"""A browser that takes longer is killed."""

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
  fetch("found", {method: "POST", body: JSON.stringify(found)});
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
    file = folder / f"probe-{width}-{dark}.html"
    probe = PROBE.replace("WIDTH", str(width)).replace("PAGE", escape(page))
    file.write_text(probe, encoding="utf-8")
    return Shown(**_told(file, dark=dark))


def _chromium(profile: str, *, dark: bool) -> list[str]:
    """Return the command; without Chromium the test is skipped, except in CI."""
    chromium = shutil.which("chromium")
    if chromium is None:
        if os.environ.get("CI"):
            pytest.fail("Chromium is missing; .ci/run installs it")
        pytest.skip("Chromium is missing")
    return [
        chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}", f"--user-data-dir={profile}",
        "--window-size=1600,2000",
    ]  # fmt: skip


PAGES = """
<!doctype html><meta charset="utf-8"><body>
<script>
const found = {}, pages = PAGES, frame = document.createElement("iframe");
frame.style = "height: 900px; border: 0";
document.body.append(frame);
const pause = () => new Promise(done => setTimeout(done, 30));  // the page's own scripts lay it out
const measure = async () => {
  for (const page of pages) {
    await new Promise(done => { frame.onload = done; frame.src = page; });
    found[page] = {};
    for (const width of WIDTHS) {
      frame.style.width = `${width}px`;
      await pause();
      const content = frame.contentDocument.querySelector(".md-content");  // not the theme's hidden search
      found[page][width] = content.getBoundingClientRect().left + content.scrollWidth;
    }
  }
  await fetch("found", {method: "POST", body: JSON.stringify(found)});
};
measure();
</script>
"""


def widths(site: Path, pages: list[str], wanted: Sequence[int]) -> dict[str, dict[str, int]]:
    """Return for each page of a site how many pixels it needs in windows of some widths."""
    probe = site / "probe.html"
    probe.write_text(PAGES.replace("WIDTHS", str([*wanted])).replace("PAGES", json.dumps(pages)), encoding="utf-8")
    found: dict[str, dict[str, int]] = _told(probe)
    return found


def _told(page: Path, *, dark: bool = False) -> Any:
    """Open a page, whose folder is served on loopback, and return what its script sends back."""
    answers: SimpleQueue[bytes] = SimpleQueue()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Site, answers, directory=page.parent))
    Thread(target=server.serve_forever, daemon=True).start()
    with TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [*_chromium(profile, dark=dark), f"http://127.0.0.1:{server.server_port}/{page.name}"]
        browser = subprocess.Popen(
            command,
            env=os.environ | {"TMPDIR": profile},  # it leaves files there when it is killed
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            return json.loads(answers.get(timeout=SECONDS))
        finally:
            os.killpg(browser.pid, signal.SIGKILL)  # its own group: the browser and its processes
            browser.wait()
            server.shutdown()
            server.server_close()


class _Site(SimpleHTTPRequestHandler):
    """Serves a folder, and keeps what a page sends back."""

    def __init__(self, answers: SimpleQueue[bytes], *arguments: Any, directory: Path) -> None:
        self._answers = answers
        super().__init__(*arguments, directory=str(directory))

    def do_GET(self) -> None:
        if "/search/" in self.path:  # the theme would index all pages again for each
            return self.send_error(HTTPStatus.NOT_FOUND)
        return super().do_GET()

    def do_POST(self) -> None:
        self._answers.put(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""
