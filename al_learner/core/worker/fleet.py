"""The loops of many projects in one process. Projects come and go with their settings files."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from al_learner.core.configuration.project_files import ProjectFile, read_projects
from al_learner.core.configuration.settings import Settings
from al_learner.core.errors import AlLearnerError, SettingsError
from al_learner.core.events import event, of_project
from al_learner.core.processes.slots import Slots
from al_learner.core.service.figures import Source
from al_learner.core.worker.loop import BEAT_S, MakeCompute, ProjectLoop
from al_learner.core.worker.shared_trainers import SharedTrainers
from al_learner.core.worker.stop import Stop

RETRY_S = 60
"""A project whose loop ended with an error is started again after so long."""

LIBPQ = ("PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE", "PGPORT", "PGUSER", "PGPASSWORD")
"""Variables that would name one database for all projects."""


class _Running:
    """The loop of a project, in a thread of its own."""

    def __init__(self, file: ProjectFile, make_compute: MakeCompute, turns: Slots | None) -> None:
        self.file, self._make_compute, self._turns = file, make_compute, turns
        self.stop = Stop()
        self.loop: ProjectLoop | None = None
        self.ended_at = 0.0
        self.thread = threading.Thread(target=self._run, name=file.name, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        of_project.set({"project": self.file.name})
        event("project.started")
        try:
            loop = ProjectLoop(
                self.file.settings, self.stop, make_compute=self._make_compute, rests=True, turns=self._turns
            )
            self.loop = loop
            loop.run()
            event("project.stopped")
        except AlLearnerError as exc:
            event("project.failed", level=logging.ERROR, error=str(exc), again_s=RETRY_S)
        finally:
            self.ended_at = time.monotonic()


class Fleet:
    """Many projects, each with its loop, and the trainers that they share.

    Parameters
    ----------
    place : Path
        See `read_projects`.
    settings : Settings
        Of the process.
    stop : Stop
    on_beat : callable
        Called at least every `BEAT_S` seconds while all loops are alive.
    """

    def __init__(self, place: Path, settings: Settings, stop: Stop, *, on_beat: Callable[[], object]) -> None:
        self._place, self._stop, self._on_beat = place, stop, on_beat
        for name in LIBPQ:
            os.environ.pop(name, None)
        self._close: Callable[[], object]
        if settings.cluster is None:
            trainers = SharedTrainers(
                settings.trainers or os.cpu_count() or 1, settings.slice_s, settings.trainers_mib * 2**20
            )
            self._make_compute: MakeCompute = trainers.compute_of
            self._turns: Slots | None = trainers.turns
            self._close = trainers.close
        else:
            from al_learner.core.cluster.compute import SharedCluster  # needs an extra

            cluster = SharedCluster(settings)
            self._make_compute, self._turns = cluster.compute_of, None
            self._close = cluster.close
        self._files: dict[str, ProjectFile] = {}
        self._running: dict[str, _Running] = {}
        self._problems: dict[Path, list[str]] = {}

    trainer_pid = None

    def sources(self) -> dict[str | None, Source]:
        """Return for monitoring what the loops tell, by project."""
        return {name: one.loop.source for name, one in list(self._running.items()) if one.loop is not None}

    def run(self) -> None:
        """Work until it is to stop.

        Raises
        ------
        SettingsError
            There is no project without a mistake.
        """
        self._files, self._problems = read_projects(self._place, {})
        if self._problems and not self._files:
            raise SettingsError(self.problems())
        self._tell_problems()
        while not self._stop.stopping:
            self._start_and_stop()
            if all(one.loop is None or one.loop.is_alive for one in self._running.values() if one.thread.is_alive()):
                self._on_beat()
            self._stop.wait(BEAT_S)
            self._read()
        for one in self._running.values():
            one.stop.stop()
        for one in self._running.values():
            one.thread.join()
        self._close()

    def problems(self) -> list[str]:
        """Return what is wrong in the settings files, in words."""
        return [f"{path}: {problem}" for path, every in self._problems.items() for problem in every]

    def _read(self) -> None:
        """Read the files again. A project whose file has got a mistake goes on as it is."""
        found, problems = read_projects(self._place, self._files)
        if problems != self._problems:
            self._problems = problems
            self._tell_problems()
        if self._place in problems:
            return
        refused = {path.stem for path in problems}
        self._files = {**{name: file for name, file in self._files.items() if name in refused}, **found}

    def _tell_problems(self) -> None:
        for problem in self.problems():
            event("project.refused", level=logging.ERROR, problem=problem)

    def _start_and_stop(self) -> None:
        for name, one in list(self._running.items()):
            is_same = self._files.get(name) is one.file
            if one.thread.is_alive():
                if not is_same:
                    one.stop.stop()
            elif not is_same or time.monotonic() - one.ended_at > RETRY_S:
                del self._running[name]
        for name, file in self._files.items():
            if name not in self._running:
                self._running[name] = _Running(file, self._make_compute, self._turns)
