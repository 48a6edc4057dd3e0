"""Many simulated projects side by side: every combination of strategies and seeds, in parallel, resumable."""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self, cast

from al_learner.core import artifacts
from al_learner.core.cells import Cell, Played
from al_learner.core.errors import AlLearnerError, DataError
from al_learner.core.simulation import Round, checked, replay

BASICS = frozenset({"al-learner", "scikit-learn", "numpy", "scipy"})
"""Packages whose versions change every result."""


def sweep(
    texts: Iterable[str],
    labels: Iterable[str],
    cells: Sequence[Cell],
    *,
    folder: Path | None = None,
    workers: int | None = None,
    tick: Callable[[int, int], object] = lambda rounds, cells: None,  # noqa: ARG005 - by default nobody counts
) -> list[Played]:
    """Play every cell in a process of its own, several at a time; one that fails does not stop the others.

    The result is the same for any number of workers.

    Parameters
    ----------
    texts, labels : iterable of str
        The corpus and its true labels.
    cells : sequence of Cell
    folder : Path, optional
        Where every finished cell is kept, and looked for first: under the cell, the corpus and the packages' versions.
    workers : int, optional
        Processes at a time; by default as many as there are cores.
    tick : callable
        Called after every round with how many rounds and how many cells are done.

    Returns
    -------
    list of Played
        In the order of `cells`.
    """
    corpus = checked(texts, labels)
    store = _Store(folder, corpus) if folder is not None else None
    played = [(store and store.find(cell)) or Played(cell) for cell in cells]
    waiting = deque(one for one in played if not one.is_reused)
    n_done = len(played) - len(waiting)
    with TemporaryDirectory(prefix="al-learner-simulate-") as scratch, _Crew(corpus, scratch) as crew:
        tick(sum(len(one.rounds) for one in played), n_done)
        while waiting or crew.busy:
            while waiting and len(crew.busy) < (workers or os.cpu_count() or 1):
                crew.play(waiting.popleft())
            for one in crew.hear():
                n_done += 1
                if store and one.error is None:
                    store.keep(one)
            tick(sum(len(one.rounds) for one in played), n_done)
    return played


Corpus = tuple[list[str], list[str]]


class _Crew:
    """Processes that play cells, each one after another; all are killed in the end, whatever the end is."""

    def __init__(self, corpus: Corpus, scratch: str) -> None:
        self._corpus, self._scratch = corpus, scratch
        self._processes: dict[Connection, BaseProcess] = {}
        self.busy: dict[Connection, Played] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.kill()
        for pipe, process in self._processes.items():
            process.join()
            pipe.close()

    def play(self, one: Played) -> None:
        """Give a cell to a process that has none, a new one if need be."""
        idle = next((pipe for pipe in self._processes if pipe not in self.busy), None)
        pipe = idle or self._hire()
        self.busy[pipe] = one
        pipe.send(one.cell)

    def hear(self) -> list[Played]:
        """Wait until there is news, take it up, and return the cells that have ended."""
        ended = []
        for pipe in cast("list[Connection]", wait(list(self.busy))):
            try:
                said = pipe.recv()
            except (EOFError, OSError):
                said = self._epitaph(pipe)
            if isinstance(said, Round):
                self.busy[pipe].rounds.append(said)
            else:
                ended.append(self.busy.pop(pipe))
                ended[-1].error = said
        return ended

    def _hire(self) -> Connection:
        context = multiprocessing.get_context("spawn")
        pipe, theirs = context.Pipe()
        # It inherits that Ctrl-C is kept away: who pressed it means us, and we kill it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process = context.Process(target=_serve, args=(theirs, self._corpus, self._scratch), daemon=True)
            process.start()
            self._processes[pipe] = process
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        return pipe

    def _epitaph(self, pipe: Connection) -> str:
        process = self._processes.pop(pipe)
        process.join()
        pipe.close()
        if process.exitcode == -signal.SIGKILL:
            return "its process was killed, perhaps for want of memory"
        hint = "; in a script, call it under `if __name__ == '__main__':`" if process.exitcode == 1 else ""
        return f"its process ended with exit code {process.exitcode}{hint}"


def _serve(pipe: Connection, corpus: Corpus, scratch: str) -> None:
    """Play cells; send the rounds of each, then its error or None."""
    from threadpoolctl import threadpool_limits

    import al_learner.core.learner  # noqa: F401 - heavy; what it loads must be there when threads are limited

    threadpool_limits(limits=1)  # cells run side by side
    logging.getLogger("al_learner").addHandler(logging.NullHandler())  # what failed is told in the end, once
    with suppress(EOFError, BrokenPipeError):  # the parent is gone
        while True:
            pipe.send(_play(pipe, corpus, pipe.recv(), scratch))


def _play(pipe: Connection, corpus: Corpus, cell: Cell, scratch: str) -> str | None:
    strategies: dict[str, Any] = {str(kind): spec for kind, spec in cell.strategies().items()}
    try:
        with TemporaryDirectory(dir=scratch) as folder:
            for played in replay(f"sqlite:///{folder}/project.db", *corpus, cell.plan, **strategies):
                pipe.send(played)
    except BrokenPipeError:
        raise
    except AlLearnerError as exc:
        return str(exc)
    except Exception as exc:  # noqa: BLE001 - one cell must not stop the others
        return f"{type(exc).__name__}: {exc}"
    return None


class _Store:
    """Finished cells, a file each."""

    def __init__(self, folder: Path, corpus: Corpus) -> None:
        self._folder = folder / "cells"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise DataError(f"{self._folder}: {exc.strerror}") from exc
        self._corpus = hashlib.sha256(json.dumps(corpus).encode()).hexdigest()

    def find(self, cell: Cell) -> Played | None:
        """Return a cell that was played; None if it was not, or its file cannot be read."""
        try:
            found = json.loads(self._path(cell).read_text(encoding="utf-8"))
            rounds = [Round(**fields) for fields in found["rounds"]]
        except (OSError, ValueError, TypeError, KeyError):
            return None
        is_whole = [played.number for played in rounds] == list(range(cell.plan.rounds + 1))
        return Played(cell, rounds, is_reused=True) if is_whole else None

    def keep(self, one: Played) -> None:
        """Store a finished cell; its file is there as a whole or not at all."""
        path = self._path(one.cell)
        document = {**self._key(one.cell), "rounds": [asdict(played) for played in one.rounds]}
        part = path.with_suffix(".part")
        part.write_text(json.dumps(document, indent=1), encoding="utf-8")
        part.replace(path)

    def _path(self, cell: Cell) -> Path:
        digest = hashlib.sha256(json.dumps(self._key(cell), sort_keys=True).encode()).hexdigest()
        return self._folder / f"{digest[:24]}.json"

    def _key(self, cell: Cell) -> dict[str, Any]:
        needed = {package for kind, spec in cell.strategies().items() for package in spec.make(kind).requires}
        return {"cell": asdict(cell), "corpus": self._corpus, "versions": artifacts.versions(BASICS | needed)}
