"""Projects from Label Studio, and votes and predictions for it; a real server on SQLite."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.interop.conftest import OwnProject, Votes
from tests.interop.make_exports import EXPORTS
from tests.interop.programs import LabelStudio, email, label_studio_tasks
from tests.interop.questions import ANNOTATORS, ANSWERS, LABELS, PREDICTIONS, TEXTS, VOTES

pytestmark = pytest.mark.timeout(900)

New = Callable[[], OwnProject]

NAMES = ("--name", "from_name=topic", "--name", "to_name=question")
"""Of the tags in the project's labelling configuration."""

BY_EMAIL: Votes = {(vote.id, email(vote.annotator), str(vote.label)) for vote in VOTES}


@pytest.fixture(scope="module")
def answered(label_studio: LabelStudio) -> int:
    """A project in which the annotators have answered."""
    project = label_studio.create(label_studio_tasks())
    label_studio.annotate(project, ANSWERS)
    return project


@pytest.fixture
def ours(new_project: New) -> OwnProject:
    """The same project here."""
    project = new_project()
    project.load((EXPORTS / "label-studio" / "snapshot.json").read_bytes(), "snapshot.json", "--id", "ref")
    return project


def test_the_json_export_comes_in_with_ids_votes_and_counts(
    label_studio: LabelStudio, answered: int, new_project: New
) -> None:
    ours, numbers = new_project(), label_studio.numbers()
    loaded = ours.load(label_studio.export(answered, "JSON"), "export.json", "--id", "ref")
    assert ours.texts() == TEXTS
    assert ours.votes() == {(vote.id, numbers[email(vote.annotator)], vote.label) for vote in VOTES}
    assert ours.labels() == set(LABELS)
    assert loaded["left_out"] == {"skipped": 2, "drafts": 1, "predictions": len(PREDICTIONS)}


def test_a_snapshot_comes_in_with_the_email_addresses_of_annotators(
    label_studio: LabelStudio, answered: int, new_project: New
) -> None:
    ours = new_project()
    loaded = ours.load(label_studio.snapshot(answered), "snapshot.json", "--id", "ref")
    assert (ours.texts(), ours.votes()) == (TEXTS, BY_EMAIL)
    assert loaded["left_out"] == {"skipped": 2, "drafts": 1, "predictions": len(PREDICTIONS)}


@pytest.mark.parametrize(("export_format", "name"), [("JSON_MIN", "export.json"), ("CSV", "export.csv")])
@pytest.mark.parametrize("is_snapshot", [False, True], ids=["export", "snapshot"])
def test_the_flat_exports_come_in_without_the_text_that_was_only_skipped(
    label_studio: LabelStudio, answered: int, new_project: New, export_format: str, name: str, *, is_snapshot: bool
) -> None:
    ours, numbers = new_project(), label_studio.numbers()
    content = (label_studio.snapshot if is_snapshot else label_studio.export)(answered, export_format)
    loaded = ours.load(content, name, "--id", "ref")
    assert ours.texts() == {id_: text for id_, text in TEXTS.items() if id_ != "Q-10"}
    called = {annotator: email(annotator) if is_snapshot else numbers[email(annotator)] for annotator in ANNOTATORS}
    assert ours.votes() == {(vote.id, called[vote.annotator], vote.label) for vote in VOTES}
    assert loaded["left_out"] == {"unanswered": 3}


def test_the_id_may_be_in_the_metadata(label_studio: LabelStudio, answered: int, new_project: New) -> None:
    ours = new_project()
    ours.load(label_studio.export(answered, "JSON"), "export.json", "--id", "thread")
    assert ours.texts() == {f"thread-{number}": text for number, text in enumerate(TEXTS.values(), 1)}


def test_votes_go_to_label_studio_and_come_back(label_studio: LabelStudio, ours: OwnProject, new_project: New) -> None:
    file = ours.export("votes", "--format", "label-studio", *NAMES)
    there = label_studio.create(json.loads(file.read_bytes()))
    tasks = label_studio.tasks(there)
    annotations = [annotation for task in tasks for annotation in task["annotations"]]
    by = Counter(annotation["completed_by"] for annotation in annotations)
    numbers = label_studio.numbers()
    assert by == Counter(int(numbers[who]) for _, who, _ in BY_EMAIL)
    assert [annotation for annotation in annotations if annotation["ground_truth"] or annotation["was_cancelled"]] == []
    again = new_project()
    loaded = again.load(label_studio.snapshot(there), "snapshot.json")
    assert (again.texts(), again.votes()) == (TEXTS, BY_EMAIL)
    assert not any(loaded["left_out"].values())


def test_labels_are_annotations_of_those_who_gave_them(label_studio: LabelStudio, ours: OwnProject) -> None:
    file = ours.export("labels", "--format", "label-studio", *NAMES)
    there = label_studio.create(json.loads(file.read_bytes()))
    found = {
        task["data"]["external_id"]: (annotation["result"][0]["value"]["choices"], annotation["ground_truth"])
        for task in label_studio.tasks(there)
        for annotation in task["annotations"]
    }
    assert found == {row["external_id"]: ([row["label"]], False) for row in ours.rows("labels")}


def test_predictions_are_pre_annotations_with_score_and_version_and_no_votes(
    label_studio: LabelStudio, ours: OwnProject, new_project: New
) -> None:
    ours.must("train", "--force")
    file = ours.export("predictions", "--format", "label-studio", *NAMES)
    there = label_studio.create(json.loads(file.read_bytes()))
    shown = {task["data"]["external_id"]: _predictions(task) for task in label_studio.tasks(there)}
    predicted = ours.rows("predictions")
    assert len(predicted) == len(TEXTS)
    assert shown == {
        row["external_id"]: [
            (row["predicted_label"], pytest.approx(row["probabilities"][row["predicted_label"]]), "al_learner-1")
        ]
        for row in predicted
    }
    again = new_project()
    loaded = again.load(label_studio.export(there, "JSON"), "export.json")
    assert (again.texts(), again.votes()) == (TEXTS, set())
    assert loaded["left_out"]["predictions"] == len(TEXTS)


def _predictions(task: dict[str, Any]) -> list[tuple[str, float, str]]:
    return [
        (prediction["result"][0]["value"]["choices"][0], prediction["score"], prediction["model_version"])
        for prediction in task["predictions"]
    ]
