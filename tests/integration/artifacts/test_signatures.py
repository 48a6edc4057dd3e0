"""With a key, a model is loaded only in the project and under the ids for which it was signed."""

from __future__ import annotations

import hashlib
import hmac
import os
import shutil
import subprocess
from contextlib import closing

import pytest

from al_learner import Project
from al_learner.core.errors import MigrationError, SchemaError, UntrustedError
from al_learner.core.storage.run_lock import hold_run_lock
from tests.conftest import TEMPLATE
from tests.support.corpora import add_weather
from tests.support.tables import ON_BOTH, WORKER_ROLE, PostgresqlTables, SqliteTables

KEY = "secret"
N_TEXTS = 20


@pytest.fixture
def voted(database):
    add_weather(database, N_TEXTS)
    return database


@pytest.fixture
def open_signed(open_project):
    """Return a function that opens a project with the key."""
    return lambda tables, **settings: open_project(tables, signing_key=KEY, **settings)


def predicts(project, clf_id):
    return len([*project.predict(["rain"], clf_id=clf_id)]) == 1


def copy_as_newest(tables, clf_id):
    """Copy a classifier, its vectorizer and its run under new ids, as somebody without the key can. Return the id."""
    [run] = tables.query(f"SELECT countvec_id FROM al_runs WHERE clf_id = {clf_id} AND status = 'succeeded'")
    countvec = f"INSERT INTO countvecs (countvec) SELECT countvec FROM countvecs WHERE countvec_id = {run[0]}"
    clf = f"INSERT INTO classifiers (clf, download) SELECT clf, 0 FROM classifiers WHERE clf_id = {clf_id}"
    new_countvec = tables.value(f"{countvec} RETURNING countvec_id")
    new_clf = tables.value(f"{clf} RETURNING clf_id")
    copied = (
        "kind, status, forced, owner, state, started, finished, new_samples, texts, classes, strategies, versions, "
        "clf_sha256, countvec_sha256, signature, metrics"
    )
    tables.query(
        f"INSERT INTO al_runs (clf_id, countvec_id, {copied}) SELECT {new_clf}, {new_countvec}, {copied} FROM al_runs"
        f" WHERE clf_id = {clf_id}"
    )
    return new_clf


def signature_v1(clf_sha256, countvec_sha256):
    """Return a signature as it was before al_project."""
    message = f"al_learner pair: clf {clf_sha256} countvec {countvec_sha256}"
    return hmac.new(KEY.encode(), message.encode(), hashlib.sha256).hexdigest()


def turn_back(tables):
    """Leave a database as a version without al_project did."""
    for run_id, *digests in tables.query("SELECT run_id, clf_sha256, countvec_sha256 FROM al_runs"):
        tables.query("UPDATE al_runs SET signature = ? WHERE run_id = ?", signature_v1(*digests), run_id)
    tables.query("DROP TABLE al_project")
    tables.query("UPDATE al_learner_version SET version_num = '0003'")


@ON_BOTH
def test_a_signed_model_that_was_copied_under_a_new_id_is_not_loaded_and_is_replaced(voted, open_signed, redis):
    project = open_signed(voted, redis_host="127.0.0.1", redis_port=redis.port)
    for _ in range(2):
        project.update(force=True)

    copied = copy_as_newest(voted, 1)

    assert predicts(project, 1)
    with pytest.raises(UntrustedError, match=f"classifier {copied} is not loaded"):
        predicts(project, copied)
    with redis.client() as client, client.pubsub() as predictor:
        predictor.subscribe("predictor")
        assert project.reconcile().due == "update"  # not announce
    assert predicts(project, copied + 1)


@ON_BOTH
@pytest.mark.parametrize("step", ["promote", "update"])
def test_a_copy_that_al_learner_made_has_a_signature_of_its_own(voted, open_signed, step):
    project = open_signed(voted)
    project.update(force=True)
    project.update(force=True)

    newest = (project.promote(1) if step == "promote" else project.update(force=True)).run.clf_id

    signatures = voted.query("SELECT signature FROM al_runs")
    assert len({*signatures}) == 3
    assert predicts(open_signed(voted), newest)


def test_a_model_that_the_gate_restored_has_a_signature_of_its_own(voted, open_signed):
    project = open_signed(voted)
    for _ in range(2):
        project.update(force=True)
    restored, newest = project._models.stored(1), project._storage.runs.last()
    with hold_run_lock(project._storage.database) as lock:
        run = lock.score(newest.run_id, newest.clf_id, 0.5, {}, restored=restored, sign=project._models.sign)

    assert predicts(open_signed(voted), run.clf_id)


@ON_BOTH
def test_models_that_were_copied_from_another_project_are_not_loaded(database, open_signed, tmp_path):
    on_postgresql = isinstance(database, PostgresqlTables)
    theirs = PostgresqlTables(database.server, TEMPLATE) if on_postgresql else SqliteTables(tmp_path / "other.db")
    with closing(theirs):
        for tables in (database, theirs):
            add_weather(tables, N_TEXTS)
            open_signed(tables).update(force=True)
        columns = "clf_sha256, countvec_sha256, signature"
        [run] = theirs.query(f"SELECT {columns} FROM al_runs WHERE clf_id = 1")
        database.query("UPDATE al_runs SET clf_sha256 = ?, countvec_sha256 = ?, signature = ?", *run)
        database.query("UPDATE classifiers SET clf = ?", *theirs.query("SELECT clf FROM classifiers")[0])
        database.query("UPDATE countvecs SET countvec = ?", *theirs.query("SELECT countvec FROM countvecs")[0])
        project = open_signed(database)
        with pytest.raises(UntrustedError):
            predicts(project, 1)

        # Whoever may also write to al_project can make this project the other one. Keys of their own prevent that.
        database.query("UPDATE al_project SET project_id = ?", theirs.value("SELECT project_id FROM al_project"))
        assert predicts(project, 1)
        for opened in (project, open_signed(theirs)):
            opened.close()


def test_a_restored_dump_is_the_same_project(postgresql, open_signed, tmp_path):
    add_weather(postgresql, N_TEXTS)
    open_signed(postgresql).update(force=True)
    server = postgresql.server
    programs, environment = server._bin, {**os.environ, **server.environment(postgresql.name)}
    dump = tmp_path / "dump.sql"
    subprocess.run([programs / "pg_dump", "-f", dump], env=environment, check=True)
    restored = PostgresqlTables(server, "template0")
    with closing(restored):
        environment["PGDATABASE"] = restored.name
        subprocess.run([programs / "psql", "-q", "-f", dump], env=environment, check=True, stdout=subprocess.DEVNULL)

        project = open_signed(restored)

        assert predicts(project, 1)
        project.update(force=True)
        assert restored.query("SELECT DISTINCT countvec_id FROM al_runs") == [(1,)]
        project.close()


def test_a_copied_sqlite_file_is_the_same_project(sqlite, open_signed, tmp_path):
    add_weather(sqlite, N_TEXTS)
    open_signed(sqlite).update(force=True)
    sqlite.query("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(sqlite.path, tmp_path / "copy.db")

    with closing(Project(f"sqlite:///{tmp_path / 'copy.db'}", signing_key=KEY)) as project:
        assert predicts(project, 1)


@ON_BOTH
def test_a_database_with_signatures_of_version_1_is_signed_anew_and_loses_nothing(voted, open_signed, logged):
    project = open_signed(voted)
    for _ in range(2):
        project.update(force=True)
    project.promote(1)
    turn_back(voted)

    project = open_signed(voted)

    assert logged.named("models.signed_anew") == [{"models": 3}]
    assert all(predicts(project, clf_id) for clf_id in (1, 2, 3))
    project.update(force=True)
    assert logged.named("vectorizer.refitted") == []
    assert [*{signature[:3] for (signature,) in voted.query("SELECT signature FROM al_runs")}] == ["v2:"]
    open_signed(voted)
    assert len(logged.named("models.signed_anew")) == 1


@ON_BOTH
def test_an_upgrade_without_the_key_leaves_it_to_the_first_start_with_the_key(voted, open_project, open_signed):
    open_signed(voted).update(force=True)
    turn_back(voted)

    open_project(voted).update(force=True)  # unsigned
    project = open_signed(voted)

    assert predicts(project, 1)
    with pytest.raises(UntrustedError):
        predicts(project, 2)


@ON_BOTH
@pytest.mark.parametrize("when", ["before the first start with the key", "after it"])
def test_after_the_upgrade_no_other_signature_of_version_1_counts(voted, open_project, open_signed, when):
    """Whoever may write to al_runs, but not to al_project, gains nothing, even by deleting every new signature."""
    open_signed(voted).update(force=True)
    turn_back(voted)
    v1 = voted.query("SELECT signature FROM al_runs")[0][0]
    (open_signed if when == "after it" else open_project)(voted)

    voted.query("UPDATE al_runs SET signature = ?", v1)
    copied = copy_as_newest(voted, 1)
    project = open_signed(voted)

    with pytest.raises(UntrustedError, match=f"classifier {copied} is not loaded"):
        predicts(project, copied)
    assert predicts(project, 1)


def test_what_was_signed_in_version_1_with_another_key_is_not_signed_anew(voted, open_project, open_signed):
    open_signed(voted).update(force=True)
    turn_back(voted)

    with pytest.raises(UntrustedError):
        predicts(open_project(voted, signing_key="another"), 1)
    assert predicts(open_signed(voted), 1)


@ON_BOTH
def test_a_dropped_al_project_is_created_again_with_another_id_under_which_nothing_is_valid(voted, open_signed):
    open_signed(voted).update(force=True)
    voted.query("DROP TABLE al_project")

    project = open_signed(voted)

    with pytest.raises(UntrustedError):
        predicts(project, 1)
    project.update(force=True)
    assert predicts(project, 2)


def test_an_empty_al_project_is_an_error_that_says_what_to_do(voted, open_signed):
    open_signed(voted).update(force=True)
    voted.query("DELETE FROM al_project")

    with pytest.raises(SchemaError, match=r"al_project has 0 rows, but must have one.*drop the table"):
        open_signed(voted)


def test_a_user_who_may_not_read_al_project_is_told_to_grant_that(postgresql, open_signed):
    add_weather(postgresql, N_TEXTS)
    open_signed(postgresql).update(force=True)
    postgresql.query(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {WORKER_ROLE}")
    postgresql.query(f"REVOKE SELECT ON al_project FROM {WORKER_ROLE}")

    with (
        closing(Project(postgresql.url.replace("postgres@", f"{WORKER_ROLE}@"), signing_key=KEY)) as project,
        pytest.raises(MigrationError, match=r"permission denied for table al_project.*limit-privileges"),
    ):
        project.prepare()
