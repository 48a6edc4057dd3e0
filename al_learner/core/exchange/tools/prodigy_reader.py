"""Reads what Prodigy's db-out writes: answers to binary questions, and choices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from al_learner.core.errors import DataError
from al_learner.core.exchange.containers.records import Records
from al_learner.core.exchange.fields import is_empty, listed, name_of
from al_learner.core.exchange.reading import ExportFormat, Reading, annotated, one_choice, vote
from al_learner.core.storage.exchange.annotated_texts import AnnotatedText, Vote

ANSWERS = ("accept", "reject", "ignore")

HASHES = ("_input_hash", "_task_hash")


def _are_tasks(records: Sequence[Mapping[str, Any]]) -> bool:
    """Whether there is a task. Its answer alone is enough, or a reject would be taken for the label of its text."""
    return any(
        record.get("answer") in ANSWERS
        or any(name in record for name in HASHES)
        or (isinstance(record.get("options"), list) and "_view_id" in record)
        for record in records
    )


def read_tasks(records: Records, reading: Reading) -> Iterator[AnnotatedText]:
    """Yield the tasks. A text has a vote only where the answer was `accept`, or `reject` of one of two labels."""
    tasks = list(records.rows)
    labels = dict.fromkeys(name_of(task["label"]) for _, task in tasks if not is_empty(task.get("label")))
    classes = {*labels, *reading.known_labels}
    other = dict(zip(sorted(classes), sorted(classes, reverse=True), strict=True)) if len(classes) == 2 else {}
    n_other = 0
    for where, task in tasks:
        _check(where, task)
        reading.labels.update((name_of(i), where) for i in _option_ids(where, task) if name_of(i) not in reading.labels)
        label = _label(where, task, reading, other) if reading.needs_votes else None
        n_other += label is not None and task.get("answer") == "reject"
        votes = [] if label is None else [_vote(where, task, label)]
        own_id = task.get("_input_hash")
        data = [("", task), ("meta", task.get("meta"))]
        yield annotated(where, task, reading, data=data, own_id=own_id, votes=votes)
    if (n_rejected := reading.left_out["rejected"]) and len(classes) == 1:
        reading.notes.append(
            f"{n_rejected:,} rejects of {listed(sorted(classes))} are left out; they are votes for another label if "
            "you load both labels first, with `al-learner load labels`"
        )
    if n_other:
        reading.notes.append(f"rejects count as votes for the other one of {listed(sorted(classes))}: {n_other:,}")


def _check(where: str, task: Mapping[str, Any]) -> None:
    if "image" in task or "audio" in task or "video" in task:
        raise DataError(f"{where}: this is no text; only single-label classification of texts can be loaded")
    if task.get("spans") and is_empty(task.get("label")) and not task.get("options"):
        raise DataError(f"{where}: these are spans of a text; only single-label classification can be loaded")


def _option_ids(where: str, task: Mapping[str, Any]) -> list[Any]:
    options = task.get("options") or []
    if not (isinstance(options, list) and all(isinstance(option, Mapping) for option in options)):
        raise DataError(f"{where}: `options` must be a list of objects")
    return [option["id"] for option in options if not is_empty(option.get("id"))]


def _label(where: str, task: Mapping[str, Any], reading: Reading, other: Mapping[str, str]) -> Any:
    """Return the label that the annotator gave; None, and count why, if there is none."""
    answer, accepted = task.get("answer"), one_choice(where, task.get("accept"))
    is_choice = bool(task.get("options")) or "accept" in task
    if is_empty(answer):
        reading.left_out["prefilled" if not is_empty(accepted) else "unanswered"] += 1
    elif answer == "ignore":
        reading.left_out["ignored"] += 1
    elif answer == "reject" and not is_choice and name_of(task.get("label")) in other:
        return other[name_of(task.get("label"))]
    elif answer == "reject":
        reading.left_out["rejected"] += 1
    elif answer != "accept":
        raise DataError(f"{where}: the answer is {name_of(answer)!r}; allowed: {', '.join(ANSWERS)}")
    elif is_empty(label := accepted if is_choice else task.get("label")):
        reading.left_out["unanswered"] += 1
    else:
        return label
    return None


def _vote(where: str, task: Mapping[str, Any], label: Any) -> Vote:
    annotator = next((task[name] for name in ("_annotator_id", "_session_id") if not is_empty(task.get(name))), None)
    return vote(where, label, annotator, task.get("_timestamp"))


FORMATS = (ExportFormat("Prodigy annotations", _are_tasks, read_tasks, has_questions=False),)
