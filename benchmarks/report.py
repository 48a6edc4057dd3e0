"""Turns raw figures into Markdown tables and one JSON file."""

from __future__ import annotations

import json
import math
import os
import platform
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from benchmarks.campaign import Campaign, Event, Kind, title
from benchmarks.quality import LEAST_SURE, Limits, Quality
from tests.support.servers import Postgres, Redis

RESULTS = Path(__file__).parent / "results"
PACKAGES = (
    "al-learner", "lightgbm", "numpy", "pandas", "psycopg", "redis", "scikit-learn", "scipy", "sqlalchemy",
)  # fmt: skip

Step = tuple[Kind, int]
Table = list[list[str]]


def machine(postgres: Postgres, redis: Redis) -> dict[str, Any]:
    """Return the machine and the versions, on which the figures depend, and the date."""
    with postgres.connect() as connection:
        row = connection.execute("SHOW server_version").fetchone()
    with redis.client() as client:
        redis_version = client.info("server")["redis_version"]
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0)),
        "processor": _processor(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "load_at_start": os.getloadavg()[0],
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "postgresql": row[0] if row else None,
        "redis": redis_version,
        "versions": {name: _version(name) for name in PACKAGES},
    }


def write(name: str, path: Path | None, content: Mapping[str, Any]) -> Path:
    """Write a JSON file, by default into the folder `results`, and return its path."""
    path = path or RESULTS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path


def markdown(header: Sequence[str], rows: Table) -> str:
    """Return an aligned Markdown table; all columns but the first to the right."""
    widths = [max(len(row[i]) for row in [list(header), *rows]) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        first, *others = (
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(cells, widths, strict=True))
        )
        return "| " + " | ".join([first, *others]) + " |"

    rule = "|" + "|".join("-" * (w + 2) if i == 0 else "-" * (w + 1) + ":" for i, w in enumerate(widths)) + "|"
    return "\n".join([line(header), rule, *map(line, rows)])


class Summary:
    """The medians of one worker's campaigns.

    Parameters
    ----------
    name : str
    campaigns : sequence of Campaign
        The first one has the most steps.
    qualities : sequence of Quality
    """

    def __init__(self, name: str, campaigns: Sequence[Campaign], qualities: Sequence[Quality]) -> None:
        self.name, self._campaigns = name, campaigns
        self.qualities: dict[Step, Quality] = {(quality.kind, quality.at): quality for quality in qualities}
        self.events: dict[Step, list[Event]] = {}
        for campaign in campaigns:
            for event in campaign.events:
                self.events.setdefault((event.kind, event.at), []).append(event)

    def seconds(self, step: Step) -> float | None:
        """Return the median; None if it was not measured."""
        return statistics.median(event.seconds for event in self.events[step]) if step in self.events else None

    @property
    def peak_mib(self) -> float:
        """Highest memory use of worker and children in any campaign."""
        return max(campaign.peak_mib for campaign in self._campaigns)

    @property
    def resident_peak_mib(self) -> float:
        """The same if shared pages count once for each process."""
        return max(campaign.resident_peak_mib for campaign in self._campaigns)

    def growth(self, kind: Kind) -> float | None:
        """Return the exponent of seconds against labelled texts, by least squares on the logarithms."""
        points = [(at, self.seconds((k, at)) or 0.0) for k, at in self.events if k == kind]
        return exponent(points) if len(points) > 1 else None

    def plain_data(self) -> dict[str, Any]:
        """Return everything for the JSON file."""
        return {
            "name": self.name,
            "peak_mib": self.peak_mib,
            "median_seconds": {title(*step): self.seconds(step) for step in self.events},
            "exponents": {kind: self.growth(kind) for kind in ("update", "batch")},
            "quality": [asdict(q) | {"holds": q.holds(Limits())} for q in self.qualities.values()],
            "campaigns": [asdict(campaign) for campaign in self._campaigns],
        }


def exponent(points: Iterable[tuple[float, float]]) -> float:
    """Return b of ``seconds = a * n ** b``, fitted by least squares on the logarithms."""
    logs = [(math.log(n), math.log(seconds)) for n, seconds in points]
    return statistics.linear_regression(*zip(*logs, strict=True)).slope


def speed_table(ours: Summary, plain: Summary | None) -> str:
    """Return the table of seconds, ratio, work after the announcement, and bytes, with a row for each event."""
    header = ["event", f"{ours.name}, s", "range, s", "runs", "plain, s", "runs", "ratio", "busy after, s", "peak, MiB"]
    header += ["stored, MB", "plain, MB"]
    rows = []
    for step, events in ours.events.items():
        seconds = ours.seconds(step) or 0.0
        theirs = plain.seconds(step) if plain else None
        plain_events = plain.events.get(step, []) if plain else []
        rows.append(
            [
                title(*step),
                f"{seconds:.2f}",
                f"{min(e.seconds for e in events):.2f}-{max(e.seconds for e in events):.2f}",
                str(len(events)),
                _number(theirs, ".2f"),
                str(len(plain_events) or "-"),
                _number(theirs / seconds if theirs else None, ".1f", "x"),
                f"{statistics.median(e.busy_s for e in events):.2f}",
                f"{max(e.peak_mib for e in events):.0f}",
                f"{events[0].clf_bytes / 1e6:.2f}",
                _number(plain_events[0].clf_bytes / 1e6 if plain_events else None, ".2f"),
            ]
        )
    return markdown(header, rows)


def memory_line(ours: Summary, plain: Summary | None) -> str:
    """Return a sentence with the peak memory of the worker and its children, over whole campaigns."""
    line = f"Peak memory of worker and children: {ours.name} {ours.peak_mib:.0f} MiB"
    if plain:
        line += f", plain {plain.peak_mib:.0f} MiB, ratio {plain.peak_mib / ours.peak_mib:.1f}x"
    return f"{line}. With shared pages counted once for each process: {ours.name} {ours.resident_peak_mib:.0f} MiB."


def quality_table(summary: Summary) -> str:
    """Return accuracy, and the three figures of agreement with the plain fit."""
    header = ["stored model", "accuracy", "plain fit", "difference, points", "p(given)", "plain fit", "difference"]
    header += [f"same of {LEAST_SURE}", "within limits"]
    rows = []
    for step, quality in summary.qualities.items():
        accuracy, given = quality.reference_accuracy, quality.reference_given_label
        holds = quality.holds(Limits())
        rows.append(
            [
                title(*step),
                f"{quality.accuracy:.3f}",
                _number(accuracy, ".3f"),
                _number(None if accuracy is None else (quality.accuracy - accuracy) * 100, "+.2f"),
                _number(quality.given_label, ".3f"),
                _number(given, ".3f"),
                _number(None if given is None else (quality.given_label or 0.0) - given, "+.3f"),
                _number(quality.same_least_sure, "d"),
                "-" if holds is None else "yes" if holds else "NO",
            ]
        )
    return markdown(header, rows) + "\n" + "\n".join(_footnotes(summary))


def growth_table(summary: Summary) -> str:
    """Return update seconds against labelled texts, with the fitted exponents."""
    steps = sorted({at for kind, at in summary.events if kind != "init"})
    rows = [[f"{at:,}", *(_number(summary.seconds((kind, at)), ".2f") for kind in ("update", "batch"))] for at in steps]
    rows.append(["exponent", *(_number(summary.growth(kind), ".2f") for kind in ("update", "batch"))])
    return markdown(["labelled texts", "update, s", "10 more, s"], rows)


def _footnotes(summary: Summary) -> Iterable[str]:
    for solver in dict.fromkeys(quality.solver for quality in summary.qualities.values() if quality.solver):
        of = [quality for quality in summary.qualities.values() if quality.solver == solver]
        line = f"\nPlain fit at {', '.join(title(q.kind, q.at) for q in of)}: {solver}"
        gradients = [quality.gradient for quality in of if quality.gradient is not None]
        yield line + (f"; largest component of its mean gradient {max(gradients):.1g}." if gradients else ".")


def _number(value: float | None, form: str, unit: str = "") -> str:
    return "-" if value is None else f"{value:{form}}{unit}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
