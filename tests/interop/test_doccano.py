"""Projects from doccano, and labels for it; a real server and its worker on SQLite."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.interop.conftest import OwnProject, Votes
from tests.interop.make_exports import CSV_LABELS, EXPORTS
from tests.interop.programs import Doccano, doccano_lines
from tests.interop.questions import ANNOTATORS, LABELS, TEXTS, VOTES, Answer

pytestmark = pytest.mark.timeout(900)

New = Callable[[], OwnProject]

GIVEN: Votes = {(vote.id, vote.annotator, str(vote.label)) for vote in VOTES}


def _answered(doccano: Doccano, answers: list[Answer], *, collaborative: bool = False) -> int:
    project = doccano.create(collaborative=collaborative)
    doccano.upload(project, doccano_lines())
    doccano.annotate(project, answers)
    return project


def test_the_zip_with_a_file_for_each_member_comes_in(doccano: Doccano, new_project: New) -> None:
    ours = new_project()
    loaded = ours.load(doccano.export(_answered(doccano, VOTES), "JSONL"), "export.zip")
    assert (ours.texts(), ours.votes(), ours.labels()) == (TEXTS, GIVEN, set(LABELS))
    assert loaded["left_out"] == {"unlabelled": len(ANNOTATORS) * len(TEXTS) - len(VOTES)}


def test_the_zip_of_csv_comes_in(doccano: Doccano, new_project: New) -> None:
    ours, renamed = new_project(), dict(zip(LABELS, CSV_LABELS, strict=True))
    project = doccano.create(labels=CSV_LABELS)
    doccano.upload(project, doccano_lines())
    doccano.annotate(project, [vote._replace(label=renamed[str(vote.label)]) for vote in VOTES])
    ours.load(doccano.export(project, "CSV"), "export.zip")
    assert (ours.texts(), ours.votes()) == (TEXTS, {(i, who, renamed[label]) for i, who, label in GIVEN})


def test_a_label_in_csv_that_may_be_two_is_refused(doccano: Doccano, new_project: New) -> None:
    ours = new_project()
    (ours.folder / "export.zip").write_bytes(doccano.export(_answered(doccano, VOTES), "CSV"))
    refused = ours.run("load", "project", "export.zip")
    assert refused.returncode != 0
    assert "'c#'" in refused.stderr
    assert "JSONL" in refused.stderr


@pytest.mark.parametrize("export_format", ["JSONL", "JSON"])
def test_a_collaborative_project_comes_in_without_annotators(
    doccano: Doccano, new_project: New, export_format: str
) -> None:
    first_of_each = {vote.id: vote for vote in reversed(VOTES)}
    ours = new_project()
    project = _answered(doccano, [*first_of_each.values()], collaborative=True)
    loaded = ours.load(doccano.export(project, export_format), "export.zip")
    assert ours.texts() == TEXTS
    assert ours.votes() == {(vote.id, None, vote.label) for vote in first_of_each.values()}
    assert any("who" in warning for warning in loaded["warnings"])


def test_labels_go_to_doccano_and_come_back_as_those_of_the_uploader(doccano: Doccano, new_project: New) -> None:
    ours, again = new_project(), new_project()
    ours.load((EXPORTS / "doccano" / "members-jsonl.zip").read_bytes(), "export.zip")
    labels = {row["external_id"]: row["label"] for row in ours.rows("labels")}
    assert len(labels) == len({vote.id for vote in VOTES})
    there = doccano.create()
    doccano.upload(there, ours.export("labels", "--format", "doccano").read_bytes())
    again.load(doccano.export(there, "JSONL"), "export.zip")
    assert again.texts() == {id_: TEXTS[id_] for id_ in labels}
    assert again.votes() == {(id_, ANNOTATORS[0], label) for id_, label in labels.items()}


def test_texts_go_to_doccano_without_a_label(doccano: Doccano, new_project: New) -> None:
    ours = new_project()
    ours.load((EXPORTS / "doccano" / "members-jsonl.zip").read_bytes(), "export.zip")
    there = doccano.create()
    doccano.upload(there, ours.export("texts", "--format", "doccano").read_bytes())
    examples = doccano.examples(there)
    assert {example["meta"]["external_id"]: example["text"] for example in examples} == TEXTS
    assert [example for example in examples if doccano.categories(there, example["id"])] == []
