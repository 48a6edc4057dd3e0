"""When a project starts, and when it trains."""

from __future__ import annotations

import pytest

from al_learner import Project
from tests.support.tables import ON_BOTH, add_voted_texts, newest_classifier, stored_counts


def test_a_project_without_prelabelled_data_starts_at_random(database, open_project):
    database.add_texts("one", "two", "three")
    database.add_labels("a", "b", "ignored")
    before = database.query("SELECT * FROM text_data ORDER BY 1")

    result = open_project(database, init_sampler="balanced").init()

    assert result.run is not None
    assert (result.run.kind, result.run.texts, result.run.new_samples) == ("init", 3, 0)
    assert {*newest_classifier(database).classes_} == {"a", "b", "ignored"}
    assert database.query("SELECT * FROM text_data ORDER BY 1") == before


@ON_BOTH
def test_a_project_with_prelabelled_data_starts_with_that(database, open_project):
    database.add_texts("one", "two")
    database.add_labels("a", "b", "c")
    database.add_init_data(("good", "b"), ("fine", "b"), ("bad", "a"))

    result = open_project(database).init()

    assert result.run is not None
    assert (result.run.texts, result.run.classes) == (3, 2)
    assert newest_classifier(database).classes_.tolist() == ["a", "b"]


def test_prelabelled_data_of_one_class_is_not_enough_to_start_with(database, open_project):
    database.add_texts("one", "two")
    database.add_labels("a", "b")
    database.add_init_data(("good", "c"))

    result = open_project(database).init()

    assert result.run is not None
    assert newest_classifier(database).classes_.tolist() == ["a", "b"]


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
    add_voted_texts(database, "ab")
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
    assert stored_counts(database) == (2, 1, 0)


def test_excluded_labels_are_not_drawn_at_random(database, open_project):
    database.add_texts("one", "two")
    database.add_labels("a", "b", "ignored")

    open_project(database, exclude_labels=["ignored"]).init()

    assert newest_classifier(database).classes_.tolist() == ["a", "b"]


@ON_BOTH
@pytest.mark.parametrize("look", [Project.reconcile, Project.update, Project.read_state, Project.status])
def test_below_the_batch_size_nothing_is_written(database, open_project, look):
    add_voted_texts(database, "abab")
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
    add_voted_texts(database, "ab" * 10)

    result = open_project(database, batch_size=3).update()

    assert result.run is not None
    assert (result.run.new_samples, result.run.texts) == (20, 20)
    assert stored_counts(database) == (1, 1, 20)


def test_by_force_it_trains_below_the_batch_size(database, open_project):
    add_voted_texts(database, "ab")

    result = open_project(database).update(force=True)

    assert result.run is not None
    assert (result.run.forced, result.run.new_samples) == (True, 2)


def test_two_classes_are_needed_even_by_force(database, open_project):
    add_voted_texts(database, "aaa")
    project = open_project(database, batch_size=2)
    before = database.content()

    assert project.update().run is None
    assert project.update(force=True).run is None
    assert project.reconcile().due is None
    assert database.content() == before


def test_prelabelled_data_counts_as_a_class(database, open_project):
    add_voted_texts(database, "aa")
    database.add_init_data(("something else", "b"))

    result = open_project(database, batch_size=2).update()

    assert result.run is not None
    assert (result.run.texts, result.run.classes) == (3, 2)
