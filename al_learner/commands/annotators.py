"""`al-learner annotators`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from al_learner.commands.shared import Database, Json, open_project, print_json, print_table, say
from al_learner.core.representation import share


def annotators(
    texts: Annotated[int, typer.Option(min=0, help="How many of the most disputed texts to show.")] = 10,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Show how annotators agree with the aggregated labels, their estimated accuracy, and the most disputed texts."""
    with open_project(database) as project:
        found = project.annotators(n_disputed=texts)
    if as_json:
        return print_json(asdict(found))
    if not found.annotators:
        return say("there are no votes yet")
    by = f" ({found.estimated_by})" if found.estimated_by else ""
    print_table(
        ("annotator", "votes", "on shared texts", "agreement", f"estimated accuracy{by}"),
        [
            (a.name or "(anonymous)", f"{a.votes:,}", f"{a.shared:,}", share(a.agreement), share(a.accuracy))
            for a in found.annotators
        ],
    )
    if found.problem:
        say(f"the accuracy cannot be estimated: {found.problem}", err=True)
    say(f"{found.n_disputed:,} texts have votes for different labels{'; most disputed:' if found.disputed else ''}")
    if found.disputed:
        from al_learner.core.labels.annotators import TIES  # heavy: numpy

        print_table(
            ("text_id", "votes", "label", "entropy", "text"),
            [
                (
                    str(text.text_id),
                    ", ".join(f"{label} {n}" for label, n in text.votes.items()),
                    text.label,
                    f"{text.entropy:.2f}",
                    text.excerpt,
                )
                for text in found.disputed
            ],
        )
        say(TIES)
    return None
