"""Records for Argilla 2, as a JSON list that ``dataset.records.from_json`` reads."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from al_learner.core.errors import DataError
from al_learner.core.exchange.output.contents import Contents, ExportedText
from al_learner.core.exchange.tools.writing import Record, Target, check_annotators, model

NAMES = {"field": "text", "question": "label"}
"""The dataset's field with the text, and its label question."""

ONE_RESPONSE = "votes were left out, because the same annotator voted on the text again later, and Argilla keeps one"


def records(contents: Contents, target: Target) -> Iterator[Record]:
    """Yield a record for each text, with submitted responses, or with a suggestion.

    Its id is the external id, if the text has one, else the text_id. If a status were missing, Argilla would take a
    response for a draft.

    Raises
    ------
    DataError
        An annotator is no user of Argilla, or nobody is named.
    """
    if contents.what in ("labels", "votes"):
        check_annotators(
            contents,
            target,
            _is_uuid,
            named_by="Argilla names annotators by the UUIDs of its users",
            remedy="Say who each of them is there: --annotator '{name}=UUID'",
        )
    for text in contents.texts:
        record = {
            "id": str(text.text_id) if text.external_id is None else text.external_id,
            "fields": {target.names["field"]: text.text},
        }
        yield record | _judgement(contents.what, text, target)


def _judgement(what: str, text: ExportedText, target: Target) -> Record:
    question = target.names["question"]
    if what == "predictions" and (said := text.prediction):
        suggestion = {"value": said.label, "score": said.probabilities[said.label], "agent": model(said)}
        return {"suggestions": {question: suggestion}}
    if what == "labels" and text.label is not None:
        return {"responses": {question: [_response(text, text.label, target.annotator_id(text.annotator))]}}
    if what == "votes":
        last = {target.annotator_id(annotator): label for label, annotator in text.votes}
        target.left_out[ONE_RESPONSE] += len(text.votes) - len(last)
        return {"responses": {question: [_response(text, label, user_id) for user_id, label in last.items()]}}
    return {"responses": {}}


def _response(text: ExportedText, label: str, user_id: str | None) -> Record:
    if user_id is None:
        raise DataError(
            f"text {text.text_id}: the label {label!r} has no annotator, and Argilla takes no response without a user: "
            f"say who gives such labels there with --annotator '=UUID'"
        )
    return {"value": label, "user_id": user_id, "status": "submitted"}


def _is_uuid(name: str) -> bool:
    try:
        UUID(name)
    except ValueError:
        return False
    return True
