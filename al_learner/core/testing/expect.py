"""What all checks share: the error for a broken promise, and the test data."""

from __future__ import annotations

import pickle
from typing import Any, TypeVar

from al_learner.core.artifacts.pickling import dump
from al_learner.core.errors import AlLearnerError, PluginError
from al_learner.core.interfaces import Strategy

StrategyT = TypeVar("StrategyT", bound=Strategy)

TWO_LABELS = ("ignored", "sports")
FOUR_LABELS = ("ignored", "politics at home", "sports", "știri")

CORPUS = tuple(
    f"{quality} {subject}, again {subject}"
    for subject in ("news", "שלום", "日本 weather")
    for quality in ("good", "bad", "no", "old") * 3
)
"""A few words that are repeated. If a vectorizer drops the rarest and the most frequent ones, some are still left."""

CHANCE = "the same input gives different results; random numbers must depend only on a parameter `random_state`"


def expect(kept: bool, broken: str) -> None:  # noqa: FBT001 - reads like an assert
    """Raise PluginError with the message `broken` if the promise was not kept."""
    if not kept:
        raise PluginError(broken)


def reason(exc: Exception) -> str:
    """Return why a check failed: the message of our own errors, and also the type of others."""
    return str(exc) if isinstance(exc, AlLearnerError) else f"{type(exc).__name__}: {exc}"


def seeded(strategy: StrategyT) -> StrategyT:
    """Return the strategy with a seed, if it accepts one and has none."""
    return strategy.model_copy(update={"random_state": 0}) if getattr(strategy, "random_state", 0) is None else strategy


def as_read(artifact: object, strategy: Strategy) -> Any:
    """Return the artifact as it is read by a program that has only the packages that the strategy requires."""
    return pickle.loads(dump(artifact, strategy.requires))  # noqa: S301 - it was pickled in the same line
