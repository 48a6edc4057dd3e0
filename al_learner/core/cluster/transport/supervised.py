"""What every task on a Dask worker does: it supervises a process, and answers with bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from distributed import get_worker
from distributed.worker import thread_state  # type: ignore[attr-defined]  # Dask's types do not list it

from al_learner.core.cluster.transport.messages import Answer, encode
from al_learner.core.cluster.transport.versions import difference
from al_learner.core.configuration.settings import Settings
from al_learner.core.errors import AlLearnerError, ClusterError, ClusterUnavailable, DatabaseUnavailable
from al_learner.core.processes.process_pool import Kind, ProcessPool
from al_learner.core.processes.slots import Slots, ask_in_turn
from al_learner.core.training.subprocess_trainer import prepare_training


def require(versions: Mapping[str, str]) -> None:
    """Raise ClusterError if Python or a package has another version here."""
    if found := difference(versions):
        where = f"Dask worker {get_worker().address}"
        raise ClusterError(f"{where} {found}; install the same there as where the task comes from")


def answered(work: Callable[[], object]) -> tuple[str, bytes]:
    """Do work. Return the address of this Dask worker, and an encoded `Answer`.

    Parameters
    ----------
    work : callable
        Returns what `encode` can encode, or raises an AlLearnerError.
    """
    worker = get_worker()
    try:
        answer = Answer(encode(work()))
    except DatabaseUnavailable as exc:  # whoever sent the task may be able to read it
        said = f"Dask worker {worker.address} cannot read the database: {exc}"
        answer = Answer(error=ClusterUnavailable.__name__, message=said)
    except AlLearnerError as exc:
        answer = Answer(error=type(exc).__name__, message=str(exc))
    except _Cancelled:
        answer = Answer(error=ClusterError.__name__, message="the task was cancelled")
    return worker.address, encode(answer)


def ask(kind: Kind, task: str, *arguments: object) -> Any:
    """Do a task in a process of its own, which ends with a cancelled task; errors as of `TaskProcess.ask`.

    The processes of this Dask worker together hold as much memory at rest as it may, ``--memory-limit``. They are not
    its own memory, which Dask limits. If the environment says how many trainings may run at a time, more tasks than
    that take turns.
    """
    slots = _slots().get(kind.work)
    if slots is None:
        return _pool.ask(kind, lambda _process: _end_if_cancelled(), task, *arguments)
    return ask_in_turn(slots, _pool, kind, _end_if_cancelled, task, *arguments)


@cache
def _slots() -> dict[str, Slots]:
    settings = Settings()
    n = settings.trainers
    return {} if n is None else {work: Slots(n, settings.slice_s) for work in ("training", "scoring")}


_pool = ProcessPool(lambda: get_worker().memory_manager.memory_limit, prepare_training)


class _Cancelled(BaseException):
    """Nobody waits for the task any more. Dask does not end the thread of such a task."""


def _end_if_cancelled() -> None:
    task = get_worker().state.tasks.get(thread_state.key)
    if task is None or task.state != "executing":
        raise _Cancelled
