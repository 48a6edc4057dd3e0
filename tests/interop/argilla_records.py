"""Reads and writes records with Argilla's own SDK; it runs in the SDK's environment, without a server.

`argilla_records.py write FOLDER` reads the questions from standard input and writes two files. `argilla_records.py read
FILE` prints what the SDK reads, `argilla_records.py flatten FILE` what it writes then.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import argilla as rg
from argilla.records._io import GenericIO, JsonIO

STATUS = {"vote": "submitted", "skip": "discarded", "draft": "draft"}
QUESTION = "topic"


def write(folder: Path, questions: dict[str, Any]) -> None:
    """Write the records nested, as `to_json` does, and flat, as `to_list(flatten=True)` gives them."""
    records = []
    for number, (record_id, text) in enumerate(questions["texts"].items(), 1):
        responses = [
            rg.Response(QUESTION, label, UUID(questions["users"][annotator]), STATUS[kind])
            for id_, annotator, label, kind in questions["answers"]
            if id_ == record_id and label is not None  # a response without a value is none for the SDK
        ]
        suggestions = [
            rg.Suggestion(QUESTION, label, score=score, agent=questions["model_version"])
            for label, score in [questions["predictions"].get(record_id, (None, None))]
            if label is not None
        ]
        records.append(
            rg.Record(
                id=record_id,
                fields={"text": text},
                metadata={"position": number},
                responses=responses,
                suggestions=suggestions,
            )
        )
    JsonIO.to_json(records, folder / "nested.json")
    flat = json.dumps(GenericIO.to_list(records, flatten=True), ensure_ascii=False, indent=1)
    (folder / "flat.json").write_text(flat + "\n", encoding="utf-8")


def flatten(file: Path) -> list[dict[str, Any]]:
    """Return the records of a file flat, as `to_list(flatten=True)` gives them."""
    return list(GenericIO.to_list(JsonIO._records_from_json(file), flatten=True))


def read(file: Path) -> list[dict[str, Any]]:
    """Return what the SDK would send to the server, were there one: the reader is that of `records.from_json`."""
    return [
        {
            "id": record.id,
            "fields": dict(record.fields),
            "metadata": dict(record.metadata),
            "responses": [
                [response.question_name, response.value, str(response.user_id), response.status]
                for response in record.responses
            ],
            "suggestions": [
                [suggestion.question_name, suggestion.value, suggestion.score, suggestion.agent]
                for suggestion in record.suggestions
            ],
        }
        for record in JsonIO._records_from_json(file)
    ]


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(Path(sys.argv[2]), json.load(sys.stdin))
    else:
        json.dump({"read": read, "flatten": flatten}[sys.argv[1]](Path(sys.argv[2])), sys.stdout)
