"""Exports of annotation tools, and what is read from them without a database."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from al_learner.core.exchange.reading import merged
from al_learner.core.exchange.sources import Options, open_source

EXPORTS = Path(__file__).parents[1] / "data" / "exports"


@dataclass(frozen=True)
class Read:
    """What was read: what it was taken for, texts by id or by their wording, votes, and what was left out."""

    kind: str
    texts: dict[str, str]
    votes: list[tuple[str, str, str]]
    left_out: dict[str, int]
    labels: list[str]
    notes: list[str]


def read(source: Any, *, needs_votes: bool = True, **options: Any) -> Read:
    """Read a source as `Project.load_project` does. A vote is the id or the wording of its text, annotator, label."""
    fields = ("text", "label", "user", "id")
    with open_source(source, "texts", Options(**options), needs_votes=needs_votes) as opened:
        texts = list(merged(opened.texts(fields, fields[1:], max_label_length=50), opened.reading))
        reading = opened.reading
    return Read(
        opened.kind,
        {text.external_id or text.text: text.text for text in texts},
        [(text.external_id or text.text, vote.annotator, vote.label) for text in texts for vote in text.votes],
        {what: n for what, n in reading.left_out.items() if n},
        list(dict.fromkeys([*reading.labels, *(vote.label for text in texts for vote in text.votes)])),
        reading.notes,
    )
