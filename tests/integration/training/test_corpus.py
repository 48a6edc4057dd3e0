"""The corpus in parts: texts by position, and words that are counted part by part."""

from __future__ import annotations

import numpy as np
import pytest

from al_learner.core.registry import strategy
from al_learner.core.storage import labelforward_tables
from al_learner.core.storage.labelforward_tables import LabelForwardTables, PartSize
from al_learner.core.training.corpus import counts
from al_learner.core.training.corpus import texts as texts_module
from al_learner.core.training.corpus.texts import CorpusTexts
from tests.support.corpora import small

PART = 4


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    for module in (labelforward_tables, counts):
        monkeypatch.setattr(module, "PART", PART)
    monkeypatch.setattr(counts, "PARTS", 2)
    monkeypatch.setattr(texts_module, "KEPT", 1)
    monkeypatch.setattr(texts_module, "CHUNK", 2)


@pytest.fixture
def store(connect, database):
    return LabelForwardTables(connect(database))


@pytest.fixture
def blanks(database):
    """Texts in three parts; one of the parts has only blank ones, and a text in the first was deleted."""
    ids = database.add_texts("gone", "first", "", "  ", "\t\r\n", " ", "\n", "second", "third")
    database.query("DELETE FROM text_data WHERE text_data = 'gone'")
    return ids[1:]


@pytest.mark.usefixtures("blanks")
def test_the_database_counts_texts_and_blank_ones_part_by_part(store):
    assert store.part_sizes("text_data") == [
        PartSize("text_data", 0, 2, 1), PartSize("text_data", 1, 4, 4), PartSize("text_data", 2, 2, 0),
    ]  # fmt: skip
    assert store.part_sizes("init_data") == []


def test_texts_that_are_not_blank_are_a_sequence(store, blanks):
    texts = CorpusTexts.not_blank(store)

    assert len(texts) == 3
    assert texts.ids_at(np.arange(3)).tolist() == [blanks[0], blanks[6], blanks[7]]
    assert texts[0] == "first"
    assert texts[-1] == "third"
    assert texts[1:] == ["second", "third"]
    assert texts[::2] == ["first", "third"]
    assert texts[3:] == []
    assert list(texts) == ["first", "second", "third"]
    assert list(reversed(texts)) == ["third", "second", "first"]
    assert "second" in texts
    for outside in (3, -4):
        with pytest.raises(IndexError):
            texts[outside]


def test_a_text_that_is_deleted_after_the_count_is_empty(store, database, blanks):
    texts = CorpusTexts.not_blank(store)
    database.query("DELETE FROM text_data WHERE text_id = ?", blanks[6])

    assert list(texts) == ["first", "third", ""]


def test_a_project_without_texts_has_none(store):
    assert list(CorpusTexts.not_blank(store)) == []
    assert counts.ranges(store) == ()


@pytest.mark.parametrize("name", ["count", "tfidf", "lsa"])
def test_a_vectorizer_learns_the_same_from_a_corpus_in_parts_as_from_the_whole(store, database, monkeypatch, name):
    texts, _ = small(30)
    database.add_texts(*texts[:20], " ", *texts[20:])
    database.add_init_data(*((f"{text} at last", "x") for text in texts[:5]))
    vectorizer = strategy("vectorizer", name)
    monkeypatch.setattr(type(vectorizer), "n_sampled", 7 if name == "lsa" else 0)

    ranges = counts.ranges(store)
    parts = [counts.count(store, vectorizer, part) for part in ranges]
    counted = counts.merged([counts.merged(parts[:2]), counts.merged(parts[2:])])
    in_parts = counts.fit(store, vectorizer, counted)
    whole = vectorizer.fit(store.corpus())

    assert len(ranges) > 3
    assert [part for part in counted.parts if part.table == "text_data"] == store.part_sizes("text_data")
    corpus = list(store.corpus())
    np.testing.assert_array_equal(in_parts.transform(corpus).toarray(), whole.transform(corpus).toarray())
