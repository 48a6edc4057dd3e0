"""What counts as a new sample, and which label a text gets."""

from __future__ import annotations

import pytest

from tests.support.tables import ON_BOTH, add_voted_texts, newest_classifier


@pytest.fixture
def taught(database, open_project):
    """A project that was just trained on a, b, a, b."""
    add_voted_texts(database, "abab")
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
    ids = add_voted_texts(database, "abab")
    for text_id, name in zip(ids[:2], "ab", strict=True):
        database.vote(text_id, name, "ben")

    result = open_project(database, batch_size=2, min_label_count=2).update()

    assert result.run is not None
    assert (result.run.new_samples, result.run.texts) == (2, 2)
    assert [database.text(text_id) for text_id in ids] == [("a", True), ("b", True), (None, False), (None, False)]


@ON_BOTH
@pytest.mark.parametrize("left", [["a"], [], None])
def test_a_text_that_falls_below_the_needed_votes_keeps_its_label_and_stays_in_training(database, open_project, left):
    ids = add_voted_texts(database, "abab")
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
    add_voted_texts(database, ["a", "new", "ignored"])

    open_project(database, batch_size=3).update()

    assert newest_classifier(database).classes_.tolist() == ["a", "ignored", "new"]


def test_labels_are_neither_trimmed_nor_folded(database, open_project):
    add_voted_texts(database, ["a", "A", " a"])

    open_project(database, batch_size=3).update()

    assert newest_classifier(database).classes_.tolist() == [" a", "A", "a"]
