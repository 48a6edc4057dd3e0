"""What is read from LabelForward's tables."""

from __future__ import annotations

import pytest

from al_learner.core.errors import DatabaseUnavailable, DataError, SchemaError
from al_learner.core.storage import labelforward_tables as store_module
from al_learner.core.storage.database import Database
from al_learner.core.storage.exchange.appending import Loads
from al_learner.core.storage.labelforward_tables import LabelForwardTables
from al_learner.core.storage.migrations.upgrade import upgrade_runs
from tests.support.tables import WORKER_ROLE

SMALL_CHUNK = 2


@pytest.fixture
def store_of(connect):
    return lambda tables: LabelForwardTables(connect(tables))


@pytest.fixture
def store(store_of, database):
    return store_of(database)


@pytest.fixture
def small_chunks(monkeypatch):
    """Let few rows be many."""
    monkeypatch.setattr(store_module, "CHUNK", SMALL_CHUNK)


@pytest.mark.parametrize(
    ("labels", "users"),
    [
        (["a", "b"], ["anna", "ben"]),
        (["a"], None),
        (["a"], []),
        ([None], [None]),
        ([""], [""]),
        ([None, "", "a"], ["anna", None, ""]),
        (["a", "a"], ["anna", "anna"]),
    ],
)
def test_a_text_with_any_entry_is_read_with_its_arrays_as_they_are(store, database, labels, users):
    text_id = database.add_text("text", labels=labels, users=users)

    assert list(store.voted_texts()) == [(text_id, labels, users, None, False)]


@pytest.mark.parametrize("labels", [None, []])
def test_a_text_without_entries_is_not_read(store, database, labels):
    database.add_text("text", labels=labels, users=labels)

    assert list(store.voted_texts()) == []


@pytest.mark.parametrize("labels", [None, []])
def test_a_text_without_entries_but_with_a_label_is_read(store, database, labels):
    text_id = database.add_text("text", labels=labels, users=labels, major_label="a", taught=True)

    assert list(store.voted_texts()) == [(text_id, labels, labels, "a", True)]


@pytest.mark.usefixtures("small_chunks")
def test_voted_texts_come_by_id_also_in_many_chunks(store, database):
    ids = database.add_texts(*"abcdefg")
    for text_id in reversed(ids):
        database.vote(text_id, "x")

    assert [row.text_id for row in store.voted_texts()] == ids


@pytest.mark.usefixtures("small_chunks")
def test_texts_are_found_by_id_and_unknown_ids_are_left_out(store, database):
    ids = database.add_texts(*"abcde")

    assert store.texts("text_data", [*ids[::-1], 999]) == dict(zip(ids, "abcde", strict=True))
    assert store.texts("text_data", []) == {}


def test_prelabelled_texts_are_found_by_their_own_ids(store, database):
    database.add_texts("not this one")
    database.add_init_data(("one", "a"), ("two", "b"))

    assert store.texts("init_data", [1, 2]) == {1: "one", 2: "two"}


def test_thousands_of_ids_are_asked_for_at_once(store, database):
    ids = range(1, 2 * store_module.CHUNK)
    text_id = database.add_texts("the only one")[0]

    assert store.texts("text_data", ids) == {text_id: "the only one"}


@pytest.mark.parametrize("text", ["😀🏳️‍🌈 x", "שלום עולم", "a\tb\nc\r\n", "'; DROP TABLE text_data; --", "", " "])
def test_any_text_comes_back_as_it_was_loaded(store, text):
    Loads(store._database).load_texts([text])

    assert store.texts("text_data", [1]) == {1: text}


@pytest.mark.usefixtures("small_chunks")
def test_the_corpus_is_all_texts_and_then_all_prelabelled_ones(store, database):
    database.add_texts(*"abcde")
    database.add_init_data(("f", "x"), ("g", ""), ("h", "y"))

    corpus = list(store.corpus())

    assert corpus[:5] == list("abcde")
    assert sorted(corpus[5:]) == list("fgh")


@pytest.mark.usefixtures("small_chunks")
def test_reading_that_is_broken_off_gives_its_connection_back(connect, database):
    connection = connect(database)
    database.add_texts(*"abcdefg")

    rows = LabelForwardTables(connection).all_texts()
    assert next(rows) == (1, "a")
    rows.close()  # the driver warns of a cursor that nobody closed

    assert connection.engine.pool.checkedout() == 0


@pytest.mark.usefixtures("small_chunks")
def test_the_corpus_is_fetched_chunk_by_chunk(store_of, postgresql):
    postgresql.add_texts(*"abcdefg")
    rows = store_of(postgresql).corpus()
    first = [next(rows) for _ in range(3)]

    statement = postgresql.value("SELECT query FROM pg_stat_activity WHERE application_name LIKE 'al-learner%'")

    assert [*first, *rows] == list("abcdefg")
    assert statement.startswith(f"FETCH FORWARD {SMALL_CHUNK} ")


def test_label_names_are_read_once_each(store, database):
    database.add_labels("b", "a", "", "b", "ignored")

    assert store.label_names() == ["a", "b", "ignored"]


def test_prelabelled_rows_with_an_empty_label_are_left_out(store, database):
    database.add_init_data(("one", "a"), ("two", ""), ("three", "b"))

    ids, labels = store.init_labels()

    assert ids.tolist() == [1, 3]
    assert labels.tolist() == ["a", "b"]


def test_newest_ids_are_zero_where_there_is_nothing(store):
    assert (store.newest_text_id(), store.newest_clf_id(), store.newest_countvec_id(), store.n_texts()) == (0, 0, 0, 0)


def test_the_newest_are_those_with_the_largest_ids(store, database):
    database.add_texts("a", "b")
    for blob in (b"1", b"2", b"3"):
        database.add_clf(blob)
        database.add_countvec(blob)

    assert (store.newest_text_id(), store.newest_clf_id(), store.newest_countvec_id(), store.n_texts()) == (2, 3, 3, 2)


def test_classifiers_are_listed_newest_first_with_their_size(store, database):
    database.add_clf(b"\x00")
    database.add_clf(b"\xff" * 300)

    models = store.models()

    assert [(model.clf_id, model.size_bytes) for model in models] == [(2, 300), (1, 1)]
    assert all(model.precision_score is None for model in models)
    assert all(model.created_at.tzinfo is not None for model in models)


def test_stored_bytes_come_back_as_they_are(store, database):
    blob = bytes(range(256))

    assert store.clf(database.add_clf(blob)) == blob
    assert store.countvec(database.add_countvec(blob)) == blob


def test_a_missing_classifier_is_named(store):
    with pytest.raises(DataError, match="no classifier 7"):
        store.clf(7)


def test_complete_tables_pass_the_check(store):
    store.check()


def test_every_missing_table_and_column_is_named(store, database):
    database.query("DROP TABLE countvecs")
    database.query("DROP TABLE init_data")
    database.query("ALTER TABLE text_data DROP COLUMN major_label")
    database.query("ALTER TABLE text_data DROP COLUMN taught")
    database.query("ALTER TABLE classifiers DROP COLUMN download")

    with pytest.raises(SchemaError) as caught:
        store.check()

    said = str(caught.value)
    assert "table countvecs is missing" in said
    assert "table init_data is missing" in said
    assert "table text_data lacks major_label, taught" in said
    assert "table classifiers lacks download" in said
    assert "labels is missing" not in said


def test_a_table_that_vanished_is_named(store, database):
    database.query("DROP TABLE labels")

    with pytest.raises(SchemaError, match="labels"):
        store.label_names()


def test_tables_outside_the_search_path_are_missing(store_of, postgresql):
    postgresql.query("CREATE SCHEMA elsewhere")
    postgresql.query("ALTER TABLE countvecs SET SCHEMA elsewhere")

    with pytest.raises(SchemaError, match="table countvecs is missing"):
        store_of(postgresql).check()


def test_without_their_table_there_are_no_descriptions_and_the_log_says_so_once(store, logged):
    assert store.descriptions() == store.descriptions() == {}

    [told] = logged.named("labels.not_described")
    assert "al_labels" in told["error"]
    assert "al-learner db upgrade" in told["error"]


def test_without_the_right_to_read_them_there_are_no_descriptions_and_the_log_says_so_once(postgresql, connect, logged):
    upgrade_runs(connect(postgresql))
    postgresql.query("INSERT INTO al_labels VALUES ('sun', 'a fine day')")
    plain = Database(postgresql.engine_url.replace("postgres@", f"{WORKER_ROLE}@"))
    store = LabelForwardTables(plain)

    assert store.descriptions() == store.descriptions() == {}
    plain.close()

    [told] = logged.named("labels.not_described")
    assert "permission denied" in told["error"]
    assert LabelForwardTables(connect(postgresql)).descriptions() == {"sun": "a fine day"}


def test_a_database_that_does_not_answer_is_no_project_without_descriptions(tmp_path):
    gone = Database(f"sqlite:///{tmp_path / 'gone.db'}")

    with pytest.raises(DatabaseUnavailable):
        LabelForwardTables(gone).descriptions()
    gone.close()
