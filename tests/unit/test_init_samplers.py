from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from al_learner.core.registry import strategy

SAMPLERS = ("balanced", "uniform")
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
