"""The init sampler label-meaning, with made-up word vectors."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from al_learner import check_plugin
from al_learner.core import registry
from al_learner.plugins.init_samplers import label_meaning
from al_learner.plugins.init_samplers.label_meaning import LabelMeaning
from tests.support.strategies import TopicVectors

TOPICS = TopicVectors.topics


@pytest.fixture(autouse=True, scope="module")
def topic_vectors():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "word_vectors", lambda _source: TopicVectors())
        yield


def corpus(n_texts_each=100, names=("weather", "sports", "politics")):
    """Return texts of four words about their topic and two about nothing, and these topics. They take turns."""
    rng = np.random.default_rng(0)
    topics = [*names] * n_texts_each
    return [" ".join([*rng.choice(TOPICS[topic].split(), 4), "this", "thing"]) for topic in topics], topics


def prior(texts, labels, *, seed=0, **params):
    labels = labels if isinstance(labels, dict) else dict.fromkeys(labels, "")
    found = LabelMeaning(**params).prior(texts, labels, np.random.default_rng(seed))
    return None if found is None else list(zip(found[0].tolist(), found[1], strict=True))


@pytest.mark.parametrize("params", [{}, {"random_state": 3, "max_texts": 2, "max_words": 1, "texts_per_label": 1}])
def test_it_keeps_the_promises_of_its_interface(params):
    check_plugin(LabelMeaning(**params))


def test_texts_get_the_label_that_means_the_same_though_none_contains_its_name():
    texts, topics = corpus()

    found = prior(texts, ["weather", "sports", "politics"])

    assert len(found) == 150
    assert all(topics[row] == label for row, label in found)


@pytest.mark.parametrize(
    "names",
    [
        ("Weather", "SPORTS", "politics"),
        ("3. weather", "sports (all)", "politics/other"),
        ("localWeather", "sportsNews", "aboutPolitics"),
        ("weather1", "2sports", "politics_3"),
    ],
)
def test_a_name_is_split_at_punctuation_digits_and_capitals(names):
    texts, topics = corpus()

    found = prior(texts, names)

    assert {label for _, label in found} == {*names}
    assert all(topics[row] in label.lower() for row, label in found)


def test_texts_in_a_script_without_cases_are_understood_and_a_word_may_be_one_letter():
    texts, topics = corpus(names=("weather", "食物"))

    found = prior(texts, ["weather", "酒"])

    assert {label for _, label in found} == {"weather", "酒"}
    assert all((label == "酒") == (topics[row] == "食物") for row, label in found)


def test_descriptions_say_what_labels_mean_whose_names_do_not():
    texts, topics = corpus(names=("weather", "sports"))

    found = prior(texts, {"0": "Rain or storm.", "1": "A match, or how a team plays."})

    assert {label for _, label in found} == {"0", "1"}
    assert all(topics[row] == {"0": "weather", "1": "sports"}[label] for row, label in found)


def test_a_description_adds_to_the_name_and_weighs_less():
    texts, topics = corpus()

    found = prior(texts, {"law": "rain", "rain": "law", "sports": ""})

    assert {label for _, label in found} == {"law", "rain", "sports"}
    assert all(topics[row] == {"law": "politics", "rain": "weather"}.get(label, label) for row, label in found)


def test_a_label_that_is_similar_to_all_texts_does_not_get_them_all():
    similarity = np.zeros((20, 3))
    similarity[:, 0] = 1
    similarity[:12, 1] = similarity[12:, 2] = 0.3
    similarity[5, 1] = 0.4  # the surest

    of_first, of_second, of_third = label_meaning._surest(similarity, 60)

    assert of_first.tolist() == []
    assert of_second.tolist() == [5, 0, 1, 2, 3, 4, 6, 7, 8, 9]
    assert of_third.tolist() == [*range(12, 20)]


@pytest.mark.parametrize(
    "labels", [("0", "1"), ("A1", "B2"), ("x", "y"), ("", "!"), ("ignored", "sports"), ("xqzt", "thing"), ("0", "law")]
)
def test_labels_that_say_nothing_get_no_prior_and_a_sample_as_balanced_gives_it(labels):
    texts, _ = corpus()

    rows, names = LabelMeaning().sample(texts, labels, 10, np.random.default_rng(0))

    assert prior(texts, labels) is None
    assert len({*rows.tolist()}) == len(rows) == 10
    assert sorted(names) == sorted([*labels] * 5)


def test_a_label_that_says_nothing_gets_no_text_beside_others():
    texts, _ = corpus()

    found = prior(texts, {"weather": "", "sports": "", "0": "", "thing": "", "ignored": "politics"})

    assert {label for _, label in found} == {"weather", "sports"}
    assert prior(texts, {"weather": "", "ignored": "politics"}) is None


def test_words_that_mean_the_same_are_told_apart_by_the_texts_that_contain_them(monkeypatch):
    class OnlyTopics(TopicVectors):
        def vectors(self, words):
            return np.round(super().vectors(words) / 3)

    monkeypatch.setattr(registry, "word_vectors", lambda _source: OnlyTopics())
    texts = [f"{word} {other} day" for other in ("wind", "storm") * 20 for word in ("rain", "snow", "goal")]

    found = prior(texts, ["rain", "snow", "goal"])

    assert {label for _, label in found} == {"rain", "snow", "goal"}
    assert all(texts[row].startswith(label) for row, label in found)


def test_what_all_words_have_in_common_is_removed_from_their_vectors_and_unknown_words_stay_unknown():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(300, 20)) + 5 * rng.normal(size=20)  # what they have in common is large
    vectors[[7, 250]] = 0
    n_texts_with = rng.integers(1, 50, size=200)  # the other 100 are words of labels

    found = label_meaning._postprocessed(vectors.astype(np.float32), n_texts_with)

    assert not found[[7, 250]].any()
    assert found.dtype == np.float32
    weights = n_texts_with * (np.arange(200) != 7)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    centred = vectors / np.maximum(lengths, 1e-9)
    centred -= weights @ centred[:200] / weights.sum()
    first = np.linalg.svd(np.sqrt(weights)[:, None] * centred[:200])[2][0]
    known = lengths[:, 0] > 0
    assert found[known] == pytest.approx((centred - np.outer(centred @ first, first))[known], abs=1e-4)


def test_labels_with_the_same_words_share_their_texts():
    texts, topics = corpus()

    found = prior(texts, ["Sports", "sports", "weather", "politics"])

    given = [label for row, label in found if topics[row] == "sports"]
    assert (given.count("Sports"), given.count("sports")) == (25, 25)
    assert prior(texts, ["Sports", "sports"]) is None


def test_a_label_gets_half_of_the_texts_near_to_it_but_at_least_ten_and_not_more_than_the_parameter():
    def count(n_texts_each, **params):
        names = [label for _, label in prior(corpus(n_texts_each)[0], ["weather", "sports", "politics"], **params)]
        return names.count("weather"), len(names)

    assert count(40) == (20, 60)
    assert count(12) == (10, 30)
    assert count(8) == (8, 24)
    assert count(40, texts_per_label=7) == (7, 21)
    assert count(40, chosen_texts=36) == (12, 36)
    assert count(40, chosen_texts=1) == (10, 30)


def test_a_sample_is_the_prior_and_random_texts_only_if_that_is_smaller():
    texts, _ = corpus(4)
    labels = ["weather", "sports", "politics"]

    rows, names = LabelMeaning().sample(texts, labels, 5, np.random.default_rng(0))
    assert list(zip(rows.tolist(), names, strict=True)) == prior(texts, labels)

    texts = [*texts, *["nobody knows these words"] * 10]
    rows, names = LabelMeaning().sample(texts, labels, 20, np.random.default_rng(0))
    assert list(zip(rows.tolist(), names, strict=True))[:12] == prior(texts, labels)
    assert len({*rows.tolist()}) == len(names) == 20


def test_texts_without_a_known_word_are_never_in_the_prior():
    texts, _ = corpus(20)
    mixed = [text for one in texts for text in (one, "nobody knows these words", "!", "")]

    assert {row % 4 for row, _ in prior(mixed, ["weather", "sports", "politics"])} == {0}
    assert prior(["!", "", "?"] * 5, ["weather", "sports"]) is None
    assert prior(["nobody knows these words"] * 5, ["weather", "sports"]) is None


def test_rng_alone_decides_which_texts_are_compared():
    texts, _ = corpus()
    first, again, other = (prior(texts, ["weather", "sports"], seed=seed, max_texts=50) for seed in (1, 1, 2))

    assert first == again
    assert first != other


class Counted(Sequence):
    """A million texts in a database; remembers how many were read, and in how many queries."""

    def __init__(self):
        self.queries, self.read = 0, 0

    def __len__(self):
        return 1_000_000

    def __getitem__(self, position):
        wanted = [*range(len(self))[position]]
        self.queries, self.read = self.queries + 1, self.read + len(wanted)
        return [f"{'goal' if i % 3 else 'rain'} number {i}" for i in wanted]


def test_of_a_million_texts_a_few_are_read_in_few_queries():
    texts = Counted()

    found = prior(texts, ["weather", "sports"], max_texts=2_500)

    assert all(label == ("sports" if row % 3 else "weather") for row, label in found)
    assert 2_000 <= texts.read <= 2_500
    assert texts.queries <= 3


@pytest.mark.parametrize("labels", [("0", "1"), ("0", "law"), ("unknown", "law"), ("ignored", "law")])
def test_that_labels_say_nothing_is_known_before_a_text_is_read(labels):
    texts = Counted()

    assert prior(texts, labels) is None
    rows, _ = LabelMeaning().sample(texts, labels, 10, np.random.default_rng(0))

    assert len({*rows.tolist()}) == 10
    assert texts.read == 0


class Guessing(TopicVectors):
    """Has a vector for words whose meaning it does not know."""

    def known(self, words):
        return np.array([word not in ("goal", "law") for word in words])


def test_a_word_that_the_source_only_guesses_counts_where_a_text_contains_it(monkeypatch):
    monkeypatch.setattr(registry, "word_vectors", lambda _source: Guessing())
    texts, _ = corpus()
    without = [" ".join(word for word in text.split() if word != "law") for text in texts]
    rare = [*without, "a Law, rarely"]

    assert {label for _, label in prior(texts, ["weather", "goal", "law"])} == {"weather", "goal", "law"}
    assert {label for _, label in prior(rare, ["weather", "goal", "law"], max_words=13)} == {"weather", "goal", "law"}
    assert {label for _, label in prior(without, ["weather", "goal", "law"])} == {"weather", "goal"}
    assert prior(without, ["weather", "law"]) is None


WORDS = st.sampled_from(["", "!", "a", "rain", "goal team", "汤", "weather", "Sports", "unknown", "0", "ignored"])


@settings(max_examples=60)
@given(
    texts=st.lists(WORDS, min_size=1, max_size=30),
    labels=st.dictionaries(WORDS, WORDS, min_size=2, max_size=8),
    size=st.integers(2, 40),
    seed=st.integers(0, 99),
)
def test_whatever_the_texts_and_labels_a_sample_and_a_prior_are_valid(texts, labels, size, seed):
    rows, names = LabelMeaning().sample(texts, [*labels], size, np.random.default_rng(seed))
    assert len(rows) == len(names) >= size
    assert rows.dtype == np.intp
    uses = np.bincount(rows, minlength=len(texts))
    assert len(uses) == len(texts)
    assert uses.max() - uses.min() <= 1
    assert {*names} <= {*labels}
    assert len({*names}) >= 2

    if found := prior(texts, labels, seed=seed):
        assert len({row for row, _ in found}) == len(found)
        assert {label for _, label in found} <= {*labels} - {"ignored", "0", "!", ""} | {
            label for label, description in labels.items() if description
        }
        assert len({label for _, label in found}) >= 2
