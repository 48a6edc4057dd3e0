"""Which texts and labels a classifier is trained on."""

from __future__ import annotations

import pytest

from al_learner.core.errors import DataError
from tests.support.tables import ON_BOTH, add_voted_texts, newest_classifier, stored_counts

LONGEST = "x" * 50
TOO_LONG = "x" * 51


@ON_BOTH
def test_a_classifier_learns_what_was_voted(database, open_project):
    add_voted_texts(database, ["sun", "rain"] * 10)
    database.add_texts("nothing but sun", "nothing but rain")
    project = open_project(database)
    project.update()

    assert [prediction.label for prediction in project.predict()] == ["sun", "rain"] * 11
    assert [prediction.label for prediction in project.predict(["rain rain", "sun sun"])] == ["rain", "sun"]


def test_votes_and_prelabelled_data_are_trained_on_together(database, open_project):
    add_voted_texts(database, "ab")
    database.add_init_data(("one", "c"), ("two", "d"), ("no label", ""))

    result = open_project(database, batch_size=2).update()

    assert result.run is not None
    assert (result.run.texts, result.run.classes) == (4, 4)


def test_a_fit_starts_from_the_last_classifier_unless_there_are_many_more_texts(database, open_project):
    add_voted_texts(database, ["sun", "rain"] * 10)
    project = open_project(database, classifier="logreg")
    project.update()

    def last():
        return project._lifecycle._jobs.new("update", project.read_state()).last

    add_voted_texts(database, ["sun"] * 10, prefix="a few more")
    assert last() is not None
    add_voted_texts(database, ["rain"], prefix="too many")
    assert last() is None


def test_excluded_labels_are_taken_up_but_not_trained_on(database, open_project):
    ids = add_voted_texts(database, ["a", "b", "ignored", "ignored"])
    database.add_init_data(("one", "ignored"), ("two", "a"))
    project = open_project(database, batch_size=4, exclude_labels="ignored")

    result = project.update()

    assert result.run is not None
    assert (result.run.new_samples, result.run.texts, result.run.classes) == (4, 3, 2)
    assert database.text(ids[2]) == ("ignored", True)
    assert project.read_state().facts.new_samples == 0


def test_excluded_labels_do_not_count_as_classes(database, open_project):
    add_voted_texts(database, ["a", "a", "ignored"])

    assert open_project(database, batch_size=1, exclude_labels="ignored").update().run is None


def test_empty_texts_are_taken_up_but_not_trained_on(database, open_project):
    ids = add_voted_texts(database, "ab")
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
    assert stored_counts(database) == (0, 0, 0)


@pytest.mark.parametrize("vectorizer", ["count", "tfidf", "hashing"])
def test_texts_without_a_word_that_is_known_are_no_error(database, open_project, vectorizer):
    add_voted_texts(database, "ab")
    for text in ("!!! ...", "😀😀"):
        database.vote(database.add_texts(text)[0], "a")

    result = open_project(database, batch_size=2, vectorizer=vectorizer).update()

    assert result.run is not None
    assert result.run.texts == 4


@ON_BOTH
@pytest.mark.parametrize("classifier", ["logreg", "sgd", "complement-nb"])
def test_null_arrays_and_null_entries_are_no_error(database, open_project, classifier):
    ids = add_voted_texts(database, "abab")
    database.add_text("null arrays", labels=None, users=None)
    database.add_text("no users", labels=["a"], users=None)
    database.add_text("null entries", labels=[None, "", "b"], users=[None])
    database.add_text("nothing but null", labels=[None], users=[None])

    result = open_project(database, batch_size=4, classifier=classifier).update()

    assert result.run is not None
    assert result.run.new_samples == len(ids) + 2


@pytest.mark.parametrize("vectorizer", ["count", "tfidf", "hashing"])
def test_a_text_of_10_mb_is_no_error(database, open_project, vectorizer):
    add_voted_texts(database, "abab")
    (long,) = database.add_texts("many words make a long text " * (10_000_000 // 28))
    database.vote(long, "a")

    result = open_project(database, batch_size=5, vectorizer=vectorizer).update()

    assert result.run is not None
    assert result.run.texts == 5


@ON_BOTH
def test_emoji_and_right_to_left_texts_and_labels_are_learned(database, open_project):
    names = ["😀 smile", "שמח", "حزين", "平静"]
    add_voted_texts(database, names * 3)
    project = open_project(database)
    project.update()

    assert newest_classifier(database).classes_.tolist() == sorted(names)
    assert [prediction.label for prediction in project.predict(["text about שמח", "about حزين"])] == ["שמח", "حزين"]


@ON_BOTH
def test_a_label_as_long_as_the_column_counts(database, open_project):
    ids = add_voted_texts(database, ["a", LONGEST, "😀" * 50])

    open_project(database, batch_size=3).update()

    assert [database.text(text_id)[0] for text_id in ids] == ["a", LONGEST, "😀" * 50]


@ON_BOTH
def test_a_longer_label_is_warned_about_once_and_does_not_count(database, open_project, logged):
    ids = add_voted_texts(database, ["a", "b", TOO_LONG, TOO_LONG])
    project = open_project(database, batch_size=2)

    result = project.update()
    project.reconcile()
    project.read_state()

    assert result.run is not None
    assert result.run.new_samples == 2
    assert [database.text(text_id) for text_id in ids[2:]] == [(None, False), (None, False)]
    assert [fields["limit"] for fields in logged.named("vote.too_long")] == [50]
