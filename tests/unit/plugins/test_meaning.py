"""`words-and-meaning` and `lsa`: what their columns are, and what they need to find them."""

import random

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from al_learner.core.errors import DataError
from al_learner.core.interfaces import vectorizers
from al_learner.core.registry import strategy
from al_learner.core.training.fitting import fit_classifier, fit_vectorizer
from al_learner.plugins.vectorizers import meaning, words_and_meaning
from tests.support.tiny_vectors import TOPICS, Tiny

N_DIMS = {"lsa": 4, "words-and-meaning": 8}
"""Enough for the topics, and not for each word."""

NAMES = [*N_DIMS]


class Recording(Tiny):
    """Keeps what is looked up."""

    def vectors(self, words):
        ASKED.extend(words)
        return super().vectors(words)


ASKED: list[str] = []


@pytest.fixture(autouse=True)
def _word_vectors(monkeypatch):
    """Let every source be a tiny one, whichever are installed."""
    ASKED.clear()
    monkeypatch.setattr("al_learner.core.registry.word_vectors", lambda _source: Recording())


@pytest.fixture(scope="module")
def texts():
    """Three topics; each text has two of its words, and each word has been beside each other one of its topic."""
    rng = random.Random(0)
    return [f"The {' and the '.join(rng.sample(topic, 2))}." for topic in TOPICS * 40]


def columns(vectorizer, transformer, texts, group):
    X = transformer.transform(texts)
    return X[:, vectorizer.groups(X.shape[1])[group]]


def likeness(vectors):
    return vectors @ vectors.T / np.outer(np.linalg.norm(vectors, axis=1), np.linalg.norm(vectors, axis=1))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "params",
    [{}, {"lowercase": False}, {"min_df": 3, "max_df": 0.5}, {"min_df": 0.05}, {"sublinear_tf": False}],
    ids=repr,
)
def test_the_words_are_those_of_scikit_learn(name, params, texts):
    corpus = [*texts, "the the The thE match once", "a rare word"]
    vectorizer = strategy("vectorizer", name, **params)
    plain = TfidfVectorizer(**{"sublinear_tf": True, **params}, dtype=np.float32).fit(corpus)

    transformer = vectorizer.fit(iter(corpus))

    assert transformer["tfidf"].vocabulary_ == plain.vocabulary_
    words = columns(vectorizer, transformer, corpus, "words")
    np.testing.assert_allclose(words.toarray(), plain.transform(corpus).toarray(), atol=1e-6)
    expected = {**plain.get_params(), **params}
    assert transformer["tfidf"].get_params() == expected


@pytest.mark.parametrize("name", NAMES)
def test_of_too_many_words_those_in_the_most_texts_are_kept(name):
    corpus = ["one two three", "one two", "one three four four four four"]

    transformer = strategy("vectorizer", name, max_features=2).fit(corpus)

    assert transformer["tfidf"].vocabulary_ == {"one": 0, "three": 1}  # of equally frequent ones the first


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("params", "n_dims", "weight"), [({}, 128, 0.8), ({"n_dims": 7, "weight": 2.0}, 7, 2)])
def test_meaning_has_its_width_and_its_length(name, params, n_dims, weight, texts):
    vectorizer = strategy("vectorizer", name, **params)

    found = columns(vectorizer, vectorizer.fit(texts), ["football and rain", "unheard-of", ""], "meaning")

    assert found.shape == (3, n_dims)
    assert np.linalg.norm(found.toarray(), axis=1) == pytest.approx([weight, 0, 0], abs=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_texts_of_one_topic_are_near_each_other_although_they_share_no_word(name, texts):
    vectorizer = strategy("vectorizer", name, n_dims=N_DIMS[name])
    pairs = [" ".join(words) for topic in TOPICS for words in (topic[:2], topic[2:])]

    found = likeness(columns(vectorizer, vectorizer.fit(texts), pairs, "meaning").toarray())

    same = np.kron(np.eye(len(TOPICS)), np.ones((2, 2))) - np.eye(len(pairs))
    assert found[same == 1].min() > 0.5
    assert found[(same == 0) & ~np.eye(len(pairs), dtype=bool)].max() < 0.3


@pytest.mark.parametrize("name", NAMES)
def test_a_classifier_knows_words_that_no_labelled_text_has(name, texts):
    vectorizer = strategy("vectorizer", name, n_dims=N_DIMS[name])
    transformer = vectorizer.fit(texts)
    X = transformer.transform([" ".join(topic[:2]) for topic in TOPICS])

    classifier = strategy("classifier", "logreg", C=30)
    pipeline = fit_classifier(classifier, X, np.array(["a", "b", "c"]), groups=vectorizer.groups(X.shape[1]))

    others = transformer.transform([word for topic in TOPICS for word in topic[2:]])
    assert pipeline.predict(others).tolist() == ["a"] * 3 + ["b"] * 3 + ["c"] * 3


@pytest.mark.parametrize("name", NAMES)
def test_meaning_alone_is_the_same_meaning(name, texts):
    alone, beside = strategy("vectorizer", name, words=False), strategy("vectorizer", name)

    found = alone.fit(texts).transform(texts)

    assert alone.groups(found.shape[1]) == {"meaning": slice(0, 128)}
    expected = columns(beside, beside.fit(texts), texts, "meaning")
    assert (found.format, found.dtype) == ("csr", np.float32)
    assert np.array_equal(found.toarray(), expected.toarray())


@pytest.mark.parametrize("name", NAMES)
def test_word_vectors_are_stored_in_half_precision_and_only_where_there_are_some(name, texts):
    transformer = strategy("vectorizer", name).fit([*texts, "0first 1second"])

    kinds = [part for part_name, part in transformer["groups"].transformer_list if part_name != "words"]

    assert {part["vectors"].components_.dtype for part in kinds} == {np.dtype(np.float16)}
    if name == "words-and-meaning":
        unknown = transformer["tfidf"].vocabulary_["1second"]  # the first column always has one
        assert np.flatnonzero(~kinds[0]["words"].get_support()).tolist() == [unknown]


def test_half_of_the_columns_are_pre_trained_and_half_are_latent_semantic_analysis(texts):
    vectorizer, lsa = strategy("vectorizer", "words-and-meaning", n_dims=7), strategy("vectorizer", "lsa", n_dims=4)

    found = columns(vectorizer, vectorizer.fit(texts), texts, "meaning").toarray()

    latent = columns(lsa, lsa.fit(texts), texts, "meaning").toarray()
    np.testing.assert_allclose(found[:, 3:], latent / np.sqrt(2), atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(found[:, :3], axis=1), 0.8 / np.sqrt(2), atol=1e-3)


def test_only_the_most_frequent_words_are_looked_up(texts, monkeypatch):
    monkeypatch.setattr(words_and_meaning, "FREQUENT", 3)

    strategy("vectorizer", "words-and-meaning").fit([*texts, "football football-fan, rain"])

    assert len(ASKED) == 3
    assert {"the", "and"} < {*ASKED}


@pytest.mark.parametrize("name", NAMES)
def test_of_a_large_corpus_a_sample_of_texts_is_decomposed(name, monkeypatch):
    monkeypatch.setattr(meaning.MeaningVectorizer, "n_sampled", 50)
    monkeypatch.setattr(meaning, "FREQUENT", 10)
    sizes, latent = [], meaning.latent

    def spy(X, *args):
        sizes.append((X.shape, X.getnnz()))
        return latent(X, *args)

    monkeypatch.setattr(f"al_learner.plugins.vectorizers.{name.replace('-', '_')}.latent", spy)
    corpus = (f"always word{number:04}" for number in range(5_000))

    strategy("vectorizer", name).fit(corpus)

    [((n_texts, n_words), n_values)] = sizes
    assert (n_texts, n_values) == (50, 100)
    assert 51 <= n_words <= 51 + 9  # the words of the sample, and those of the ten in the most texts
    if name == "words-and-meaning":
        numbers = sorted(int(word.removeprefix("word")) for word in ASKED if word != "always")
        assert np.median(numbers[10:]) > 1_000  # texts from all parts of the corpus


@pytest.mark.parametrize("name", NAMES)
def test_the_beginnings_of_long_texts_are_decomposed(name, monkeypatch):
    monkeypatch.setattr(vectorizers, "SAMPLED_CHARACTERS", 20)
    monkeypatch.setattr(meaning, "FREQUENT", 2)
    monkeypatch.setattr(words_and_meaning, "FREQUENT", 2)

    transformer = strategy("vectorizer", name).fit(["one two " * 100 + "three", "one two"])

    latent = transformer["groups"].transformer_list[-1][1]
    known = {word for word, column in transformer["tfidf"].vocabulary_.items() if latent["words"].get_support()[column]}
    assert known == {"one", "two"}
    assert "three" in transformer["tfidf"].vocabulary_


@pytest.mark.parametrize("name", NAMES)
def test_a_corpus_without_words_is_refused(name):
    with pytest.raises(DataError, match="no text has a word"):
        fit_vectorizer(strategy("vectorizer", name), ["", "?!"])


@pytest.mark.parametrize("name", NAMES)
def test_if_no_word_has_the_right_frequency_the_error_names_the_limits(name):
    with pytest.raises(DataError, match=r"min_df=3 and max_df=1\.0 drop all 4 words of the 2 texts: lower min_df"):
        fit_vectorizer(strategy("vectorizer", name, min_df=3), ["one two", "three four"])


def test_a_source_that_knows_no_word_of_the_corpus_is_named_before_anything_trains():
    with pytest.raises(DataError, match=r"'use' know none of the 2 most frequent words .* languages: en\. .*lsa"):
        fit_vectorizer(strategy("vectorizer", "words-and-meaning"), ["1st 2nd"])


class Refuses(Tiny):
    def lookup(self, words):
        del words
        raise DataError("vectors of another width")


def test_what_a_look_up_raises_is_not_wrapped(monkeypatch):
    monkeypatch.setattr("al_learner.core.registry.word_vectors", lambda _source: Refuses())

    with pytest.raises(DataError, match=r"^vectors of another width$"):
        fit_vectorizer(strategy("vectorizer", "words-and-meaning"), ["one two"])


@pytest.mark.parametrize("name", NAMES)
def test_texts_with_one_word_have_features(name):
    X = strategy("vectorizer", name).fit(["word"] * 3).transform(["word", "other"])

    assert X.shape == (2, 129)
    assert np.isfinite(X.data).all()
    assert X[1].nnz == 0
