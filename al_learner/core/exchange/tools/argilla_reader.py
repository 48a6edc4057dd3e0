"""Reads records of Argilla 2: flattened, with the status of every response, and nested, without."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from al_learner.core.errors import DataError
from al_learner.core.exchange.containers.records import Records
from al_learner.core.exchange.fields import is_empty, name_of
from al_learner.core.exchange.reading import ExportFormat, Reading, annotated, one_choice, only_question, vote
from al_learner.core.storage.exchange.annotated_texts import AnnotatedText, Vote

RESPONSES, SUGGESTION = ".responses", ".suggestion"

SUBMITTED = "submitted"

LEFT_OUT = {"draft": "drafts", "discarded": "discarded"}
"""How responses that are no votes are counted, by their status."""

FLAT_EXPORT = "dataset.records(with_responses=True).to_list(flatten=True)"


def _are_nested(records: Sequence[Mapping[str, Any]]) -> bool:
    return bool(records) and all(
        isinstance(record.get("fields"), Mapping) and isinstance(record.get("responses", {}), Mapping | list)
        and ("responses" in record or "suggestions" in record or "_server_id" in record)
        for record in records
    )  # fmt: skip


def _are_flat(records: Sequence[Mapping[str, Any]]) -> bool:
    return bool(records) and all(
        "fields" not in record
        and (
            {"id", "status", "_server_id"} <= record.keys()
            or any(name_of(name).endswith((f"{RESPONSES}.status", f"{RESPONSES}.users")) for name in record)
        )
        for record in records
    )


def read_nested(records: Records, reading: Reading) -> Iterator[AnnotatedText]:
    """Yield the records of ``to_json`` or ``to_list``, which do not say the status of a response.

    Raises
    ------
    DataError
        Votes are needed, there are responses without a status, and the caller does not assume that they are submitted.
    """
    rows = list(records.rows)
    given = [(where, record, _responses_of(where, record)) for where, record in rows]
    questions = (name for _, _, of in given for name in of)
    question = only_question(records.source, questions, reading) if reading.needs_votes else ""
    for where, record, responses in given:
        suggestions = record.get("suggestions")
        reading.left_out["predictions"] += len(suggestions) if isinstance(suggestions, Mapping | list) else 0
        votes: list[Vote] = []
        if reading.needs_votes:
            for response in responses.get(question, []):
                status = response.get("status", SUBMITTED if reading.assume_submitted else None)
                if status is None:
                    raise DataError(_no_status(where))
                votes += _votes(where, response.get("value"), response.get("user_id"), status, reading)
        fields = record["fields"]
        data = [("fields", _with_text(fields)), ("metadata", record.get("metadata"))]
        yield annotated(where, record, reading, data=data, own_id=record.get("id"), votes=votes)


def _no_status(where: str) -> str:
    return (
        f"{where}: Argilla's nested records do not say which responses are submitted, drafts or discarded. Write what "
        f"{FLAT_EXPORT} returns with json.dump: it says so. If you know that all of them are submitted, use "
        "--assume-submitted, in Python assume_submitted=True"
    )


def _responses_of(where: str, record: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    responses = record.get("responses") or {}
    if not isinstance(responses, Mapping):
        raise DataError(f"{where}: `responses` must be an object with a list for each question")
    found: dict[str, list[Mapping[str, Any]]] = {}
    for question, given in responses.items():
        if not (isinstance(given, list) and all(isinstance(response, Mapping) for response in given)):
            raise DataError(f"{where}: the responses to {question!r} must be a list of objects")
        found[question] = given
    return found


def _with_text(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields in which the only one is the text, whatever its name."""
    if len(fields) == 1 and isinstance(text := next(iter(fields.values())), str) and not text.startswith("data:"):
        return {"text": text}
    return dict(fields)


def read_flat(records: Records, reading: Reading) -> Iterator[AnnotatedText]:
    """Yield flattened records, or those of a dataset that Argilla wrote. Only submitted responses are votes."""
    rows = list(records.rows)
    names = dict.fromkeys(name_of(name) for _, record in rows for name in record)
    questions = [name.removesuffix(RESPONSES) for name in names if name.endswith(RESPONSES)]
    question = only_question(records.source, questions, reading) if reading.needs_votes else ""
    for where, record in rows:
        reading.left_out["predictions"] += sum(
            name_of(name).endswith(SUGGESTION) and value is not None for name, value in record.items()
        )
        classes = records.class_names.get(f"{question}{RESPONSES}", ())
        votes = list(_flat_votes(where, record, question, classes, reading)) if question else []
        data = [("", {name: value for name, value in record.items() if name != "id"})]
        yield annotated(where, record, reading, data=data, own_id=record.get("id"), votes=votes)


def _flat_votes(
    where: str, record: Mapping[str, Any], question: str, classes: Sequence[str], reading: Reading
) -> Iterator[Vote]:
    column = f"{question}{RESPONSES}"
    lists: list[Any] = [record.get(name) for name in (column, f"{column}.users", f"{column}.status")]
    values, users, statuses = ([] if is_empty(given) else given for given in lists)
    if not all(isinstance(given, list) for given in (values, users, statuses)):
        raise DataError(f"{where}: {column!r}, its users and its status must be lists")
    if not statuses and values and reading.assume_submitted:
        statuses = [SUBMITTED] * len(values)
    if not statuses and values:
        raise DataError(_no_status(where))
    if not len(values) == len(users) == len(statuses):
        raise DataError(
            f"{where}: {column!r} has {len(values)} values, {len(users)} users and {len(statuses)} statuses"
        )
    for value, user, status in zip(values, users, statuses, strict=True):
        is_number = isinstance(value, int) and 0 <= value < len(classes)
        yield from _votes(where, classes[value] if is_number else value, user, status, reading)


def _votes(where: str, value: Any, user: Any, status: Any, reading: Reading) -> Iterator[Vote]:
    if status != SUBMITTED:
        reading.left_out[LEFT_OUT.get(name_of(status), "without a status")] += 1
        return
    if isinstance(value, Mapping):
        raise DataError(f"{where}: the answer is no label; only single-label classification of texts can be loaded")
    if is_empty(label := one_choice(where, value)):
        reading.left_out["unanswered"] += 1
    else:
        yield vote(where, label, user)


FORMATS = (
    ExportFormat("Argilla records", _are_flat, read_flat, has_questions=True),
    ExportFormat("Argilla records, nested", _are_nested, read_nested, has_questions=True),
)
