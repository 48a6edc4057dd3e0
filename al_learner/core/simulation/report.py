"""The output of a simulation: the rounds as CSV, the curves as SVG, and a self-contained HTML page."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np

from al_learner.core.artifacts import pickling
from al_learner.core.errors import DataError
from al_learner.core.report.pictures import Line, lines
from al_learner.core.simulation.grid import TrialResult
from al_learner.core.simulation.metrics import Curve, curves, same, table, varying
from al_learner.core.simulation.plan import Plan
from al_learner.core.simulation.replay import Round
from al_learner.core.simulation.running.sweep import BASICS

COLOURS = ("#2f7fc1", "#d97a1e", "#2c9a68", "#b25bc4", "#cf4a41", "#94832b", "#1fa0b4", "#8b6f5c")
"""Most people can distinguish them on white and on black, also with colour blindness. Other curves are grey."""

GREY = "#8a8f98"

WIDTH, HEIGHT = 760, 400
LEFT, RIGHT, TOP, BOTTOM = 52, 24, 32, 52
LINE = 22
"""Height of a line of the legend."""

LONGEST_OF_TWO = 44
"""Longest name, in characters, in a legend of two columns."""

STYLE = """
.al-curves { --ink: #2b2f36; --grid: #d9dde3; font: 13px system-ui, sans-serif; max-width: 100%; }
@media (prefers-color-scheme: dark) { .al-curves { --ink: #d5d9e0; --grid: #3a3f48; } }
.al-curves text { fill: var(--ink); }
.al-curves .grid { stroke: var(--grid); }
.al-curves .curve polyline { fill: none; stroke: currentColor; stroke-width: 2; }
.al-curves .curve polygon { fill: currentColor; opacity: .13; }
.al-curves .curve circle { fill: transparent; }
.al-curves .curve circle:hover { fill: currentColor; }
.al-curves .rest polyline { stroke-width: 1; opacity: .6; }
"""

N_MARKS = 60
"""Maximum number of points of a curve that show their numbers."""


class Svg(str):
    """An SVG picture. A notebook shows it."""

    __slots__ = ()

    def _repr_svg_(self) -> str:
        return str(self)


def write(folder: Path, played: Sequence[TrialResult], target: float | None, *, corpus: str, command: str) -> Path:
    """Write ``rounds.csv``, ``curves.svg`` and ``report.html`` into a folder; return the path of the report.

    Parameters
    ----------
    corpus, command : str
        What was simulated, and with which command; shown in the report.

    Raises
    ------
    DataError
        A file cannot be written.
    """
    report = folder / "report.html"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "rounds.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(tidy(played))
        (folder / "curves.svg").write_text(picture(curves(played)), encoding="utf-8")
        report.write_text(page(played, target, corpus=corpus, command=command), encoding="utf-8")
    except OSError as exc:
        raise DataError(f"{exc.filename}: {exc.strerror}") from exc
    return report


COLUMNS = ("classifier", "vectorizer", "init_sampler", "label_aggregator", "query", "seed", "round", "labels", "votes",
           "accuracy", "seconds")  # fmt: skip


def tidy(played: Sequence[TrialResult]) -> Iterator[dict[str, object]]:
    """Yield a row for each round of each project; their keys are `COLUMNS`."""
    for one in played:
        for each in one.rounds:
            fields = asdict(each)
            yield {**one.trial.names(), "seed": one.trial.plan.seed, "round": fields.pop("number"), **fields}


def picture(found: Sequence[Curve]) -> Svg:
    """Draw the mean of each curve, with the standard deviation over seeds as a band, and a legend."""
    shown = [curve for curve in found if len(curve.accuracy)]
    height = HEIGHT + LINE * _n_lines([_name(curve, shown) for curve in shown])
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="al-curves" viewBox="0 0 {WIDTH} {height}" role="img"'
        ' aria-label="Accuracy by number of labels">'
    )
    return Svg("\n".join([head, f"<style>{STYLE}</style>", *_drawing(shown), "</svg>\n"]))


def page(played: Sequence[TrialResult], target: float | None, *, corpus: str, command: str) -> str:
    """Return the report as HTML; see `write`."""
    found = curves(played)
    plan = played[0].trial.plan
    header, lines = table(found, target)
    n_names = len(varying(found))
    body = "\n".join(_row(n, line, n_names) for n, line in enumerate(lines))
    failed = "".join(
        f"<li>{escape(', '.join(curve.names.values()))}: {escape(error)}</li>"
        for curve in found
        for error in curve.errors
    )
    requires = {package for one in played for kind, spec in one.trial.strategies().items()
                for package in spec.make(kind).requires}  # fmt: skip
    versions = ", ".join(f"{name} {version}" for name, version in pickling.versions(BASICS | requires).items())
    values = {
        "corpus": escape(corpus),
        "same": escape(same(found)),
        "picture": picture(found),
        "header": "".join(f"<th{' class=name' if n < n_names else ''}>{escape(h)}</th>" for n, h in enumerate(header)),
        "rows": body,
        "highlight": "".join(_highlight(n) for n in range(min(len(found), len(COLOURS)))),
        "failed": f"<h2>What failed</h2><ul>{failed}</ul>" if failed else "",
        "target": "the target" if target is None else f"{target:.1%}",
        "seeds": str(len({one.trial.plan.seed for one in played})),
        "batch_size": f"{plan.batch_size:,}",
        "annotators": _annotators(plan),
        "command": escape(command),
        "versions": escape(versions),
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    }
    template = (files("al_learner") / "data" / "report.html").read_text(encoding="utf-8")
    return Template(template).substitute(values)


class _Axes:
    """Maps labels and accuracy to coordinates."""

    def __init__(self, shown: Sequence[Curve]) -> None:
        self.last = max(int(curve.labels[-1]) for curve in shown)
        best = max(float(curve.accuracy.max()) for curve in shown)
        self.top = min(1.0, float(np.ceil(best * 10) / 10))

    def x(self, labels: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * float(labels) / self.last

    def y(self, accuracy: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * min(max(float(accuracy), 0.0), self.top) / self.top

    def line(self, labels: Iterable[float], accuracy: Iterable[float]) -> str:
        return " ".join(f"{self.x(n):.1f},{self.y(a):.1f}" for n, a in zip(labels, accuracy, strict=True))


def _drawing(shown: Sequence[Curve]) -> Iterator[str]:
    if not shown:
        yield f'<text x="{WIDTH / 2}" y="{HEIGHT / 2}" text-anchor="middle">Every project failed.</text>'
        return
    axes = _Axes(shown)
    yield from _grid(axes)
    for rank in reversed(range(len(shown))):  # the best on top
        yield from _curve(axes, rank, shown[rank], _name(shown[rank], shown))
    yield from _legend([_name(curve, shown) for curve in shown])


def _grid(axes: _Axes) -> Iterator[str]:
    for tenth in range(round(axes.top * 10) + 1):
        y = axes.y(tenth / 10)
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tenth * 10}%</text>'
    for labels in _ticks(axes.last):
        yield f'<text x="{axes.x(labels):.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{labels:,}</text>'
    yield f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 12}" text-anchor="middle">labelled texts</text>'
    yield f'<text x="{LEFT}" y="{TOP - 14}">accuracy on held-out texts</text>'


def _curve(axes: _Axes, rank: int, curve: Curve, name: str) -> Iterator[str]:
    is_rest, n_seeds = rank >= len(COLOURS), len(curve.accuracy)
    mean = curve.accuracy.mean(axis=0)
    yield f'<g class="curve{" rest" if is_rest else ""}" data-rank="{rank}" style="color:{_colour(rank)}">'
    if n_seeds > 1 and not is_rest:
        sd = curve.accuracy.std(axis=0, ddof=1)
        edge = axes.line([*curve.labels, *curve.labels[::-1]], [*(mean + sd), *(mean - sd)[::-1]])
        yield f'<polygon points="{edge}"/>'
    yield f'<polyline points="{axes.line(curve.labels, mean)}"/>'
    for at in range(0, len(mean), -(-len(mean) // N_MARKS)):
        said = f"{escape(name)}: {mean[at]:.1%} at {curve.labels[at]:,} labels"
        place = f'cx="{axes.x(curve.labels[at]):.1f}" cy="{axes.y(mean[at]):.1f}"'
        yield f'<circle {place} r="5"><title>{said}</title></circle>'
    yield "</g>"


def _legend(names: Sequence[str]) -> Iterator[str]:
    n_columns = _n_columns(names)
    for rank, name in enumerate(names[: len(COLOURS)]):
        x, y = LEFT + rank % n_columns * (WIDTH - LEFT) / 2, HEIGHT + LINE * (rank // n_columns) + 8
        yield f'<line x1="{x}" x2="{x + 22}" y1="{y}" y2="{y}" stroke="{COLOURS[rank]}" stroke-width="3"/>'
        yield f'<text x="{x + 30}" y="{y + 4}">{escape(name)}</text>'
    if (rest := len(names) - len(COLOURS)) > 0:
        yield f'<text x="{LEFT}" y="{HEIGHT + LINE * len(COLOURS) // n_columns + 12}">grey: {rest} more</text>'


def _n_lines(names: Sequence[str]) -> int:
    return -(-min(len(names), len(COLOURS)) // _n_columns(names)) + (len(names) > len(COLOURS))


def _n_columns(names: Sequence[str]) -> int:
    return 2 if max(map(len, names), default=0) <= LONGEST_OF_TWO else 1


def _ticks(last: int) -> list[int]:
    """Return at most seven round numbers from 0 to `last`."""
    step = next(s * 10**e for e in range(12) for s in (1, 2, 5) if last / (s * 10**e) <= 6)
    return list(range(0, last + 1, step))


def _name(curve: Curve, found: Sequence[Curve]) -> str:
    return " + ".join(curve.names[name] for name in varying(found))


def _colour(rank: int) -> str:
    return COLOURS[rank] if rank < len(COLOURS) else GREY


def _row(rank: int, line: Sequence[str], n_names: int) -> str:
    swatch = f'<i style="background:{_colour(rank)}"></i>'
    cells = [f"<td class=name>{escape(cell)}</td>" for cell in line[:n_names]]
    cells += [f"<td>{escape(cell)}</td>" for cell in line[n_names:]]
    return f"<tr data-rank={rank}><td>{swatch}</td>{''.join(cells)}</tr>"


def _highlight(rank: int) -> str:
    """Return the CSS rule that shows the curve of the row under the mouse."""
    return f"body:has(tr[data-rank='{rank}']:hover) .curve:not([data-rank='{rank}']){{opacity:.15}}\n"


def _annotators(plan: Plan) -> str:
    if plan.annotators == 1 and plan.noise.rate == 0:
        return "one annotator, without wrong votes"
    kinds = {"uniform": "each with", "careless": "one of them with"}
    how = f"{kinds[plan.noise.kind]} {plan.noise.rate:.0%} wrong votes" if plan.noise.rate else "without wrong votes"
    return f"{plan.annotators} annotators, {how}; {plan.votes} of them vote on each text"


def plot(rounds: Sequence[Round], path: Path) -> None:
    """Draw the learning curve of one project as a PNG file; raises DataError without the extra ``plots``."""
    curve = Line("", [one.labels for one in rounds], [one.accuracy for one in rounds])
    title = "accuracy on held-out texts; annotators vote on the most uncertain texts first"
    lines([curve], x_label="labelled texts", y_label=title).save(path)
