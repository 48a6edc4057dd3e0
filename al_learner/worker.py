"""The worker's process: signals, heartbeat and monitoring around the loop of a project."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from queue import SimpleQueue
from types import FrameType
from typing import TYPE_CHECKING, Any

from al_learner.core.worker.stop import Stop

if TYPE_CHECKING:
    from al_learner.core.configuration.settings import Settings
    from al_learner.core.worker.fleet import Fleet
    from al_learner.core.worker.loop import ProjectLoop

EXIT_OK = 0
EXIT_ERROR = 1
EXIT_SIGNAL = 128
"""Plus the signal's number: a second signal ended the worker at once."""

END_S = 1.5
"""So long after the grace period the process ends, whatever it waits for. Docker kills 10 s after SIGTERM."""


class Signals(Stop):
    """The first SIGTERM or SIGINT asks to stop; the second ends the process at once."""

    def __init__(self) -> None:
        super().__init__()
        self._first: SimpleQueue[None] = SimpleQueue()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._received)

    def wait_for_first(self) -> None:
        """Wait for the first signal. Called by one thread."""
        self._first.get()

    def _received(self, number: int, _frame: FrameType | None) -> None:
        if self.stopping:
            os._exit(EXIT_SIGNAL + number)
        self._first.put(None)
        self.stop()


class Worker:
    """The worker of one project, or of many.

    Parameters
    ----------
    settings : Settings
        Of the project; with `projects`, of the process.
    signals : Signals
    projects : Path, optional
        The settings files of many projects; see `read_projects`.
    """

    def __init__(self, settings: Settings, signals: Signals, projects: Path | None = None) -> None:
        self._settings, self._signals = settings, signals
        self._has_heart = True
        self._loops: ProjectLoop | Fleet = self._one() if projects is None else self._many(projects)

    def run(self) -> int:
        """Work until a signal comes. Return the exit code."""
        from al_learner.core.errors import MigrationError
        from al_learner.core.events import event

        if self._settings.http_port is not None:
            from al_learner.core.service import http  # needs an extra; imported only if a port is configured

            loops = self._loops
            http.serve(self._settings.http_host, self._settings.http_port, loops.sources, problems=loops.problems)
        event("worker.started", pid=os.getpid(), trainer_pid=self._loops.trainer_pid)
        threading.Thread(target=self._end_in_time, daemon=True).start()
        try:
            self._loops.run()
        except MigrationError as exc:
            event("worker.failed", level=logging.ERROR, error=str(exc))
            return EXIT_ERROR
        event("worker.stopped")
        return EXIT_OK

    def _one(self) -> ProjectLoop:
        from al_learner.core.training.compute import Compute  # late, like all of core: the signal handlers come first
        from al_learner.core.worker.loop import ProjectLoop

        make_compute = Compute.in_subprocesses
        if self._settings.cluster is not None:
            from al_learner.core.cluster.compute import (
                on_cluster as make_compute,  # needs an extra; imported only if it is used
            )
        return ProjectLoop(self._settings, self._signals, make_compute=make_compute, on_beat=self._beat)

    def _many(self, projects: Path) -> Fleet:
        from al_learner.core.worker.fleet import Fleet

        return Fleet(projects, self._settings, self._signals, on_beat=self._beat)

    def _end_in_time(self) -> None:
        """End the process soon after the grace period, even if a library waits. Runs in a thread of its own."""
        from al_learner.core.events import event

        self._signals.wait_for_first()
        time.sleep(self._settings.grace_s + END_S)
        event("worker.stuck", level=logging.WARNING, grace_s=self._settings.grace_s)
        os._exit(EXIT_OK)

    def _beat(self) -> None:
        from al_learner.core.events import event
        from al_learner.core.service.heartbeat import beat

        try:
            beat(self._settings.heartbeat_file)
        except OSError as exc:
            if self._has_heart:
                event("heartbeat.failed", level=logging.WARNING, error=str(exc))
            self._has_heart = False


def main(projects: Path | None = None, **strategies: Any) -> int:
    """Run the worker of the project that the environment names, or of many. Return the exit code.

    `strategies` go over environment and file.
    """
    signals = Signals()
    from al_learner.core import events  # late: the signal handlers come first
    from al_learner.core.configuration.environment import warn_of_ignored_variables
    from al_learner.core.configuration.settings import Settings
    from al_learner.core.errors import SettingsError
    from al_learner.core.events import printable
    from al_learner.core.processes.memory import use_one_heap

    use_one_heap()
    try:
        settings = Settings(**strategies)
        events.configure(settings.log)
        warn_of_ignored_variables()
        return Worker(settings, signals, projects).run()
    except SettingsError as exc:
        sys.stderr.write("".join(f"error: {printable(problem, multiline=True)}\n" for problem in exc.problems))
        return EXIT_ERROR


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
