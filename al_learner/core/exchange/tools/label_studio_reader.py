"""Reads exports of Label Studio: JSON, JSON-MIN and CSV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from al_learner.core.errors import DataError
from al_learner.core.exchange.containers.records import Records
from al_learner.core.exchange.fields import COLUMNS, is_empty, listed, name_of
from al_learner.core.exchange.reading import ExportFormat, Reading, annotated, one_choice, only_question, vote
from al_learner.core.storage.exchange.annotated_texts import AnnotatedText, Vote

ON_TASKS = ("annotations", "completions", "predictions", "drafts")

ON_ROWS = ("annotation_id", "annotator", "lead_time", "updated_at")
"""What JSON-MIN and CSV add to each row."""

SERVER = {*ON_ROWS, "id", "created_at", "agreement"}


def _is_task(record: Mapping[str, Any]) -> bool:
    return isinstance(record.get("data"), Mapping) and any(isinstance(record.get(name), list) for name in ON_TASKS)


def _are_tasks(records: Sequence[Mapping[str, Any]]) -> bool:
    return any(map(_is_task, records))


def _are_rows(records: Sequence[Mapping[str, Any]]) -> bool:
    return bool(records) and all(name in record for record in records for name in ON_ROWS)


def read_tasks(records: Records, reading: Reading) -> Iterator[AnnotatedText]:
    """Yield the tasks of the JSON export. What was skipped, is a draft or a prediction is counted and left out."""
    tasks = list(records.rows)
    answers = [(where, task, list(_answers(where, task))) for where, task in tasks]
    questions = [name for _, _, found in answers for place, answer in found for name in _questions(place, answer)]
    others = [place for _, _, found in answers for place, answer in found if answer.get("result")]
    if others and not questions and reading.needs_votes:
        raise DataError(
            f"{others[0]}: the answers have no choices but {listed(_types(answers))}; only single-label classification "
            "of texts can be loaded"
        )
    question = only_question(records.source, questions, reading) if reading.needs_votes else ""
    _note_numbers(reading, (answer.get("completed_by") for _, _, found in answers for _, answer in found))
    for where, task, found in answers:
        data = task["data"] if isinstance(task.get("data"), Mapping) else task
        reading.left_out["drafts"] += _n(task.get("drafts"))
        reading.left_out["predictions"] += _n(task.get("predictions"))
        votes = list(_votes(found, question, reading)) if reading.needs_votes else []
        parts = [("data" if data is not task else "", data), ("meta", task.get("meta"))]
        own_id = task.get("id") if data is not task else None
        yield annotated(where, task, reading, data=parts, own_id=own_id, votes=votes)


def _answers(where: str, task: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    given = task.get("annotations", task.get("completions"))
    for number, answer in enumerate(given if isinstance(given, list) else [], 1):
        place = f"{where}, annotation {number}"
        if not isinstance(answer, Mapping):
            raise DataError(f"{place}: only the number of an annotation, not the annotation; export as JSON")
        yield place, answer


def _results(place: str, answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    results = answer.get("result") or []
    if not (isinstance(results, list) and all(isinstance(result, Mapping) for result in results)):
        raise DataError(f"{place}: `result` must be a list of objects")
    return results


def _questions(place: str, answer: Mapping[str, Any]) -> list[str]:
    return [name_of(result.get("from_name")) for result in _results(place, answer) if result.get("type") == "choices"]


def _types(answers: Iterable[tuple[str, Any, Any]]) -> list[str]:
    found = (name_of(result.get("type")) for _, _, of in answers for place, a in of for result in _results(place, a))
    return list(dict.fromkeys(found))


def _votes(answers: Iterable[tuple[str, Mapping[str, Any]]], question: str, reading: Reading) -> Iterator[Vote]:
    for place, answer in answers:
        if answer.get("was_cancelled") or answer.get("skipped"):
            reading.left_out["skipped"] += 1
            continue
        results = _results(place, answer)
        ours = [r for r in results if r.get("type") == "choices" and name_of(r.get("from_name")) == question]
        reading.left_out["other answers"] += len(results) - len(ours)
        choices = [choice for result in ours for choice in _choices(place, result)]
        if (label := one_choice(place, choices)) is None:
            reading.left_out["unanswered"] += 1
            continue
        time = answer.get("updated_at") or answer.get("created_at")
        yield vote(place, label, _annotator(answer.get("completed_by")), time)


def _choices(place: str, result: Mapping[str, Any]) -> list[Any]:
    value = result.get("value")
    choices = value.get("choices", []) if isinstance(value, Mapping) else value
    if not isinstance(choices, list):
        raise DataError(f"{place}: `choices` must be a list")
    return choices


def _annotator(by: Any) -> Any:
    if isinstance(by, Mapping):
        return next((by[name] for name in ("email", "id") if not is_empty(by.get(name))), None)
    return by


def _note_numbers(reading: Reading, annotators: Iterable[Any]) -> None:
    if reading.needs_votes and any(name_of(annotator).isdecimal() for annotator in annotators):
        reading.notes.append(
            "this export names annotators by numbers; a snapshot (/api/projects/ID/exports/) that is made with "
            "annotations__completed_by.only_id=false has their e-mail addresses"
        )


def _n(items: Any) -> int:
    return len(items) if isinstance(items, list) else 0


def read_rows(records: Records, reading: Reading) -> Iterator[AnnotatedText]:
    """Yield the texts of JSON-MIN or CSV, once for each annotation; a row without an answer has no vote."""
    rows = list(records.rows)
    question = _row_question(records.source, rows, reading) if reading.needs_votes else ""
    _note_numbers(reading, (row.get("annotator") for _, row in rows))
    for where, row in rows:
        votes = []
        label = one_choice(where, _choice_of_row(where, row.get(question))) if question else None
        if label is not None and label != "":
            votes = [vote(where, label, row.get("annotator"), row.get("updated_at") or row.get("created_at"))]
        elif reading.needs_votes:
            reading.left_out["unanswered"] += 1
        yield annotated(where, row, reading, data=[("", _without_own(row))], own_id=row.get("id"), votes=votes)


def _without_own(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row without the server's id, which may be another one than the text had."""
    return {name: value for name, value in row.items() if name != "id"}


def _row_question(source: str, rows: Sequence[tuple[str, Mapping[str, Any]]], reading: Reading) -> str:
    columns = list(dict.fromkeys(name for _, row in rows for name in row))
    if reading.question is not None:
        return only_question(source, columns, reading)
    taken = {*SERVER, *COLUMNS["text"], *COLUMNS["text_id"], *COLUMNS["id"], *reading.columns.values()}
    names = [name for name in columns if name not in taken and name != reading.id_column]
    if len(names) > 1 and (added := _added(rows)):
        names = [name for name in names if name in added]
    if not names:
        raise DataError(
            f"{source}: no column has the labels; found {listed(columns)}. The question may have the name of the "
            "text's key: the JSON export has both"
        )
    if len(names) > 1:
        raise DataError(
            f"{source}: one of these columns has the labels: {listed(names)}. Say which one with --question NAME, in "
            "Python with question=NAME; the JSON export says it itself"
        )
    return names[0]


def _added(rows: Sequence[tuple[str, Mapping[str, Any]]]) -> set[str]:
    """Return what JSON-MIN adds to the data of a task: answers stand between ``id`` and ``annotator``.

    CSV sorts its columns, so there nothing stands between them that would be an answer for sure.
    """
    added: set[str] = set()
    for _, row in rows:
        names = list(row)
        if names == sorted(names):
            return set()
        added |= {*names[names.index("id") + 1 : names.index("annotator")]} if "id" in row else set()
    return added


def _choice_of_row(where: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        if "choices" not in value:
            raise DataError(f"{where}: this is no choice; only single-label classification of texts can be loaded")
        return value["choices"]
    if isinstance(value, str) and value.startswith('{"choices":'):
        raise DataError(f"{where}: several choices on one text. Only single-label classification can be loaded")
    return value


FORMATS = (
    ExportFormat("Label Studio export (JSON)", _are_tasks, read_tasks, has_questions=True),
    ExportFormat("Label Studio export with a row for each annotation", _are_rows, read_rows, has_questions=True),
)
