"""Records from Argilla, and votes and predictions for it; the SDK with a real server on SQLite, without search."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.interop.argilla import Argilla, argilla_records, argilla_user
from tests.interop.conftest import OwnProject, Votes
from tests.interop.make_exports import EXPORTS
from tests.interop.program import email
from tests.interop.questions import ANNOTATORS, ANSWERS, LABELS, PREDICTIONS, TEXTS, VOTES

pytestmark = pytest.mark.timeout(900)

New = Callable[[], OwnProject]

Exported = tuple[bytes, bytes]

NAMES = ("--name", "question=topic")

BY_USER: Votes = {(vote.id, argilla_user(vote.annotator), str(vote.label)) for vote in VOTES}

USERS = [option for name in ANNOTATORS for option in ("--annotator", f"{email(name)}={argilla_user(name)}")]


@pytest.fixture(scope="module")
def answered(argilla: Argilla) -> Exported:
    """What the SDK exports of a dataset in which the annotators have answered: nested, and flat."""
    argilla.put("answered", argilla_records())
    argilla.annotate("answered", ANSWERS)
    return argilla.get("answered")


@pytest.fixture
def ours(new_project: New) -> OwnProject:
    """The same project here."""
    project = new_project()
    project.load((EXPORTS / "label-studio" / "snapshot.json").read_bytes(), "snapshot.json", "--id", "ref")
    return project


def test_flat_records_come_in_with_ids_votes_and_counts(answered: Exported, new_project: New) -> None:
    ours, (_, flat) = new_project(), answered
    loaded = ours.load(flat, "flat.json")
    assert (ours.texts(), ours.votes(), ours.labels()) == (TEXTS, BY_USER, set(LABELS))
    assert loaded["left_out"] == {"discarded": 1, "drafts": 1, "predictions": len(PREDICTIONS)}


def test_nested_records_are_refused_because_they_do_not_say_what_was_submitted(
    answered: Exported, new_project: New
) -> None:
    ours, (nested, _) = new_project(), answered
    (ours.folder / "nested.json").write_bytes(nested)
    refused = ours.run("load", "project", "nested.json")
    assert refused.returncode != 0
    assert "flatten=True" in refused.stderr


def test_nested_records_come_in_if_all_are_said_to_be_submitted(answered: Exported, new_project: New) -> None:
    ours, (nested, _) = new_project(), answered
    ours.load(nested, "nested.json", "--assume-submitted")
    assert ours.texts() == TEXTS
    assert ours.votes() == {(a.id, argilla_user(a.annotator), a.label) for a in ANSWERS if a.label is not None}


def test_votes_go_to_argilla_as_submitted_responses_and_come_back(
    argilla: Argilla, ours: OwnProject, new_project: New
) -> None:
    argilla.put("votes", ours.export("votes", "--format", "argilla", *NAMES, *USERS).read_bytes())
    again, (_, flat) = new_project(), argilla.get("votes")
    loaded = again.load(flat, "flat.json")
    assert again.texts() == {id_: TEXTS[id_] for id_, _, _ in BY_USER}
    assert again.votes() == BY_USER
    assert not any(loaded["left_out"].values())


def test_argilla_refuses_an_annotator_without_an_account(argilla: Argilla, ours: OwnProject) -> None:
    nobody = argilla_user("cyd")
    users = [option.replace(argilla_user("ben"), nobody) for option in USERS]
    file = ours.export("votes", "--format", "argilla", *NAMES, *users)
    with pytest.raises(AssertionError, match=f"user with id {nobody} not found"):
        argilla.put("nobody", file.read_bytes())


def test_predictions_are_suggestions_with_score_and_version_and_no_votes(
    argilla: Argilla, ours: OwnProject, new_project: New
) -> None:
    ours.must("train", "--force")
    argilla.put("predictions", ours.export("predictions", "--format", "argilla", *NAMES).read_bytes())
    again, (_, flat) = new_project(), argilla.get("predictions")
    shown = {
        record["id"]: [record[f"topic.suggestion{part}"] for part in ("", ".score", ".agent")]
        for record in json.loads(flat)
    }
    predicted = ours.rows("predictions")
    assert len(predicted) == len(TEXTS)
    assert shown == {
        row["external_id"]: [label, pytest.approx(row["probabilities"][label]), "al_learner-1"]
        for row in predicted
        for label in [row["predicted_label"]]
    }
    loaded = again.load(flat, "flat.json")
    assert (again.texts(), again.votes()) == (TEXTS, set())
    assert loaded["left_out"]["predictions"] == len(TEXTS)
