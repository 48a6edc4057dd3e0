"""Runs all trials of a simulation, and stores the finished ones, so that it can be resumed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from al_learner.core.artifacts import pickling
from al_learner.core.errors import DataError
from al_learner.core.exchange.corpus import checked
from al_learner.core.models.querying import query_strategy
from al_learner.core.simulation.grid import Trial, TrialResult
from al_learner.core.simulation.replay import Round
from al_learner.core.simulation.running.worker_pool import Corpus, in_processes

BASICS = frozenset({"al-learner", "scikit-learn", "numpy", "scipy"})
"""Packages whose versions may change every result."""


def sweep(
    texts: Iterable[str],
    labels: Iterable[str],
    trials: Sequence[Trial],
    *,
    folder: Path | None = None,
    workers: int | None = None,
    cluster: str | None = None,
    tick: Callable[[int, int], object] = lambda rounds, trials: None,  # noqa: ARG005 - by default nobody counts
) -> list[TrialResult]:
    """Run all trials, several at a time, each in a separate process. If one fails, the others go on.

    The result is the same for any number of processes, here or on a cluster.

    Parameters
    ----------
    texts, labels : iterable of str
        The corpus and its true labels.
    trials : sequence of Trial
    folder : Path, optional
        Finished trials are stored there. They are not run again with the same corpus and versions of packages.
    workers : int, optional
        Number of processes; by default the number of cores.
    cluster : str, optional
        Address of a Dask scheduler. The trials run there, and `workers` is ignored.
    tick : callable
        Called after every round with the numbers of finished rounds and finished trials.

    Returns
    -------
    list of TrialResult
        In the order of `trials`.

    Raises
    ------
    DataError
        The corpus or the folder cannot be used.
    TrainerError
        A process ended while it was starting, because it could not import the script that calls this.
    SettingsError, ClusterError
        The cluster cannot be used. Its extra or its certificates are missing, it cannot be reached, or it has other
        versions of packages.
    """
    corpus = checked(texts, labels)
    store = _Store(folder, corpus) if folder is not None else None
    played = [(store and store.find(trial)) or TrialResult(trial) for trial in trials]
    waiting = [one for one in played if not one.is_reused]
    n_done = len(played) - len(waiting)
    tick(sum(len(one.rounds) for one in played), n_done)
    if cluster is None or not waiting:
        running = in_processes(corpus, waiting, workers or os.cpu_count() or 1)
    else:
        from al_learner.core.simulation.running.cluster_trials import on_cluster  # needs an extra

        running = on_cluster(corpus, waiting, cluster)
    with closing(running):
        for ended in running:
            for one in ended:
                n_done += 1
                if store and one.error is None:
                    store.keep(one)
            tick(sum(len(one.rounds) for one in played), n_done)
    return played


class _Store:
    """Finished trials, each in a file."""

    def __init__(self, folder: Path, corpus: Corpus) -> None:
        self._folder = folder / "cells"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise DataError(f"{self._folder}: {exc.strerror}") from exc
        self._corpus = hashlib.sha256(json.dumps(corpus).encode()).hexdigest()

    def find(self, trial: Trial) -> TrialResult | None:
        """Return the stored result of a trial; None if it is missing or cannot be read."""
        try:
            found = json.loads(self._path(trial).read_text(encoding="utf-8"))
            rounds = [Round(**fields) for fields in found["rounds"]]
        except (OSError, ValueError, TypeError, KeyError):
            return None
        is_whole = [played.number for played in rounds] == list(range(trial.plan.rounds + 1))
        return TrialResult(trial, rounds, is_reused=True) if is_whole else None

    def keep(self, one: TrialResult) -> None:
        """Store a finished trial. The file is replaced atomically."""
        path = self._path(one.trial)
        document = {**self._key(one.trial), "rounds": [asdict(played) for played in one.rounds]}
        part = path.with_suffix(".part")
        part.write_text(json.dumps(document, indent=1), encoding="utf-8")
        part.replace(path)

    def _path(self, trial: Trial) -> Path:
        digest = hashlib.sha256(json.dumps(self._key(trial), sort_keys=True).encode()).hexdigest()
        return self._folder / f"{digest[:24]}.json"

    def _key(self, trial: Trial) -> dict[str, Any]:
        strategies = [spec.make(kind) for kind, spec in trial.strategies().items()]
        needed = {name for one in [*strategies, query_strategy(trial.plan.query)] for name in one.requires}
        return {"cell": asdict(trial), "corpus": self._corpus, "versions": pickling.versions(BASICS | needed)}
