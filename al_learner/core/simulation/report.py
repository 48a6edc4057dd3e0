"""The output of a simulation: the rounds as CSV, the curves as a picture, and an HTML page that needs no other file."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from al_learner.core.artifacts import pickling
from al_learner.core.errors import DataError
from al_learner.core.registry import INTERFACES, Spec
from al_learner.core.report.page import render
from al_learner.core.report.page import table as html_table
from al_learner.core.report.pictures import COLOURS, GREY, Line, Picture, lines
from al_learner.core.simulation.grid import TrialResult
from al_learner.core.simulation.metrics import Curve, curves, same, table, varying
from al_learner.core.simulation.plan import Plan
from al_learner.core.simulation.replay import Round
from al_learner.core.simulation.running.sweep import BASICS


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
        picture(curves(played)).save(folder / "curves.svg")
        report.write_text(page(played, target, corpus=corpus, command=command), encoding="utf-8")
    except OSError as exc:
        raise DataError(f"{exc.filename}: {exc.strerror}") from exc
    return report


COLUMNS = ("classifier", "vectorizer", "init_sampler", "label_aggregator", "query", "seed", "round", "labels", "votes",
           "accuracy", "macro_f1", "majority", "seconds", "ceiling")  # fmt: skip


def tidy(played: Sequence[TrialResult]) -> Iterator[dict[str, object]]:
    """Yield a row for each round of each project; their keys are `COLUMNS`."""
    for one in played:
        for each in one.rounds:
            fields = asdict(each)
            yield {**one.trial.names(), "seed": one.trial.plan.seed, "round": fields.pop("number"), **fields}


def picture(found: Sequence[Curve]) -> Picture:
    """Draw the mean of each curve, with the standard deviation over seeds as a band, and what to compare with."""
    shown = [curve for curve in found if len(curve.accuracy)]
    drawn = [_line(rank, curve, _legend(rank, curve, shown)) for rank, curve in enumerate(shown)]
    if shown:
        ends = [0, int(shown[0].labels[-1])]
        if all_labels := shown[0].ceiling:
            drawn.append(Line("trained on all labels", ends, [all_labels.mean] * 2, colour=GREY, style="--"))
        if most_frequent := shown[0].majority:
            drawn.append(Line("most frequent label", ends, [most_frequent.mean] * 2, colour=GREY, style=":"))
    return lines(drawn, x_label="labelled texts", y_label="accuracy on held-out texts", height=4.6)


def page(played: Sequence[TrialResult], target: float | None, *, corpus: str, command: str) -> str:
    """Return the report as HTML; see `write`."""
    found = curves(played)
    plan = played[0].trial.plan
    header, rows = table(found, target)
    failed = "".join(
        f"<li>{escape(', '.join(curve.names.values()))}: {escape(error)}</li>"
        for curve in found
        for error in curve.errors
    )
    requires = {package for one in played for kind, spec in one.trial.strategies().items()
                for package in spec.make(kind).requires}  # fmt: skip
    versions = ", ".join(f"{name} {version}" for name, version in pickling.versions(BASICS | requires).items())
    majority = found[0].majority
    values = {
        "picture": str(picture(found)),
        "table": html_table(header, rows, n_names=len(varying(found)), colours=[_colour(n) for n in range(len(found))]),
        "same": escape(same(found)),
        "failed": f"<h2>What failed</h2><ul>{failed}</ul>" if failed else "",
        "settings": escape(settings(found[0].names)),
        "majority": "an unknown share" if majority is None else f"{majority.mean:.1%}",
        "target": "the target" if target is None else f"{target:.1%}",
        "seeds": str(len({one.trial.plan.seed for one in played})),
        "batch_size": f"{plan.batch_size:,}",
        "annotators": _annotators(plan),
        "command": escape(command),
    }
    body = Template((files("al_learner") / "data" / "simulation.html").read_text(encoding="utf-8")).substitute(values)
    title = f"Which strategies learn fastest on {corpus}?"
    return render(title, escape(title), [body], f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC. {escape(versions)}.")


def settings(names: Mapping[str, str]) -> str:
    """Return the lines of a settings file that choose strategies.

    Parameters
    ----------
    names : mapping of str to str
        ``NAME`` or ``NAME(parameter=value)`` by kind of strategy; other keys are left out.
    """
    specs = {kind: Spec.read(kind, names[kind]) for kind in INTERFACES}
    chosen = [f"{kind} = {json.dumps(spec.name)}" for kind, spec in specs.items()]
    for kind, spec in specs.items():
        if spec.params:
            parameters = (f"{name} = {_toml(value)}" for name, value in spec.params.items() if value is not None)
            chosen += ["", f"[{kind}s.{spec.name}]", *parameters]
    return "\n".join(chosen)


def plot(rounds: Sequence[Round], path: Path) -> None:
    """Draw the learning curve of one project as a PNG file; raises DataError without the extra ``plots``."""
    curve = Line("", [one.labels for one in rounds], [one.accuracy for one in rounds])
    title = "accuracy on held-out texts; annotators vote on the most uncertain texts first"
    lines([curve], x_label="labelled texts", y_label=title).save(path)


def _line(rank: int, curve: Curve, name: str) -> Line:
    mean = curve.accuracy.mean(axis=0)
    sd = curve.accuracy.std(axis=0, ddof=1) if len(curve.accuracy) > 1 else 0 * mean
    has_band = len(curve.accuracy) > 1 and rank < len(COLOURS)
    low, high = ((mean - sd).tolist(), (mean + sd).tolist()) if has_band else ((), ())
    return Line(name, curve.labels.tolist(), mean.tolist(), low, high, _colour(rank))


def _name(curve: Curve, found: Sequence[Curve]) -> str:
    return " + ".join(curve.names[name] for name in varying(found))


def _legend(rank: int, curve: Curve, found: Sequence[Curve]) -> str:
    """Return a curve's name for the legend. Those without a colour of their own are one entry."""
    if rank < len(COLOURS):
        return _name(curve, found)
    return f"{len(found) - rank} more" if rank == len(COLOURS) else "_"


def _colour(rank: int) -> str:
    return COLOURS[rank] if rank < len(COLOURS) else GREY


def _toml(value: object) -> str:
    """Return a JSON value as TOML has it. Only tables are written in another way."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(name)} = {_toml(one)}" for name, one in value.items()) + "}"
    return json.dumps(value)


def _annotators(plan: Plan) -> str:
    if plan.annotators == 1 and plan.noise.rate == 0:
        return "one annotator, without wrong votes"
    kinds = {"uniform": "each with", "careless": "one of them with"}
    how = f"{kinds[plan.noise.kind]} {plan.noise.rate:.0%} wrong votes" if plan.noise.rate else "without wrong votes"
    return f"{plan.annotators} annotators, {how}; {plan.votes} of them vote on each text"
