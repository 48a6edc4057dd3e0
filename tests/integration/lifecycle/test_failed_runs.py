"""What a run that fails or is overtaken leaves behind."""

from __future__ import annotations

import pytest

from al_learner.core.errors import ArtifactError, DatabaseError, DatabaseUnavailable, PluginError
from tests.support.strategies import (
    Broken,
    BrokenAggregator,
    BrokenGroups,
    BrokenSampler,
    BrokenVectorizer,
    Careless,
    Gate,
    Gated,
    Interrupted,
    OwnCode,
)
from tests.support.tables import ON_BOTH, add_voted_texts, stored_counts


def assert_failed(tables, project, *words):
    run = project._storage.runs.last()
    assert run is not None
    assert (run.status, run.clf_id, run.countvec_id) == ("failed", None, None)
    assert run.finished is not None
    for word in words:
        assert word in run.error
    assert stored_counts(tables) == (0, 0, 0)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"classifier": Broken()}, ["classifier", "Broken", "no luck with 4 texts and 2 labels"]),
        ({"vectorizer": BrokenVectorizer()}, ["vectorizer", "BrokenVectorizer", "no luck with 4 texts"]),
        ({"vectorizer": Careless()}, ["float32", "int64"]),
        ({"vectorizer": BrokenGroups()}, ["vectorizer", "BrokenGroups", "no luck with 2 columns"]),
    ],
)
def test_a_plugin_that_raises_fails_its_run_and_the_next_one_loses_nothing(database, open_project, broken, reason):
    ids = add_voted_texts(database, "abab")
    project = open_project(database, batch_size=4, **broken)

    with pytest.raises(PluginError) as caught:
        project.update()

    assert_failed(database, project, *reason)
    assert str(caught.value) == project._storage.runs.last().error
    assert [database.text(text_id) for text_id in ids] == [("a", False), ("b", False)] * 2

    result = open_project(database, batch_size=4).update()

    assert result.run is not None
    assert result.run.new_samples == 4
    assert stored_counts(database) == (1, 1, 4)


def test_a_classifier_of_foreign_code_is_refused_because_nobody_could_read_it(database, open_project):
    add_voted_texts(database, "abab")
    project = open_project(database, batch_size=4, classifier=OwnCode())

    with pytest.raises(ArtifactError):
        project.update()

    assert_failed(database, project, "HomeMade", "AL_LEARNER_PREDICTOR_PACKAGES")


@pytest.mark.filterwarnings("ignore:(divide by zero|invalid value):RuntimeWarning")  # a worker goes on after these
def test_a_classifier_whose_probabilities_are_not_numbers_is_not_stored(database, open_project):
    for number in range(40):
        database.add_text(f"{'sun' if number % 2 else 'rain'} {'day ' * 200}", labels=["ab"[number % 2]])
    project = open_project(database, classifier_params={"alpha": 1e-320}, vectorizer="count")

    with pytest.raises(PluginError):
        project.update()

    assert_failed(database, project, "alpha=1e-320, norm=False)", "predict_proba has NaN")


@pytest.mark.parametrize(
    ("words", "settings", "described"),
    [
        pytest.param(
            "",
            {"vectorizer": "hashing", "vectorizer_params": {"n_features": 2**21}},
            ["classifier 'complement-nb(", "alpha=1.0, norm=false)' with 2 features and 2 classes"],
            id="classifier",
        ),
        pytest.param(
            " ".join(f"word{n}" for n in range(80_000)),
            {"vectorizer": "count"},
            ["vectorizer 'count(", "with 80,002 features"],
            id="vectorizer",
        ),
    ],
)
def test_what_is_too_large_to_be_read_again_is_not_stored(database, open_project, words, settings, described):
    add_voted_texts(database, "abab", prefix=f"{words} text")
    project = open_project(database, batch_size=4, max_artifact_mib=1, **settings)

    with pytest.raises(ArtifactError):
        project.update()

    assert_failed(database, project, *described, "AL_LEARNER_MAX_ARTIFACT_MIB = 1", "fewer features", "exclude labels")
    assert open_project(database, batch_size=4, max_artifact_mib=4, **settings).reconcile().due == "update"


def test_a_sampler_that_raises_fails_its_run(database, open_project):
    database.add_texts("one", "two")
    database.add_labels("a", "b")
    project = open_project(database, init_sampler=BrokenSampler())

    with pytest.raises(PluginError):
        project.init()

    assert_failed(database, project, "init_sampler", "BrokenSampler", "no luck")
    assert open_project(database).init().run is not None


def test_an_aggregator_that_raises_is_named_and_nothing_is_written(database, open_project):
    add_voted_texts(database, "abab")
    project = open_project(database, batch_size=4, label_aggregator=BrokenAggregator())
    before = database.content()

    with pytest.raises(PluginError, match=r"BrokenAggregator.*no luck with 4 votes"):
        project.update()

    assert database.content() == before


@ON_BOTH
def test_a_failed_run_is_not_tried_again_until_something_changes(database, open_project):
    ids = add_voted_texts(database, "abab")
    project = open_project(database, batch_size=4, classifier=Broken())
    with pytest.raises(PluginError):
        project.reconcile()

    assert project.reconcile().due is None
    assert project.reconcile().facts.blocked is not None
    assert len(project._storage.runs.recent()) == 1

    database.vote(ids[0], "a", "ben")
    with pytest.raises(PluginError):
        project.reconcile()
    assert len(project._storage.runs.recent()) == 2


def test_other_settings_lift_the_pause_after_a_failed_run(database, open_project):
    add_voted_texts(database, "abab")
    with pytest.raises(PluginError):
        open_project(database, batch_size=4, classifier=Broken()).reconcile()

    assert open_project(database, batch_size=4).reconcile().due == "update"


def test_an_interrupted_run_is_abandoned_and_tried_again_at_once(database, open_project):
    add_voted_texts(database, "abab")
    project = open_project(database, batch_size=4, classifier=Interrupted())
    with pytest.raises(KeyboardInterrupt):
        project.reconcile()

    run = project._storage.runs.last()
    assert run is not None
    assert run.status == "abandoned"
    assert stored_counts(database) == (0, 0, 0)
    with pytest.raises(KeyboardInterrupt):
        project.reconcile()


@ON_BOTH
def test_a_run_whose_second_commit_is_refused_fails_and_stores_nothing(database, open_project):
    add_voted_texts(database, "abab")
    database.refuse_teaching()
    project = open_project(database, batch_size=4)

    with pytest.raises(DatabaseError, match="refused"):
        project.update()

    assert_failed(database, project, "refused")


def test_a_run_whose_connection_breaks_stores_nothing_and_loses_nothing(postgresql, open_project, monkeypatch):
    add_voted_texts(postgresql, "abab")
    project = open_project(postgresql, batch_size=4, classifier=Gated())

    def break_the_lock():
        postgresql.query("SELECT pg_terminate_backend(pid, 10000) FROM pg_locks WHERE locktype = 'advisory'")

    with monkeypatch.context() as patch:
        patch.setattr(Gate, "while_it_trains", break_the_lock)
        with pytest.raises(DatabaseUnavailable):
            project.update()

    assert stored_counts(postgresql) == (0, 0, 0)
    result = project.update()
    assert result.run is not None
    assert result.run.new_samples == 4
    assert [run.status for run in project._storage.runs.recent()] == ["succeeded", "died"]


def test_a_run_that_another_worker_overtook_stores_nothing(postgresql, open_project, monkeypatch):
    """Its connection broke, the other one got the lock and finished; it must not store its own result on top."""
    add_voted_texts(postgresql, "abab")
    slow, other = open_project(postgresql, batch_size=4, classifier=Gated()), open_project(postgresql, batch_size=4)
    overtaken = []

    def overtake():
        if not overtaken:
            postgresql.query("SELECT pg_terminate_backend(pid, 10000) FROM pg_locks WHERE locktype = 'advisory'")
            overtaken.append(other.update())

    monkeypatch.setattr(Gate, "while_it_trains", overtake)
    with pytest.raises(DatabaseUnavailable):
        slow.update()

    assert overtaken[0].run is not None
    assert stored_counts(postgresql) == (1, 1, 4)
    assert [run.status for run in other._storage.runs.recent()] == ["succeeded", "died"]


@ON_BOTH
def test_votes_during_training_are_the_next_runs(database, open_project, monkeypatch):
    ids = add_voted_texts(database, "abab")
    late, never = database.add_texts("late", "never")
    project = open_project(database, batch_size=1, classifier=Gated())

    def vote():
        monkeypatch.setattr(Gate, "while_it_trains", lambda: None)
        database.vote(late, "a")
        database.vote(ids[0], "b", "ben")
        database.vote(ids[0], "b", "cleo")

    monkeypatch.setattr(Gate, "while_it_trains", vote)
    first = project.update()
    assert first.run is not None
    assert (first.run.new_samples, first.run.texts) == (4, 4)
    assert [database.text(text_id) for text_id in (ids[0], late)] == [("a", True), (None, False)]

    second = project.update()

    assert second.run is not None
    assert (second.run.new_samples, second.run.texts) == (2, 5)
    assert [database.text(text_id) for text_id in (ids[0], late, never)] == [("b", True), ("a", True), (None, False)]
