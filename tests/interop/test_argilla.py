"""Records of Argilla, and records for it, by its own SDK.

There is no server: Argilla's needs Elasticsearch or OpenSearch, which are no Python packages. So no test here says what
the server makes of records: whether it knows the users and takes the labels, that it takes a response without a status
for a draft, and what it exports of a response that was discarded without a value. `rg.Dataset` and all that begins with
it, such as `from_disk`, connect to the server first. The readers and writers here are those that its `records` call.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.interop.conftest import OwnProject, Votes
from tests.interop.make_exports import EXPORTS
from tests.interop.programs import argilla, argilla_user, email
from tests.interop.questions import ANNOTATORS, ANSWERS, LABELS, PREDICTIONS, TEXTS, VOTES

New = Callable[[], OwnProject]

NAMES = ("--name", "question=topic")

BY_USER: Votes = {(vote.id, argilla_user(vote.annotator), str(vote.label)) for vote in VOTES}

USERS = [option for name in ANNOTATORS for option in ("--annotator", f"{email(name)}={argilla_user(name)}")]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A folder with records that the SDK wrote."""
    (tmp_path / "argilla").mkdir()
    argilla("write", tmp_path / "argilla", home=tmp_path)
    return tmp_path / "argilla"


@pytest.fixture
def ours(new_project: New) -> OwnProject:
    """The same project here."""
    project = new_project()
    project.load((EXPORTS / "label-studio" / "snapshot.json").read_bytes(), "snapshot.json", "--id", "ref")
    return project


def test_flat_records_come_in_with_ids_votes_and_counts(written: Path, new_project: New) -> None:
    ours = new_project()
    loaded = ours.load((written / "flat.json").read_bytes(), "flat.json")
    assert (ours.texts(), ours.votes(), ours.labels()) == (TEXTS, BY_USER, set(LABELS))
    assert loaded["left_out"] == {"discarded": 1, "drafts": 1, "predictions": len(PREDICTIONS)}


def test_nested_records_are_refused_because_they_do_not_say_what_was_submitted(written: Path, new_project: New) -> None:
    ours = new_project()
    refused = ours.run("load", "project", written / "nested.json")
    assert refused.returncode != 0
    assert "flatten=True" in refused.stderr


def test_nested_records_come_in_if_all_are_said_to_be_submitted(written: Path, new_project: New) -> None:
    ours = new_project()
    ours.load((written / "nested.json").read_bytes(), "nested.json", "--assume-submitted")
    assert ours.texts() == TEXTS
    assert ours.votes() == {(a.id, argilla_user(a.annotator), a.label) for a in ANSWERS if a.label is not None}


def test_the_sdk_reads_votes_as_submitted_responses_and_writes_them_back(
    ours: OwnProject, new_project: New, tmp_path: Path
) -> None:
    file, again = ours.export("votes", "--format", "argilla", *NAMES, *USERS), new_project()
    records = json.loads(argilla("read", file, home=tmp_path))
    assert {record["id"]: record["fields"]["text"] for record in records} == {i: TEXTS[i] for i, _, _ in BY_USER}
    assert {(record["id"], user, label) for record in records for _, label, user, _ in record["responses"]} == BY_USER
    assert {(question, status) for r in records for question, _, _, status in r["responses"]} == {
        ("topic", "submitted")
    }
    again.load(argilla("flatten", file, home=tmp_path).encode(), "flat.json")
    assert again.votes() == BY_USER


def test_the_sdk_reads_predictions_as_suggestions_with_score_and_version(
    ours: OwnProject, new_project: New, tmp_path: Path
) -> None:
    ours.must("train", "--force")
    file, again = ours.export("predictions", "--format", "argilla", *NAMES), new_project()
    records = json.loads(argilla("read", file, home=tmp_path))
    assert {record["id"]: record["suggestions"] for record in records} == {
        row["external_id"]: [_suggestion(row)] for row in ours.rows("predictions")
    }
    assert [record for record in records if record["responses"]] == []
    loaded = again.load(argilla("flatten", file, home=tmp_path).encode(), "flat.json")
    assert (again.texts(), again.votes()) == (TEXTS, set())
    assert loaded["left_out"]["predictions"] == len(TEXTS)


def _suggestion(row: dict[str, Any]) -> list[Any]:
    label = row["predicted_label"]
    return ["topic", label, pytest.approx(row["probabilities"][label]), "al_learner-1"]
