"""What goes out in the format of a tool comes in again as the same texts, ids, labels, votes and annotators."""

from __future__ import annotations

import pytest

from al_learner import Project
from al_learner.core.errors import DataError
from tests.support.corpora import add_weather
from tests.support.tables import ON_BOTH

ADA, BEN = "f3b1c9a2-0000-4000-8000-000000000001", "f3b1c9a2-0000-4000-8000-000000000002"

TEXTS = [
    ("a-1", "The sun\nshines.", [("sun", "ada"), ("rain", "ben")]),
    ("a-2", 'It "rains", #1 \N{UMBRELLA}', [("rain", "ada"), ("rain", None)]),
    ("7", "=FOG()", [("fog, thick", "ben")]),
    ("a-4", "no votes", []),
]
ANNOTATORS = {
    "label-studio": {"ada": "ada@x.org", "ben": "ben@x.org"},
    "argilla": {"ada": ADA, "ben": BEN, "": ADA.replace("1", "3")},
}


@pytest.fixture
def other(tmp_path):
    """Another project, without any table."""
    project = Project(f"sqlite:///{tmp_path / 'other.db'}", classifier="complement-nb")
    yield project
    project.close()


@pytest.fixture
def voted(database, open_project):
    """A project with texts that have ids of their own, and votes."""
    project = open_project(database)
    rows = [
        {"text": text, "external_id": name, "label": label, "user": user}
        for name, text, votes in TEXTS
        for label, user in votes or [(None, None)]
    ]
    project.load_project(rows)
    return project


def votes(project):
    return [(row["external_id"], row["text"], row["label"], row["annotator"]) for row in project.export_rows("votes")]


def given(names):
    return [
        (external_id, text, label, names.get(user or "", user))
        for external_id, text, of_text in TEXTS
        for label, user in of_text
    ]


def texts(project):
    return [(row["external_id"], row["text"]) for row in project.export_rows("texts")]


def test_the_fixture_is_what_was_loaded(voted):
    assert votes(voted) == given({})
    assert texts(voted) == [(external_id, text) for external_id, text, _ in TEXTS]


@pytest.mark.parametrize("form", ["label-studio", "prodigy", "argilla"])
def test_votes_come_back_from_a_tool_with_ids_and_annotators(voted, other, tmp_path, form):
    names = ANNOTATORS.get(form, {})
    voted.export_file("votes", tmp_path / "votes.json", format=form, annotators=names)

    loaded = other.load_project(tmp_path / "votes.json", assume_submitted=form == "argilla")

    assert votes(other) == given(names)
    assert (loaded.rows, loaded.votes) == (3, 5)
    assert not loaded.left_out


def test_labels_come_back_from_doccano_without_annotators(voted, other, tmp_path):
    voted.export_file("labels", tmp_path / "all.jsonl", format="doccano")

    other.load_project(tmp_path / "all.jsonl")

    assert [vote[:3] for vote in votes(other)] == [
        (row["external_id"], row["text"], row["label"]) for row in voted.export_rows("labels")
    ]


@pytest.mark.parametrize("form", ["label-studio", "doccano", "prodigy", "argilla"])
def test_texts_come_back_from_a_tool_and_nothing_becomes_a_vote(voted, other, tmp_path, form):
    voted.export_file("texts", tmp_path / "texts.json", format=form)

    other.load_project(tmp_path / "texts.json")

    assert texts(other) == texts(voted)
    assert votes(other) == []


@pytest.mark.parametrize("form", ["label-studio", "prodigy", "argilla"])
def test_predictions_that_come_back_are_no_votes(database, open_project, other, tmp_path, form):
    add_weather(database, 12)
    project = open_project(database)
    project.update(force=True)
    project.export_file("predictions", tmp_path / "out.json", format=form)

    other.load_project(tmp_path / "out.json")

    assert len(texts(other)) == 12
    assert votes(other) == []


@pytest.mark.parametrize("form", ["label-studio", "prodigy", "argilla"])
def test_votes_from_a_tool_find_the_texts_that_went_there(database, open_project, tmp_path, form):
    ids = database.add_texts("It rains.", "The sun shines.")
    for text_id, label in zip(ids, ["rain", "sun"], strict=True):
        database.vote(text_id, label, ADA if form == "argilla" else "ada@x.org")
    project = open_project(database)
    project.export_file("votes", tmp_path / "out.json", format=form)
    before = votes(project)
    database.query("UPDATE text_data SET labels = NULL, users = NULL")

    # Records of Argilla have one id: here it is the text_id, because the texts have no other.
    columns = {"text_id": "id"} if form == "argilla" else {}
    project.load_votes(tmp_path / "out.json", columns=columns, assume_submitted=form == "argilla")

    assert votes(project) == before


@pytest.mark.parametrize("name", ["texts.csv", "texts.jsonl", "texts.parquet", "texts.csv.gz"])
def test_a_table_of_texts_comes_back_with_its_ids(voted, other, tmp_path, name):
    voted.export_file("texts", tmp_path / name)

    other.load_texts(tmp_path / name)

    assert texts(other) == texts(voted)


@ON_BOTH
@pytest.mark.parametrize("name", ["votes.csv", "votes.jsonl", "votes.parquet"])
def test_a_table_of_votes_is_a_project_again(voted, other, tmp_path, name):
    voted.export_file("votes", tmp_path / name)

    other.load_project(tmp_path / name)

    assert votes(other) == votes(voted)


def test_a_frame_of_votes_is_a_project_again(voted, other):
    other.load_project(voted.export("votes"))

    assert votes(other) == votes(voted)


def test_texts_are_chosen_by_the_ids_that_they_have_elsewhere(voted):
    assert [row["external_id"] for row in voted.export_rows("texts", text_ids=["7", "a-1"])] == ["7", "a-1"]
    with pytest.raises(DataError, match="no text has the external id 'a-9'"):
        next(voted.export_rows("texts", text_ids=["a-1", "a-9"]))


@ON_BOTH
def test_without_the_table_of_ids_an_export_has_none(database, open_project):
    database.add_text("text", labels=["a"], users=["ada"])
    project = open_project(database)
    database.query("DROP TABLE al_external_ids")

    assert votes(project) == [(None, "text", "a", "ada")]
