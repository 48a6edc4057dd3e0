"""What an init sampler gets: the texts that are not blank, each read when it is needed."""

from __future__ import annotations

import pytest

from al_learner.core.storage import labelforward_tables as store_module
from al_learner.core.storage.labelforward_tables import LabelForwardTables
from al_learner.core.training.cold_start import NonEmptyTexts


@pytest.fixture
def store(connect, database):
    return LabelForwardTables(connect(database))


@pytest.fixture
def blanks(database):
    return database.add_texts("first", "", "  ", "\t\r\n", "second", "third")


def test_non_empty_texts_leave_out_blank_ones(store, blanks):
    texts = NonEmptyTexts(store)

    assert texts.ids.tolist() == [blanks[0], blanks[4], blanks[5]]
    assert len(texts) == 3


@pytest.mark.usefixtures("blanks")
def test_non_empty_texts_are_a_sequence(store, monkeypatch):
    monkeypatch.setattr(store_module, "CHUNK", 2)
    texts = NonEmptyTexts(store)

    assert texts[0] == "first"
    assert texts[-1] == "third"
    assert texts[1:] == ["second", "third"]
    assert texts[3:] == []
    assert list(texts) == ["first", "second", "third"]
    assert list(reversed(texts)) == ["third", "second", "first"]
    assert "second" in texts
    with pytest.raises(IndexError):
        texts[3]


def test_a_project_without_texts_has_no_non_empty_ones(store):
    assert list(NonEmptyTexts(store)) == []
