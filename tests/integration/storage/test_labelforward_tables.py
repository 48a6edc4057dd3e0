"""What is read from LabelForward's tables, and what loading writes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from al_learner import Project
from al_learner.core.errors import DatabaseError, DatabaseUnavailable, DataError, MigrationError, SchemaError
from al_learner.core.storage import labelforward_tables as store_module
from al_learner.core.storage.database import Database
from al_learner.core.storage.labelforward_tables import LabelForwardTables
from al_learner.core.storage.migrations.upgrade import upgrade_runs
from tests.support.tables import WORKER_ROLE
from tests.support.waiting import DEADLINE_S, wait_until

SMALL_CHUNK = 2


@pytest.fixture
def store_of(connect):
    return lambda tables: LabelForwardTables(connect(tables))


@pytest.fixture
def store(store_of, database):
    return store_of(database)


@pytest.fixture
def new_file(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'new.db'}")
    yield database
    database.close()


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
    store.load_texts([text])

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


@pytest.mark.usefixtures("small_chunks")
def test_loading_appends_and_counts(store, database):
    database.add_texts("before")

    assert store.load_texts(iter("abc")) == 3
    assert store.load_labels(["x", "y"]) == 2
    assert store.load_init_data([("text", "x")]) == 1

    assert database.query("SELECT text_data FROM text_data ORDER BY text_id") == [("before",), ("a",), ("b",), ("c",)]
    assert database.query("SELECT label FROM labels ORDER BY label_id") == [("x",), ("y",)]
    assert database.query("SELECT text_data, label FROM init_data") == [("text", "x")]


def test_loaded_texts_are_as_the_api_needs_them(store, database):
    store.load_texts(["text"])

    row = database.text(1, "labeled, selected, taught, labels, users, major_label")

    assert row == (False, False, False, database.array([]), database.array([]), None)


@pytest.mark.usefixtures("small_chunks")
def test_an_error_while_loading_leaves_nothing(store, database):
    def rows():
        yield from "abcde"
        raise DataError("line 6")

    with pytest.raises(DataError, match="line 6"):
        store.load_texts(rows())

    assert database.count("text_data") == 0


@pytest.mark.usefixtures("small_chunks")
def test_a_row_that_the_database_refuses_leaves_nothing(store, database):
    with pytest.raises(Exception, match=r"(?i)null"):
        store.load_labels([*"abcde", None])

    assert database.count("labels") == 0


def test_an_error_while_loading_into_a_new_database_leaves_no_table(new_file):
    store = LabelForwardTables(new_file)

    def rows():
        yield "a"
        raise DataError("line 2")

    with pytest.raises(DataError):
        store.load_texts(rows())

    with pytest.raises(SchemaError):
        store.check()


def test_loading_makes_the_tables_of_a_new_database(new_file):
    store = LabelForwardTables(new_file)

    store.load_texts([])

    store.check()


@pytest.mark.usefixtures("small_chunks")
def test_nothing_is_lost_when_loading_meets_a_lock(connect, postgresql):
    """A load waits like every write, but in place, for its rows can be read only once."""
    postgres = postgresql.server
    store = LabelForwardTables(connect(postgresql))
    blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with postgres.connect(postgresql.name) as other, ThreadPoolExecutor() as pool:
        with other.transaction():
            other.execute("LOCK TABLE text_data IN SHARE MODE")
            loading = pool.submit(store.load_texts, iter("abcde"))
            wait_until(lambda: postgresql.value(blocked), "the load to wait for the lock")
        assert loading.result(DEADLINE_S) == 5

    assert postgresql.query("SELECT text_data FROM text_data ORDER BY text_id") == [(text,) for text in "abcde"]


def test_loaded_votes_are_appended_in_order(store, database):
    one, two = database.add_texts("one", "two")
    database.vote(one, "a", "anna")

    assert store.load_votes([(two, "b", "ben", ""), (one, "c", "ben", ""), (two, "d", "", "")]) == 3

    assert database.text(one, "labels, users") == (database.array(["a", "c"]), database.array(["anna", "ben"]))
    assert database.text(two, "labels, users") == (database.array(["b", "d"]), database.array(["ben", ""]))


@pytest.mark.parametrize("before", [None, []])
def test_loaded_votes_are_the_first_of_their_text(store, database, before):
    text_id = database.add_text("text", labels=before, users=before)

    store.load_votes([(text_id, "a", "anna", "")])

    assert database.text(text_id, "labels, users") == (database.array(["a"]), database.array(["anna"]))


def test_loaded_annotators_do_not_slip_onto_older_votes(store, database):
    text_id = database.add_text("text", labels=["a", "b"], users=["anna"])

    store.load_votes([(text_id, "c", "ben", "")])

    assert database.text(text_id, "labels, users") == (
        database.array(["a", "b", "c"]),
        database.array(["anna", "", "ben"]),
    )


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("unknown", [999, 2**31, 10**18 - 1])
def test_a_vote_on_an_unknown_text_is_named_and_leaves_no_vote(store, database, unknown):
    ids = database.add_texts("one", "two", "three")

    with pytest.raises(DataError, match=f"line 4: text_id {unknown} is not in table text_data"):
        store.load_votes([(text_id, "a", "anna", f"line {n}") for n, text_id in enumerate([*ids, unknown], 1)])

    assert list(store.voted_texts()) == []


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


def test_an_error_of_the_database_shows_no_text(store):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whichever it is
        store.load_init_data([("a secret text", None)])

    assert "secret" not in str(caught.value)


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


def test_a_user_who_may_not_create_their_table_loads_no_descriptions_and_no_label(postgresql):
    postgresql.query(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {WORKER_ROLE}")
    postgresql.query(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {WORKER_ROLE}")
    project = Project(postgresql.url.replace("postgres@", f"{WORKER_ROLE}@"))

    with pytest.raises(MigrationError, match=r"may not .*al-learner db upgrade"):
        project.load_labels([("sun", "a fine day"), "rain"])
    assert postgresql.count("labels") == 0
    assert project.load_labels(["sun", "rain"]).rows == 2
    project.close()


def test_a_user_who_may_not_write_descriptions_loads_no_label_with_one(postgresql, connect):
    upgrade_runs(connect(postgresql))
    postgresql.query(f"GRANT ALL ON labels, labels_label_id_seq, al_learner_version TO {WORKER_ROLE}")
    postgresql.query(f"GRANT SELECT ON al_labels TO {WORKER_ROLE}")
    project = Project(postgresql.url.replace("postgres@", f"{WORKER_ROLE}@"))

    with pytest.raises(DatabaseError, match="permission denied for table al_labels"):
        project.load_labels([("sun", "a fine day"), "rain"])
    assert postgresql.count("labels") == 0
    project.close()


def test_descriptions_are_replaced_on_both_databases(store, database, connect):
    upgrade_runs(connect(database))
    database.add_labels("sun", "rain")

    assert store.load_labels(["sun", "fog"], {"sun": "a day", "fog": "a grey day"}) == 2
    assert store.load_labels(["sun"], {"sun": "a fine day"}) == 1

    assert store.descriptions() == {"sun": "a fine day", "fog": "a grey day"}
    assert store.label_names() == ["fog", "rain", "sun"]
    assert database.count("labels") == 3
