"""What each commit of a run writes."""

from __future__ import annotations

import pytest

from al_learner.core.artifacts.pickling import INCOMPRESSIBLE, sha256
from al_learner.core.errors import DatabaseError
from al_learner.core.storage.database import owner
from al_learner.core.storage.migrations.upgrade import upgrade_runs
from al_learner.core.storage.run_lock import hold_run_lock
from al_learner.core.storage.runs import Runs
from tests.support.runs import BEGIN, FINISH, trained


def test_the_first_commit_writes_labels_and_that_they_are_not_taught_and_nothing_else(runs, database):
    ids = [database.add_text(text, labels=["a"], users=["anna"], major_label="a", taught=True) for text in "abc"]
    columns = "text_data, labeled, selected, labels, users, uncertainty, predicted_label"
    before = [database.text(text_id, columns) for text_id in ids]
    untouched = database.text(ids[2], "*")

    with hold_run_lock(runs._database) as lock:
        lock.begin("update", **BEGIN, samples=[(ids[0], "b"), (ids[1], "שלום 😀")])

    assert database.text(ids[0]) == ("b", False)
    assert database.text(ids[1]) == ("שלום 😀", False)
    assert [database.text(text_id, columns) for text_id in ids] == before
    assert database.text(ids[2], "*") == untouched


def test_the_first_commit_records_the_run(runs):
    with hold_run_lock(runs._database) as lock:
        run_id = lock.begin("update", **BEGIN, samples=[])
        run = runs.last()

    assert run is not None
    assert (run.run_id, run.kind, run.status, run.forced, run.owner) == (run_id, "update", "running", False, owner())
    assert (run.state, run.strategies, run.new_samples) == ("digest", BEGIN["strategies"], 0)
    assert run.started.tzinfo is not None
    assert (run.finished, run.announced, run.clf_id, run.error, run.metrics) == (None, None, None, None, None)


def test_the_first_commit_takes_thousands_of_samples(runs, database):
    ids = database.add_texts(*["text"] * 3000)

    with hold_run_lock(runs._database) as lock:
        lock.begin("update", **BEGIN, samples=[(text_id, f"label {text_id}") for text_id in ids])

    assert database.query("SELECT major_label FROM text_data ORDER BY text_id") == [(f"label {i}",) for i in ids]


@pytest.fixture
def ids(database):
    return database.add_texts("one", "two", "three", "four")


def test_the_second_commit_stores_the_model_and_teaches_exactly_the_texts_it_was_given(runs, database, ids):
    def sign(project_id, *model):
        return f"{project_id} {model}"

    with hold_run_lock(runs._database) as lock:
        run_id = lock.begin("update", **BEGIN, samples=[(text_id, "a") for text_id in ids[:3]])
        returned = lock.finish(run_id, trained(), ids[:2], sign=sign, seconds=0.5)

    assert database.query("SELECT clf_id, clf, download FROM classifiers") == [(1, b"classifier", 0)]
    assert database.query("SELECT countvec FROM countvecs") == [(b"vectorizer",)]
    assert [database.text(text_id) for text_id in ids] == [("a", True), ("a", True), ("a", False), (None, False)]
    run = runs.last(clf_id=1)
    assert run == returned
    assert run is not None
    assert (run.status, run.countvec_id, run.texts, run.classes, run.seconds) == ("succeeded", 1, 3, 2, 0.5)
    assert (run.clf_sha256, run.countvec_sha256) == (sha256(b"classifier"), sha256(b"vectorizer"))
    assert (run.signature, run.versions, run.announced) == (
        sign(runs.project_id(), 1, sha256(b"classifier"), 1, sha256(b"vectorizer")), {"numpy": "2.4.6"}, None
    )  # fmt: skip
    assert run.finished is not None


@pytest.mark.parametrize(("start", "is_compressed"), [(b"", True), (INCOMPRESSIBLE, False)])
def test_postgresql_stores_a_model_as_it_is_if_its_start_is_incompressible(connect, postgresql, start, is_compressed):
    runs = Runs(connect(postgresql))
    upgrade_runs(runs._database)
    with hold_run_lock(runs._database) as lock:
        lock.finish(lock.begin("update", **BEGIN, samples=[]), trained(countvec=start + bytes(9999)), [], **FINISH)

    compressed = "SELECT pg_column_size(countvec) < length(countvec) FROM countvecs"
    assert postgresql.value(compressed) == is_compressed


def test_the_second_commit_keeps_the_vectorizer_it_was_trained_with(runs, database):
    countvec_id = database.add_countvec(b"vectorizer")

    with hold_run_lock(runs._database) as lock:
        lock.finish(
            lock.begin("update", **BEGIN, samples=[]), trained(countvec=None, countvec_id=countvec_id), [], **FINISH
        )

    assert database.count("countvecs") == 1
    run = runs.of_countvec(countvec_id)
    assert run is not None
    assert run.countvec_id == countvec_id


def test_votes_that_arrive_between_the_commits_are_kept(runs, database, ids):
    with hold_run_lock(runs._database) as lock:
        run_id = lock.begin("update", **BEGIN, samples=[(ids[0], "a")])
        database.vote(ids[0], "b", "ben")
        lock.finish(run_id, trained(), ids[:1], **FINISH)

    assert database.text(ids[0], "labels, users") == (database.array(["b"]), database.array(["ben"]))


def test_when_the_second_commit_fails_nothing_of_it_is_stored(runs, database, ids):
    with hold_run_lock(runs._database) as lock:
        run_id = lock.begin("update", **BEGIN, samples=[(text_id, "a") for text_id in ids])
        database.refuse_teaching()
        before = {name: rows for name, rows in database.content().items() if name != "commits of others"}

        with pytest.raises(DatabaseError, match="refused"):
            lock.finish(run_id, trained(), ids, **FINISH)

    after = database.content()
    assert {name: after[name] for name in before} == before
    assert (database.count("classifiers"), database.count("countvecs")) == (0, 0)
    assert runs.last(status="running") is not None


def test_a_choice_is_kept_beside_the_run_and_the_newest_is_found(runs):
    assert runs.newest_choice() is None
    with hold_run_lock(runs._database) as lock:
        for name in ("first", "second", None):
            run_id = lock.begin("update", **BEGIN, samples=[])
            lock.finish(run_id, trained(), [], **FINISH)
            if name:
                lock.choose(run_id, {"name": name})

    assert runs.newest_choice() == {"name": "second"}
    assert [run.choice for run in runs.recent()] == [None, {"name": "second"}, {"name": "first"}]


def test_the_third_commit_stores_the_score(runs, database):
    with hold_run_lock(runs._database) as lock:
        run_id = lock.begin("update", **BEGIN, samples=[])
        clf_id = lock.finish(run_id, trained(), [], **FINISH).clf_id
        assert clf_id is not None
        other = database.add_clf(b"another")
        lock.score(run_id, clf_id, 0.75, {"basis": "votes", "size": 4})

    assert database.query("SELECT clf_id, precision_score FROM classifiers ORDER BY 1") == [
        (clf_id, 0.75),
        (other, None),
    ]
    run = runs.last()
    assert run is not None
    assert run.metrics == {"basis": "votes", "size": 4}


def test_only_waiting_runs_are_marked_as_announced(runs):
    with hold_run_lock(runs._database) as lock:
        lock.end(lock.begin("init", **BEGIN, samples=[]), "failed", "a reason")
        lock.finish(lock.begin("init", **BEGIN, samples=[]), trained(), [], **FINISH)
        runs.mark_announced(2)
        first = runs.recent()
        for _ in range(2):
            lock.finish(lock.begin("update", **BEGIN, samples=[]), trained(), [], **FINISH)
        runs.mark_announced(3)

    later, newest, older, failed = runs.recent()
    assert later.announced is None
    assert newest.announced is not None
    assert older.announced == first[0].announced is not None
    assert failed.announced is None
