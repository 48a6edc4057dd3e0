"""`al-learner explain`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from al_learner.commands.shared import (
    ClfId,
    Database,
    Json,
    completed_texts,
    open_project,
    print_json,
    print_table,
    say,
)

if TYPE_CHECKING:
    from al_learner.core.training.explanation import Effect

SHOWN = 60
"""Characters of the text that are repeated."""


def explain(
    text: Annotated[
        str,
        typer.Argument(
            metavar="TEXT",
            autocompletion=completed_texts,
            help="One of the project's texts, by text_id or by external id; or any other text.",
        ),
    ],
    label: Annotated[str | None, typer.Option(help="The label. Default: the one that is predicted.")] = None,
    words: Annotated[int, typer.Option(metavar="N", min=1, help="How many words are shown.")] = 20,
    clf_id: ClfId = None,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Show which words of a text speak for its predicted label, and which against it."""
    from al_learner.core.exchange.fields import MAX_DIGITS
    from al_learner.core.labels.annotators import excerpt  # heavy: numpy

    is_number = text.isdecimal() and len(text) <= MAX_DIGITS
    with open_project(database) as project:
        found = project.explain(int(text) if is_number else text, label=label, clf_id=clf_id)
    if as_json:
        return print_json(asdict(found) | {"effects": [effect._asdict() for effect in found.effects]})
    say(f'{found.label}: {found.probability:.1%} for "{excerpt(found.text, SHOWN)}"')
    rows = [_row(effect) for effect in found.effects[:words]]
    if rest := found.effects[words:]:
        rows.append((f"{len(rest):,} more", f"{sum(effect.value for effect in rest):+z.2f}"))
    print_table(
        ("speaks for it (+) or against it (-)", "points"),
        [*rows, ("the label itself, without a word", f"{found.start:+z.2f}"), ("score", f"{found.score:+z.2f}")],
    )
    return say(
        "The score is the label's, minus the mean of all labels' scores. The label with the highest one is predicted."
    )


def _row(effect: Effect) -> tuple[str, str]:
    return effect.name, f"{effect.value:+z.2f}"
