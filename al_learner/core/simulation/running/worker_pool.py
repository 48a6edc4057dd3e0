"""Runs trials in parallel processes."""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self, cast

from al_learner.core.errors import AlLearnerError, TrainerError
from al_learner.core.processes.child_process import ChildProcess, how_it_ended
from al_learner.core.simulation.grid import Trial, TrialResult
from al_learner.core.simulation.replay import Round, replay

TICK_S = 0.5
"""How long one wait for rounds lasts. If another thread gets Ctrl-C, the wait goes on, so it must be short."""

Corpus = tuple[list[str], list[str]]
"""Texts and labels."""


def in_processes(corpus: Corpus, results: Iterable[TrialResult], n_processes: int) -> Generator[list[TrialResult]]:
    """Run trials in processes of this machine. Yield often, and each time the trials that have ended meanwhile.

    Raises
    ------
    TrainerError
        A process ended while it was starting, because it could not import the script that calls this.
    """
    waiting = deque(results)
    with TemporaryDirectory(prefix="al-learner-simulate-") as scratch, _WorkerPool(corpus, scratch) as pool:
        while waiting or pool.busy:
            while waiting and len(pool.busy) < n_processes:
                pool.play(waiting.popleft())
            yield pool.receive()


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
    prepare_process()
    corpus = json.loads(_corpus_file(scratch).read_text(encoding="utf-8"))
    with suppress(EOFError, BrokenPipeError):  # the parent is gone
        pipe.send(_Ready())
        while True:
            pipe.send(play(corpus, pipe.recv(), scratch, pipe.send))


def prepare_process() -> None:
    """Prepare a process in which trials run, beside others."""
    from threadpoolctl import threadpool_limits

    import al_learner.core.training.fitting  # noqa: F401 - heavy; it loads libraries whose threads are limited below

    threadpool_limits(limits=1)
    logging.getLogger("al_learner").addHandler(logging.NullHandler())  # errors are reported at the end, once


def play(corpus: Corpus, trial: Trial, scratch: str, tell: Callable[[Round], object]) -> str | None:
    """Run a trial. Return why it failed; None if it did not.

    Parameters
    ----------
    scratch : str
        A folder for its database.
    tell : callable
        Gets each round.
    """
    strategies: dict[str, Any] = {str(kind): spec for kind, spec in trial.strategies().items()}
    try:
        with TemporaryDirectory(dir=scratch) as folder:
            for played in replay(f"sqlite:///{folder}/project.db", *corpus, trial.plan, **strategies):
                tell(played)
    except BrokenPipeError:
        raise
    except AlLearnerError as exc:
        return str(exc)
    except Exception as exc:  # noqa: BLE001 - one trial must not stop the others
        return f"{type(exc).__name__}: {exc}"
    return None
