"""Puts records into Argilla's server and gets them out, with Argilla's own SDK; it runs in the SDK's environment.

`argilla_records.py put DATASET FILE LABEL...` creates a dataset from a JSON file. `argilla_records.py get DATASET
FOLDER` writes the records nested, as `to_json` does, and flat, as `to_list(flatten=True)` returns them. The variables
ARGILLA_API_URL and ARGILLA_API_KEY say who asks which server.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import argilla as rg

WORKSPACE = "team"


def put(name: str, file: str, *labels: str) -> None:
    settings = rg.Settings(
        fields=[rg.TextField(name="text")],
        questions=[rg.LabelQuestion(name="topic", labels=list(labels))],
        metadata=[rg.IntegerMetadataProperty(name="position")],
        distribution=rg.TaskDistribution(min_submitted=2),
    )
    dataset = rg.Dataset(name=name, workspace=WORKSPACE, settings=settings)
    dataset.create()
    dataset.records.from_json(file)


def get(name: str, folder: str) -> None:
    records = rg.Argilla().datasets(name=name, workspace=WORKSPACE).records
    records.to_json(Path(folder, "nested.json"))
    flat = json.dumps(records.to_list(flatten=True), ensure_ascii=False, indent=1)
    Path(folder, "flat.json").write_text(flat + "\n", encoding="utf-8")


if __name__ == "__main__":
    {"put": put, "get": get}[sys.argv[1]](*sys.argv[2:])
