"""Examples for doccano, as JSON lines."""

from __future__ import annotations

from collections.abc import Iterator

from al_learner.core.errors import DataError
from al_learner.core.exchange.output.contents import Contents
from al_learner.core.exchange.tools.writing import Record, Target, ids

NAMES = {"text": "text", "label": "label"}
"""The columns of text and label, as doccano's import dialogue asks for them."""

REFUSED = {
    "predictions": "doccano has no predictions: it would take them for labels that a person gave. Export labels, or "
    "texts, for doccano; or predictions as CSV",
    "votes": "doccano keeps neither several labels of a single-label example nor who gave them. Export labels for "
    "doccano; or votes as CSV",
}


def records(contents: Contents, target: Target) -> Iterator[Record]:
    """Yield an example for each text; doccano keeps the ids as metadata.

    ``label`` is a list with one label; without a label it is empty. Whoever uploads the file is the annotator.

    Raises
    ------
    DataError
        doccano has no such thing.
    """
    if contents.what in REFUSED:
        raise DataError(REFUSED[contents.what])
    if clash := {*target.names.values()} & {"text_id", "external_id"}:
        raise DataError(f"neither text nor label can have the name {min(clash)!r}: that is the column of an id")
    for text in contents.texts:
        has_label = contents.what == "labels" and text.label is not None
        label = [text.label] if has_label else []
        yield {target.names["text"]: text.text, target.names["label"]: label, **ids(text)}
