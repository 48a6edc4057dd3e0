"""A project from elsewhere: texts, ids, votes and labels in one transaction, on PostgreSQL and on SQLite."""

from __future__ import annotations

import json

import datasets
import pandas as pd
import pytest

from al_learner import Project
from al_learner.core.errors import DatabaseError, DataError, MigrationError, SettingsError
from al_learner.core.storage.migrations.upgrade import upgrade_runs
from tests.support.exports import EXPORTS
from tests.support.tables import ON_BOTH, WORKER_ROLE

SNAPSHOT = EXPORTS / "label-studio" / "snapshot.json"

ANN, BEN = "ann@example.org", "ben@example.org"

ROWS = pd.DataFrame(
    [
        ("n-1", "The match ended 2 to 1.", "sports", "ada"),
        ("n-1", "The match ended 2 to 1.", "sports", "ben"),
        ("n-2", "The parliament votes today.", "politics", "ada"),
        ("n-3", "Rain in the north.", None, None),
    ],
    columns=["id", "text", "label", "user"],
)


def as_list(entries):
    return json.loads(entries) if isinstance(entries, str) else list(entries or [])


@pytest.fixture
def project(database):
    project = Project(database.url, classifier="complement-nb")
    yield project
    project.close()


@pytest.fixture
def stored(database, project):
    """Return texts with external id, votes and annotators, by text_id."""

    def read():
        project.upgrade()  # where no text has an id, loading has made no table
        rows = database.query(
            "SELECT external_id, text_data, labels, users FROM text_data LEFT JOIN al_external_ids USING (text_id)"
            " ORDER BY text_id"
        )
        return [(i, text, as_list(labels), as_list(users)) for i, text, labels, users in rows]

    return read


def labels(database):
    return [label for (label,) in database.query("SELECT label FROM labels ORDER BY label_id")]


@ON_BOTH
def test_a_whole_project_comes_in_one_go(project, database, stored):
    loaded = project.load_project(SNAPSHOT, id_column="ref")

    assert (loaded.rows, loaded.votes, loaded.annotators, loaded.labels) == (12, 12, 2, 3)
    assert loaded.left_out == {"skipped": 2, "drafts": 1, "predictions": 4}
    assert loaded.source == "Label Studio export (JSON)"
    rows = {i: (votes, users) for i, _, votes, users in stored()}
    assert list(rows) == [f"Q-{number:02}" for number in range(1, 13)]
    assert rows["Q-04"] == (["c#", "sql"], [ANN, BEN])
    assert rows["Q-07"] == (["python"], [BEN])
    assert rows["Q-08"] == rows["Q-10"] == ([], [])
    assert set(labels(database)) == {"python", "sql", "c#"}
    assert project.status().votes == 12


@ON_BOTH
def test_loaded_texts_are_as_the_api_needs_them(project, database):
    project.load_project(ROWS)

    assert database.query("SELECT DISTINCT labeled, selected, taught, major_label FROM text_data") == [
        tuple(database.text(1, "labeled, selected, taught, major_label"))
    ]
    assert not any(database.text(1, "labeled, selected, taught"))


def test_a_table_has_a_row_for_each_vote(project, stored):
    loaded = project.load_project(ROWS)

    assert stored() == [
        ("n-1", "The match ended 2 to 1.", ["sports", "sports"], ["ada", "ben"]),
        ("n-2", "The parliament votes today.", ["politics"], ["ada"]),
        ("n-3", "Rain in the north.", [], []),
    ]
    assert (loaded.rows, loaded.votes, loaded.left_out) == (3, 3, {"unlabelled": 1})


def test_two_texts_with_the_same_wording_are_two_if_their_numbers_differ(project, stored):
    rows = [{"text_id": number, "text": "Rain.", "label": "weather", "user": "ada"} for number in (1, 2, 2)]

    assert project.load_project(rows).left_out == {"repeated votes": 1}
    assert stored() == [(None, "Rain.", ["weather"], ["ada"])] * 2
    assert project.load_project([{**row, "text_id": "x"} for row in rows]).rows == 1  # these are no such numbers


@ON_BOTH
def test_an_error_loads_nothing_at_all(project, database):
    project.upgrade()
    frame = pd.concat([ROWS, pd.DataFrame([("n-4", "b", "x" * 51, None)], columns=ROWS.columns)])

    with pytest.raises(DataError, match="item 4: the label has 51 characters"):
        project.load_project(frame)

    assert [database.count(table) for table in ("text_data", "labels", "al_external_ids")] == [0, 0, 0]


def test_an_id_that_is_there_is_an_error_and_nothing_is_loaded(project, stored):
    project.load_project(ROWS)
    before = stored()

    with pytest.raises(DataError, match=r"item 0: the external id 'n-2' is there already, as that of text 2:.*skip"):
        project.load_project(
            [{"id": "n-2", "text": "b", "label": "sports"}, {"id": "n-9", "text": "c", "label": "sports"}]
        )

    assert stored() == before


def test_texts_that_are_there_can_be_skipped_with_their_votes(project, stored):
    project.load_project(ROWS)
    more = [{"id": "n-2", "text": "b", "label": "sports"}, {"id": "n-9", "text": "c", "label": "sports"}]

    loaded = project.load_project(more, on_duplicate="skip")

    assert (loaded.rows, loaded.votes, loaded.skipped) == (1, 1, 1)
    assert [row[0] for row in stored()] == ["n-1", "n-2", "n-3", "n-9"]
    assert stored()[1] == ("n-2", "The parliament votes today.", ["politics"], ["ada"])


@ON_BOTH
def test_an_update_replaces_the_text_and_the_votes_of_the_same_annotators(project, database, stored):
    project.load_project(ROWS)
    database.vote(1, "weather", "zoe")
    newer = pd.DataFrame(
        [("n-1", "The match ended 3 to 1.", "politics", "ada"), ("n-1", "The match ended 3 to 1.", "sports", "cyd")],
        columns=ROWS.columns,
    )

    loaded = project.load_project(newer, on_duplicate="update")

    assert stored()[0] == (
        "n-1",
        "The match ended 3 to 1.",
        ["sports", "weather", "politics", "sports"],
        ["ben", "zoe", "ada", "cyd"],
    )
    assert (loaded.rows, loaded.updated, loaded.votes) == (0, 1, 2)


def test_the_same_update_again_changes_nothing(project, stored):
    anonymous = [{"id": "n-9", "text": "c", "label": label} for label in ("a", "a", "b")]
    for rows in (ROWS, anonymous):
        project.load_project(rows, new_labels=True)
    before = stored()

    for rows in (ROWS, anonymous, anonymous):
        assert project.load_project(rows, on_duplicate="update").votes == 0

    assert stored() == before
    assert before[-1] == ("n-9", "c", ["a", "a", "b"], ["", "", ""])


def test_an_unknown_policy_is_refused(project):
    with pytest.raises(SettingsError, match="on_duplicate is 'replace'; allowed: error, skip, update"):
        project.load_project(ROWS, on_duplicate="replace")


def test_a_text_keeps_its_id_and_votes_find_it_by_that(project, stored):
    texts = pd.DataFrame({"key": ["b-2", "b-1"], "text": ["two", "one"]})
    project.load_texts(texts, id_column="key")

    project.load_votes(
        pd.DataFrame({"key": ["b-1", "b-2"], "label": ["x", "y"], "user": ["ada", "ben"]}), id_column="key"
    )
    project.load_votes([{"external_id": "b-1", "label": "z"}])

    assert stored() == [("b-2", "two", ["y"], ["ben"]), ("b-1", "one", ["x", "z"], ["ada", ""])]


def test_the_votes_of_an_export_find_the_texts_by_their_ids(project, stored):
    project.load_texts(SNAPSHOT, id_column="ref")

    assert project.load_votes(SNAPSHOT, id_column="ref").rows == 12
    once = stored()
    loaded = project.load_votes(SNAPSHOT, id_column="ref")
    assert (loaded.rows, loaded.there, loaded.warnings) == (0, 12, ())
    assert stored() == once

    assert once[3] == ("Q-04", "LINQ or a join: which one is faster?", ["c#", "sql"], [ANN, BEN])


def test_a_vote_on_an_unknown_id_is_named_and_nothing_is_loaded(project, stored):
    project.load_texts([{"external_id": "b-1", "text": "one"}])

    with pytest.raises(DataError, match=r"item 1: no text has the external id 'b-2': .*load project"):
        project.load_votes([{"external_id": "b-1", "label": "x"}, {"external_id": "b-2", "label": "x"}])

    assert stored() == [("b-1", "one", [], [])]


@ON_BOTH
def test_the_number_of_a_text_in_another_project_is_not_taken_for_ours(project, database):
    database.add_texts("ours")
    task = {"id": 1, "data": {"text": "theirs", "text_id": 1}, "annotations": [
        {"result": [{"type": "choices", "from_name": "q", "value": {"choices": ["x"]}}], "completed_by": 1}
    ]}  # fmt: skip

    with pytest.raises(DataError, match="the text with the id 1 is another one in table text_data"):
        project.load_votes([task])


def test_who_has_changed_their_mind_votes_again_or_instead(project, stored):
    project.load_project([{"external_id": "b-1", "text": "one", "label": "x", "user": "ada"}])
    changed = [{"external_id": "b-1", "label": "y", "user": "ada"}]

    for dry_run in (True, False):
        loaded = project.load_votes(changed, new_labels=True, dry_run=dry_run)
        assert (loaded.rows, loaded.there) == (1, 0)
        (warning,) = loaded.warnings
        assert warning.startswith("votes of annotators who had given the text another label: 1; both labels count")
    assert stored() == [("b-1", "one", ["x", "y"], ["ada", "ada"])]
    assert project.load_votes(changed, replace=True).warnings == ()
    assert stored() == [("b-1", "one", ["y"], ["ada"])]


@ON_BOTH
def test_several_votes_of_one_annotator_in_one_load_are_one(project, database):
    ids = database.add_texts("one", "two")

    loaded = project.load_votes(
        [(ids[0], "x", "ada"), (ids[0], "y", "ben"), (ids[0], "z", "ada"), (ids[1], "x"), (ids[1], "x")]
    )

    assert (loaded.rows, loaded.left_out) == (4, {"repeated votes": 1})
    assert as_list(database.text(ids[0], "labels")[0]) == ["y", "z"]
    assert as_list(database.text(ids[1], "labels")[0]) == ["x", "x"]  # nobody says that it was the same person


@ON_BOTH
@pytest.mark.parametrize("method", ["load_votes", "load_init_data", "load_project"])
def test_an_unknown_label_is_named_and_can_be_appended(project, database, method):
    database.add_texts("a text")
    database.add_labels("sports", "politics")
    rows = [
        {"text_id": 1, "text": "a text", "label": label, "user": "ada"} for label in ("politics", "Sport", "ignored")
    ]
    if method == "load_votes":
        rows = [{**row, "user": row["label"]} for row in rows]
    load = getattr(project, method)

    with pytest.raises(
        DataError, match=r"item 1: the label 'Sport' is not in table labels \(did you mean 'sports'\?\)"
    ):
        load([{key: value for key, value in row.items() if key != "user"} for row in rows])
    assert labels(database) == ["sports", "politics"]

    load([{key: value for key, value in row.items() if key != "user"} for row in rows], new_labels=True)
    assert labels(database) == ["sports", "politics", "Sport"]  # `ignored` is the app's own


@ON_BOTH
def test_a_dry_run_writes_nothing_and_finds_the_same_errors(project, database):
    project.load_project(ROWS)
    before = database.content()

    loaded = project.load_project([{"text": "new", "label": "sports", "id": "n-9"}], dry_run=True)
    assert (loaded.rows, loaded.votes, loaded.labels) == (1, 1, 0)
    assert loaded.first == ({"text": "new", "id": "n-9", "votes": [{"label": "sports", "annotator": ""}]},)
    with pytest.raises(DataError, match="'n-1' is there already"):
        project.load_project(ROWS, dry_run=True)
    with pytest.raises(DataError, match="'weather' is not in table labels"):
        project.load_project([{"text": "new", "label": "weather"}], dry_run=True)
    assert project.load_project(ROWS, dry_run=True, on_duplicate="skip").skipped == 3
    for method in (project.load_texts, project.load_labels, project.load_init_data):
        method([{"text": "new", "label": "sports"}], dry_run=True)
    project.load_votes([(1, "sports")], dry_run=True)

    assert database.content() == before


def test_a_dry_run_makes_no_database(tmp_path):
    project = Project("sqlite:///new.db")

    assert project.load_project(ROWS, dry_run=True).labels == 2
    project.close()

    assert [*tmp_path.iterdir()] == []


def test_a_hugging_face_dataset_has_the_names_of_its_labels_and_minus_one_is_none(project, database, stored):
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos", "neutral"])}
    )
    rows = {"text": ["good", "bad", "what?"], "label": [1, 0, -1]}
    dataset = datasets.Dataset.from_dict(rows, features=features)

    loaded = project.load_project(dataset)

    assert loaded.source == "Hugging Face dataset"
    assert [(text, votes) for _, text, votes, _ in stored()] == [("good", ["pos"]), ("bad", ["neg"]), ("what?", [])]
    assert labels(database) == ["neg", "pos", "neutral"]
    assert (loaded.rows, loaded.votes, loaded.left_out) == (3, 2, {"unlabelled": 1})
    assert project.load_init_data(dataset).left_out == {"unlabelled": 1}
    assert database.query("SELECT text_data, label FROM init_data") == [("good", "pos"), ("bad", "neg")]


def test_parquet_keeps_the_names_of_class_labels(project, stored, tmp_path):
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])})
    dataset = datasets.Dataset.from_dict({"text": ["good", "what?"], "label": [1, -1]}, features=features)
    dataset.to_parquet(tmp_path / "train.parquet")

    loaded = project.load_project(tmp_path / "train.parquet")

    assert loaded.source == "Parquet"
    assert [(text, votes) for _, text, votes, _ in stored()] == [("good", ["pos"]), ("what?", [])]
    assert project.load_labels(tmp_path / "train.parquet").there == 2


def test_a_class_label_that_has_no_name_is_refused(project):
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])})
    dataset = datasets.Dataset.from_dict({"text": ["good"], "label": [1]}, features=features)

    def beyond(table):
        return table.set_column(1, "label", [[7]])

    frame = dataset.data.table
    dataset._data = datasets.table.InMemoryTable(beyond(frame))
    with pytest.raises(DataError, match=r"row 1: the label is 7; the column has 2 classes"):
        project.load_project(dataset)


def test_a_dict_of_splits_is_refused(project):
    splits = datasets.DatasetDict({"train": datasets.Dataset.from_dict({"text": ["a"]})})

    with pytest.raises(DataError, match=r"a DatasetDict cannot be loaded: .*one of its splits"):
        project.load_texts(splits)


@ON_BOTH
def test_ids_of_deleted_texts_can_be_given_again(project, database, stored):
    project.load_texts([{"external_id": "b-1", "text": "one"}, {"external_id": "b-2", "text": "two"}])
    database.query("DELETE FROM text_data WHERE text_id = 1")

    project.load_texts([{"external_id": "b-1", "text": "one again"}])

    assert [(i, text) for i, text, _, _ in stored()] == [("b-2", "two"), ("b-1", "one again")]


def test_the_same_id_twice_in_a_file_of_texts_follows_the_policy(project, stored):
    twice = [{"external_id": "b-1", "text": "one"}, {"external_id": "b-1", "text": "two"}]

    with pytest.raises(DataError, match=r"item 1: the id 'b-1' is that of item 0 too: .*--on-duplicate skip"):
        project.load_texts(twice)
    project.load_texts(twice, on_duplicate="skip")
    assert [text for _, text, _, _ in stored()] == ["one"]
    project.load_texts(twice, on_duplicate="update")
    assert [text for _, text, _, _ in stored()] == ["two"]


@ON_BOTH
def test_without_their_table_there_are_no_external_ids(project, database):
    database.add_texts("one")

    assert project.load_texts([{"external_id": "b-1", "text": "one"}], dry_run=True).rows == 1
    with pytest.raises(DataError, match="no text has the external id"):
        project.load_votes([{"external_id": "b-1", "label": "x"}])
    with pytest.raises(DataError, match="item 0: there is no id: load the texts with their ids first"):
        project.load_votes([{"text": "one", "accept": ["x"], "options": [{"id": "x"}], "answer": "accept"}])


def test_who_may_not_create_the_table_loads_a_project_without_ids_unless_they_asked_for_them(postgresql):
    postgresql.query(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {WORKER_ROLE}")
    postgresql.query(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {WORKER_ROLE}")
    project = Project(postgresql.url.replace("postgres@", f"{WORKER_ROLE}@"))

    with pytest.raises(MigrationError, match=r"may not .*al-learner db upgrade"):
        project.load_project(SNAPSHOT, id_column="ref")
    assert postgresql.count("text_data") == 0
    loaded = project.load_project(SNAPSHOT)
    assert (loaded.rows, loaded.votes) == (12, 12)
    assert "the ids of the texts are not stored" in loaded.warnings[0]
    project.close()


def test_who_may_not_read_external_ids_has_none(postgresql, connect):
    upgrade_runs(connect(postgresql))
    postgresql.query(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {WORKER_ROLE}")
    postgresql.query(f"REVOKE ALL ON al_external_ids FROM {WORKER_ROLE}")
    project = Project(postgresql.url.replace("postgres@", f"{WORKER_ROLE}@"))

    assert project.load_project(ROWS, dry_run=True).rows == 3
    with pytest.raises(DatabaseError, match="permission denied for table al_external_ids"):
        project.load_project(ROWS)
    assert postgresql.count("text_data") == 0
    project.close()


@pytest.mark.parametrize("file", ["members-jsonl.zip", "members-csv.zip"])
def test_the_project_of_doccanos_members_comes_in_from_its_zip_file(project, stored, file):
    loaded = project.load_project(EXPORTS / "doccano" / file)

    assert (loaded.rows, loaded.votes, loaded.annotators) == (12, 12, 2)
    assert stored()[4] == ("Q-05", "Why does NULL = NULL give neither true nor false?", ["sql"], ["ann"])


def test_prelabelled_texts_of_an_export_have_the_label_of_most_votes(project, database):
    project.load_init_data(EXPORTS / "doccano" / "members-jsonl.zip")

    rows = dict(database.query("SELECT text_data, label FROM init_data"))
    assert len(rows) == 8
    assert rows["LINQ or a join: which one is faster?"] == "c#"  # one vote each: the first


def test_the_label_set_of_an_export_is_loaded_alone(project, database):
    assert project.load_labels(EXPORTS / "public" / "prodigy" / "choice.jsonl").rows == 3
    assert labels(database) == ["sports", "politics", "weather"]
    assert database.count("text_data") == 0


@pytest.mark.parametrize(
    ("label", "says"), [("a\0b", "NUL byte"), ("x" * 51, "51 characters"), ("\ud800", "surrogate")]
)
def test_a_label_of_the_label_set_is_checked_also_if_nobody_chose_it(project, database, label, says):
    task = {"text": "a", "options": [{"id": "x"}, {"id": label}], "accept": ["x"], "answer": "accept", "_task_hash": 1}

    for load in (project.load_project, project.load_labels):
        with pytest.raises(DataError, match=f"item 0: .*{says}"):
            load([task])
    assert (database.count("text_data"), database.count("labels")) == (0, 0)


def test_prodigys_rejects_are_the_other_one_of_two_labels_that_are_known(project, database, stored):
    database.add_labels("DOCUMENTATION", "OTHER")
    file = "annotated_github-issues-DOCUMENTATION-textcat.first330.jsonl"

    loaded = project.load_project(EXPORTS / "public" / "prodigy" / file)

    assert (loaded.votes, loaded.left_out) == (303, {"ignored": 27})
    assert sum(votes == ["OTHER"] for _, _, votes, _ in stored()) == 193
    assert "rejects count as votes for the other one of 'DOCUMENTATION', 'OTHER': 193" in loaded.warnings
