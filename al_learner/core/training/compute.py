"""Where the heavy work of a project is done: in this process, or in processes of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, Self, cast

from al_learner.core.configuration.settings import Settings
from al_learner.core.interfaces import Codes, Votes
from al_learner.core.labels.aggregation import winners
from al_learner.core.labels.subprocess_aggregator import AsksProcess, SubprocessAggregator, aggregation_tasks
from al_learner.core.processes.task_process import TaskProcess
from al_learner.core.registry import Spec
from al_learner.core.storage.labelforward_tables import LabelForwardTables
from al_learner.core.storage.records import Ids
from al_learner.core.training.in_process_trainer import InProcessTrainer
from al_learner.core.training.job import Trainer
from al_learner.core.training.subprocess_trainer import (
    LOWEST_PRIORITY,
    BackgroundTrainer,
    EndableTrainer,
    SubprocessTrainer,
)

FAST_AGGREGATOR = "majority"
"""It needs no process of its own: it takes well under a second for a million votes."""


class MakeTrainer(Protocol):
    """Makes a trainer; see `Compute.with_trainers`."""

    def __call__(self, tick: Callable[[], object], *, is_urgent: bool) -> EndableTrainer:
        """`tick` is what it has to call while it waits."""


@dataclass(frozen=True)
class Compute:
    """Where the heavy work of a project is done.

    Attributes
    ----------
    trainer : Trainer
    background : BackgroundTrainer or None
        Scores classifiers and compares candidates. None: `trainer` does it, and everything else waits.
    winners_of : callable
        Aggregates votes; see `aggregation.winners`.
    trainer_pid : int or None
        The id of the training process.
    close : callable
        Ends the processes.
    check : callable
        Raises ClusterUnavailable if nobody can train now.
    read_ahead : callable
        Called with the text_ids of the next job before there is one, so that their features can be computed meanwhile.
    load_word_vectors : callable
        Called with the sources of word vectors that the first job needs, while there is nothing to do.
    """

    trainer: Trainer
    winners_of: Callable[[Votes], Codes]
    background: BackgroundTrainer | None = None
    trainer_pid: int | None = None
    close: Callable[[], object] = lambda: None
    check: Callable[[], object] = lambda: None
    read_ahead: Callable[[Ids], object] = lambda _: None
    load_word_vectors: Callable[[Sequence[str]], object] = lambda _: None

    @classmethod
    def in_process(cls, settings: Settings, tables: LabelForwardTables) -> Self:
        """Do everything in this process: for the command line and notebooks."""
        return cls(InProcessTrainer(tables), partial(winners, settings.strategies.label_aggregator))

    @classmethod
    def in_subprocesses(cls, settings: Settings, *, tick: Callable[[], object], on_done: Callable[[], object]) -> Self:
        """Do everything in processes with limits of time and memory: for the worker. The training process is started.

        Parameters
        ----------
        tick, on_done
            As for `with_trainers`.
        """

        def make_trainer(tick: Callable[[], object], *, is_urgent: bool) -> SubprocessTrainer:
            how: dict[str, Any] = {} if is_urgent else {"work": "scoring", "niceness": LOWEST_PRIORITY}
            return SubprocessTrainer(settings.database, tick=tick, **_limits(settings), **how)

        made = cls.with_trainers(settings, make_trainer, tick=tick, on_done=on_done)
        trainer = cast(SubprocessTrainer, made.trainer)
        return replace(
            made,
            trainer_pid=trainer.start(),
            read_ahead=trainer.read_ahead,
            load_word_vectors=trainer.load_word_vectors,
        )

    @classmethod
    def with_trainers(
        cls,
        settings: Settings,
        make_trainer: MakeTrainer,
        *,
        tick: Callable[[], object],
        on_done: Callable[[], object],
        check: Callable[[], object] = lambda: None,
        aggregation: AsksProcess | None = None,
    ) -> Self:
        """Use one trainer for trainings and another one for scores and choices, and a process for aggregations.

        Parameters
        ----------
        make_trainer : callable
            Makes a trainer that is urgent or not.
        tick : callable
            Called while this process waits for a training or an aggregation.
        on_done : callable
            Called from another thread when a score or a choice is ready.
        aggregation : AsksProcess, optional
            Runs `aggregation_tasks`; by default a process of its own, which is started when it is first needed.
        """
        trainer = make_trainer(tick, is_urgent=True)
        background = BackgroundTrainer(partial(make_trainer, is_urgent=False), on_done=on_done)
        aggregator = settings.strategies.label_aggregator
        spec = Spec.of("label_aggregator", aggregator)
        beside = SubprocessAggregator(
            aggregation or TaskProcess(aggregation_tasks, spec, work="aggregation", tick=tick, **_limits(settings))
        )

        def close() -> None:
            for process in (trainer, background, beside):
                process.close()

        is_fast = settings.label_aggregator == FAST_AGGREGATOR
        winners_of = partial(winners, aggregator) if is_fast else beside.winners
        return cls(trainer, winners_of, background, close=close, check=check)


def _limits(settings: Settings) -> dict[str, Any]:
    return {"timeout_s": settings.train_timeout_s, "memory_mib": settings.train_memory_mib}
