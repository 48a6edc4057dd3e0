"""The figures of a project that monitoring shows, and where they come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple


@dataclass(frozen=True)
class Vitals:
    """Figures for monitoring, from the database.

    Attributes
    ----------
    runs : mapping of str to int
        Number of runs by status, of all workers.
    last_run_s : float or None
        Seconds that the newest successful run took.
    last_success : datetime or None
    unacknowledged_s : float
        For how many seconds the announcement of the newest classifier has been pending.
    accuracy : float or None
        Of the newest classifier that is scored.
    failures : int
        Runs that have failed or died since the newest successful one.
    rows_locked_s : float
        For how many seconds a run of this worker has waited for rows that other sessions lock; 0 below 10 s.
    """

    runs: Mapping[str, int]
    last_run_s: float | None
    last_success: datetime | None
    unacknowledged_s: float
    accuracy: float | None
    failures: int
    rows_locked_s: float


@dataclass(frozen=True)
class OwnFigures:
    """What the worker knows by itself, without the database.

    Attributes
    ----------
    is_alive : bool
        The loop has run a short time ago.
    is_subscribed : bool or None
        Messages are received now; None without Redis.
    is_superseded : bool
        A worker that started later has other settings, so this one does nothing.
    new_samples : int
        At the last reconciliation.
    batch_size : int
        So many new samples start a training.
    unexpected_errors : int
        Since the worker started.
    waiting_s : float
        For how many seconds the loop has been waiting for the database, or for a table that another session locks.
    problem : str or None
        In words, which part of the worker failed last. Anybody who can reach the port can read it.
    """

    is_alive: bool
    is_subscribed: bool | None
    is_superseded: bool
    new_samples: int
    batch_size: int
    unexpected_errors: int
    waiting_s: float
    problem: str | None


class Source(NamedTuple):
    """Where the figures of a project come from.

    Attributes
    ----------
    vitals : callable
        Reads them from the database; may raise AlLearnerError. Never called by two threads at a time.
    figures : callable
        Returns what the loop knows by itself.
    """

    vitals: Callable[[], Vitals]
    figures: Callable[[], OwnFigures]


Sources = Callable[[], Mapping[str | None, Source]]
"""Returns the projects by name; a worker of one project names it None."""
