"""Aggregates votes in a process of its own, with limits of time and memory."""

from __future__ import annotations

import time
from functools import partial
from typing import Any, Protocol, cast

import numpy as np

from al_learner.core.errors import AlLearnerError
from al_learner.core.interfaces import Codes, LabelAggregator, Votes
from al_learner.core.labels.aggregation import winners
from al_learner.core.processes.task_process import Tasks
from al_learner.core.registry import Spec

PAUSE_S = 30
PAUSE_MAX_S = 3600

ARRAYS = ("text", "annotator", "label", "stored")


class AsksProcess(Protocol):
    """A process that does tasks, such as `TaskProcess`."""

    def ask(self, task: str, *arguments: object) -> Any:
        """Do a task; result and errors as of `TaskProcess.ask`."""

    def close(self) -> None:
        """End it."""


class SubprocessAggregator:
    """Aggregates the votes of a project in a process that runs `aggregation_tasks`.

    The last result is kept too: the project state is read several times for each batch, and a label aggregator gives
    the same labels for the same votes. After a failure the same votes are not aggregated again before a pause is over.
    It is 30 seconds at first, and doubles each time, up to an hour.

    Parameters
    ----------
    process : AsksProcess
    """

    def __init__(self, process: AsksProcess) -> None:
        self._process = process
        self._last: tuple[Votes, Codes | AlLearnerError] | None = None
        self._pause_s, self._retry_at = 0.0, 0.0

    def winners(self, votes: Votes) -> Codes:
        """Return one label code for each text, shape (n_texts,).

        Raises
        ------
        PluginError
            The aggregator raised, or returned something else.
        TrainerError
            The process died, was killed, or took too long.
        """
        if self._last is None or not _is_same(self._last[0], votes):
            self._pause_s = self._retry_at = 0.0
        elif not isinstance(self._last[1], AlLearnerError):
            return self._last[1]
        elif time.monotonic() < self._retry_at:
            raise type(self._last[1])(f"{self._last[1]}; it is tried again after a pause, or when the votes change")
        try:
            won = cast(Codes, self._process.ask("winners", votes))
        except AlLearnerError as exc:
            self._pause_s = min(2 * self._pause_s or PAUSE_S, PAUSE_MAX_S)
            self._last, self._retry_at = (votes, exc), time.monotonic() + self._pause_s
            raise
        self._last = votes, won
        return won

    def close(self) -> None:
        """End the process."""
        self._process.close()


def _is_same(a: Votes, b: Votes) -> bool:
    same_names = a.label_names == b.label_names
    return same_names and all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ARRAYS)


def aggregation_tasks(spec: Spec) -> Tasks:
    """Make what a process does that aggregates votes with a label aggregator."""
    return {"winners": partial(winners, cast(LabelAggregator, spec.make("label_aggregator")))}
