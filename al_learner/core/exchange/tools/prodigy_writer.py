"""Tasks for Prodigy's choice interface, as JSON lines: with answers for ``db-in``, or without for a stream."""

from __future__ import annotations

from collections.abc import Iterator

from al_learner.core.exchange.output.contents import Contents, ExportedText
from al_learner.core.exchange.tools.writing import Record, Target, ids, model

NAMES: dict[str, str] = {}
"""Prodigy's own names are fixed."""


def records(contents: Contents, target: Target) -> Iterator[Record]:
    """Yield a task for each text, of `votes` for each vote. Every label of the project is an option.

    Only labels and votes have an ``answer``. A prediction only fills in its option, so it is no annotation yet.
    """
    options = [{"id": label, "text": label} for label in contents.label_names]
    for text in contents.texts:
        task = {
            "text": text.text,
            "meta": ids(text),
            "options": options,
            "_view_id": "choice",
            "config": {"choice_style": "single"},
        }
        if contents.what == "votes":
            for label, annotator in text.votes:
                yield task | _answer(label, target.annotator_id(annotator))
        elif contents.what == "labels" and text.label is not None:
            yield task | _answer(text.label, target.annotator_id(text.annotator))
        elif contents.what == "predictions":
            yield task | _suggestion(text)
        else:
            yield task


def _answer(label: str, annotator: str | None) -> Record:
    by = {"_annotator_id": annotator, "_session_id": annotator} if annotator else {}
    return {"accept": [label], "answer": "accept", **by}


def _suggestion(text: ExportedText) -> Record:
    if (said := text.prediction) is None:
        return {}
    score = said.probabilities[said.label]
    return {
        "accept": [said.label],
        "score": score,
        "meta": {**ids(text), "score": score, "model": model(said)},
    }
