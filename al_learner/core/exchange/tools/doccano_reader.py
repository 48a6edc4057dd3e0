"""Reads exports of doccano: JSON lines, JSON and CSV, and the zip file with a file for each member."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from al_learner.core.errors import DataError
from al_learner.core.exchange.containers.records import Records
from al_learner.core.exchange.fields import is_empty
from al_learner.core.exchange.reading import ExportFormat, Reading, annotated, one_choice, vote
from al_learner.core.storage.exchange.annotated_texts import AnnotatedText

TOGETHER = "all"
"""The file's name in the zip file of a project that its members annotate together."""

COMMENTS = "Comments"
"""A column that doccano adds to every export."""

NAMES = ("label", "labels")


def _are_lists(records: Sequence[Mapping[str, Any]]) -> bool:
    return bool(records) and all(
        isinstance(record.get("text", record.get("data")), str)
        and isinstance(_labels(record), list)
        and "users" not in record
        for record in records
    )


def _are_joined(records: Sequence[Mapping[str, Any]]) -> bool:
    return bool(records) and all(
        {"id", "text", "label", COMMENTS} <= record.keys() and not isinstance(record["label"], list)
        for record in records
    )


def _labels(record: Mapping[str, Any]) -> Any:
    return next((record[name] for name in NAMES if name in record), None)


def read_examples(records: Records, reading: Reading) -> Iterator[AnnotatedText]:
    """Yield the examples. Those without a label are texts without a vote; no negative is among them."""
    if records.member in ("", TOGETHER) and reading.needs_votes:
        reading.notes.append(
            "this export does not say who gave the labels; each counts as that of another annotator. In the zip file "
            "of a project that is not collaborative, the names of the files are those of the annotators"
        )
    annotator = "" if records.member == TOGETHER else records.member
    for where, record in records.rows:
        label = _label(where, _labels(record))
        votes = []
        if is_empty(label):
            reading.left_out["unlabelled"] += reading.needs_votes
        elif reading.needs_votes:
            votes = [vote(where, label, annotator)]
        data = [("", record), ("meta", record.get("meta")), ("metadata", record.get("metadata"))]
        yield annotated(where, record, reading, data=data, votes=votes)


def _label(where: str, value: Any) -> Any:
    if isinstance(value, str) and "#" in value:
        raise DataError(
            f"{where}: the label is {value!r}, which may be several labels or one that contains #: export JSONL, which "
            "says which it is"
        )
    return one_choice(where, value)


FORMATS = (
    ExportFormat("doccano export", _are_lists, read_examples, has_questions=False),
    ExportFormat("doccano export", _are_joined, read_examples, has_questions=False),
)
