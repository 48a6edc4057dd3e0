"""Tasks for Label Studio, as a JSON list: with annotations, or with predictions as pre-annotations."""

from __future__ import annotations

from collections.abc import Iterator

from al_learner.core.errors import DataError
from al_learner.core.exchange.output.contents import Contents, ExportedText
from al_learner.core.exchange.tools.writing import Record, Target, check_annotators, ids, model

NAMES = {"text": "text", "from_name": "label", "to_name": "text"}
"""The key of the text in ``data``; the names of the tags Choices and Text in the labelling configuration."""


def records(contents: Contents, target: Target) -> Iterator[Record]:
    """Yield a task for each text.

    Of `labels`, each has one annotation, by the first annotator who voted for the label. Of `votes`, it has an
    annotation for each vote. ``ground_truth`` is false: if it were missing, Label Studio would take it for true.

    Raises
    ------
    DataError
        An annotator has no e-mail address; or the text's key is one of those that hold ids.
    """
    if target.names["text"] in ("text_id", "external_id"):
        raise DataError(f"the text cannot have the name {target.names['text']!r} in `data`: that is the key of an id")
    if contents.what in ("labels", "votes"):
        check_annotators(
            contents,
            target,
            lambda name: "@" in name,
            named_by="Label Studio names annotators by their e-mail addresses",
            remedy="Say who each of them is there, --annotator '{name}=EMAIL', or leave out all with --anonymous",
        )
    for text in contents.texts:
        yield {"data": {target.names["text"]: text.text, **ids(text)}, **_judgements(contents.what, text, target)}


def _judgements(what: str, text: ExportedText, target: Target) -> Record:
    if what == "predictions" and (said := text.prediction):
        score = said.probabilities[said.label]
        result = [_choice(said.label, target)]
        return {"predictions": [{"result": result, "score": score, "model_version": model(said)}]}
    if what == "labels" and text.label is not None:
        return {"annotations": [_annotation(text.label, text.annotator, target)]}
    if what == "votes":
        return {"annotations": [_annotation(label, annotator, target) for label, annotator in text.votes]}
    return {"annotations": []}


def _annotation(label: str, annotator: str | None, target: Target) -> Record:
    email = target.annotator_id(annotator)
    by = {"completed_by": {"email": email}} if email else {}
    return {"result": [_choice(label, target)], **by, "was_cancelled": False, "ground_truth": False}


def _choice(label: str, target: Target) -> Record:
    names = {name: target.names[name] for name in ("from_name", "to_name")}
    return {**names, "type": "choices", "value": {"choices": [label]}}
