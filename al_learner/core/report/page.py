"""The page that shows the facts of a project: one HTML file that needs no other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from importlib.metadata import version
from importlib.resources import files
from string import Template
from typing import Any

from al_learner.core.labels.annotators import TIES, Agreement, excerpt
from al_learner.core.report.facts import Confusion, Facts, ScoredRun
from al_learner.core.report.pictures import COLOURS, Line, bars
from al_learner.core.report.pictures import lines as picture_of
from al_learner.core.representation import share
from al_learner.core.training.evaluation import describe_score

EXAMPLE_LENGTH = 160
"""Characters of an example text that are shown."""

BASES = {"votes": "measured on texts with votes", "init-data": "measured on prelabelled texts"}


def page(facts: Facts) -> str:
    """Return the report of a project as HTML."""
    status = facts.status
    parts = [
        _summary(facts),
        _section("How good it is", _accuracy(facts)),
        _section("Each label", _labels(facts)),
        _section("What it confuses", _confusions(facts.confusions)),
        _section("Words that speak for each label", _words(facts)),
        _section("Does more labelling pay?", [f"<p>{escape(_sentence(status.stopping_advice.words))}</p>"]),
        _section("Labels a day", _days(facts)),
        _section("Annotators", _annotators(facts.agreement)),
        _section("Disputed texts", _disputed(facts.agreement)),
    ]
    made = f"{facts.made:%Y-%m-%d %H:%M} UTC, al_learner {version('al-learner')}"
    return render(f"Report of {status.database}", f"What {escape(_name(status.database))} has learned", parts, made)


def render(title: str, heading: str, parts: Iterable[str], made: str) -> str:
    """Return a page with the style of all reports. All parameters but `title` are HTML."""
    data = files("al_learner") / "data"
    template = Template((data / "page.html").read_text(encoding="utf-8"))
    style = (data / "page.css").read_text(encoding="utf-8")
    return template.substitute(title=escape(title), style=style, heading=heading, body="\n".join(parts), made=made)


def table(
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    n_names: int = 1,
    kind: str = "",
    colours: Sequence[str] = (),
) -> str:
    """Return a table of texts. The first `n_names` columns are aligned left, and the others right.

    With `colours`, each row has that of a curve, and the others fade while the mouse is on the row.
    """

    def line(tag: str, cells: Sequence[str], before: str = "", rank: int | None = None) -> str:
        name = f"<{tag} class=name>"
        shown = (f"{name if at < n_names else f'<{tag}>'}{escape(cell)}</{tag}>" for at, cell in enumerate(cells))
        return f"<tr{'' if rank is None else f' data-rank={rank}'}>{before}{''.join(shown)}</tr>"

    if colours:
        swatches = [f'<td><i style="background:{colour}"></i></td>' for colour in colours]
        lines = [line("td", row, swatches[rank], rank) for rank, row in enumerate(rows)]
    else:
        lines = [line("td", row) for row in rows]
    fading = "".join(
        f"body:has(tr[data-rank='{rank}']:hover) g[id^='curve-']:not([id^='curve-{rank}']) {{ opacity: .15 }}\n"
        for rank in range(len(colours))
    )
    style = f"<style>{fading}</style>" if colours else ""
    head = f"<thead>{line('th', header, '<th></th>' if colours else '')}</thead>"
    body = "\n".join(lines)
    return f'{style}<div class="wide {kind}"><table>{head}\n<tbody>\n{body}\n</tbody></table></div>'


def _summary(facts: Facts) -> str:
    status, metrics = facts.status, (facts.status.newest.metrics or {}) if facts.status.newest else {}
    tiles = [
        ("texts", f"{status.texts:,}"),
        ("votes", f"{status.votes:,}"),
        ("labelled texts", f"{status.countable_texts:,}"),
        _accuracy_tile(metrics),
        ("classifier", f"{status.classifier}" if status.clf_id else "none yet"),
        *([] if status.prior_share is None else [("weight of the prior", f"{status.prior_share:.1%}")]),
    ]
    shown = "".join(f"<div><b>{escape(value)}</b><span>{escape(name)}</span></div>" for name, value in tiles)
    return f'<div class="tiles">{shown}</div>'


def _accuracy_tile(metrics: Mapping[str, Any]) -> tuple[str, str]:
    if metrics.get("accuracy") is None:
        return "accuracy", "not known"
    low, high = metrics["accuracy_interval"]
    return f"accuracy (95%: {low:.0%} to {high:.0%})", share(metrics["accuracy"])


def _section(heading: str, parts: Iterable[str]) -> str:
    inner = "\n".join(parts)
    return f"<section><h2>{heading}</h2>\n{inner}\n</section>"


def _accuracy(facts: Facts) -> Iterator[str]:
    newest = facts.status.newest
    yield f"<p>{escape(_sentence(describe_score(newest.metrics) if newest else 'there is no classifier yet'))}</p>"
    if len(facts.scores) < 2:
        yield "<p class=soft>The first pictures come with the next score.</p>"
        return
    for x_label, attribute in (("labelled texts", "labelled"), ("", "finished")):
        curves = [_curve(facts.scores, basis, attribute) for basis in BASES]
        drawn = [line for line in curves if line.x]
        title = "accuracy, by number of labelled texts" if x_label else "accuracy, by time"
        yield f"<figure>{picture_of(drawn, x_label=x_label, y_label=title)}</figure>"
    yield (
        "<p class=soft>The band is the 95% interval of each measurement, by Wilson's formula. What is measured is a "
        "classifier that was trained on nine tenths of the labelled texts, on the others.</p>"
    )


def _curve(scores: Sequence[ScoredRun], basis: str, attribute: str) -> Line:
    found = [score for score in scores if score.basis == basis]
    return Line(
        BASES[basis],
        [getattr(score, attribute) for score in found],
        [score.accuracy for score in found],
        [score.low for score in found],
        [score.high for score in found],
        COLOURS[[*BASES].index(basis)],
    )


def _labels(facts: Facts) -> Iterator[str]:
    if not facts.labels:
        yield "<p>There is no score yet that tells the labels apart.</p>"
        return
    rows = [(one.label, f"{one.texts:,}", share(one.precision), share(one.recall)) for one in facts.labels]
    yield table(("label", "texts", "precision", "recall"), rows)
    yield (
        "<p class=soft><em>Precision</em>: of the texts that get the label, the share that has it. <em>Recall</em>: of "
        "the texts that have it, the share that gets it. Few texts tell little.</p>"
    )


def _confusions(found: Sequence[Confusion]) -> Iterator[str]:
    if not found:
        yield "<p>No error is known.</p>"
        return
    rows = [
        (one.label, one.predicted, f"{one.texts:,}", "\n".join(_example(i, text) for i, text in one.examples.items()))
        for one in found
    ]
    yield table(("label", "predicted", "texts", "for example"), rows, n_names=2, kind="texts")


def _words(facts: Facts) -> Iterator[str]:
    if facts.no_words:
        yield f"<p>{escape(_sentence(facts.no_words))}</p>"
    elif not facts.words:
        yield "<p>There is no classifier yet.</p>"
    else:
        rows = [(label, ", ".join(effect.name for effect in words)) for label, words in facts.words.items()]
        yield table(("label", "words, the strongest first"), rows, n_names=2, kind="texts")


def _days(facts: Facts) -> Iterator[str]:
    if not facts.labelled_by_day:
        yield "<p>No classifier was trained on votes yet.</p>"
        return
    if len(facts.labelled_by_day) == 1:
        ((day, n),) = facts.labelled_by_day.items()
        yield f"<p>{n:,} texts with a new or changed label, all of them in trainings of {day:%Y-%m-%d}.</p>"
        return
    title = "texts with a new or changed label, by the day of the training"
    yield f"<figure>{bars([*facts.labelled_by_day], [*facts.labelled_by_day.values()], y_label=title)}</figure>"


def _annotators(agreement: Agreement) -> Iterator[str]:
    if not agreement.annotators:
        yield "<p>There are no votes yet.</p>"
        return
    by = f" ({agreement.estimated_by})" if agreement.estimated_by else ""
    rows = [
        (one.name or "(anonymous)", f"{one.votes:,}", f"{one.shared:,}", share(one.agreement), share(one.accuracy))
        for one in agreement.annotators
    ]
    yield table(("annotator", "votes", "on shared texts", "agreement", f"estimated accuracy{by}"), rows)
    if agreement.problem and any(one.shared for one in agreement.annotators):
        yield f"<p class=soft>The annotators' accuracy cannot be estimated: {escape(agreement.problem)}</p>"


def _disputed(agreement: Agreement) -> Iterator[str]:
    yield f"<p>{agreement.n_disputed:,} texts have votes for different labels.</p>"
    rows = [
        (str(one.text_id), ", ".join(f"{label} {n}" for label, n in one.votes.items()), one.label, one.excerpt)
        for one in agreement.disputed
    ]
    if agreement.n_disputed:
        yield f"<p class=soft>{escape(TIES)}</p>"
    if agreement.n_disputed > len(rows):
        yield f"<p>The {len(rows):,} most disputed; <code>al-learner annotators --texts N</code> shows more.</p>"
    if rows:
        yield table(("text_id", "votes", "label", "text"), rows, n_names=4, kind="texts")


def _example(number: int, text: str) -> str:
    return f"{number}: {excerpt(text, EXAMPLE_LENGTH)}"


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + ("" if words.endswith(".") else ".")


def _name(url: str) -> str:
    return url.rpartition("/")[2].partition("?")[0] or url
