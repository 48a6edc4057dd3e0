"""PostgreSQL says which ranges of texts have other votes than before, so that only these are read."""

from __future__ import annotations

import pytest

from al_learner.core.labels.votes import RANGE
from al_learner.core.storage.labelforward_tables import LabelForwardTables

N_TEXTS = 3 * RANGE


@pytest.fixture
def voted(postgresql):
    postgresql.query(
        "INSERT INTO text_data (text_data, labeled, selected, taught, labels, users, major_label)"
        " SELECT 'text', false, false, true, ARRAY['a', 'b'], ARRAY['ann', 'ben'], 'a' FROM generate_series(1, ?)",
        N_TEXTS,
    )
    return postgresql


@pytest.fixture
def tables(voted, connect):
    return LabelForwardTables(connect(voted))


@pytest.mark.parametrize(
    "change",
    [
        "labels = labels || 'c'::text",
        "labels = ARRAY['b', 'a']",
        "labels = NULL",
        "labels = '{}'",
        "labels = ARRAY['a', NULL]",
        "users = ARRAY['ben', 'ann']",
        "users = NULL",
        "major_label = 'b'",
        "major_label = NULL",
        "major_label = ''",
        "taught = false",
        "labels = '{}', major_label = NULL",
    ],
)
def test_a_change_of_one_text_changes_the_digest_of_its_range_alone(voted, tables, change):
    before = tables.vote_digests()
    voted.query(f"UPDATE text_data SET {change} WHERE text_id = ?", RANGE + 5)

    after = tables.vote_digests()

    assert [number for number in before if after[number] != before[number]] == [1]


def test_two_texts_that_change_places_change_the_digest(voted, tables):
    voted.query("UPDATE text_data SET labels = ARRAY['c'], major_label = 'c', taught = false WHERE text_id = 7")
    before = tables.vote_digests()
    voted.query("UPDATE text_data SET labels = ARRAY['c'], major_label = 'c', taught = false WHERE text_id = 9")
    voted.query("UPDATE text_data SET labels = '{a,b}', major_label = 'a', taught = true WHERE text_id = 7")

    assert tables.vote_digests()[0] != before[0]


def test_the_predictors_write_changes_no_digest(voted, tables):
    before = tables.vote_digests()

    voted.query("UPDATE text_data SET uncertainty = 0.5, predicted_label = 'a', labeled = true, selected = true")

    assert tables.vote_digests() == before


def test_a_range_without_votes_has_no_digest(voted, tables):
    voted.query("DELETE FROM text_data WHERE text_id < ?", RANGE)
    voted.query(
        "UPDATE text_data SET labels = '{}', major_label = NULL WHERE text_id BETWEEN ? AND ?", RANGE, 2 * RANGE
    )

    assert sorted(tables.vote_digests()) == [2, 3]


def test_only_the_wanted_ranges_are_read(tables):
    assert [row.text_id for row in tables.voted_texts([0, 1, 3])] == [*range(1, 2 * RANGE), N_TEXTS]
    assert len([*tables.voted_texts()]) == N_TEXTS


def test_few_voted_texts_are_read_all_at_once_and_more_are_not(tables):
    rows = [*tables.voted_texts()]

    assert tables.few_voted_texts(N_TEXTS) == rows
    assert tables.few_voted_texts(N_TEXTS - 1) is None


def test_a_project_reads_only_what_has_changed(voted, open_project, monkeypatch):
    monkeypatch.setattr("al_learner.core.lifecycle.project_state.FEW", 10)
    project = open_project(voted)
    project.read_state()
    read = []
    voted_texts = project._storage.tables.voted_texts
    monkeypatch.setattr(
        LabelForwardTables, "voted_texts", lambda _, ranges=None: read.append(ranges) or voted_texts(ranges)
    )
    voted.vote(RANGE + 5, "c")
    voted.vote(RANGE + 5, "c")

    state = project.read_state()

    assert read == [[1]]
    assert (state.facts.new_samples, state.aggregated.n_votes) == (1, 2 * N_TEXTS + 2)
