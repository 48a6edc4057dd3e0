"""Scenario 9, blobs: what somebody has changed is never unpickled, and the project goes on without it."""

from __future__ import annotations

import os
import pickle
import random
from contextlib import suppress
from pathlib import Path

import pytest

from al_learner import AlLearnerError, Project
from al_learner.core.errors import UntrustedError
from tests.conftest import FAST
from tests.support.faults_model import VOTED, broken_runs, countable

SEED = 20240302
KEY = "a key that is long enough for a test"
COLUMNS = {"clf": ("classifiers", "clf_id"), "countvec": ("countvecs", "countvec_id")}


class Bomb:
    """Unpickled, it makes a folder: whoever finds the folder knows that it was."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self._folder),)


DAMAGES = {
    "one bit": lambda blob, _: bytes([*blob[:200], blob[200] ^ 1, *blob[201:]]),
    "truncated": lambda blob, _: blob[: len(blob) // 2],
    "empty": lambda *_: b"",
    "random bytes": lambda *_: random.Random(SEED).randbytes(1000),
    "a bomb": lambda _, bomb: pickle.dumps(bomb),
    "a bomb behind it": lambda blob, bomb: pickle.dumps((bomb, blob)),
}


@pytest.fixture
def bomb(tmp_path):
    return Bomb(tmp_path / "bomb")


@pytest.fixture
def stage(open_stage):
    stage = open_stage().fill()
    stage.vote(2 * stage.batch_size)  # with a batch more, a fit starts from the last classifier
    return stage


@pytest.fixture
def open_project(stage):
    """Return a function that opens a project on the stage, with nothing remembered."""
    opened = []

    def open_one(**settings):
        url = stage.postgres.url(stage.database)
        opened.append(Project(url, batch_size=stage.batch_size, **{**FAST, **settings}))
        return opened[-1]

    yield open_one
    for project in opened:
        project.close()


def act(project):
    """Do what is due until nothing is."""
    while project.reconcile().due:
        pass


def read(stage, column):
    table, key = COLUMNS[column]
    return bytes(stage.value(f"SELECT {column} FROM {table} ORDER BY {key} DESC LIMIT 1"))


def write(stage, column, blob):
    """Put a blob in the place of the newest."""
    table, key = COLUMNS[column]
    stage.query(f"UPDATE {table} SET {column} = %s WHERE {key} = (SELECT max({key}) FROM {table})", blob)


def record(stage, column, blob):
    """Put a blob in the place of the newest, and its digest into al_runs, as an attacker would."""
    write(stage, column, blob)
    stage.query(
        f"UPDATE al_runs SET {column}_sha256 = encode(sha256(%s), 'hex')"
        " WHERE run_id = (SELECT max(run_id) FROM al_runs WHERE status = 'succeeded')", blob,
    )  # fmt: skip


def assert_refused_and_replaced(stage, project, bomb):
    """Assert that a project predicts with nothing that it cannot trust, and makes anew what it needs."""
    with pytest.raises(UntrustedError):
        list(project.predict(["a text"]))
    stage.vote()
    act(project)
    assert_serves(stage, bomb)


def assert_serves(stage, bomb):
    """Assert that every vote is trained on, that the newest pair fits together, and that nothing went off."""
    assert not bomb._folder.exists()
    assert [sample for sample in countable(stage.query(VOTED), 1) if sample[2]] == []
    probabilities = pickle.loads(read(stage, "clf")).predict_proba(
        pickle.loads(read(stage, "countvec")).transform([text for text, _ in stage.texts.values()])
    )
    assert probabilities.shape == (len(stage.texts), 3)
    assert [problem for problem in broken_runs(stage.query, stage.batch_size) if "that changed" not in problem] == []


@pytest.mark.parametrize("key", [None, KEY], ids=["without a key", "with a key"])
@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_blob_is_never_unpickled(stage, open_project, bomb, logged, damage, column, key):
    act(open_project(signing_key=key))
    write(stage, column, DAMAGES[damage](read(stage, column), bomb))

    project = open_project(signing_key=key)
    assert_refused_and_replaced(stage, project, bomb)
    assert len(logged.named("run.note" if column == "clf" else "vectorizer.refitted")) == 1
    assert len(list(project.predict(["a text"]))) == 1


@pytest.mark.parametrize("key", [None, KEY], ids=["without a key", "with a key"])
def test_swapped_blobs_are_never_unpickled(stage, open_project, bomb, key):
    act(open_project(signing_key=key))
    clf, countvec = read(stage, "clf"), read(stage, "countvec")
    write(stage, "clf", countvec)
    write(stage, "countvec", clf)

    project = open_project(signing_key=key)
    assert_refused_and_replaced(stage, project, bomb)


@pytest.mark.parametrize("column", COLUMNS)
def test_with_a_key_a_recorded_digest_is_not_enough(stage, open_project, bomb, column):
    act(open_project(signing_key=KEY))
    record(stage, column, pickle.dumps(bomb))

    project = open_project(signing_key=KEY)
    assert_refused_and_replaced(stage, project, bomb)


@pytest.mark.parametrize("column", COLUMNS)
def test_with_a_key_an_unsigned_model_is_not_even_scored(stage, open_project, bomb, column):
    act(open_project(signing_key=KEY))
    record(stage, column, pickle.dumps(bomb))
    stage.query("UPDATE al_runs SET metrics = NULL")

    act(open_project(signing_key=KEY))

    assert not bomb._folder.exists()


def test_with_a_key_an_old_vectorizer_is_not_accepted_in_the_place_of_the_new(stage, open_project, bomb, logged):
    project = open_project(signing_key=KEY)
    act(project)
    old = read(stage, "countvec")
    project.close()
    stage.vote()
    act(open_project(signing_key=KEY, vectorizer="count"))
    record(stage, "countvec", old)

    project = open_project(signing_key=KEY, vectorizer="count")
    assert_refused_and_replaced(stage, project, bomb)
    assert len(logged.named("vectorizer.refitted")) == 2


@pytest.mark.parametrize("damage", ["one bit", "a bomb"])
def test_a_project_that_has_the_vectorizer_in_memory_notices_the_damage_too(stage, open_project, bomb, damage):
    project = open_project()
    act(project)
    write(stage, "countvec", DAMAGES[damage](read(stage, "countvec"), bomb))
    stage.vote()
    act(project)  # or the predictor would read what is damaged, beside a classifier that is not

    assert_serves(stage, bomb)


def test_a_worker_never_unpickles_what_it_did_not_sign(stage, bomb, tmp_path):
    (tmp_path / "key").write_text(KEY)
    stage.settings |= {"AL_LEARNER_SIGNING_KEY_FILE": str(tmp_path / "key")}
    stage.predictor.start()
    with stage.worker() as worker:
        worker.wait_for("run.scored")
    record(stage, "countvec", pickle.dumps(bomb))
    stage.predictor.kill()
    stage.vote()
    with stage.worker(started=stage.command) as worker:
        worker.wait_for("vectorizer.refitted")
        worker.wait_for("run.scored")
        assert_serves(stage, bomb)


def test_strangers_in_both_columns_are_left_alone(stage, open_project, bomb):
    for column, (table, _) in COLUMNS.items():
        download = ", download" if column == "clf" else ""
        stage.query(
            f"INSERT INTO {table} ({column}{download}) VALUES (%s{', 0' if download else ''})", pickle.dumps(bomb)
        )
    project = open_project()
    with pytest.raises(AlLearnerError):
        list(project.predict(["a text"]))
    act(project)

    assert not bomb._folder.exists()
    assert stage.value("SELECT count(*) FROM classifiers") == 2
    with suppress(UntrustedError):
        list(project.predict(["a text"], clf_id=1))
    assert not bomb._folder.exists()
