"""Trains, scores and compares on a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from al_learner.core import errors
from al_learner.core.cluster.client import Client
from al_learner.core.cluster.messages import Answer, LossesResult, PredictedResult, Task, TaskName, decode, encode
from al_learner.core.cluster.versions import versions
from al_learner.core.errors import AlLearnerError, ClusterError
from al_learner.core.storage.records import Trained
from al_learner.core.training.job import Job, Losses, Score

T = TypeVar("T")


class ClusterTrainer:
    """A `Trainer` that sends its jobs to a Dask cluster, to where the project's features are warm if possible.

    Parameters
    ----------
    client : Client
    database : str
        The project's URL, without user and password.
    is_urgent : bool, default=True
        Whether it trains, and does not score or compare.
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
        is_urgent: bool = True,
        timeout_s: float,
        memory_mib: int | None = None,
        niceness: int = 0,
        tick: Callable[[], object] = lambda: None,
    ) -> None:
        self._client, self._is_urgent, self._tick = client, is_urgent, tick
        self._given: dict[str, Any] = {
            "database": database, "timeout_s": timeout_s, "memory_mib": memory_mib, "niceness": niceness,
            "versions": versions(),
        }  # fmt: skip
        self.worker = ""

    def train(self, job: Job) -> Trained:
        """Train on everything. Raises AlLearnerError."""
        return self._ask(Trained, "train", job=job)

    def score(self, job: Job) -> Score:
        """Train the hold-out model and measure it. Raises AlLearnerError."""
        return self._ask(Score, "score", job=job)

    def losses(self, job: Job) -> Losses:
        """Return the classifier's loss on each row, by the job's model selector. Raises AlLearnerError."""
        return self._ask(LossesResult, "losses", job=job).losses

    def has_predicted(self, clf: tuple[int, str], countvec: tuple[int, str]) -> bool:
        """Whether the predictions that are stored with a sample of texts are those of a stored model."""
        return self._ask(PredictedResult, "has_predicted", models=(clf, countvec)).has_predicted

    def close(self) -> None:
        """Do nothing: its processes end where they are, when others need the memory."""

    def _ask(self, result: type[T], name: TaskName, **arguments: Any) -> T:
        task = Task(name, **self._given, **arguments)
        self.worker, message = self._client.ask(
            encode(task), is_urgent=self._is_urgent, worker=self.worker, tick=self._tick, timeout_s=2 * task.timeout_s
        )
        answer = decode(Answer, message)
        if not answer.error:
            return decode(result, answer.result)
        raised = getattr(errors, answer.error, None)
        if not (isinstance(raised, type) and issubclass(raised, AlLearnerError)):
            raised = ClusterError
        raise raised(answer.message.splitlines()) if raised is errors.SettingsError else raised(answer.message)
