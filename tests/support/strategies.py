"""Strategies that misbehave, or stop half-way for a test. `Project` takes them as objects."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.naive_bayes import ComplementNB

from al_learner import Classifier, InitSampler, LabelAggregator, Vectorizer
from al_learner.core.interfaces import Codes, ModelSelector, Votes, WordVectors
from tests.support.waiting import DEADLINE_S


class Broken(Classifier):
    """Raises whenever it trains."""

    def fit(self, X: Any, y: Any) -> Any:
        raise RuntimeError(f"no luck with {X.shape[0]} texts and {len({*y})} labels")


class BrokenVectorizer(Vectorizer):
    """Reads the corpus and raises."""

    def fit(self, texts: Iterable[str]) -> Any:
        raise RuntimeError(f"no luck with {len([*texts])} texts")


class BrokenSampler(InitSampler):
    """Raises when it should pick."""

    def sample(self, texts: Sequence[str], labels: Sequence[str], size: int, rng: np.random.Generator) -> Any:
        raise RuntimeError(f"no luck with {len(texts)} texts, {labels}, {size} and {rng}")


class BrokenAggregator(LabelAggregator):
    """Raises when it should settle labels."""

    def aggregate(self, votes: Votes) -> Codes:
        raise RuntimeError(f"no luck with {len(votes.text)} votes")


class ByName(InitSampler):
    """Makes a prior of the texts whose first word is in the name or the description of a label."""

    n_made: ClassVar[int] = 0
    """How many priors were made; tests set it back."""

    def prior(
        self, texts: Sequence[str], labels: Mapping[str, str], rng: np.random.Generator
    ) -> tuple[Codes, list[str]] | None:
        del rng
        type(self).n_made += 1
        words = {word: label for label, description in labels.items() for word in (label, *description.split())}
        found = [(row, words[word]) for row, text in enumerate(texts) if (word := text.split()[0]) in words]
        if len({label for _, label in found}) < 2:
            return None
        return np.array([row for row, _ in found]), [label for _, label in found]

    def sample(
        self, texts: Sequence[str], labels: Sequence[str], size: int, rng: np.random.Generator
    ) -> tuple[Codes, list[str]]:
        return self.pick(len(texts), size, rng), self.deal(labels, size, rng)


class BrokenPrior(ByName):
    """Raises when it should make a prior."""

    def prior(self, texts: Sequence[str], labels: Mapping[str, str], rng: np.random.Generator) -> Any:
        raise RuntimeError(f"no luck with {len(texts)} texts, {labels} and {rng}")


class TopicVectors(WordVectors):
    """Knows the words of a few topics. Words of the same topic have similar vectors, and a name in common."""

    languages: ClassVar[tuple[str, ...]] = ("en", "zh")
    licence: ClassVar[str] = "MIT"
    provenance: ClassVar[str] = "made up for tests"

    topics: ClassVar[dict[str, str]] = {
        "weather": "rain snow wind storm",
        "sports": "goal match team score",
        "politics": "vote law party state",
        "食物": "面包 奶酪 酒 汤",
    }

    def vectors(self, words: Sequence[str]) -> NDArray[np.float32]:
        return np.array([self._vector(word) for word in words], np.float32).reshape(-1, 16)

    def digest(self) -> str:
        return "0" * 64

    def _vector(self, word: str) -> NDArray[np.float32]:
        vector = np.zeros(16, np.float32)
        for dim, (name, words) in enumerate(self.topics.items()):
            if word in {name, *words.split()}:
                noise = np.random.default_rng(crc32(word.encode())).normal(size=16)
                vector = (0.3 * noise + 3 * (np.arange(16) == dim)).astype(np.float32)
        return vector


class Weighed(Classifier):
    """Remembers the labels and weights of every training."""

    trainings: ClassVar[list[tuple[list[str], list[float] | None]]] = []

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        self.trainings.append((y.tolist(), None if sample_weight is None else sample_weight.tolist()))
        return ComplementNB().fit(X, y, sample_weight=sample_weight)


class Interrupted(Classifier):
    """Is interrupted while it trains, as by Ctrl-C."""

    def fit(self, X: Any, y: Any) -> Any:
        raise KeyboardInterrupt(X.shape, len(y))


class Prefers(ModelSelector):
    """Finds one estimator perfect, and all others equally bad."""

    candidates: tuple[str, ...] = Field(default=("complement-nb", "sgd"), description="Names of classifiers.")
    winner: str = Field(default="SGDClassifier", description="The estimator's class.")

    def losses(self, X: Any, y: Any, fit: Callable[[Any, Any], Any]) -> Any:
        return np.full(len(y), float(type(fit(X, y)[-1]).__name__ != self.winner))


class DeadlySelector(Prefers):
    """Ends the process when it comes to the estimator that it would prefer."""

    def losses(self, X: Any, y: Any, fit: Callable[[Any, Any], Any]) -> Any:
        found = super().losses(X, y, fit)
        if not found.any():
            os._exit(3)
        return found


class InterruptedSelector(Prefers):
    """Is interrupted while it compares, as by Ctrl-C."""

    def losses(self, X: Any, y: Any, fit: Callable[[Any, Any], Any]) -> Any:
        raise KeyboardInterrupt(X.shape, len(y), fit)


class OwnCode(Classifier):
    """Yields an estimator of a class that no reader has."""

    def fit(self, X: Any, y: Any) -> Any:
        return HomeMade().fit(X, y)


class HomeMade(ComplementNB):
    """A scikit-learn estimator in all but its address."""


class Careless(Vectorizer):
    """Forgets about float32."""

    def fit(self, texts: Iterable[str]) -> Any:
        return CountVectorizer(dtype=np.int64).fit(texts)


class BrokenGroups(Vectorizer):
    """Raises when it should name its columns."""

    def fit(self, texts: Iterable[str]) -> Any:
        return CountVectorizer(dtype=np.float32).fit(texts)

    def groups(self, n_features: int) -> Any:
        raise RuntimeError(f"no luck with {n_features} columns")


class Gated(Classifier):
    """Trains only when the test lets it, by `Gate`."""

    def fit(self, X: Any, y: Any) -> Any:
        Gate.while_it_trains()
        return ComplementNB().fit(X, y)


class Gate:
    """What happens while `Gated` trains."""

    while_it_trains: ClassVar[Callable[[], object]] = staticmethod(lambda: None)


class Meeting:
    """A `pause` for a project: tells that a write met a lock, and how often."""

    def __init__(self) -> None:
        self.met = threading.Event()
        self.times = 0

    def __call__(self, seconds: float) -> None:
        self.times += 1
        self.met.set()
        threading.Event().wait(seconds / 10)  # sooner than in earnest: more chances to collide

    def wait(self) -> None:
        assert self.met.wait(DEADLINE_S)
