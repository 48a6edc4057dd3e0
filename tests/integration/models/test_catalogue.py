"""Stored classifiers: shown, compared, put back as the newest, exported, removed."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import pickle
import stat
import subprocess
import sys

import numpy as np
import pytest

from al_learner.core.artifacts.export import canonical
from al_learner.core.errors import BusyError, DataError, UntrustedError
from al_learner.core.storage.records import METRIC_DETAILS
from al_learner.core.storage.run_lock import hold_run_lock
from al_learner.core.training.evaluation import N_SAMPLE, in_hold_out_set
from tests.integration.lifecycle.test_announcements import announced, predictor
from tests.support.tables import ON_BOTH

N_TEXTS = 60
WORDS = ("rain", "sun")
SLICE = (np.flatnonzero(in_hold_out_set(np.arange(1, N_TEXTS + 1), "votes")) + 1).tolist()


def add_votes(tables, n=N_TEXTS):
    for number in range(n):
        tables.add_text(f"text {number} {WORDS[number % 2]}", labels=["ab"[number % 2]])


@pytest.fixture
def trained(database, open_project):
    """A project with three classifiers of the same votes."""
    add_votes(database)
    project = open_project(database)
    project.update(force=True)
    for _ in range(2):
        database.copy_newest_model()
    return project


def ids(tables, table="classifiers", key="clf_id"):
    return [number for (number,) in tables.query(f"SELECT {key} FROM {table} ORDER BY 1")]


# -- what is stored -----------------------------------------------------------------------------------------------


@ON_BOTH
def test_a_score_says_which_texts_the_hold_out_model_took_for_what(trained):
    _, run = trained.model(3)

    metrics = run.metrics
    assert metrics["predictions"]["ids"] == SLICE
    assert [metrics["labels"][code] for code in metrics["predictions"]["labels"]] == ["ab"[(i - 1) % 2] for i in SLICE]
    assert metrics["sample"]["ids"] == [*range(1, N_TEXTS + 1)]
    assert N_TEXTS < N_SAMPLE
    assert sum(row["support"] for row in metrics["per_class"].values()) == metrics["size"] == len(SLICE)


@ON_BOTH
def test_a_list_leaves_out_what_is_large(trained):
    metrics = trained.models()[0][1].metrics

    assert {"basis", "size", "accuracy", "accuracy_interval", "calibration_error", "gate"} <= metrics.keys()
    assert metrics.keys().isdisjoint(METRIC_DETAILS)
    assert {*trained.model(3)[1].metrics} == {*metrics, *METRIC_DETAILS}


def test_a_classifier_that_is_not_there_is_named(trained):
    with pytest.raises(DataError, match="there is no classifier 9: `al-learner models`"):
        trained.model(9)


def test_what_others_stored_is_shown_without_a_run(trained, database):
    clf_id = database.add_clf(b"theirs")

    model, run = trained.model(clf_id)

    assert (model.clf_id, model.size_bytes, run) == (clf_id, 6, None)
    with pytest.raises(DataError, match=f"classifier {clf_id} (was not stored by|is not loaded: al_learner did)"):
        trained.compare(1, clf_id)


def test_a_comparison_is_with_the_aggregated_labels_of_now(trained, database):
    assert trained.compare(1, 3).accuracies == (1, 1)
    for _ in range(2):
        database.vote(SLICE[0], "somewhat else")

    found = trained.compare(1, 3)

    assert (found.size, found.both_right) == (len(SLICE), len(SLICE) - 1)


@ON_BOTH
def test_a_text_that_was_deleted_is_not_compared(trained, database):
    database.query("DELETE FROM text_data WHERE text_id = ?", SLICE[0])

    assert trained.compare(1, 3).size == len(SLICE) - 1


def test_labels_that_are_not_trained_on_are_not_compared(trained, database, open_project):
    assert open_project(database, exclude_labels=["a"]).compare(1, 3).size < trained.compare(1, 3).size


@ON_BOTH
def test_status_tells_the_score_and_what_the_last_batches_gained(trained, database):
    assert (
        trained.status().stopping_advice.words == "not enough data: 6 scored batches of votes are needed; there are 3"
    )
    for number in range(3):
        trained.update(force=True)  # on the same votes, which is no batch
        database.add_text(f"another text {number} {WORDS[number % 2]}", labels=["ab"[number % 2]])
        trained.update(force=True)

    status = trained.status()

    assert status.newest.metrics["accuracy"] == 1
    assert (status.stopping_advice.gain, status.stopping_advice.kappa) == (0, 1)
    assert (status.stopping_advice.size, status.stopping_advice.sample_size) == (len(SLICE), N_TEXTS + 3)
    database.query("DELETE FROM text_data")
    assert trained.status().stopping_advice.words.startswith(
        "not enough data: classifiers 1 and 9 have no hold-out text"
    )


# -- promote ------------------------------------------------------------------------------------------------------


@ON_BOTH
def test_a_copy_of_a_former_model_becomes_the_newest(trained, database):
    before = database.query("SELECT * FROM text_data ORDER BY 1")

    result = trained.promote(1)

    assert str(result).startswith("promote: classifier 4, a copy of 1, is the newest until the next training")
    clfs = database.query("SELECT clf, precision_score, download FROM classifiers ORDER BY clf_id")
    assert clfs[3] == clfs[0]
    assert ids(database, "countvecs", "countvec_id") == [1, 2]
    assert len({*database.query("SELECT countvec FROM countvecs")}) == 1
    columns = "state, texts, classes, strategies, versions, clf_sha256, countvec_sha256, signature"
    runs = [[str(value) for value in row] for row in database.query(f"SELECT {columns} FROM al_runs ORDER BY run_id")]
    assert runs[3] == runs[0]
    assert database.query("SELECT kind, status, forced, new_samples, clf_id, countvec_id FROM al_runs")[3] == (
        ("promote", "succeeded", True, 0, 4, 2)
    )
    assert result.run.metrics["promoted"] == {"clf_id": 1, "kind": "update", "because": "it was asked for"}
    assert database.query("SELECT * FROM text_data ORDER BY 1") == before
    assert [prediction.label for prediction in trained.predict(["rain", "sun"])] == ["a", "b"]


def test_the_newest_need_not_be_promoted(trained, database):
    before = database.content()

    assert str(trained.promote(3)) == "promote: not done (classifier 3 is the newest already)"
    assert database.content() == before


def test_votes_that_a_promoted_classifier_has_not_seen_train_nothing_until_a_batch_is_new(trained, database):
    """Were they new samples, the next reconciliation would train, and take back at once what somebody has asked for."""
    add_votes(database, 20)
    trained.update()
    trained.promote(1)
    add_votes(database, 9)

    assert trained.reconcile().due is None
    add_votes(database, 1)
    assert [trained.reconcile().due for _ in range(3)] == ["update", "score", None]

    texts, new = database.query("SELECT texts, new_samples FROM al_runs ORDER BY run_id DESC")[0]
    assert (texts, new) == (N_TEXTS + 30, 10)


def test_after_a_promotion_neither_vectorizer_nor_start_is_lost(database, open_project, monkeypatch):
    add_votes(database)
    project = open_project(database, classifier="logreg")
    project.update()
    project.update(force=True, refit=True)
    project.promote(1)
    jobs = []
    train = project._compute.trainer.train
    monkeypatch.setattr(project._compute.trainer, "train", lambda job: jobs.append(job) or train(job))

    run = project.update(force=True).run

    assert run.countvec_id == 3
    assert ids(database, "countvecs", "countvec_id") == [1, 2, 3]
    digest = hashlib.sha256(database.value("SELECT clf FROM classifiers WHERE clf_id = 1")).hexdigest()
    assert jobs[0].last == (3, digest)


def test_of_a_promoted_cold_start_no_training_starts(database, open_project):
    add_votes(database)
    database.add_labels("a", "b")
    project = open_project(database)
    project.init(discard_votes=True)
    project.update()
    project.promote(1)

    state = project.read_state()

    assert (state.newest.kind, state.newest.origin) == ("promote", "init")
    countvec, _ = project._models.usable_countvec(state.specs["vectorizer"])
    assert countvec is not None
    assert project._models.startable(state.newest, state.specs["classifier"], countvec) is None


def test_a_copy_of_a_copy_remembers_what_it_was(database, open_project):
    database.add_texts("one", "two")
    database.add_labels("a", "b")
    project = open_project(database)
    for _ in range(2):
        project.init(force=True)
    project.promote(1)
    project.promote(2)

    run = project.promote(3).run

    assert run.metrics["promoted"] == {"clf_id": 3, "kind": "init", "because": "it was asked for"}
    assert run.metrics["reason"] == "nobody has labelled a text yet"
    assert project.reconcile().due is None


@ON_BOTH
@pytest.mark.parametrize("table", ["classifiers SET clf", "countvecs SET countvec"])
def test_what_was_changed_is_not_promoted(trained, database, table):
    database.query(f"UPDATE {table} = ?", b"changed")
    before = database.content()

    with pytest.raises(UntrustedError, match="was changed after"):
        trained.promote(1)

    assert database.content() == before


def test_what_others_stored_is_not_promoted(trained, database):
    clf_id = database.add_clf(b"theirs")
    trained.update(force=True)

    with pytest.raises(UntrustedError, match=f"classifier {clf_id} (was not stored by|is not loaded: al_learner did)"):
        trained.promote(clf_id)


@pytest.mark.usefixtures("trained")
def test_with_a_key_only_what_it_signed_is_promoted(database, open_project):
    keeper = open_project(database, signing_key="secret")
    with pytest.raises(UntrustedError, match="classifier 1 is not loaded: it is not signed"):
        keeper.promote(1)
    signed = next(keeper.update(force=True).run.clf_id for _ in range(2))

    keeper.promote(signed)

    assert len([*keeper.predict(["rain"])]) == 1


@ON_BOTH
def test_nothing_is_promoted_or_removed_while_a_run_is_in_progress(trained, database, open_project):
    other = open_project(database)

    with hold_run_lock(trained._storage.database):
        for change in (lambda: other.promote(1), lambda: other.prune(1)):
            with pytest.raises(BusyError):
                change()


def test_a_promotion_is_announced_until_somebody_receives_it(sqlite, redis, open_project):
    add_votes(sqlite)
    project = open_project(sqlite, redis_host="127.0.0.1", redis_port=redis.port)
    with predictor(redis):
        for _ in range(2):
            project.update(force=True)
    project.promote(1)
    assert announced(sqlite) == [True, True, False]

    with predictor(redis) as heard:
        assert [project.reconcile().due for _ in range(2)] == ["announce", None]

    assert heard == ["update"]
    assert announced(sqlite) == [True] * 3


@ON_BOTH
def test_of_many_classifiers_the_newest_are_listed_with_their_runs(trained):
    assert [(model.clf_id, run.clf_id) for model, run in trained.models(2)] == [(3, 3), (2, 2)]
    assert [model.clf_id for model, _ in trained.models()] == [3, 2, 1]


# -- prune --------------------------------------------------------------------------------------------------------


def test_old_classifiers_go_and_history_stays(trained, database):
    runs = database.query("SELECT * FROM al_runs")

    assert trained.prune(2).clf_ids == (1,)
    assert trained.prune(1).clf_ids == (2,)
    assert trained.prune(1).clf_ids == ()

    assert ids(database) == [3]
    assert database.query("SELECT * FROM al_runs") == runs
    assert [model.clf_id for model, _ in trained.models()] == [3]
    assert [*trained.predict(["rain"])]


@ON_BOTH
def test_a_vectorizer_goes_with_the_last_classifier_that_needs_it(database, open_project):
    add_votes(database)
    project = open_project(database)
    for refit in (False, True, False, True):
        project.update(force=True, refit=refit)
    assert ids(database, "countvecs", "countvec_id") == [1, 2, 3]

    removed = [(found.clf_ids, found.countvec_ids) for found in map(project.prune, (3, 2, 1))]

    assert removed == [((1,), (1,)), ((2,), ()), ((3,), (2,))]
    assert ids(database, "countvecs", "countvec_id") == [3]


@ON_BOTH
def test_what_somebody_wants_to_download_stays_with_its_vectorizer(database, open_project):
    add_votes(database)
    project = open_project(database)
    for _ in range(3):
        project.update(force=True, refit=True)
    database.query("UPDATE classifiers SET download = 1 WHERE clf_id = 1")

    found = project.prune(1)

    assert (found.clf_ids, found.countvec_ids) == ((2,), (2,))
    assert (ids(database), ids(database, "countvecs", "countvec_id")) == ([1, 3], [1, 3])


def test_what_others_stored_stays_and_does_not_count(trained, database):
    theirs, newest_countvec = database.add_clf(b"theirs"), database.add_countvec(b"theirs")

    found = trained.prune(1)

    assert (found.clf_ids, found.countvec_ids) == ((1, 2), ())
    assert ids(database) == [3, theirs]
    assert ids(database, "countvecs", "countvec_id") == [1, newest_countvec]


@ON_BOTH
def test_a_dry_run_removes_nothing_and_says_the_same(trained, database):
    would = trained.prune(1, dry_run=True)

    assert ids(database) == [1, 2, 3]
    assert trained.prune(1) == would


def test_the_newest_is_never_removed(trained):
    with pytest.raises(DataError, match="keep = 0: must be at least 1"):
        trained.prune(0)


# -- export -------------------------------------------------------------------------------------------------------


def test_an_export_is_one_pipeline_and_a_sidecar_that_says_what_it_is(trained, tmp_path):
    sidecar = trained.export_model(2, tmp_path / "model.pkl")

    blob = (tmp_path / "model.pkl").read_bytes()
    pipeline = pickle.loads(blob)
    assert [*pipeline.named_steps] == ["vectorizer", "columns", "classifier"]
    assert pipeline.predict(["rain", "sun"]).tolist() == ["a", "b"]
    described = json.loads(sidecar.read_text(encoding="utf-8"))
    assert described["sha256"] == hashlib.sha256(blob).hexdigest()
    assert described["labels"] == ["a", "b"]
    assert {"python", "scikit-learn", "numpy", "scipy"} <= described["versions"].keys()
    assert (described["clf_id"], described["texts"]) == (2, N_TEXTS)
    assert described["metrics"].keys().isdisjoint(METRIC_DETAILS)
    assert described["metrics"]["basis"] == "votes"
    assert described["signature"] is None
    assert sorted(path.name for path in tmp_path.glob("*model*")) == ["model.pkl", "model.pkl.json"]


def test_an_export_needs_no_al_learner(trained, tmp_path):
    trained.export_model(3, tmp_path / "model.pkl")
    program = (
        "import pickle, sys; sys.modules['al_learner'] = None; "
        "print(*pickle.load(open(sys.argv[1], 'rb')).predict(['rain', 'sun', 'sun']))"
    )

    command = [sys.executable, "-I", "-c", program, tmp_path / "model.pkl"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)

    assert done.stdout.split() == ["a", "b", "b"]


def test_a_sidecar_is_signed_with_the_key(database, open_project, tmp_path):
    add_votes(database)
    project = open_project(database, signing_key="secret")
    project.update()

    described = json.loads(project.export_model(1, tmp_path / "model.pkl").read_text(encoding="utf-8"))

    signature = described.pop("signature")
    assert signature == hmac.new(b"secret", canonical(described).encode(), hashlib.sha256).hexdigest()


def test_an_export_is_not_overwritten_unless_that_is_asked_for(trained, tmp_path):
    file = tmp_path / "model.pkl"
    (tmp_path / "model.pkl.json").write_text("mine")

    with pytest.raises(DataError, match=r"model.pkl.json exists already; --force overwrites it"):
        trained.export_model(1, file)
    assert not file.exists()
    trained.export_model(1, file, force=True)

    assert json.loads((tmp_path / "model.pkl.json").read_text())["clf_id"] == 1


def test_a_folder_that_is_not_there_is_named(trained, tmp_path):
    with pytest.raises(DataError, match=r"nowhere/model.pkl: cannot be written: No such file"):
        trained.export_model(1, tmp_path / "nowhere" / "model.pkl")


def test_an_export_that_fails_half_way_leaves_no_half_file(trained, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)

    with pytest.raises(DataError, match="No space left"):
        trained.export_model(1, tmp_path / "model.pkl")

    assert [path for path in tmp_path.iterdir() if "model" in path.name] == []


def test_what_was_changed_is_not_exported(trained, database, tmp_path):
    database.query("UPDATE classifiers SET clf = ?", b"changed")

    with pytest.raises(UntrustedError):
        trained.export_model(1, tmp_path / "model.pkl")

    assert not (tmp_path / "model.pkl").exists()


def test_an_export_may_be_read_like_any_file_of_its_owner(trained, tmp_path):
    previous = os.umask(0o027)
    try:
        trained.export_model(1, tmp_path / "model.pkl")
    finally:
        os.umask(previous)

    assert stat.S_IMODE((tmp_path / "model.pkl").stat().st_mode) == 0o640
