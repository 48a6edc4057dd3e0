"""Runs many trials in parallel processes, and stores the finished ones, so that a simulation can be resumed."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict
from multiprocessing.connection import Connection, wait
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self, cast

from al_learner.core.artifacts import pickling
from al_learner.core.errors import AlLearnerError, DataError, TrainerError
from al_learner.core.exchange.corpus import checked
from al_learner.core.models.querying import query_strategy
from al_learner.core.processes.child_process import ChildProcess, how_it_ended
from al_learner.core.simulation.grid import Trial, TrialResult
from al_learner.core.simulation.replay import Round, replay

TICK_S = 0.5
"""How long one wait for rounds lasts. If another thread gets Ctrl-C, the wait goes on, so it must be short."""

BASICS = frozenset({"al-learner", "scikit-learn", "numpy", "scipy"})
"""Packages whose versions may change every result."""


def sweep(
    texts: Iterable[str],
    labels: Iterable[str],
    trials: Sequence[Trial],
    *,
    folder: Path | None = None,
    workers: int | None = None,
    tick: Callable[[int, int], object] = lambda rounds, trials: None,  # noqa: ARG005 - by default nobody counts
) -> list[TrialResult]:
    """Run all trials, several at a time, each in a separate process. If one fails, the others go on.

    The result is the same for any number of workers.

    Parameters
    ----------
    texts, labels : iterable of str
        The corpus and its true labels.
    trials : sequence of Trial
    folder : Path, optional
        Finished trials are stored there. They are not run again with the same corpus and versions of packages.
    workers : int, optional
        Number of processes; by default the number of cores.
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
    """
    corpus = checked(texts, labels)
    store = _Store(folder, corpus) if folder is not None else None
    played = [(store and store.find(trial)) or TrialResult(trial) for trial in trials]
    waiting = deque(one for one in played if not one.is_reused)
    n_done = len(played) - len(waiting)
    with TemporaryDirectory(prefix="al-learner-simulate-") as scratch, _WorkerPool(corpus, scratch) as pool:
        tick(sum(len(one.rounds) for one in played), n_done)
        while waiting or pool.busy:
            while waiting and len(pool.busy) < (workers or os.cpu_count() or 1):
                pool.play(waiting.popleft())
            for one in pool.receive():
                n_done += 1
                if store and one.error is None:
                    store.keep(one)
            tick(sum(len(one.rounds) for one in played), n_done)
    return played


Corpus = tuple[list[str], list[str]]


class _Ready:
    """What a process sends first: it has started."""


class _WorkerPool:
    """Processes, each of which runs one trial after the other. All are killed at the end, also after an error."""

    def __init__(self, corpus: Corpus, scratch: str) -> None:
        self._scratch = scratch
        self._processes: dict[Connection, ChildProcess] = {}
        self._starting: set[Connection] = set()
        # In a file: the start of a process waits for ever if its arguments fill the pipe and it ends before it reads.
        _corpus_file(scratch).write_text(json.dumps(corpus), encoding="utf-8")
        self.busy: dict[Connection, TrialResult] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.kill()

    def play(self, result: TrialResult) -> None:
        """Give a trial to an idle process, or to a new one."""
        idle = next((pipe for pipe in self._processes if pipe not in self.busy), None)
        pipe = idle or self._spawned()
        self.busy[pipe] = result
        with suppress(BrokenPipeError):  # it has ended, which `receive` notices
            pipe.send(result.trial)

    def receive(self) -> list[TrialResult]:
        """Wait a short time for rounds and ends of trials. Return the trials that have ended.

        Raises
        ------
        TrainerError
            A process ended by itself while it was starting. The others would end too.
        """
        ended = []
        for pipe in cast("list[Connection]", wait(list(self.busy), TICK_S)):
            try:
                said = pipe.recv()
            except (EOFError, OSError):
                said = self._end_of(pipe)
            if isinstance(said, _Ready):
                self._starting.remove(pipe)
            elif isinstance(said, Round):
                self.busy[pipe].rounds.append(said)
            else:
                ended.append(self.busy.pop(pipe))
                ended[-1].error = said
        return ended

    def _spawned(self) -> Connection:
        process = ChildProcess(_serve, self._scratch, name="simulation")
        self._processes[process.pipe] = process
        self._starting.add(process.pipe)
        return process.pipe

    def _end_of(self, pipe: Connection) -> str:
        process = self._processes.pop(pipe)
        exitcode = process.join()
        process.kill()
        if pipe in self._starting and exitcode is not None and exitcode >= 0:
            raise TrainerError(
                f"a simulation process ended while it was starting, with exit code {exitcode}. Each process imports "
                "the script that calls `simulate`. So the script must call it under `if __name__ == '__main__':`"
            )
        return f"its process {how_it_ended(exitcode)}"


def _corpus_file(scratch: str) -> Path:
    return Path(scratch) / "corpus.json"


def _serve(pipe: Connection, scratch: str) -> None:
    """Run trials. Send `_Ready`, then the rounds of each trial, and its error or None."""
    from threadpoolctl import threadpool_limits

    import al_learner.core.training.fitting  # noqa: F401 - heavy; it loads libraries whose threads are limited below

    threadpool_limits(limits=1)  # because the trials run in parallel
    logging.getLogger("al_learner").addHandler(logging.NullHandler())  # errors are reported at the end, once
    corpus = json.loads(_corpus_file(scratch).read_text(encoding="utf-8"))
    with suppress(EOFError, BrokenPipeError):  # the parent is gone
        pipe.send(_Ready())
        while True:
            pipe.send(_play(pipe, corpus, pipe.recv(), scratch))


def _play(pipe: Connection, corpus: Corpus, trial: Trial, scratch: str) -> str | None:
    strategies: dict[str, Any] = {str(kind): spec for kind, spec in trial.strategies().items()}
    try:
        with TemporaryDirectory(dir=scratch) as folder:
            for played in replay(f"sqlite:///{folder}/project.db", *corpus, trial.plan, **strategies):
                pipe.send(played)
    except BrokenPipeError:
        raise
    except AlLearnerError as exc:
        return str(exc)
    except Exception as exc:  # noqa: BLE001 - one trial must not stop the others
        return f"{type(exc).__name__}: {exc}"
    return None


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
