"""Trainers that many projects share: few train at a time, and none keeps the others waiting for long."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from al_learner.core.configuration.settings import Settings
from al_learner.core.labels.subprocess_aggregator import aggregation_tasks
from al_learner.core.processes.process_pool import Kind, ProcessPool
from al_learner.core.processes.slots import Slots, ask_in_turn
from al_learner.core.registry import Spec
from al_learner.core.training.compute import Compute
from al_learner.core.training.subprocess_trainer import AskingTrainer, prepare_training, training_tasks

RUNS = 2
"""So many projects may have a run in progress for each trainer, and the connections for it. The others wait."""

RESTS = True
"""The processes of many projects keep no connection between tasks."""


class SharedTrainers:
    """Training processes of many projects. Each project has one of its own, which is kept as long as memory allows.

    It scores and compares too, unless it trains at that moment: a second process would take as much memory again.

    Parameters
    ----------
    n : int
        So many trainings run at a time, and one score or comparison beside them.
    slice_s : float
        A training that has taken so long is suspended while others wait. So is a score.
    max_bytes : int, optional
        Memory that all processes together may hold at rest; beyond it, those that were used longest ago end.

    Attributes
    ----------
    turns : Slots
        For a project that looks for what is due, and does it.
    """

    def __init__(self, n: int, slice_s: float, max_bytes: int | None) -> None:
        self.turns = Slots(RUNS * n, slice_s)
        self._trainings, self._scores = Slots(n, slice_s), Slots(1, slice_s)
        self._pool = ProcessPool(lambda: max_bytes, prepare_training)
        self._pool.start()

    def compute_of(self, settings: Settings, *, tick: Callable[[], object], on_done: Callable[[], object]) -> Compute:
        """Return what does a project's heavy work with these trainers; parameters as of `Compute.with_trainers`."""
        limits: dict[str, Any] = {"timeout_s": settings.train_timeout_s, "memory_mib": settings.train_memory_mib}
        training = Kind(training_tasks, (settings.database, RESTS), **limits)
        aggregator = Spec.of("label_aggregator", settings.strategies.label_aggregator)
        aggregation = Kind(aggregation_tasks, (aggregator,), work="aggregation", **limits)

        def make_trainer(tick: Callable[[], object], *, is_urgent: bool) -> SharedTrainer:
            slots = self._trainings if is_urgent else self._scores
            return SharedTrainer(SharedProcess(self._pool, training, slots, tick))

        beside = SharedProcess(self._pool, aggregation, self._trainings, tick)
        return Compute.with_trainers(settings, make_trainer, tick=tick, on_done=on_done, aggregation=beside)

    def close(self) -> None:
        """Kill all processes."""
        self._pool.close()


class SharedProcess:
    """A kind of process of the pool. It waits for a slot, and gives it up while others wait.

    A process that has to give its slot up is suspended, and goes on when it gets a slot again.
    """

    def __init__(self, pool: ProcessPool, kind: Kind, slots: Slots, tick: Callable[[], object]) -> None:
        self._pool, self._kind, self._slots, self._tick = pool, kind, slots, tick

    def ask(self, task: str, *arguments: object) -> Any:
        """Do a task; result and errors as of `TaskProcess.ask`."""
        return ask_in_turn(self._slots, self._pool, self._kind, self._tick, task, *arguments)

    def close(self) -> None:
        """End the processes of this kind that do nothing."""
        self._pool.forget(self._kind)


class SharedTrainer(AskingTrainer):
    """A `Trainer` whose jobs are tasks of processes of the pool."""

    def __init__(self, process: SharedProcess) -> None:
        self._process = process
        self.close = process.close

    def _ask(self, task: str, *arguments: object) -> Any:
        return self._process.ask(task, *arguments)
