"""Trains, scores and compares on a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from al_learner.core.cluster.tasks import (
    LossesResult,
    Model,
    PredictedResult,
    Predictions,
    RangesResult,
    Task,
    TaskName,
)
from al_learner.core.cluster.transport.client import Client
from al_learner.core.cluster.transport.messages import Slot, encode, result
from al_learner.core.cluster.transport.versions import versions
from al_learner.core.interfaces import CountsWords
from al_learner.core.registry import Spec
from al_learner.core.storage.labelforward_tables import PART
from al_learner.core.storage.records import Trained
from al_learner.core.training.job import Job, Losses, Score

T = TypeVar("T")

WHOLE = 2
"""A corpus of so few ranges is not worth the start of more processes."""


class ClusterTrainer:
    """A `Trainer` that sends its jobs to a Dask cluster, to where the project's features are warm if possible.

    Parameters
    ----------
    client : Client
    database : str
        The project's URL, without user and password.
    slot : str, default="training"
        What it does; see `Slot`.
    timeout_s, memory_mib, niceness
        Of the training process there; see `SubprocessTrainer`. A job may also wait `timeout_s` for a Dask worker.
    tick : callable
        Called while waiting. When it raises, the job is cancelled and the exception goes on.

    Attributes
    ----------
    worker : str
        The address of the Dask worker that did the last job; empty before the first.
    """

    def __init__(
        self,
        client: Client,
        database: str,
        *,
        slot: Slot = "training",
        timeout_s: float,
        memory_mib: int | None = None,
        niceness: int = 0,
        tick: Callable[[], object] = lambda: None,
    ) -> None:
        self._client, self._slot, self._tick = client, slot, tick
        self._given: dict[str, Any] = {
            "database": database, "timeout_s": timeout_s, "memory_mib": memory_mib, "niceness": niceness,
            "versions": versions(),
        }  # fmt: skip
        self.worker = ""

    def train(self, job: Job) -> Trained:
        """Train on everything. Raises AlLearnerError."""
        return self._ask(Trained, "train", job=job, parts=self._parts(job))

    def score(self, job: Job) -> Score:
        """Train the hold-out model and measure it. Raises AlLearnerError."""
        return self._ask(Score, "score", job=job)

    def losses(self, job: Job) -> Losses:
        """Return the classifier's loss on each row, by the job's model selector. Raises AlLearnerError."""
        return self._ask(LossesResult, "losses", job=job).losses

    def has_predicted(self, clf: tuple[int, str], countvec: tuple[int, str]) -> bool:
        """Whether the predictions that are stored with a sample of texts are those of a stored model."""
        return self._ask(PredictedResult, "has_predicted", model=(clf, countvec)).has_predicted

    def predict(self, model: Model, *, at_most: int) -> Iterator[Predictions]:
        """Yield what a stored model predicts for all texts, by id. `at_most`: so many parts are waited for at a time.

        Raises AlLearnerError.
        """
        ranges = [part for part in self._ask(RangesResult, "ranges").ranges if part.table == "text_data"]
        parts = (part for whole in ranges for part in whole.divided(PART))
        messages = (self._message("predict", model=model, part=part) for part in parts)
        done: dict[int, Predictions] = {}
        due = 0
        for number, message in self._client.ask_all(messages, slot=self._slot, at_most=at_most, tick=self._tick):
            done[number] = result(Predictions, message)
            while due in done:
                yield done.pop(due)
                due += 1

    def close(self) -> None:
        """Do nothing: its processes end where they are, when others need the memory."""

    def _parts(self, job: Job) -> Sequence[bytes]:
        """Return the tasks that count the corpus for a new vectorizer; none if it is not counted in parts."""
        vectorizer = job.vectorizer.make("vectorizer") if job.countvec is None else None
        if not (isinstance(vectorizer, CountsWords) and vectorizer.in_parts()):
            return ()
        tasks = self._count_tasks(job.vectorizer)
        return tasks if len(tasks) > WHOLE else ()

    def _count_tasks(self, vectorizer: Spec) -> Sequence[bytes]:
        """Return the tasks that count the words of all texts."""
        ranges = self._ask(RangesResult, "ranges").ranges
        return [self._message("count", vectorizer=vectorizer, part=part) for part in ranges]

    def _ask(self, cls: type[T], name: TaskName, *, parts: Sequence[bytes] = (), **arguments: Any) -> T:
        self.worker, message = self._client.ask(
            self._message(name, **arguments),
            slot=self._slot,
            worker=self.worker,
            parts=parts,
            merge=self._message("merge"),
            tick=self._tick,
            timeout_s=(2 + len(parts)) * self._given["timeout_s"],
        )
        return result(cls, message)

    def _message(self, name: TaskName, **arguments: Any) -> bytes:
        return encode(Task(name, **self._given, **arguments))
