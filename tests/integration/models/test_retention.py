"""Old classifiers go when all take too much space; the neighbours go on."""

from __future__ import annotations

import json
import pickle

import psycopg
import pytest
import sqlalchemy as sa

from al_learner.core.models import retention
from al_learner.core.storage.records import METRIC_DETAILS
from tests.integration.models.test_catalogue import add_votes, ids
from tests.support.tables import ON_BOTH

NOTHING_GIB = 1e-9
KEPT_NEWEST = 2


@pytest.fixture(autouse=True)
def _few_are_kept(monkeypatch):
    monkeypatch.setattr(retention, "KEPT_NEWEST", KEPT_NEWEST)


@pytest.fixture
def train(database, open_project):
    """Return a function that trains classifiers without retention, and lets all that are stored be old.

    A training without a refit would store what the one before it has stored: that is copied.
    """
    add_votes(database)
    project = open_project(database)

    def train(*, refit: tuple[bool, ...]) -> None:
        for number, each in enumerate(refit):
            if number == 0 or each:
                project.update(force=True, refit=each)
            else:
                database.copy_newest_model()
        database.query("UPDATE classifiers SET created_at = '2020-01-01 00:00:00', precision_score = 0.5")
        database.query("UPDATE al_runs SET started = '2020-01-01 00:00:00', finished = '2020-01-01 00:00:00'")

    return train


@pytest.fixture
def run_once(database, open_project):
    """Return a function that lets the batch of a project with retention be due, and reconciles once."""
    opened = []

    def run_once(keep_gib=NOTHING_GIB, tables=None):
        tables = tables or database
        for number in range(2):
            tables.add_text(f"a new text {number} rain", labels=["a"])
        if not opened:
            opened.append(open_project(tables, batch_size=2, keep_gib=keep_gib))
        state = opened[0].reconcile()
        assert state.due == "update"
        return opened[0]

    return run_once


def bytes_of(tables, *clf_ids):
    """Return how many bytes these classifiers and all vectorizers have."""
    sizes = dict(tables.query("SELECT clf_id, length(clf) FROM classifiers"))
    return sum(sizes[clf_id] for clf_id in clf_ids) + tables.value("SELECT sum(length(countvec)) FROM countvecs")


@ON_BOTH
def test_nothing_is_deleted_until_the_limit_is_exceeded(train, run_once, database, logged):
    train(refit=(False,) * 4)

    run_once(keep_gib=4)

    assert ids(database) == [1, 2, 3, 4, 5]
    assert logged.named("retention.deleted") == []


@ON_BOTH
def test_the_oldest_go_until_there_is_less_than_the_limit(train, run_once, database, logged):
    train(refit=(False,) * 6)

    limit = bytes_of(database, 4, 5, 6)
    before = {clf_id: bytes_of(database, clf_id) - bytes_of(database) for clf_id in ids(database)}

    run_once(keep_gib=limit / 2**30)

    found = ids(database)
    assert found == [*range(found[0], 8)]
    assert bytes_of(database, *found) <= limit < bytes_of(database, *found) + before[found[0] - 1]
    assert [fields["vectorizers"] for fields in logged.named("retention.deleted")] == [""]
    assert database.count("al_runs") == 7


PROTECTED = {
    "young": "UPDATE classifiers SET created_at = CURRENT_TIMESTAMP WHERE clf_id = 2",
    "of an unknown age": "UPDATE classifiers SET created_at = NULL WHERE clf_id = 2",
    "asked for": "UPDATE classifiers SET download = 1 WHERE clf_id = 2",
    "downloaded": "UPDATE classifiers SET download = 2 WHERE clf_id = 2",
    "scored best": "UPDATE classifiers SET precision_score = 0.6 WHERE clf_id = 2",
    "unknown to al_runs": "UPDATE al_runs SET clf_id = NULL WHERE clf_id = 2",
    "promoted by a person": "UPDATE al_runs SET kind = 'promote' WHERE clf_id = 2",
    "copied by a person": (
        "UPDATE al_runs SET kind = 'promote', metrics = '{\"promoted\": {\"clf_id\": 2}}' WHERE clf_id = 3"
    ),
}


@ON_BOTH
@pytest.mark.parametrize("reason", PROTECTED)
def test_some_are_never_deleted(train, run_once, database, reason):
    train(refit=(False,) * 6)
    database.query("UPDATE classifiers SET precision_score = NULL")
    database.query(PROTECTED[reason])

    run_once()

    assert ids(database) == [2, *([3] if reason == "copied by a person" else []), 6, 7]


@ON_BOTH
def test_of_equally_good_ones_only_the_newest_is_kept(train, run_once, database):
    train(refit=(False,) * 6)
    database.query("UPDATE classifiers SET precision_score = 0.9 WHERE clf_id IN (2, 3)")

    run_once()

    assert ids(database) == [3, 6, 7]


@ON_BOTH
def test_those_that_nobody_can_download_go_first_with_their_vectorizer(train, run_once, database, open_project, logged):
    train(refit=(False, False))
    database.add_text("a word that was new")
    train(refit=(True, False))
    open_project(database).promote(1)  # with a copy of its vectorizer
    train(refit=())

    of_3 = bytes_of(database, 3) - bytes_of(database)

    run_once(keep_gib=(bytes_of(database, *ids(database)) - of_3) / 2**30)  # the new one and 3 are too much

    assert logged.named("retention.deleted") == [{"classifiers": "3-4", "vectorizers": "2"}]
    assert ids(database) == [1, 2, 5, 6]


@ON_BOTH
def test_a_vectorizer_that_no_classifier_needs_goes(train, run_once, database, logged):
    train(refit=(False, True, False, True))

    run_once()

    assert logged.named("retention.deleted") == [{"classifiers": "1-3", "vectorizers": "1-2"}]
    assert ids(database, "countvecs", "countvec_id") == [3]
    assert ids(database) == [4, 5]


@ON_BOTH
def test_a_vectorizer_that_a_young_run_used_stays(train, run_once, database):
    train(refit=(False, True, False, True))
    database.query("UPDATE al_runs SET finished = CURRENT_TIMESTAMP WHERE countvec_id = 1")

    run_once()

    assert ids(database) == [4, 5]
    assert ids(database, "countvecs", "countvec_id") == [1, 3]


@ON_BOTH
def test_one_transaction_deletes_a_few_and_a_run_is_followed_by_a_few_transactions(
    train, run_once, database, monkeypatch, logged
):
    monkeypatch.setattr(retention, "ROWS", 2)
    monkeypatch.setattr(retention, "TRANSACTIONS", 2)
    taken = []

    @sa.event.listens_for(sa.Engine, "commit")
    def count(_connection):
        taken.append(database.count("classifiers"))

    train(refit=(False,) * 8)
    taken.clear()
    try:
        run_once()
    finally:
        sa.event.remove(sa.Engine, "commit", count)

    assert [*dict.fromkeys(taken)] == [8, 9, 7, 5]
    assert [fields["classifiers"] for fields in logged.named("retention.deleted")] == ["1-4"]


# -- the neighbours -----------------------------------------------------------------------------------------------


class Monitor:
    """The API's list of classifiers, and the download manager that does what somebody clicks there."""

    def __init__(self, url):
        self._connection = psycopg.connect(url)

    def listed(self):
        with self._connection.transaction():
            return self._connection.execute(
                "SELECT clf_id, precision_score, created_at, download FROM classifiers"
            ).fetchall()

    def click(self, clf_id):
        """Pack the newest vectorizer and a classifier. Return what it predicts."""
        self._set_download(clf_id, 1)
        countvec = self._connection.execute(
            "SELECT countvec FROM countvecs ORDER BY countvec_id DESC LIMIT 1"
        ).fetchone()
        clf = self._connection.execute("SELECT clf FROM classifiers WHERE clf_id = %s", (clf_id,)).fetchone()
        self._connection.rollback()
        vectorizer, classifier = pickle.loads(countvec[0]), pickle.loads(None if clf is None else clf[0])
        predicted = classifier.predict(vectorizer.transform(["rain", "sun"])).tolist()
        self._set_download(clf_id, 2)
        return predicted

    def _set_download(self, clf_id, status):
        self._connection.execute("UPDATE classifiers SET download = %s WHERE clf_id = %s", (status, clf_id))
        self._connection.commit()

    def close(self):
        self._connection.close()


@pytest.fixture
def monitor(postgresql):
    monitor = Monitor(postgresql.url)
    yield monitor
    monitor.close()


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_the_monitor_lists_what_is_left_and_all_of_it_can_be_downloaded(train, run_once, monitor):
    train(refit=(False,) * 6)
    assert [row[0] for row in monitor.listed()] == [1, 2, 3, 4, 5, 6]

    run_once()

    assert sorted(row[0] for row in monitor.listed()) == [6, 7]
    assert [monitor.click(clf_id) for clf_id in (6, 7)] == [["a", "b"]] * 2


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_click_on_a_stale_list_unpickles_nothing_and_changes_nothing(train, run_once, database, monitor):
    train(refit=(False,) * 6)
    run_once()
    before = database.content()

    with pytest.raises(
        TypeError, match="NoneType"
    ):  # the download manager ends with it, as with any id that is not there
        monitor.click(1)

    assert database.content() == before
    assert monitor.click(7) == ["a", "b"]


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_click_at_the_last_moment_keeps_the_classifier(train, run_once, database, monitor):
    train(refit=(False,) * 6)
    clicked = []

    @sa.event.listens_for(sa.Engine, "before_cursor_execute")
    def click(_connection, _cursor, statement, *_):
        if "FOR UPDATE SKIP LOCKED" in statement and not clicked:
            clicked.append(monitor.click(3))

    try:
        run_once()
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", click)

    assert clicked == [["a", "b"]]
    assert ids(database) == [3, 6, 7]


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_row_that_somebody_locks_is_left_for_the_next_time(train, run_once, database):
    train(refit=(False,) * 6)
    with psycopg.connect(database.url) as other:
        other.execute("UPDATE classifiers SET download = 1 WHERE clf_id = 3")
        run_once()
        assert ids(database) == [3, 6, 7]
        other.rollback()

    database.query("UPDATE classifiers SET created_at = '2020-01-01' WHERE clf_id < 7")
    run_once()

    assert ids(database) == [6, 7, 8]  # 6 has the best score


# -- it never fails a run -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_delete_that_fails_is_logged_and_the_run_has_succeeded(train, run_once, database, logged):
    train(refit=(False,) * 6)
    database.query("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''refused''; END'")
    database.query("CREATE TRIGGER refuse BEFORE DELETE ON classifiers FOR EACH ROW EXECUTE FUNCTION refuse()")

    run_once()

    assert "refused" in logged.named("retention.failed")[0]["error"]
    assert ids(database) == [1, 2, 3, 4, 5, 6, 7]
    assert database.value("SELECT status FROM al_runs ORDER BY run_id DESC LIMIT 1") == "succeeded"


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_it_waits_for_no_other_session(train, run_once, database, logged):
    train(refit=(False,) * 6)
    database.query("DELETE FROM classifiers WHERE clf_id < 4")
    with psycopg.connect(database.url) as other:
        other.execute("SELECT FROM al_runs WHERE run_id = 1 FOR UPDATE")
        run_once()

    assert "lock timeout" in logged.named("retention.failed")[0]["error"]
    assert ids(database) == [6, 7]


# -- the predictions of texts -------------------------------------------------------------------------------------


def details(tables):
    """Return which runs have large parts in their metrics, and which have a score."""
    found = [
        (run_id, metrics if isinstance(metrics, dict) else json.loads(metrics))
        for run_id, metrics in tables.query("SELECT run_id, metrics FROM al_runs WHERE metrics IS NOT NULL ORDER BY 1")
    ]
    detailed = [run_id for run_id, metrics in found if not metrics.keys().isdisjoint(METRIC_DETAILS)]
    return detailed, [run_id for run_id, metrics in found if metrics["precision"] >= 0]


@ON_BOTH
@pytest.mark.parametrize("how", ["retention", "prune", "by hand"])
def test_the_predictions_of_classifiers_that_are_gone_leave_the_metrics(train, run_once, database, open_project, how):
    train(refit=(False,) * 6)
    assert details(database) == ([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6])
    if how == "prune":
        open_project(database).prune(2)
    if how == "by hand":
        database.query("DELETE FROM classifiers WHERE clf_id < 5")

    project = run_once(keep_gib=NOTHING_GIB if how == "retention" else 4)
    while project.reconcile().due:
        pass

    kept = [6, 7] if how == "retention" else [5, 6, 7]
    assert details(database) == (kept, [1, 2, 3, 4, 5, 6, 7])
    assert project.compare(6, 7).size > 0


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)  # SQLite would use the ids again
def test_the_newest_runs_keep_their_predictions(train, run_once, database):
    train(refit=(False,) * 4)
    database.query("DELETE FROM classifiers")

    run_once(keep_gib=4)  # runs 4 and 5 are the newest

    assert details(database)[0] == [4]
