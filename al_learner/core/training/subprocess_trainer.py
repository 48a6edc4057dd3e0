"""Trains, scores and compares in processes of their own, with limits of time and memory."""

from __future__ import annotations

import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextvars import copy_context
from functools import partial
from typing import Any, Protocol, TypeVar, cast

from al_learner.core.interfaces import release_word_vectors
from al_learner.core.processes.task_process import TaskProcess, Tasks
from al_learner.core.registry import word_vectors
from al_learner.core.storage.database import Database
from al_learner.core.storage.labelforward_tables import LabelForwardTables
from al_learner.core.storage.records import Ids, Trained
from al_learner.core.training.corpus.counts import CorpusCounts
from al_learner.core.training.in_process_trainer import InProcessTrainer
from al_learner.core.training.job import Job, Losses, Score, Trainer

IDLE_S = 60
"""A background trainer's process ends when it has had nothing to do for so long.

While people vote, it keeps the features of their texts.
"""

LOWEST_PRIORITY = 19

END_S = 2
"""How long a background trainer's `close` waits for its thread."""

T = TypeVar("T")


class AskingTrainer(ABC):
    """A `Trainer` whose jobs are tasks of a process that runs `training_tasks`."""

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

    @abstractmethod
    def _ask(self, task: str, *arguments: object) -> Any:
        """Do a task; result and errors as of `TaskProcess.ask`."""


class SubprocessTrainer(AskingTrainer):
    """A `Trainer` that does its jobs in one process of its own. A crash costs one job, not the worker.

    Parameters
    ----------
    database_url : str
    work : str, default="training"
        What the process does, for errors.
    timeout_s : float
        The process is killed when a job takes longer.
    memory_mib : int, optional
        MiB of data that the process may hold.
    niceness : int, default=0
        19 is the lowest priority: the process gets the time that others leave.
    tick : callable
        Called while waiting. When it raises, the process is killed and the exception goes on.
    """

    def __init__(
        self,
        database_url: str,
        *,
        work: str = "training",
        timeout_s: float,
        memory_mib: int | None = None,
        niceness: int = 0,
        tick: Callable[[], object] = lambda: None,
    ) -> None:
        limits: dict[str, Any] = {"timeout_s": timeout_s, "memory_mib": memory_mib, "niceness": niceness}
        self._process = TaskProcess(training_tasks, database_url, work=work, tick=tick, **limits)

    @property
    def pid(self) -> int | None:
        """The process's id; None if it was not started, or was killed."""
        return self._process.pid

    def start(self) -> int:
        """Start the process without waiting for it; it imports scikit-learn at once. Return its id."""
        return self._process.start().pid

    def read_ahead(self, text_ids: Ids) -> None:
        """Let the process compute the features of texts that the next job has."""
        self._process.tell("read_ahead", text_ids)

    def load_word_vectors(self, sources: Sequence[str]) -> None:
        """Let the process load sources of word vectors. They stay in memory until the next training ends."""
        self._process.tell("load_word_vectors", sources)

    def close(self) -> None:
        """Kill the process. The next job gets a new one."""
        self._process.close()

    def _ask(self, task: str, *arguments: object) -> Any:
        return self._process.ask(task, *arguments)


class EndableTrainer(Trainer, Protocol):
    """A trainer whose processes can be ended; a later job starts new ones."""

    def close(self) -> None:
        """End its processes."""


class BackgroundTrainer:
    """Does work in a thread, one piece after the other, with a training process of low priority.

    The process is started when there is work, and ended `IDLE_S` seconds after the last.

    Parameters
    ----------
    make_trainer : callable
        Makes the trainer. It gets what the trainer has to call while it waits.
    on_done : callable
        Called after each piece of work, in the thread.
    """

    def __init__(
        self, make_trainer: Callable[[Callable[[], object]], EndableTrainer], *, on_done: Callable[[], object]
    ) -> None:
        self._trainer = make_trainer(self._tick)
        self._on_done = on_done
        self._waiting: queue.SimpleQueue[tuple[Callable[[Trainer], Any], Future[Any]] | None] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=copy_context().run, args=(self._serve,), daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[Trainer], T]) -> Future[T]:
        """Do a piece of work after those before it. It runs in the thread, and raises into the future."""
        outcome: Future[T] = Future()
        self._waiting.put((work, outcome))
        return outcome

    def close(self) -> None:
        """Kill the process; what it does is lost."""
        self._closed.set()
        self._waiting.put(None)
        self._thread.join(END_S)

    def _serve(self) -> None:
        is_used = False
        while True:
            try:
                waiting = self._waiting.get(timeout=IDLE_S if is_used else None)
            except queue.Empty:
                self._trainer.close()
                is_used = False
                continue
            if waiting is None or self._closed.is_set():
                self._trainer.close()
                return
            work, outcome = waiting
            is_used = True
            try:
                outcome.set_result(work(self._trainer))
            except _Closed:
                return
            except Exception as exc:  # noqa: BLE001 - whoever takes the outcome raises it
                outcome.set_exception(exc)
            self._on_done()

    def _tick(self) -> None:
        if self._closed.is_set():
            raise _Closed


def prepare_training() -> None:
    """Import what a training process needs, which takes long."""
    import al_learner.core.training.fitting  # noqa: F401 - heavy


def training_tasks(database_url: str, rests: bool = False) -> Tasks:  # noqa: FBT001, FBT002 - sent by position
    """Make what a training process does: the methods of `Trainer`. One that `rests` then keeps no connection."""
    prepare_training()  # before the first job comes
    database = Database(database_url)
    trainer = InProcessTrainer(LabelForwardTables(database))

    def train(job: Job, counted: CorpusCounts | None = None) -> Trained:
        try:
            return trainer.train(job, counted)
        finally:
            release_word_vectors()  # the vectorizer and the init sampler of one job have used the same ones

    tasks: Tasks = {
        "train": train, "score": trainer.score, "losses": trainer.losses,
        "has_predicted": trainer.has_predicted, "read_ahead": trainer.read_ahead, "load_word_vectors": _load,
    }  # fmt: skip
    return {name: partial(_then, task, database.close) for name, task in tasks.items()} if rests else tasks


def _load(sources: Sequence[str]) -> None:
    for source in sources:
        word_vectors(source).lookup([])


def _then(task: Callable[..., object], rest: Callable[[], object], *arguments: object) -> object:
    try:
        return task(*arguments)
    finally:
        rest()


class _Closed(BaseException):
    """The worker stops; nobody waits for the outcome."""
