"""What a load writes: everything or nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from al_learner import Project
from al_learner.core.errors import DatabaseError, DataError, MigrationError, SchemaError
from al_learner.core.storage.exchange import appending
from al_learner.core.storage.exchange import votes as votes_module
from al_learner.core.storage.exchange.annotated_texts import AnnotatedText, Vote
from al_learner.core.storage.exchange.appending import Loads
from al_learner.core.storage.exchange.labels import LabelSet
from al_learner.core.storage.exchange.votes import AppendedVotes
from al_learner.core.storage.labelforward_tables import LabelForwardTables
from al_learner.core.storage.migrations.upgrade import upgrade_runs
from tests.support.tables import WORKER_ROLE
from tests.support.waiting import DEADLINE_S, wait_until

SMALL_CHUNK = 2

ANY_LABEL = LabelSet({})


def on(text_id, *votes, where=""):
    return AnnotatedText("", where, text_id=text_id, votes=tuple(Vote(*vote) for vote in votes))


@pytest.fixture
def loads(connect, database):
    return Loads(connect(database))


@pytest.fixture
def small_chunks(monkeypatch):
    """Let few rows be many."""
    monkeypatch.setattr(appending, "CHUNK", SMALL_CHUNK)
    monkeypatch.setattr(votes_module, "CHUNK", SMALL_CHUNK)


@pytest.mark.usefixtures("small_chunks")
def test_loading_appends_and_counts(loads, database):
    database.add_texts("before")

    assert loads.load_texts(iter("abc")) == 3
    assert loads.load_labels(["x", "y"]) == 2
    assert loads.load_init_data([("text", "x")], ANY_LABEL) == 1

    assert database.query("SELECT text_data FROM text_data ORDER BY text_id") == [("before",), ("a",), ("b",), ("c",)]
    assert database.query("SELECT label FROM labels ORDER BY label_id") == [("x",), ("y",)]
    assert database.query("SELECT text_data, label FROM init_data") == [("text", "x")]


def test_loaded_texts_are_as_the_api_needs_them(loads, database):
    loads.load_texts(["text"])

    row = database.text(1, "labeled, selected, taught, labels, users, major_label")

    assert row == (False, False, False, database.array([]), database.array([]), None)


@pytest.mark.usefixtures("small_chunks")
def test_an_error_while_loading_leaves_nothing(loads, database):
    def rows():
        yield from "abcde"
        raise DataError("line 6")

    with pytest.raises(DataError, match="line 6"):
        loads.load_texts(rows())

    assert database.count("text_data") == 0


@pytest.mark.usefixtures("small_chunks")
def test_a_row_that_the_database_refuses_leaves_nothing(loads, database):
    with pytest.raises(Exception, match=r"(?i)null"):
        loads.load_labels([*"abcde", None])

    assert database.count("labels") == 0


def test_an_error_while_loading_into_a_new_database_leaves_no_table(new_file):
    loads = Loads(new_file)

    def rows():
        yield "a"
        raise DataError("line 2")

    with pytest.raises(DataError):
        loads.load_texts(rows())

    with pytest.raises(SchemaError):
        LabelForwardTables(new_file).check()


def test_loading_makes_the_tables_of_a_new_database(new_file):
    loads = Loads(new_file)

    loads.load_texts([])

    LabelForwardTables(new_file).check()


@pytest.mark.usefixtures("small_chunks")
def test_nothing_is_lost_when_loading_meets_a_lock(connect, postgresql):
    """A load waits like every write, but in place, for its rows can be read only once."""
    postgres = postgresql.server
    loads = Loads(connect(postgresql))
    blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with postgres.connect(postgresql.name) as other, ThreadPoolExecutor() as pool:
        with other.transaction():
            other.execute("LOCK TABLE text_data IN SHARE MODE")
            loading = pool.submit(loads.load_texts, iter("abcde"))
            wait_until(lambda: postgresql.value(blocked), "the load to wait for the lock")
        assert loading.result(DEADLINE_S) == 5

    assert postgresql.query("SELECT text_data FROM text_data ORDER BY text_id") == [(text,) for text in "abcde"]


def test_loaded_votes_are_appended_in_order(loads, database):
    one, two = database.add_texts("one", "two")
    database.vote(one, "a", "anna")

    assert loads.load_votes([on(two, ("b", "ben")), on(one, ("c", "ben")), on(two, ("d", ""))], ANY_LABEL).votes == 3

    assert database.text(one, "labels, users") == (database.array(["a", "c"]), database.array(["anna", "ben"]))
    assert database.text(two, "labels, users") == (database.array(["b", "d"]), database.array(["ben", ""]))


@pytest.mark.parametrize("before", [None, []])
def test_loaded_votes_are_the_first_of_their_text(loads, database, before):
    text_id = database.add_text("text", labels=before, users=before)

    loads.load_votes([on(text_id, ("a", "anna"))], ANY_LABEL)

    assert database.text(text_id, "labels, users") == (database.array(["a"]), database.array(["anna"]))


def test_loaded_annotators_do_not_slip_onto_older_votes(loads, database):
    text_id = database.add_text("text", labels=["a", "b"], users=["anna"])

    loads.load_votes([on(text_id, ("c", "ben"))], ANY_LABEL)

    assert database.text(text_id, "labels, users") == (
        database.array(["a", "b", "c"]),
        database.array(["anna", "", "ben"]),
    )


def test_a_vote_of_an_annotator_is_loaded_once_and_one_without_a_name_each_time(loads, database):
    text_id = database.add_text("text")
    votes = [on(text_id, ("a", "anna"), ("a", "ben"), ("a", ""))]

    assert loads.load_votes(votes, ANY_LABEL) == AppendedVotes(votes=3)
    assert loads.would_load_votes(votes) == AppendedVotes(votes=1, there=2)
    assert loads.load_votes(votes, ANY_LABEL) == AppendedVotes(votes=1, there=2)

    assert database.text(text_id, "labels, users") == (
        database.array(["a", "a", "a", "a"]),
        database.array(["anna", "ben", "", ""]),
    )


@pytest.mark.parametrize(
    ("replace", "labels", "users", "done"),
    [
        (False, ["a", "b", "b"], ["anna", "ben", "anna"], AppendedVotes(votes=1, there=1, changed=1)),
        (True, ["b", "b"], ["ben", "anna"], AppendedVotes(votes=1, there=1)),
    ],
)
def test_another_label_of_the_same_annotator_is_appended_or_replaces_the_earlier_one(
    loads, database, replace, labels, users, done
):
    text_id = database.add_text("text", labels=["a", "b"], users=["anna", "ben"])
    votes = [on(text_id, ("b", "anna"), ("b", "ben"))]

    assert loads.would_load_votes(votes, replace=replace) == done
    assert loads.load_votes(votes, ANY_LABEL, replace=replace) == done

    assert database.text(text_id, "labels, users") == (database.array(labels), database.array(users))


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("unknown", [999, 2**31, 10**18 - 1])
def test_a_vote_on_an_unknown_text_is_named_and_leaves_no_vote(loads, database, unknown):
    ids = database.add_texts("one", "two", "three")

    with pytest.raises(DataError, match=f"line 4: text_id {unknown} is not in table text_data"):
        loads.load_votes(
            [on(text_id, ("a", "anna"), where=f"line {n}") for n, text_id in enumerate([*ids, unknown], 1)], ANY_LABEL
        )

    assert list(LabelForwardTables(loads._database).voted_texts()) == []


def test_an_error_of_the_database_shows_no_text(loads):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whichever it is
        loads.load_init_data([("a secret text", None)], ANY_LABEL)

    assert "secret" not in str(caught.value)


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


def test_descriptions_are_replaced_on_both_databases(loads, database, connect):
    upgrade_runs(connect(database))
    database.add_labels("sun", "rain")

    assert loads.load_labels(["sun", "fog"], {"sun": "a day", "fog": "a grey day"}) == 1
    assert loads.load_labels(["sun"], {"sun": "a fine day"}) == 0
    assert loads.load_labels(["sun", "rain"]) == 0

    store = LabelForwardTables(connect(database))
    assert store.descriptions() == {"sun": "a fine day", "fog": "a grey day"}
    assert store.label_names() == ["fog", "rain", "sun"]
    assert database.count("labels") == 3
