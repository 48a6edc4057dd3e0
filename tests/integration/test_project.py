"""What a project does with votes: when it trains, on what, and what it leaves alone."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest

from al_learner import Project
from al_learner.core.errors import ArtifactError, DatabaseError, DatabaseUnavailable, DataError, PluginError
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
from tests.support.tables import ON_BOTH, WORKER_ROLE

LONGEST = "x" * 50
TOO_LONG = "x" * 51


@pytest.fixture
def database(request):
    """SQLite. Marked tests, and those in `integration/storage`, send every statement to both databases."""
    return request.getfixturevalue(getattr(request, "param", "sqlite"))


def vote_on(tables, names, *, prefix="text"):
    """Add a text for each name and vote for that name. Return the texts' ids."""
    ids = tables.add_texts(*(f"{prefix} {number} about {name}" for number, name in enumerate(names)))
    for text_id, name in zip(ids, names, strict=True):
        tables.vote(text_id, name)
    return ids


def unpickled(tables):
    """Return the newest classifier."""
    return pickle.loads(tables.value("SELECT clf FROM classifiers ORDER BY clf_id DESC LIMIT 1"))


def stored(tables):
    """Return how many classifiers and vectorizers there are, and how many texts are taught."""
    return (
        tables.count("classifiers"),
        tables.count("countvecs"),
        tables.value("SELECT count(*) FROM text_data WHERE taught"),
    )


# -- cold start ---------------------------------------------------------------------------------------------------


def test_a_project_without_prelabelled_data_starts_at_random(database, open_project):
    database.add_texts("one", "two", "three")
    database.add_labels("a", "b", "ignored")
    before = database.query("SELECT * FROM text_data ORDER BY 1")

    result = open_project(database, init_sampler="balanced").init()

    assert result.run is not None
    assert (result.run.kind, result.run.texts, result.run.new_samples) == ("init", 3, 0)
    assert {*unpickled(database).classes_} == {"a", "b", "ignored"}
    assert database.query("SELECT * FROM text_data ORDER BY 1") == before


@ON_BOTH
def test_a_project_with_prelabelled_data_starts_with_that(database, open_project):
    database.add_texts("one", "two")
    database.add_labels("a", "b", "c")
    database.add_init_data(("good", "b"), ("fine", "b"), ("bad", "a"))

    result = open_project(database).init()

    assert result.run is not None
    assert (result.run.texts, result.run.classes) == (3, 2)
    assert unpickled(database).classes_.tolist() == ["a", "b"]


def test_prelabelled_data_of_one_class_is_not_enough_to_start_with(database, open_project):
    database.add_texts("one", "two")
    database.add_labels("a", "b")
    database.add_init_data(("good", "c"))

    result = open_project(database).init()

    assert result.run is not None
    assert unpickled(database).classes_.tolist() == ["a", "b"]


def test_one_text_and_two_labels_are_enough_to_start(database, open_project):
    database.add_texts("the only text")
    database.add_labels("a", "b")

    result = open_project(database, batch_size=1).init()

    assert result.run is not None
    assert (result.run.texts, result.run.classes) == (2, 2)


@pytest.mark.parametrize(
    ("texts", "labels"), [((), ("a", "b")), (("text",), ("a",)), (("text",), ("a", "a")), ((), ())]
)
def test_less_is_not_enough_to_start(database, open_project, texts, labels):
    database.add_texts(*texts)
    database.add_labels(*labels)
    project = open_project(database)
    before = database.content()

    assert project.init().run is None
    assert database.content() == before


def test_texts_without_labels_may_still_be_loading(database, open_project):
    database.add_texts("one", "two")
    database.add_init_data(("good", "a"), ("bad", "b"))
    project = open_project(database)

    assert project.reconcile().due is None
    assert project.reconcile(init_received=True).due == "init"


def test_votes_train_before_anything_is_drawn_at_random(database, open_project):
    vote_on(database, "ab")
    database.add_labels("a", "b")

    assert open_project(database, batch_size=2).reconcile().due == "update"


def test_a_second_start_does_nothing_unless_it_is_forced(database, open_project):
    database.add_texts("one", "two")
    database.add_labels("a", "b")
    project = open_project(database)
    project.init()
    before = database.content()

    assert project.init().run is None
    assert database.content() == before
    assert project.init(force=True).run is not None
    assert stored(database) == (2, 1, 0)


def test_excluded_labels_are_not_drawn_at_random(database, open_project):
    database.add_texts("one", "two")
    database.add_labels("a", "b", "ignored")

    open_project(database, exclude_labels=["ignored"]).init()

    assert unpickled(database).classes_.tolist() == ["a", "b"]


# -- when to train ------------------------------------------------------------------------------------------------


@ON_BOTH
@pytest.mark.parametrize("look", [Project.reconcile, Project.update, Project.read_state, Project.status])
def test_below_the_batch_size_nothing_is_written(database, open_project, look):
    vote_on(database, "abab")
    project = open_project(database, batch_size=5)
    before = database.content()

    look(project)

    assert database.content() == before


@ON_BOTH
def test_new_samples_add_up_however_often_the_state_is_read(database, open_project):
    ids = database.add_texts(*(f"text {number}" for number in range(6)))
    project = open_project(database, batch_size=3)

    seen = []
    for number, text_id in enumerate(ids):
        database.vote(text_id, "ab"[number % 2])
        result = project.update()
        seen.append((number + 1, result.run.new_samples if result.run else None))

    assert seen == [(1, None), (2, None), (3, 3), (4, None), (5, None), (6, 3)]


def test_two_votes_a_text_train_as_often_as_texts_become_countable(database, open_project):
    """Counted by the look, a batch of three texts with two votes each would never come together."""
    ids = database.add_texts(*(f"text {number}" for number in range(6)))
    project = open_project(database, batch_size=3, min_label_count=2)

    trained_after = []
    for number, text_id in enumerate(ids):
        for user in ("anna", "ben"):
            database.vote(text_id, "ab"[number % 2], user)
            if project.reconcile().due == "update":
                trained_after.append(number + 1)

    assert trained_after == [3, 6]


def test_more_new_samples_than_a_batch_are_one_run(database, open_project):
    vote_on(database, "ab" * 10)

    result = open_project(database, batch_size=3).update()

    assert result.run is not None
    assert (result.run.new_samples, result.run.texts) == (20, 20)
    assert stored(database) == (1, 1, 20)


def test_by_force_it_trains_below_the_batch_size(database, open_project):
    vote_on(database, "ab")

    result = open_project(database).update(force=True)

    assert result.run is not None
    assert (result.run.forced, result.run.new_samples) == (True, 2)


def test_two_classes_are_needed_even_by_force(database, open_project):
    vote_on(database, "aaa")
    project = open_project(database, batch_size=2)
    before = database.content()

    assert project.update().run is None
    assert project.update(force=True).run is None
    assert project.reconcile().due is None
    assert database.content() == before


def test_prelabelled_data_counts_as_a_class(database, open_project):
    vote_on(database, "aa")
    database.add_init_data(("something else", "b"))

    result = open_project(database, batch_size=2).update()

    assert result.run is not None
    assert (result.run.texts, result.run.classes) == (3, 2)


# -- new samples --------------------------------------------------------------------------------------------------


@pytest.fixture
def taught(database, open_project):
    """A project that was just trained on a, b, a, b."""
    vote_on(database, "abab")
    project = open_project(database, batch_size=1)
    assert project.update().run is not None
    return project


def test_after_training_no_sample_is_new(taught, database):
    before = database.content()

    assert taught.read_state().facts.new_samples == 0
    assert taught.update().run is None
    assert database.content() == before


def test_a_vote_that_changes_nothing_is_no_new_sample(taught, database):
    database.vote(1, "a", "ben")

    assert taught.read_state().facts.new_samples == 0


@ON_BOTH
def test_a_label_that_flips_is_a_new_sample(taught, database):
    database.vote(1, "b", "ben")
    database.vote(1, "b", "cleo")

    result = taught.update()

    assert result.run is not None
    assert result.run.new_samples == 1
    assert database.text(1) == ("b", True)
    assert taught.read_state().facts.new_samples == 0


def test_a_label_that_flips_because_others_voted_elsewhere_is_a_new_sample(database, open_project):
    project = open_project(database, batch_size=1, label_aggregator="dawid-skene", min_label_count=2)
    [disputed] = database.add_texts("disputed")
    database.vote(disputed, "a", "ann")
    database.vote(disputed, "b", "ben")
    others = database.add_texts(*(f"text {number}" for number in range(20)))
    for number, text_id in enumerate(others[:4]):
        for user in ("ann", "ben"):
            database.vote(text_id, "ab"[number % 2], user)
    assert project.update().run is not None
    assert database.text(disputed) == ("a", True)

    for number, text_id in enumerate(others[4:]):
        database.vote(text_id, "ab"[number % 2], "ben")
        database.vote(text_id, "ab"[number % 2], "cleo")
        database.vote(text_id, "ba"[number % 2], "ann")

    assert project.read_state().facts.new_samples == 16 + 1
    assert project.update().run is not None
    assert database.text(disputed) == ("b", True)
    assert project.read_state().facts.new_samples == 0


@ON_BOTH
def test_annotators_are_compared_and_what_they_disagree_on_is_named(database, open_project):
    ids = database.add_texts("one", "two", "three")
    for text_id, names in zip(ids, ("aa", "ab", "bb"), strict=True):
        for user, name in zip(("ann", "ben"), names, strict=True):
            database.vote(text_id, name, user)
    project = open_project(database)
    project.prepare()
    before = database.content()

    found = project.annotators()

    assert {a.name: (a.votes, a.shared, a.agreement) for a in found.annotators} == {
        "ann": (3, 3, 1.0),
        "ben": (3, 3, pytest.approx(2 / 3)),
    }
    assert [(text.text_id, dict(text.votes), text.excerpt) for text in found.disputed] == [
        (ids[1], {"a": 1, "b": 1}, "two")
    ]
    assert project.annotators(n_disputed=0).disputed == ()
    assert database.content() == before


def test_a_tie_keeps_the_label_it_has(taught, database):
    database.vote(1, "b", "ben")
    database.vote(2, "a", "ben")

    assert taught.read_state().facts.new_samples == 0
    assert [database.text(text_id)[0] for text_id in (1, 2)] == ["a", "b"]


def test_the_first_tie_goes_to_the_label_voted_first(database, open_project):
    first, second = database.add_texts("one", "two")
    for text_id, names in ((first, "ba"), (second, "ab")):
        for name in names:
            database.vote(text_id, name)

    open_project(database, batch_size=2).update()

    assert [database.text(text_id)[0] for text_id in (first, second)] == ["b", "a"]


def test_with_two_votes_needed_one_vote_is_not_learned(database, open_project):
    ids = vote_on(database, "abab")
    for text_id, name in zip(ids[:2], "ab", strict=True):
        database.vote(text_id, name, "ben")

    result = open_project(database, batch_size=2, min_label_count=2).update()

    assert result.run is not None
    assert (result.run.new_samples, result.run.texts) == (2, 2)
    assert [database.text(text_id) for text_id in ids] == [("a", True), ("b", True), (None, False), (None, False)]


@ON_BOTH
@pytest.mark.parametrize("left", [["a"], [], None])
def test_a_text_that_falls_below_the_needed_votes_keeps_its_label_and_stays_in_training(database, open_project, left):
    ids = vote_on(database, "abab")
    project = open_project(database, batch_size=2)
    project.update()
    database.query("UPDATE text_data SET labels = ?, users = ?", database.array(left), database.array(left))
    stricter = open_project(database, batch_size=2, min_label_count=2)

    assert stricter.read_state().facts.new_samples == 0
    result = stricter.update(force=True)

    assert result.run is not None
    assert (result.run.new_samples, result.run.texts) == (0, 4)
    assert [database.text(text_id) for text_id in ids] == [("a", True), ("b", True)] * 2


def test_votes_for_labels_that_no_table_lists_count(database, open_project):
    database.add_labels("a", "b")
    vote_on(database, ["a", "new", "ignored"])

    open_project(database, batch_size=3).update()

    assert unpickled(database).classes_.tolist() == ["a", "ignored", "new"]


def test_labels_are_neither_trimmed_nor_folded(database, open_project):
    vote_on(database, ["a", "A", " a"])

    open_project(database, batch_size=3).update()

    assert unpickled(database).classes_.tolist() == [" a", "A", "a"]


# -- what is trained on -------------------------------------------------------------------------------------------


@ON_BOTH
def test_a_classifier_learns_what_was_voted(database, open_project):
    vote_on(database, ["sun", "rain"] * 10)
    database.add_texts("nothing but sun", "nothing but rain")
    project = open_project(database)
    project.update()

    assert [prediction.label for prediction in project.predict()] == ["sun", "rain"] * 11
    assert [prediction.label for prediction in project.predict(["rain rain", "sun sun"])] == ["rain", "sun"]


def test_votes_and_prelabelled_data_are_trained_on_together(database, open_project):
    vote_on(database, "ab")
    database.add_init_data(("one", "c"), ("two", "d"), ("no label", ""))

    result = open_project(database, batch_size=2).update()

    assert result.run is not None
    assert (result.run.texts, result.run.classes) == (4, 4)


def test_excluded_labels_are_taken_up_but_not_trained_on(database, open_project):
    ids = vote_on(database, ["a", "b", "ignored", "ignored"])
    database.add_init_data(("one", "ignored"), ("two", "a"))
    project = open_project(database, batch_size=4, exclude_labels="ignored")

    result = project.update()

    assert result.run is not None
    assert (result.run.new_samples, result.run.texts, result.run.classes) == (4, 3, 2)
    assert database.text(ids[2]) == ("ignored", True)
    assert project.read_state().facts.new_samples == 0


def test_excluded_labels_do_not_count_as_classes(database, open_project):
    vote_on(database, ["a", "a", "ignored"])

    assert open_project(database, batch_size=1, exclude_labels="ignored").update().run is None


def test_empty_texts_are_taken_up_but_not_trained_on(database, open_project):
    ids = vote_on(database, "ab")
    blank = database.add_texts("", " \t\r\n", "\u00a0")
    for text_id in blank:
        database.vote(text_id, "a")
    project = open_project(database, batch_size=2)

    result = project.update()

    assert result.run is not None
    assert (result.run.new_samples, result.run.texts) == (5, 2)
    assert [database.text(text_id)[1] for text_id in [*ids, *blank]] == [True] * 5
    assert project.read_state().facts.new_samples == 0


def test_nothing_but_empty_texts_fails_once_and_is_not_tried_again(database, open_project):
    for text_id, name in zip(database.add_texts("", " "), "ab", strict=True):
        database.vote(text_id, name)
    database.add_texts("a word")
    project = open_project(database, batch_size=2)

    with pytest.raises(DataError):
        project.reconcile()
    look = project.reconcile()

    assert look.due is None
    assert look.facts.blocked is not None
    assert [run.status for run in project._storage.runs.recent()] == ["failed"]
    assert stored(database) == (0, 0, 0)


@pytest.mark.parametrize("vectorizer", ["count", "tfidf", "hashing"])
def test_texts_without_a_word_that_is_known_are_no_error(database, open_project, vectorizer):
    vote_on(database, "ab")
    for text in ("!!! ...", "😀😀"):
        database.vote(database.add_texts(text)[0], "a")

    result = open_project(database, batch_size=2, vectorizer=vectorizer).update()

    assert result.run is not None
    assert result.run.texts == 4


@ON_BOTH
@pytest.mark.parametrize("classifier", ["logreg", "sgd", "complement-nb"])
def test_null_arrays_and_null_entries_are_no_error(database, open_project, classifier):
    ids = vote_on(database, "abab")
    database.add_text("null arrays", labels=None, users=None)
    database.add_text("no users", labels=["a"], users=None)
    database.add_text("null entries", labels=[None, "", "b"], users=[None])
    database.add_text("nothing but null", labels=[None], users=[None])

    result = open_project(database, batch_size=4, classifier=classifier).update()

    assert result.run is not None
    assert result.run.new_samples == len(ids) + 2


@pytest.mark.parametrize("vectorizer", ["count", "tfidf", "hashing"])
def test_a_text_of_10_mb_is_no_error(database, open_project, vectorizer):
    vote_on(database, "abab")
    (long,) = database.add_texts("many words make a long text " * (10_000_000 // 28))
    database.vote(long, "a")

    result = open_project(database, batch_size=5, vectorizer=vectorizer).update()

    assert result.run is not None
    assert result.run.texts == 5


@ON_BOTH
def test_emoji_and_right_to_left_texts_and_labels_are_learned(database, open_project):
    names = ["😀 smile", "שמח", "حزين", "平静"]
    vote_on(database, names * 3)
    project = open_project(database)
    project.update()

    assert unpickled(database).classes_.tolist() == sorted(names)
    assert [prediction.label for prediction in project.predict(["text about שמח", "about حزين"])] == ["שמח", "حزين"]


@ON_BOTH
def test_a_label_as_long_as_the_column_counts(database, open_project):
    ids = vote_on(database, ["a", LONGEST, "😀" * 50])

    open_project(database, batch_size=3).update()

    assert [database.text(text_id)[0] for text_id in ids] == ["a", LONGEST, "😀" * 50]


@ON_BOTH
def test_a_longer_label_is_warned_about_once_and_does_not_count(database, open_project, logged):
    ids = vote_on(database, ["a", "b", TOO_LONG, TOO_LONG])
    project = open_project(database, batch_size=2)

    result = project.update()
    project.reconcile()
    project.read_state()

    assert result.run is not None
    assert result.run.new_samples == 2
    assert [database.text(text_id) for text_id in ids[2:]] == [(None, False), (None, False)]
    assert [fields["limit"] for fields in logged.named("vote.too_long")] == [50]


# -- what goes wrong ----------------------------------------------------------------------------------------------


def assert_failed(tables, project, *words):
    run = project._storage.runs.last()
    assert run is not None
    assert (run.status, run.clf_id, run.countvec_id) == ("failed", None, None)
    assert run.finished is not None
    for word in words:
        assert word in run.error
    assert stored(tables) == (0, 0, 0)


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
    ids = vote_on(database, "abab")
    project = open_project(database, batch_size=4, **broken)

    with pytest.raises(PluginError) as caught:
        project.update()

    assert_failed(database, project, *reason)
    assert str(caught.value) == project._storage.runs.last().error
    assert [database.text(text_id) for text_id in ids] == [("a", False), ("b", False)] * 2

    result = open_project(database, batch_size=4).update()

    assert result.run is not None
    assert result.run.new_samples == 4
    assert stored(database) == (1, 1, 4)


def test_a_classifier_of_foreign_code_is_refused_because_nobody_could_read_it(database, open_project):
    vote_on(database, "abab")
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
    vote_on(database, "abab", prefix=f"{words} text")
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
    vote_on(database, "abab")
    project = open_project(database, batch_size=4, label_aggregator=BrokenAggregator())
    before = database.content()

    with pytest.raises(PluginError, match=r"BrokenAggregator.*no luck with 4 votes"):
        project.update()

    assert database.content() == before


@ON_BOTH
def test_a_failed_run_is_not_tried_again_until_something_changes(database, open_project):
    ids = vote_on(database, "abab")
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
    vote_on(database, "abab")
    with pytest.raises(PluginError):
        open_project(database, batch_size=4, classifier=Broken()).reconcile()

    assert open_project(database, batch_size=4).reconcile().due == "update"


def test_an_interrupted_run_is_abandoned_and_tried_again_at_once(database, open_project):
    vote_on(database, "abab")
    project = open_project(database, batch_size=4, classifier=Interrupted())
    with pytest.raises(KeyboardInterrupt):
        project.reconcile()

    run = project._storage.runs.last()
    assert run is not None
    assert run.status == "abandoned"
    assert stored(database) == (0, 0, 0)
    with pytest.raises(KeyboardInterrupt):
        project.reconcile()


@ON_BOTH
def test_a_run_whose_second_commit_is_refused_fails_and_stores_nothing(database, open_project):
    vote_on(database, "abab")
    database.refuse_teaching()
    project = open_project(database, batch_size=4)

    with pytest.raises(DatabaseError, match="refused"):
        project.update()

    assert_failed(database, project, "refused")


def test_a_run_whose_connection_breaks_stores_nothing_and_loses_nothing(postgresql, open_project, monkeypatch):
    vote_on(postgresql, "abab")
    project = open_project(postgresql, batch_size=4, classifier=Gated())

    def break_the_lock():
        postgresql.query("SELECT pg_terminate_backend(pid, 10000) FROM pg_locks WHERE locktype = 'advisory'")

    with monkeypatch.context() as patch:
        patch.setattr(Gate, "while_it_trains", break_the_lock)
        with pytest.raises(DatabaseUnavailable):
            project.update()

    assert stored(postgresql) == (0, 0, 0)
    result = project.update()
    assert result.run is not None
    assert result.run.new_samples == 4
    assert [run.status for run in project._storage.runs.recent()] == ["succeeded", "died"]


def test_a_run_that_another_worker_overtook_stores_nothing(postgresql, open_project, monkeypatch):
    """Its connection broke, the other one got the lock and finished; it must not store its own result on top."""
    vote_on(postgresql, "abab")
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
    assert stored(postgresql) == (1, 1, 4)
    assert [run.status for run in other._storage.runs.recent()] == ["succeeded", "died"]


@ON_BOTH
def test_votes_during_training_are_the_next_runs(database, open_project, monkeypatch):
    ids = vote_on(database, "abab")
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


# -- rights -------------------------------------------------------------------------------------------------------


def test_the_documented_rights_are_enough(postgresql, open_project):
    open_project(postgresql)  # makes al_runs
    page = Path(__file__).parents[2] / "docs" / "how-to" / "limit-privileges.md"
    [statements] = re.findall(r"```sql\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    create_role, _, grants = statements.partition("\n")
    assert create_role.startswith("CREATE ROLE al_learner ")
    postgresql.query(grants.replace("TO al_learner", f"TO {WORKER_ROLE}"))
    vote_on(postgresql, "ab" * 10)
    url = postgresql.url.replace("postgres@", f"{WORKER_ROLE}@")
    project = open_project(postgresql, database_url=url)

    project.register_worker()
    assert project.update().run is not None
    assert stored(postgresql) == (1, 1, 20)
