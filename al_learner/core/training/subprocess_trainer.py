"""Trains in a process of its own. It is kept between jobs, and killed when a job takes too long."""

from __future__ import annotations

import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Literal, cast

from al_learner.core import errors
from al_learner.core.errors import AlLearnerError, SettingsError, TrainerError
from al_learner.core.storage.database import Database
from al_learner.core.storage.labelforward_tables import LabelForwardTables
from al_learner.core.storage.records import Trained
from al_learner.core.training.child_process import ChildProcess, how_it_ended, limit_memory
from al_learner.core.training.in_process_trainer import InProcessTrainer
from al_learner.core.training.job import Job, Losses, Score

TICK_S = 0.2
"""How often the parent calls `tick` while it waits for the process."""


class SubprocessTrainer:
    """A `Trainer` that does its jobs in one process of its own. A crash costs one job, not the worker.

    Parameters
    ----------
    database_url : str
    timeout_s : float
        The process is killed when a job takes longer.
    memory_mib : int, optional
        MiB of data that the process may hold.
    tick : callable
        Called while waiting. When it raises, the process is killed and the exception goes on.
    """

    def __init__(
        self,
        database_url: str,
        *,
        timeout_s: float,
        memory_mib: int | None = None,
        tick: Callable[[], object] = lambda: None,
    ) -> None:
        self._database_url, self._timeout_s, self._memory_mib, self._tick = database_url, timeout_s, memory_mib, tick
        self._process: ChildProcess | None = None

    @property
    def pid(self) -> int | None:
        """The process's id."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Spawn the process without waiting for it; it imports scikit-learn at once."""
        self._started()

    def train(self, job: Job) -> Trained:
        """Train on everything. Raises AlLearnerError."""
        return cast(Trained, self._ask("train", job))

    def score(self, job: Job) -> Score:
        """Train the hold-out model and measure it. Raises AlLearnerError."""
        return cast(Score, self._ask("score", job))

    def losses(self, job: Job) -> Losses:
        """Return the classifier's loss on each row, by the job's model selector. Raises AlLearnerError."""
        return cast(Losses, self._ask("losses", job))

    def has_predicted(self, clf: tuple[int, str], countvec: tuple[int, str]) -> bool:
        """Whether the predictions that are stored with a sample of texts are those of a stored model."""
        return cast(bool, self._ask("has_predicted", clf, countvec))

    def close(self) -> None:
        """Kill the process."""
        if self._process is not None:
            self._process.kill()
        self._process = None

    def _started(self) -> ChildProcess:
        if self._process is None or not self._process.is_alive:
            self.close()
            self._process = ChildProcess(_serve, self._database_url, self._memory_mib, name="trainer")
        return self._process

    def _ask(self, task: Literal["train", "score", "losses", "has_predicted"], *arguments: object) -> object:
        process = self._started()
        deadline = time.monotonic() + self._timeout_s
        try:
            process.pipe.send((task, arguments))
            while not process.answers_within(TICK_S):
                self._tick()
                if time.monotonic() > deadline:
                    raise TrainerError(f"training took longer than {self._timeout_s:g} s and was killed")
            answer = process.pipe.recv()
        except (EOFError, OSError) as exc:
            raise TrainerError(f"the training process {how_it_ended(process.join())}") from exc
        except BaseException:
            self.close()
            raise
        if isinstance(answer, _Failure):
            raise answer.error()
        return answer


class _Failure:
    """An error as plain data: a class of `errors`, and what it says."""

    def __init__(self, exc: Exception) -> None:
        if isinstance(exc, AlLearnerError):
            self.name, self.message = type(exc).__name__, str(exc)
        else:
            self.name, self.message = "TrainerError", f"{type(exc).__name__}: {exc}"
        causes = exc, exc.__cause__
        self.is_out_of_memory = any(isinstance(cause, MemoryError) for cause in causes)
        if self.is_out_of_memory:
            self.message += "; training needs more memory than AL_LEARNER_TRAIN_MEMORY_MIB or the machine has"

    def error(self) -> AlLearnerError:
        cls = getattr(errors, self.name, TrainerError)
        return cls(self.message.splitlines()) if cls is SettingsError else cls(self.message)


def _serve(pipe: Connection[Any, Any], database_url: str, memory_mib: int | None) -> None:
    import al_learner.core.training.fitting  # noqa: F401 - heavy: imported before the first job comes

    if memory_mib is not None:
        limit_memory(memory_mib)
    trainer = InProcessTrainer(LabelForwardTables(Database(database_url)))
    tasks: dict[str, Callable[..., object]] = {
        "train": trainer.train, "score": trainer.score, "losses": trainer.losses,
        "has_predicted": trainer.has_predicted,
    }  # fmt: skip
    while True:
        try:
            task, arguments = pipe.recv()
        except EOFError:
            return
        try:
            answer: object = tasks[task](*arguments)
        except Exception as exc:  # noqa: BLE001 - the parent raises it
            answer = _Failure(exc)
        pipe.send(answer)
        if isinstance(answer, _Failure) and answer.is_out_of_memory:
            return  # what is left in memory may be incomplete; the next job gets a new process
