"""What the checks of every kind share: how a broken promise is told, and what they are made with."""

from __future__ import annotations

import pickle
from typing import Any, TypeVar

from al_learner.core.artifacts.pickling import dump
from al_learner.core.errors import PluginError
from al_learner.core.interfaces import Strategy

StrategyT = TypeVar("StrategyT", bound=Strategy)

TWO_LABELS = ("ignored", "sports")
FOUR_LABELS = ("ignored", "politics at home", "sports", "știri")

CORPUS = tuple(
    f"{quality} {subject}, again {subject}"
    for subject in ("news", "שלום", "日本 weather")
    for quality in ("good", "bad", "no", "old") * 3
)
"""A few words that recur, so that a vectorizer that drops the rarest and the most frequent ones keeps some."""

CHANCE = "the same input gives another result; chance needs a `random_state` parameter that decides it"


def expect(kept: bool, broken: str) -> None:  # noqa: FBT001 - reads like an assert
    """Raise PluginError, saying what is broken, unless the promise was kept."""
    if not kept:
        raise PluginError(broken)


def seeded(strategy: StrategyT) -> StrategyT:
    """Return the strategy with a seed, if it takes one and has none."""
    return strategy.model_copy(update={"random_state": 0}) if getattr(strategy, "random_state", 0) is None else strategy


def as_read(artifact: object, strategy: Strategy) -> Any:
    """Return an artifact as those get it who have the packages that the strategy requires, and no others."""
    return pickle.loads(dump(artifact, strategy.requires))  # noqa: S301 - pickled this very moment
