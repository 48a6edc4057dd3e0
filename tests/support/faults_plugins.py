"""Plug-ins that do what a test orders while they work, found by the worker through entry points."""

from __future__ import annotations

import os
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from al_learner import Classifier
from al_learner.core.interfaces import Codes, Transformer, Votes
from al_learner.core.training.subprocess_trainer import LOWEST_PRIORITY
from al_learner.plugins.aggregators.majority import Majority
from al_learner.plugins.vectorizers.tfidf import Tfidf

NAME = "staged"
POLL_S = 0.02
LINGER_S = 0.3
LIMIT_MIB = 4096
"""Where `_allocate` ends though nothing stopped it."""


class Staged(Classifier):
    """Complement naive Bayes that obeys the file ``order`` first; each fit leaves a file ``fitting-PID``."""

    folder: str

    def fit(self, X: Any, y: Any) -> Any:
        from sklearn.naive_bayes import ComplementNB  # heavy, and the worker's own process does not need it

        _obey(Path(self.folder), "fitting")
        return ComplementNB().fit(X, y)


class Raising(Classifier):
    """A classifier that fails."""

    def fit(self, X: Any, y: Any) -> Any:  # noqa: ARG002 - the interface gives them
        raise RuntimeError("boom")


class Deadly(Classifier):
    """A classifier that takes its process with it."""

    def fit(self, X: Any, y: Any) -> Any:  # noqa: ARG002 - the interface gives them
        os.kill(os.getpid(), signal.SIGKILL)


class StagedAggregator(Majority):
    """The label with the most votes; obeys orders that begin with ``aggregating: ``, and leaves ``aggregating-PID``."""

    folder: str

    def aggregate(self, votes: Votes) -> Codes:
        _obey(Path(self.folder), "aggregating")
        return super().aggregate(votes)


class StagedWords(Tfidf):
    """TF-IDF that obeys orders which begin with ``counting: `` for each part, and ``learning: `` for all of them."""

    folder: str

    def count(self, texts: Iterable[str]) -> Counter[str]:
        _obey(Path(self.folder), "counting")
        return super().count(texts)

    def fit_counts(self, counts: Mapping[str, int], n_texts: int, sample: Sequence[str]) -> Transformer:
        _obey(Path(self.folder), "learning")
        return super().fit_counts(counts, n_texts, sample)

    def _vectorizer(self) -> Any:
        return Tfidf(**self.model_dump(exclude={"folder"}))._vectorizer()


class Director:
    """The test's side: orders, and what became of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir()

    def order(self, what: str) -> None:
        """Let every fit from now on do this; ``hold``: wait until something else is ordered.

        ``scoring: `` before it concerns only fits of low priority, ``aggregating: `` only `StagedAggregator`, and
        ``counting: `` and ``learning: `` only `StagedWords`.
        """
        new = self._folder / "new"
        new.write_text(what, encoding="utf-8")
        new.replace(self._folder / "order")

    def doing(self, what: str = "fitting") -> list[int]:
        """Return the process ids that have begun to fit, to aggregate, or to do what else there are orders for."""
        return [int(path.name.partition("-")[2]) for path in self._folder.glob(f"{what}-*")]

    def forget(self) -> None:
        """Forget who has begun to fit so far."""
        for path in self._folder.glob("fitting-*"):
            path.unlink()


def install(folder: Path) -> Path:
    """Write what makes a folder on PYTHONPATH a distribution that offers these plug-ins; return the folder."""
    info = folder / "faults-0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: faults\nVersion: 0\n", encoding="utf-8")
    offered = {"classifiers": Staged, "label_aggregators": StagedAggregator, "vectorizers": StagedWords}
    lines = [f"[al_learner.{group}]\n{NAME} = {__name__}:{cls.__name__}\n" for group, cls in offered.items()]
    (info / "entry_points.txt").write_text("".join(lines), encoding="utf-8")
    return folder


def _obey(folder: Path, doing: str) -> None:
    (folder / f"{doing}-{os.getpid()}").touch()
    while (order := _ordered(folder, doing)) == "hold":
        time.sleep(POLL_S)  # a file is all that reaches this process, and it calls nobody
    if order:
        ORDERS[order]()


def _ordered(folder: Path, doing: str) -> str:
    who, _, what = _read(folder / "order").rpartition(": ")
    concerned = {doing, "scoring"} if os.nice(0) == LOWEST_PRIORITY else {doing}
    return what if (who or "fitting") in concerned else ""


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _linger() -> None:
    time.sleep(LINGER_S)  # the fault itself: a slow fit


def _spin() -> None:
    while True:
        pass


def _spin_in_c() -> None:
    re.match("(a+)+$", "a" * 60 + "b")  # takes years, and never lets another thread of Python's run


def _allocate() -> None:
    held = [bytearray(2**20) for _ in range(LIMIT_MIB)]
    raise AssertionError(f"allocated {len(held)} MiB and nothing stopped it")


def _leave() -> None:
    raise SystemExit(3)


def _raise() -> None:
    raise RuntimeError("this fit was told to fail")


ORDERS: dict[str, Callable[[], object]] = {
    "linger": _linger,
    "spin": _spin,
    "spin in C": _spin_in_c,
    "allocate": _allocate,
    "raise": _raise,
    "abort": os.abort,
    "exit": lambda: os._exit(3),
    "raise SystemExit": _leave,
}
