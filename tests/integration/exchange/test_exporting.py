"""What goes out is what was put in, on PostgreSQL and on SQLite."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from al_learner.core.errors import DataError, SettingsError
from al_learner.core.exchange.output import contents
from tests.support.corpora import add_weather
from tests.support.tables import ON_BOTH

LONGEST = "x" * 50


@pytest.fixture
def voted(database):
    """Texts with votes of all kinds."""
    database.add_text("unanimous", labels=["a", "a"], users=["ada", "ben"])
    database.add_text("disputed", labels=["a", "b", "b"], users=["ada", None, ""])
    database.add_text("a tie, first vote wins", labels=["b", "a"], users=["ada", "ben"])
    database.add_text("a tie, stored label wins", labels=["b", "a"], users=["ada", "ben"], major_label="a")
    database.add_text("without a vote", labels=[], users=[])
    database.add_text("NULL", labels=None, users=None)
    database.add_text("no votes", labels=[None, "", LONGEST + "x"], users=["ada", "ben", "cem"])
    database.add_text("fewer users than votes", labels=["ignored", LONGEST], users=["ada"])
    database.add_text("only a stored label", labels=None, users=None, major_label="b")
    database.add_labels("a", "b", "c")
    return database


def rows(project, what, *columns, **options):
    return [tuple(row[column] for column in columns) for row in project.export_rows(what, **options)]


@ON_BOTH
def test_labels_are_what_the_votes_aggregate_to_and_texts_without_one_are_left_out(voted, open_project):
    assert rows(open_project(voted), "labels", "text_id", "label", "votes", "annotators", "agreement") == [
        (1, "a", ["a", "a"], ["ada", "ben"], 1.0),
        (2, "b", ["a", "b", "b"], ["ada", None, None], 2 / 3),
        (3, "b", ["b", "a"], ["ada", "ben"], 0.5),
        (4, "a", ["b", "a"], ["ada", "ben"], 0.5),
        (8, "ignored", ["ignored", LONGEST], ["ada", None], 0.5),
        (9, "b", [], [], None),
    ]


@ON_BOTH
def test_votes_are_the_entries_that_count_in_their_order(voted, open_project):
    assert rows(open_project(voted), "votes", "text_id", "label", "annotator") == [
        (1, "a", "ada"),
        (1, "a", "ben"),
        (2, "a", "ada"),
        (2, "b", None),
        (2, "b", None),
        (3, "b", "ada"),
        (3, "a", "ben"),
        (4, "b", "ada"),
        (4, "a", "ben"),
        (8, "ignored", "ada"),
        (8, LONGEST, None),
    ]


@ON_BOTH
def test_texts_are_all_and_have_no_predictions_before_there_is_a_classifier(voted, open_project):
    project = open_project(voted)

    found = [*project.export_rows("texts")]

    assert [(row["text_id"], row["label"]) for row in found][4:7] == [(5, None), (6, None), (7, None)]
    assert [row["predicted_label"] for row in found] == [None] * 9
    assert all("probabilities" not in row for row in found)
    with pytest.raises(DataError, match="there is no classifier yet"):
        next(project.export_rows("predictions"))


def test_a_text_with_too_few_votes_has_no_label_but_its_votes(voted, open_project):
    project = open_project(voted, min_label_count=3)

    assert rows(project, "labels", "text_id", "label") == [(2, "b"), (4, "a"), (9, "b")]
    assert len(rows(project, "votes", "label")) == 11


def test_an_anonymous_export_names_nobody(voted, open_project):
    project = open_project(voted)

    assert {*rows(project, "votes", "annotator", anonymous=True)} == {(None,)}
    assert rows(project, "labels", "annotators", anonymous=True)[0] == ([None, None],)


@ON_BOTH
def test_chosen_texts_come_in_the_order_in_which_they_are_asked_for(voted, open_project):
    project = open_project(voted)

    assert rows(project, "texts", "text_id", text_ids=[5, 1, 5, 9]) == [(5,), (1,), (9,)]
    assert rows(project, "labels", "text_id", text_ids=[9, 5, 1]) == [(9,), (1,)]
    assert rows(project, "votes", "text_id", text_ids=iter([3])) == [(3,), (3,)]
    for missing in (99, 2**40):
        with pytest.raises(DataError, match=f"text_id {missing} is not in table text_data"):
            next(project.export_rows("texts", text_ids=[1, missing]))


@ON_BOTH
def test_predictions_are_those_of_the_classifier_that_is_asked_for(database, open_project):
    add_weather(database, 12)
    project = open_project(database)
    project.update(force=True)
    add_weather(database, 12, first=12)
    project.update(force=True)

    for clf_id, asked in ((2, {}), (1, {"clf_id": 1})):
        found = [*project.export_rows("predictions", **asked)]
        wanted = [*project.predict(clf_id=clf_id)]
        assert [(row["text_id"], row["predicted_label"]) for row in found] == [(p.number, p.label) for p in wanted]
        assert [1 - row["uncertainty"] for row in found] == pytest.approx([p.probability for p in wanted])
        assert {row["clf_id"] for row in found} == {clf_id}
        assert all(sum(row["probabilities"].values()) == pytest.approx(1) for row in found)
        assert [*found[0]["probabilities"]] == ["a", "b"]
    assert [row["clf_id"] for row in project.export_rows("texts")] == [2] * 24
    for clf_id in (0, 7):
        with pytest.raises(DataError, match=f"there is no classifier {clf_id}"):
            next(project.export_rows("texts", clf_id=clf_id))
    with pytest.raises(SettingsError, match="votes have no predictions"):
        next(project.export_rows("votes", clf_id=1))
    with pytest.raises(SettingsError, match="'vote' cannot be exported: allowed are labels, votes, texts, predictions"):
        next(project.export_rows("vote"))


@ON_BOTH
def test_a_vote_that_arrives_meanwhile_is_in_no_part_of_an_export(voted, open_project):
    project = open_project(voted)

    with project._exporter.open("texts") as exported:
        voted.vote(1, "b", "cem")
        voted.vote(5, "b", "cem")
        voted.query("UPDATE text_data SET text_data = 'changed' WHERE text_id = 1")
        voted.add_text("new", labels=["b"], users=["cem"])
        found = [*exported.texts]

    assert (found[0].text, found[0].label, found[0].votes) == ("unanimous", "a", (("a", "ada"), ("a", "ben")))
    assert [(text.label, text.votes) for text in found if text.text_id == 5] == [(None, ())]
    assert len(found) == 9
    assert len([*project.export_rows("texts")]) == 10


@ON_BOTH
def test_votes_go_on_while_an_export_is_read(voted, open_project):
    exported = open_project(voted).export_rows("texts")
    next(exported)

    voted.vote(1, "b", "cem")

    exported.close()
    assert voted.text(1, "labels")[0] in (["a", "a", "b"], '["a","a","b"]')


def test_texts_are_read_a_few_at_a_time(voted, open_project, monkeypatch):
    monkeypatch.setattr(contents, "CHUNK", 2)
    seen = []
    exported = open_project(voted).export_rows("texts", progress=lambda done, total: seen.append((done, total)))

    next(exported)
    assert seen == []
    next(exported)
    next(exported)
    assert seen == [(2, 9)]
    assert len([*exported]) == 6
    assert seen == [(2, 9), (4, 9), (6, 9), (8, 9), (9, 9)]


def test_an_export_writes_nothing(voted, open_project, tmp_path):
    project = open_project(voted)
    before = voted.content()

    for what in ("labels", "votes", "texts"):
        project.export_file(what, tmp_path / f"{what}.csv")

    assert voted.content() == before


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
GIVEN = st.lists(
    st.tuples(
        TEXT, st.lists(st.tuples(TEXT, st.none() | TEXT), max_size=3, unique_by=lambda vote: vote[1] or object())
    ),
    min_size=1,
    max_size=4,
)
"""Texts and votes; of two votes of one annotator on a text only the last would be loaded."""


@ON_BOTH
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=GIVEN)
def test_what_was_loaded_comes_out_again_whatever_it_is(database, open_project, texts):
    database.query("DELETE FROM text_data")
    project = open_project(database)
    project.load_texts([text for text, _ in texts])
    ids = [row["text_id"] for row in project.export_rows("texts")]
    votes = [(number, *vote) for number, (_, given_votes) in zip(ids, texts, strict=True) for vote in given_votes]
    project.load_votes(votes)

    out = io.BytesIO()
    assert project.export_file("votes", out).texts == len([given_votes for _, given_votes in texts if given_votes])

    found = [*csv.DictReader(io.StringIO(out.getvalue().decode(), newline=""))]
    assert [(int(row["text_id"]), row["label"], row["annotator"] or None) for row in found] == votes
    assert [row["text"] for row in project.export_rows("texts")] == [text for text, _ in texts]


def test_what_was_exported_can_be_loaded_again(voted, open_project, tmp_path):
    project = open_project(voted)
    votes = rows(project, "votes", "text_id", "label", "annotator")
    project.export_file("votes", tmp_path / "votes.jsonl.gz")
    voted.query("UPDATE text_data SET labels = NULL, users = NULL, major_label = NULL")
    assert rows(project, "votes", "label") == []

    project.load_votes(tmp_path / "votes.jsonl.gz", new_labels=True)

    assert rows(project, "votes", "text_id", "label", "annotator") == votes


KILLED = """
import os, signal, sys
from al_learner import Project
from tests.support.tables import ON_BOTH
project = Project(sys.argv[1])
project.export_file("texts", "out.csv", force=True, progress=lambda *_: os.kill(os.getpid(), signal.SIGKILL))
"""


@ON_BOTH
@pytest.mark.parametrize("old", [None, "old"])
def test_an_export_that_is_killed_leaves_no_half_file_under_the_name(voted, tmp_path, old):
    if old:
        (tmp_path / "out.csv").write_text(old)

    killed = subprocess.run([sys.executable, "-c", KILLED, voted.url], cwd=tmp_path, check=False, timeout=120)

    assert killed.returncode == -signal.SIGKILL
    assert [path.read_text() for path in tmp_path.glob("out.csv")] == ([old] if old else [])
    [half] = tmp_path.glob(".out.csv.*")
    assert int(half.suffix.removeprefix(".")) != os.getpid()


def test_an_export_that_fails_leaves_no_file(voted, open_project, tmp_path):
    with pytest.raises(DataError, match="'ada', 'ben'"):
        open_project(voted).export_file("votes", tmp_path / "tasks.json", format="label-studio")

    assert [*tmp_path.glob("*tasks*")] == []


def test_a_prodigy_task_offers_the_labels_of_the_table_and_of_the_votes(voted, open_project):
    out = io.BytesIO()
    open_project(voted).export_file("texts", out, format="prodigy")

    task = json.loads(out.getvalue().splitlines()[0])
    assert [option["id"] for option in task["options"]] == ["a", "b", "c", "ignored", LONGEST]


def test_a_frame_has_the_rows(voted, open_project):
    project = open_project(voted)

    frame = project.export("votes")

    assert frame[["text_id", "label"]].values.tolist() == [[*row] for row in rows(project, "votes", "text_id", "label")]


def test_the_old_meaning_of_export_goes_on_and_says_the_new_name(database, open_project, tmp_path):
    add_weather(database, 12)
    project = open_project(database)
    project.update(force=True)

    with pytest.warns(DeprecationWarning, match="use Project.export_model") as caught:
        sidecar = project.export(1, tmp_path / "model.pkl")

    assert caught[0].filename == __file__
    assert sidecar == tmp_path / "model.pkl.json"
