"""What al_learner expects of any plug-in, and what this package adds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from al_learner_example_plugin import BernoulliNb, Diverse

from al_learner import Classifier, InitSampler, check_plugin, strategy


@pytest.mark.parametrize(
    "plugin",
    [BernoulliNb(), BernoulliNb(alpha=2, fit_prior=False), Diverse(), Diverse(pool=1), Diverse(random_state=7)],
    ids=repr,
)
def test_a_strategy_keeps_the_promises_of_its_interface(plugin: Classifier | InitSampler) -> None:
    """Whatever its parameters."""
    check_plugin(plugin)


@pytest.mark.parametrize(
    ("kind", "name", "plugin"),
    [("classifier", "bernoulli-nb", BernoulliNb()), ("init_sampler", "diverse", Diverse())],
)
def test_al_learner_finds_it_by_its_name(kind: Any, name: str, plugin: Classifier | InitSampler) -> None:
    """The entry points in pyproject.toml are those that al_learner reads."""
    assert strategy(kind, name) == plugin  # noqa: S101 - pytest's way


def test_diverse_texts_have_no_word_in_common_where_there_are_such() -> None:
    """Three topics, three texts: one of each, with every seed."""
    texts = [f"{topic} {i}" for topic in ("rain", "football", "music") for i in range(5)]
    for seed in range(10):
        rows, _ = Diverse().sample(texts, ["yes", "no"], 3, np.random.default_rng(seed))
        assert {texts[row].split()[0] for row in rows} == {"rain", "football", "music"}  # noqa: S101 - pytest's way
