from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from al_learner.core.registry import strategy

SAMPLERS = ("balanced", "uniform")
READING = ("kmeans", "label-names")
LABELS = st.lists(st.text(min_size=1, max_size=3), min_size=2, max_size=12, unique=True)


class Untouched(Sequence):
    """Texts in a database: to count them is cheap, to read one is a query."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, position):
        raise AssertionError(f"text {position} was read")


@pytest.mark.parametrize("name", SAMPLERS)
@given(n_texts=st.integers(1, 40), labels=LABELS, size=st.integers(2, 60), seed=st.integers(0, 99))
def test_a_sample_has_the_size_asked_for_two_labels_and_each_text_as_rarely_as_possible(
    name, n_texts, labels, size, seed
):
    rows, given_labels = strategy("init_sampler", name).sample(
        Untouched(n_texts), labels, size, np.random.default_rng(seed)
    )

    assert len(rows) == len(given_labels) == size
    assert rows.dtype == np.intp
    assert set(rows.tolist()) <= set(range(n_texts))
    uses = np.bincount(rows, minlength=n_texts)
    assert uses.max() - uses.min() <= 1
    assert set(given_labels) <= set(labels)
    assert len(set(given_labels)) >= 2


@given(labels=LABELS, size=st.integers(2, 60), seed=st.integers(0, 99))
def test_balanced_gives_every_label_as_often_as_any_other(labels, size, seed):
    _, given_labels = strategy("init_sampler", "balanced").sample(
        Untouched(100), labels, size, np.random.default_rng(seed)
    )

    uses = [given_labels.count(label) for label in labels]
    assert max(uses) - min(uses) <= 1


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_generator_is_the_only_source_of_chance(name):
    def sample(seed: int) -> tuple[list[int], list[str]]:
        rng = np.random.default_rng(seed)
        rows, labels = strategy("init_sampler", name).sample(Untouched(1000), ["a", "b", "c"], 20, rng)
        return rows.tolist(), labels

    assert sample(1) == sample(1)
    assert sample(1)[0] != sample(2)[0]
    assert sample(1)[1] != sample(2)[1]


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_text_can_be_picked(name):
    picked = set()
    for seed in range(60):
        rng = np.random.default_rng(seed)
        picked.update(strategy("init_sampler", name).sample(Untouched(10), ["a", "b"], 2, rng)[0].tolist())

    assert picked == set(range(10))


class Counted(Sequence):
    """A million texts in a database; remembers how many were read, and in how many queries."""

    def __init__(self) -> None:
        self.queries, self.read = 0, 0

    def __len__(self) -> int:
        return 1_000_000

    def __getitem__(self, position):
        wanted = [*range(len(self))[position]]
        self.queries, self.read = self.queries + 1, self.read + len(wanted)
        return [f"text {i} is about {'sports' if i % 3 else 'news'} and {i % 97} things" for i in wanted]


def sample(name, texts, labels, size, *, seed=0, **params):
    return strategy("init_sampler", name, **params).sample(texts, labels, size, np.random.default_rng(seed))


@pytest.mark.parametrize("name", READING)
@settings(max_examples=50)
@given(
    texts=st.lists(st.sampled_from(["", "!", "a", "b c", "a b", "c", "word", "another word"]), min_size=1, max_size=30),
    labels=LABELS,
    size=st.integers(2, 40),
    seed=st.integers(0, 99),
)
def test_whatever_the_texts_a_sample_has_its_size_two_labels_and_each_text_as_rarely_as_possible(
    name, texts, labels, size, seed
):
    rows, given_labels = sample(name, texts, labels, size, seed=seed)

    assert len(rows) == len(given_labels) == size
    assert rows.dtype == np.intp
    uses = np.bincount(rows, minlength=len(texts))
    assert len(uses) == len(texts)
    assert uses.max() - uses.min() <= 1
    assert set(given_labels) <= set(labels)
    assert len(set(given_labels)) >= 2
    assert max(map(given_labels.count, labels)) - min(map(given_labels.count, labels)) <= 1


@pytest.mark.parametrize("name", READING)
def test_of_a_million_texts_a_few_are_read_in_few_queries(name):
    texts = Counted()

    rows, _ = sample(name, texts, ["news", "sports"], 10, max_texts=2_500)

    assert len(set(rows.tolist())) == 10
    assert 2_000 <= texts.read <= 2_500
    assert texts.queries <= 3


@pytest.mark.parametrize("name", READING)
def test_the_generator_decides_which_texts_are_read(name):
    texts = [f"text {i} has a word of its own" for i in range(1000)]
    samples = [sample(name, texts, ["a", "b"], 20, seed=seed, max_texts=100) for seed in (1, 1, 2)]

    (first, labels), (again, labels_again), (other, _) = ((rows.tolist(), names) for rows, names in samples)
    assert (first, labels) == (again, labels_again)
    assert first != other


def test_kmeans_takes_a_text_of_every_topic_though_most_are_rare():
    topics = ["rain snow wind storm", "goal match team score", "vote law party state", "bread cheese wine soup"]
    rng = np.random.default_rng(0)
    topic_of = [0] * 850 + [1, 2, 3] * 50
    texts = [" ".join(rng.choice(topics[topic].split(), 6)) for topic in topic_of]

    rows, _ = sample("kmeans", texts, ["a", "b"], 8)

    assert {topic_of[row] for row in rows} == {0, 1, 2, 3}


def test_kmeans_picks_no_text_twice_that_was_loaded_twice():
    texts = [f"{word} and more {word}" for word in ("rain", "goal", "vote", "bread")] * 5

    rows, _ = sample("kmeans", texts, ["a", "b"], 4)

    assert len({texts[row] for row in rows}) == 4


def test_label_names_gives_a_text_the_label_that_it_names():
    texts = ["nothing here"] * 50 + ["All about SPORTS!", "some news, at last"] + ["nothing there"] * 50

    rows, given_labels = sample("label-names", texts, ["news", "sports", "weather"], 3)

    found = dict(zip(given_labels, rows.tolist(), strict=True))
    assert (found["sports"], found["news"]) == (50, 51)
    assert texts[found["weather"]].startswith("nothing")


def test_labels_that_are_named_go_first_when_not_all_can_be_given():
    texts = ["nothing"] * 50 + ["sports", "news"]

    assert {*sample("label-names", texts, [*"abcdefgh", "news", "sports"], 2)[1]} == {"news", "sports"}


@pytest.mark.parametrize(
    ("label", "text", "is_named"),
    [
        ("sports", "Sports.", True),
        ("sports", "motorsports", False),
        ("sports", "esports_sports", True),
        ("web_dev", "Web-Dev and more", True),
        ("politics at home", "POLITICS,  at\nhome", True),
        ("politics at home", "politics at homes", False),
        ("c++ (old)", "c++ (OLD) code", True),
        (".*", "anything", False),
        ("?!", "?!", False),
        ("știri", "ȘTIRI de azi", True),
        ("straße", "STRASSE", True),
    ],
)
def test_a_text_names_a_label_by_its_whole_words(label, text, is_named):
    given_labels = [
        dict(zip(rows.tolist(), names, strict=True)).get(0)
        for rows, names in (sample("label-names", [text, *["x"] * 40], [label, "y"], 2, seed=seed) for seed in range(5))
    ]

    assert (given_labels == [label] * 5) is is_named


def test_a_longer_name_hides_the_shorter_one_and_several_names_count_for_none():
    texts = ["politics at home politics at home", "home and sports", "sports"] + ["x"] * 40
    labels = ["home", "politics at home", "sports"]

    for seed in range(5):
        rows, given_labels = sample("label-names", texts, labels, 3, seed=seed)
        found = dict(zip(given_labels, rows.tolist(), strict=True))
        assert (found["politics at home"], found["sports"]) == (0, 2)
        assert found["home"] > 2


def test_two_labels_of_the_same_name_cannot_be_distinguished():
    rows, _ = sample("label-names", ["Sports", *["x"] * 40], ["sports", "SPORTS"], 2)

    assert 0 not in rows
