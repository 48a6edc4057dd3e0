"""What `Project` loads from memory and from files: what is clear is loaded, and the rest is refused by name."""

import json

import numpy as np
import pandas as pd
import pytest

from al_learner import Project
from al_learner.core.errors import DataError

TEXTS = ["a good day", "a bad day"]


@pytest.fixture
def project(tmp_path):
    project = Project(f"sqlite:///{tmp_path / 'project.db'}", classifier="complement-nb")
    project.load_texts(TEXTS)
    project.load_labels(["+", "-"])
    yield project
    project.close()


@pytest.fixture
def stored(project):
    """Return the rows of a table."""

    def read(columns, table="text_data"):
        with project._storage.database.engine.connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(f"SELECT {columns} FROM {table}")]

    return read


def votes(stored):
    return [(json.loads(labels), json.loads(users)) for labels, users in stored("labels, users")]


@pytest.mark.parametrize("column", ["text", "data", "text_data"])
def test_the_texts_of_a_dataframe_are_those_of_its_column(project, stored, column):
    frame = pd.DataFrame({"id": [7, 8], column: ["c", "d"]})

    assert project.load_texts(frame).rows == 2
    assert [text for (text,) in stored("text_data")] == [*TEXTS, "c", "d"]


def test_a_column_of_another_name_is_named(project, stored):
    frame = pd.DataFrame({"body": ["c"], "title": ["x"]})

    with pytest.raises(DataError, match=r"no column for the text: expected 'text' .*found 'body', 'title'.*columns="):
        project.load_texts(frame)
    assert project.load_texts(frame, columns={"text": "body"}).rows == 1
    assert stored("text_data")[-1] == ("c",)


def test_prelabelled_texts_and_labels_come_from_a_dataframe(project, stored):
    frame = pd.DataFrame({"label": ["sun", "rain"], "text": ["c", "d"]})

    with pytest.raises(DataError, match=r"item 0: the label 'sun' is not in table labels.*'\+', '-'.*new_labels=True"):
        project.load_init_data(frame)
    assert project.load_init_data(frame, new_labels=True).rows == 2
    assert stored("text_data, label", "init_data") == [("c", "sun"), ("d", "rain")]
    assert project.load_labels(frame["label"] + "y").rows == 2
    assert [label for (label,) in stored("label", "labels")] == ["+", "-", "sun", "rain", "suny", "rainy"]


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_the_votes_of_a_dataframe_may_lack_users(project, stored, missing):
    frame = pd.DataFrame({"label": ["+", "-", "+"], "text_id": [1, 1, 2], "user": ["ada", missing, "ben"]})

    assert project.load_votes(frame).rows == 3
    assert project.load_votes(frame[["text_id", "label"]]).rows == 3
    assert votes(stored) == [(["+", "-"] * 2, ["ada", "", "", ""]), (["+", "+"], ["ben", ""])]


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([(1, "+"), (2, "-")], id="pairs"),
        pytest.param([[1, "+"], [2, "-", None]], id="lists"),
        pytest.param(list(zip(np.array([1, 2]), np.array(["+", "-"]), strict=True)), id="numpy scalars"),
        pytest.param(np.array([[1, "+"], [2, "-"]]), id="an array of text"),
        pytest.param(np.array([[1, "+", ""], [2, "-", ""]], dtype=object), id="an array of objects"),
        pytest.param(iter([(np.int32(1), "+"), (np.uint8(2), "-")]), id="an iterator"),
    ],
)
def test_votes_are_loaded_from_rows_of_any_kind(project, stored, rows):
    assert project.load_votes(rows).rows == 2
    assert votes(stored) == [(["+"], [""]), (["-"], [""])]


def test_labels_of_numpy_integers_are_numbers_like_those_of_python(project, stored):
    assert project.load_labels(np.array([3, 4])).rows == 2
    assert [label for (label,) in stored("label", "labels")] == ["+", "-", "3", "4"]


NAMES = pd.DataFrame([["a", "b"]], columns=["text", "text"])


@pytest.mark.parametrize(
    ("source", "says"),
    [
        pytest.param({"text": ["a", "b"]}, "a dict .*: give a file, a list of texts, a DataFrame, ", id="a dict"),
        pytest.param("no such text", "no such text: No such file.*a text itself goes into a list", id="a text"),
        pytest.param("a\0b", "No such file", id="a text with NUL"),
        pytest.param("x" * 5_000, "x: .*goes into a list", id="a long text"),
        pytest.param(b"bytes", "bytes .*: give", id="bytes"),
        pytest.param(3, "int .*: give", id="a number"),
        pytest.param(None, "NoneType .*: give", id="nothing"),
        pytest.param(["a", {"text": "b"}], "item 1: a dict", id="a dict among texts"),
        pytest.param([{"text": "a"}, "b"], "item 1: a str; the first item is a dict", id="a text among dicts"),
        pytest.param([{"txt": "a"}], "no column for the text.*did you mean 'txt'", id="dicts without the key"),
        pytest.param([("a", "b")], r"item 0: 2 values; expected 1: text", id="pairs"),
        pytest.param(["fine", float("nan")], "item 1: the text is missing", id="a missing text"),
        pytest.param(NAMES, "two columns .*'text'", id="a frame with two columns of a name"),
    ],
)
def test_what_is_no_list_of_texts_is_refused_by_name(project, stored, source, says):
    with pytest.raises(DataError, match=f"(?s){says}"):
        project.load_texts(source)
    assert len(stored("text_data")) == len(TEXTS)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        pytest.param([1, 2], r"item 0: 1 values; expected 2 or 3: text_id, label, user", id="numbers"),
        pytest.param(["ab"], "item 0: 1 values; expected 2 or 3", id="texts"),
        pytest.param([(1, "+", "ada", 5)], "item 0: 4 values; expected 2 or 3", id="four values"),
        pytest.param([(1, "+"), {"text_id": 1}], "item 1: a dict", id="a dict among pairs"),
        pytest.param([(1.5, "+")], "item 0: the text_id is 1.5", id="a fraction"),
        pytest.param([(np.True_, "+")], "item 0: the text_id is .*True", id="a truth value"),
        pytest.param(pd.DataFrame({"text_id": [1]}), "no column for the label", id="a frame without labels"),
    ],
)
def test_what_is_no_vote_is_refused_by_name(project, stored, rows, says):
    with pytest.raises(DataError, match=says):
        project.load_votes(rows)
    assert votes(stored) == [([], []), ([], [])]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.csv", ""),
        ("header.csv", "text,label,text_id\n"),
        ("list.json", "[]"),
        ("columns.json", '{"text": {}}'),
    ],
)
@pytest.mark.parametrize("method", ["load_texts", "load_labels", "load_init_data", "load_votes"])
def test_a_file_without_rows_is_refused(project, tmp_path, method, name, content):
    (tmp_path / name).write_text(content, encoding="utf-8")

    with pytest.raises(DataError, match=rf"{name}: .*no rows"):
        getattr(project, method)(tmp_path / name)


def test_nothing_in_memory_is_nothing_to_load(project):
    assert project.load_votes([]).rows == 0


def labels(stored):
    return [label for (label,) in stored("label", "labels")]


def described(stored):
    return dict(stored("label, description", "al_labels"))


DESCRIBED = pd.DataFrame({"label": ["sun", "rain", "fog"], "description": ["a fine day", None, " "]})


@pytest.mark.parametrize(
    "source",
    [
        pytest.param([("sun", "a fine day"), ("rain", None), ["fog"]], id="pairs"),
        pytest.param([("sun", "a fine day"), "rain", "fog"], id="pairs and names"),
        pytest.param(DESCRIBED, id="a frame"),
        pytest.param("labels.csv", id="a file"),
    ],
)
def test_labels_come_with_descriptions_and_a_blank_one_is_none(project, stored, tmp_path, source):
    if isinstance(source, str):
        source = tmp_path / source
        DESCRIBED.to_csv(source, index=False)

    assert project.load_labels(source, new_labels=True).rows == 3
    assert labels(stored) == ["+", "-", "sun", "rain", "fog"]
    assert described(stored) == {"sun": "a fine day"}


def test_a_description_column_of_another_name_is_named(project, stored):
    frame = DESCRIBED.rename(columns={"description": "help"})

    project.load_labels(frame, columns={"description": "help"}, new_labels=True)

    assert described(stored) == {"sun": "a fine day"}


def test_a_new_description_replaces_the_old_one_and_its_label_is_not_there_twice(project, stored):
    project.load_labels([("+", "good"), ("-", "bad")])

    loaded = project.load_labels([("+", "very good"), ("-", ""), ("0", "neither")], new_labels=True)

    assert (loaded.rows, loaded.there, loaded.descriptions) == (1, 2, 2)
    assert described(stored) == {"+": "very good", "-": "bad", "0": "neither"}
    assert labels(stored) == ["+", "-", "0"]
    assert project._storage.tables.descriptions() == described(stored)


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_description_of_a_label_that_is_not_there_is_refused_and_nothing_is_loaded(project, stored, dry_run):
    with pytest.raises(DataError, match=r"item 1: the label 'sums' is not in table labels.*'\+', '-'.*--new-labels"):
        project.load_labels([("+", "good"), ("sums", "numbers"), "new"], dry_run=dry_run)

    assert labels(stored) == ["+", "-"]
    assert stored("count(*)", "sqlite_master WHERE name = 'al_labels'") == [(0,)]


def test_a_dry_run_says_how_many_labels_are_new(project):
    loaded = project.load_labels(["+", "0"], dry_run=True)

    assert (loaded.rows, loaded.there) == (1, 1)


def test_labels_alone_need_no_table_of_al_learner(project, stored):
    project.load_labels(["+", "0"])

    assert labels(stored) == ["+", "-", "0"]  # the first was there already
    assert stored("count(*)", "sqlite_master WHERE name LIKE 'al_%'") == [(0,)]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        pytest.param([("sun", "x" * 1_001)], "item 0: the description has 1,001 characters; at most 1,000", id="long"),
        pytest.param(["sun", ("", "a fine day")], "item 1: the label is empty", id="no label"),
        pytest.param([("sun", "a\0b")], "item 0: the description contains a NUL byte", id="NUL"),
        pytest.param([("sun", 1.5)], "item 0: the description is 1.5, not a string", id="a fraction"),
        pytest.param([("sun", "fine", "x")], "item 0: 3 values; expected 1 or 2: label, description", id="three"),
        pytest.param([("sun", "fine"), ("x" * 51, "long")], "item 1: the label has 51 characters", id="a long label"),
    ],
)
def test_a_wrong_description_is_refused_by_name_and_nothing_is_loaded(project, stored, rows, says):
    with pytest.raises(DataError, match=says):
        project.load_labels(rows)

    assert labels(stored) == ["+", "-"]
    assert stored("count(*)", "sqlite_master WHERE name = 'al_labels'") == [(0,)]


def test_labels_with_descriptions_may_be_what_a_new_database_begins_with(tmp_path):
    project = Project(f"sqlite:///{tmp_path / 'new.db'}")
    project.load_labels([("sun", "a fine day")])

    assert project._storage.tables.label_names() == ["sun"]
    assert project._storage.tables.descriptions() == {"sun": "a fine day"}
    project.close()
