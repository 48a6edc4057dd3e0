"""The gate: a classifier that is significantly worse than the one before it is told of, or held."""

from __future__ import annotations

import json

import pytest

from al_learner.core.errors import TrainerError
from al_learner.core.lifecycle.run_steps import Lifecycle
from al_learner.core.training.in_process_trainer import InProcessTrainer
from tests.integration.lifecycle.test_announcements import announced, predictor
from tests.support.tables import ON_BOTH

N_TEXTS = 200
WORDS = ("rain", "sun")


def add_votes(tables, n, *, flipped=False):
    """Add so many texts about one of two things, each with a vote; `flipped`: for the other label."""
    for number in range(n):
        label = "ab"[(number + flipped) % 2]
        tables.add_text(f"text {number} {WORDS[number % 2]}", labels=[label])


def newest(tables):
    """Return kind, clf_id and countvec_id of the newest success, and the ids that the predictor would read."""
    run = tables.query("SELECT kind, clf_id, countvec_id FROM al_runs WHERE status = 'succeeded' ORDER BY run_id DESC")
    read = tables.query("SELECT (SELECT max(clf_id) FROM classifiers), (SELECT max(countvec_id) FROM countvecs)")
    return run[0], read[0]


def gates(tables):
    """Return the verdict on each run, the oldest first."""
    rows = [row for (row,) in tables.query("SELECT metrics FROM al_runs ORDER BY run_id")]
    metrics = [json.loads(row) if isinstance(row, str) else row or {} for row in rows]
    return [found.get("gate", {}).get("verdict") for found in metrics]


@pytest.fixture
def spoilt(database):
    """Return a function that trains once on good votes, and then adds worse ones."""

    def spoil(project):
        add_votes(database, N_TEXTS)
        project.update()
        add_votes(database, 2 * N_TEXTS, flipped=True)
        return project

    return spoil


def test_a_worse_classifier_is_reported_and_stays(database, open_project, spoilt, logged):
    project = spoilt(open_project(database))

    result = project.update()

    gate = result.run.metrics["gate"]
    assert (gate["against"], gate["verdict"], gate["former_accuracy"], gate["accuracy"]) == (1, "worse", 1, 0)
    assert gate["only_former_right"] == gate["size"] >= 7
    assert gate["p_value"] == pytest.approx(0.5 ** gate["size"])
    assert "classifier 2 is significantly worse than classifier 1: 0.0% right instead of 100.0%" in str(result)
    assert [fields["clf_id"] for fields in logged.named("gate.worse")] == [2]
    assert newest(database) == (("update", 2, 1), (2, 1))


def test_a_verdict_across_a_change_of_the_prior_says_so(database, open_project, spoilt):
    project = spoilt(open_project(database))
    database.query("UPDATE al_runs SET metrics = json_set(metrics, '$.prior_id', 7)")

    result = project.update()

    assert result.run.metrics["gate"]["priors"] == [7, None]
    assert "their priors are different: classifier 1 has prior 7, classifier 2 has no prior" in str(result)


@ON_BOTH
def test_the_worker_reports_it_when_it_scores(database, open_project, spoilt):
    project = spoilt(open_project(database))

    assert [project.reconcile().due for _ in range(3)] == ["update", "score", None]
    assert gates(database) == ["not compared", "worse"]


def test_a_classifier_that_is_as_good_passes(database, open_project):
    project = open_project(database)
    for _ in range(2):
        add_votes(database, N_TEXTS)
        project.update()

    assert gates(database) == ["not compared", "passed"]


def test_without_a_gate_nothing_is_compared(database, open_project, spoilt):
    spoilt(open_project(database, gate="off")).update()

    assert gates(database) == [None, None]


def test_what_was_measured_on_other_texts_is_not_compared(database, open_project):
    database.add_labels("a", "b")
    database.add_init_data(*((f"{WORDS[n % 2]} {n}", "ab"[n % 2]) for n in range(60)))
    project = open_project(database, gate="hold")
    project.init()
    add_votes(database, N_TEXTS, flipped=True)

    result = project.update()

    assert result.run.metrics["gate"]["verdict"] == "not compared"
    assert "measured on init-data, classifier 2 on votes" in result.run.metrics["gate"]["because"]


def test_a_cold_start_is_never_compared(database, open_project):
    database.add_labels("a", "b")
    database.add_texts("text rain", "text sun")
    project = open_project(database, gate="hold")
    project.init()
    add_votes(database, N_TEXTS)

    assert project.update().run.metrics["gate"]["because"].endswith("nobody has labelled a text yet")


@ON_BOTH
def test_a_held_classifier_gives_way_to_a_copy_of_the_former_model(database, open_project, spoilt, logged):
    project = spoilt(open_project(database, gate="hold"))
    assert project.reconcile().due == "update"

    assert newest(database) == (("promote", 3, 2), (3, 2))
    assert gates(database) == ["not compared", "held", None]
    clfs = database.query("SELECT clf FROM classifiers ORDER BY clf_id")
    countvecs = database.query("SELECT countvec FROM countvecs ORDER BY countvec_id")
    assert clfs[2] == clfs[0] != clfs[1]
    assert countvecs[1] == countvecs[0]
    scores = [score for (score,) in database.query("SELECT precision_score FROM classifiers ORDER BY clf_id")]
    assert scores[2] == scores[0] == 1
    assert database.value("SELECT count(*) FROM text_data WHERE taught") == 3 * N_TEXTS
    assert [(fields["clf_id"], fields["of"]) for fields in logged.named("model.promoted")] == [(3, 1)]
    assert project.reconcile().due is None  # the votes are taken up, though their classifier is not used


def test_after_a_hold_the_next_batch_is_trained_and_compared_with_the_model_that_was_restored(
    database, open_project, spoilt
):
    project = spoilt(open_project(database, gate="hold"))
    project.reconcile()
    add_votes(database, 5 * N_TEXTS)

    assert [project.reconcile().due for _ in range(2)] == ["update", None]

    assert newest(database) == (("update", 4, 2), (4, 2))  # with the vectorizer that was put back, not a new one
    assert gates(database) == ["not compared", "held", None, "passed"]


def test_by_hand_it_is_held_too(database, open_project, spoilt):
    result = spoilt(open_project(database, gate="hold")).update()

    assert "; held back: the former one was restored, with a new id" in str(result)
    assert newest(database)[0] == ("promote", 3, 2)


@pytest.fixture
def listening(sqlite, redis, open_project):
    """A project that holds, with Redis."""
    add_votes(sqlite, N_TEXTS)
    project = open_project(sqlite, gate="hold", redis_host="127.0.0.1", redis_port=redis.port)
    with predictor(redis):
        project.update()
    add_votes(sqlite, 2 * N_TEXTS, flipped=True)
    return project


def test_a_held_classifier_is_not_announced(listening, sqlite, redis):
    with predictor(redis) as heard:
        assert [listening.reconcile().due for _ in range(2)] == ["update", None]

    assert heard == ["update"]
    assert announced(sqlite) == [True, False, True]


@pytest.mark.parametrize("by_hand", [False, True])
def test_whoever_dies_before_the_score_leaves_it_to_the_next_to_hold(listening, sqlite, redis, monkeypatch, by_hand):
    def die(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Lifecycle, "_measure", die)
        with pytest.raises(KeyboardInterrupt):
            listening.reconcile()
    assert newest(sqlite)[0][:2] == ("update", 2)
    add_votes(sqlite, 10)

    with predictor(redis) as heard:
        assert listening.announce() == 0  # as a worker does when the app is locked
        assert listening.read_state(init_received=True).due == "score"
        if by_hand:
            listening.update()
        else:
            assert [listening.reconcile().due for _ in range(3)] == ["score", "update", None]

    assert {*heard} == {"update"}
    assert gates(sqlite)[1:3] == ["held", None]
    assert announced(sqlite)[:2] == [True, False]


def test_a_score_that_fails_holds_nothing_up(listening, sqlite, redis, monkeypatch):
    def fail(*_):
        raise TrainerError("no luck with the twin")

    monkeypatch.setattr(InProcessTrainer, "score", fail)

    with predictor(redis) as heard:
        assert [listening.reconcile().due for _ in range(2)] == ["update", None]

    assert heard == ["update"]
    assert newest(sqlite)[0][:2] == ("update", 2)


def test_a_former_model_that_cannot_be_trusted_is_not_restored(database, open_project, spoilt, logged):
    project = spoilt(open_project(database, gate="hold"))
    database.query("UPDATE classifiers SET clf = ?", b"somebody else's")

    project.reconcile()

    assert gates(database) == ["not compared", "worse"]
    assert [fields["clf_id"] for fields in logged.named("gate.cannot_hold")] == [1]


@ON_BOTH
def test_a_vectorizer_that_was_refitted_is_restored_with_its_classifier(database, open_project, spoilt):
    project = spoilt(open_project(database, gate="hold"))

    project.update(refit=True)

    assert newest(database) == (("promote", 3, 3), (3, 3))
    countvecs = database.query("SELECT countvec FROM countvecs ORDER BY countvec_id")
    assert countvecs[2] == countvecs[0] != countvecs[1]
