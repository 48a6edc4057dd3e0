"""A worker in a separate process, from any command: its memory use, and when it is idle."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

SAMPLE_S = 0.05
"""How often memory is read."""

FAMILY_S = 0.5
"""How often new children are searched for. This takes longer than reading the memory of known ones."""

REST_S = 0.6
"""A process tree is idle if it has not been busy for so long."""

BUSY_S = 0.1
"""A process tree was busy if it used a fifth of one core for so long, or if a thread could run at its end."""

STOP_S = 15
LOWEST_PRIORITY = 19
SETTINGS = ("AL_LEARNER_", "PG", "REDIS_", "BATCH_SIZE", "MIN_LABEL_COUNT")


class Worker:
    """A worker process, from ``with`` to its end.

    Parameters
    ----------
    command : sequence of str
    environment : mapping of str to str
        Added to the environment of this process, from which all settings of a worker are removed.
    folder : Path
        The working directory, without a settings file. The log is written there.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        self._command, self._folder = command, folder
        self._environment = own_environment() | dict(environment)
        self._log = folder / "worker.log"

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.memory = Memory(self._process.pid)
        self.memory.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.memory.stop()
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_S)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # its process group: all children that are left
        self._process.wait(STOP_S)
        if exc is not None:
            log = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
            exc.add_note("the worker's log ends with\n" + "\n".join(log[-30:]))

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def lowest_priority_mib(self) -> float:
        """Return the resident memory of the child processes of the lowest priority."""
        children = psutil.Process(self._process.pid).children()
        return sum(child.memory_info().rss for child in children if child.nice() == LOWEST_PRIORITY) / 2**20

    def rest(self, deadline_s: float) -> float:
        """Wait until worker and children are idle. Return the seconds that they were still busy."""
        started = busy_at = time.monotonic()
        used = self.memory.cpu_s()
        while (now := time.monotonic()) - started < deadline_s:
            if now - busy_at > REST_S:
                return busy_at - started
            time.sleep(BUSY_S)
            before, used = used, self.memory.cpu_s()
            if used - before > BUSY_S / 5 or self.memory.wants_processor():
                busy_at = time.monotonic()
            elif not self.is_alive():
                raise RuntimeError("the worker ended")
        raise RuntimeError(f"the worker was still busy after {deadline_s:g} s")


class Memory(threading.Thread):
    """Reads the memory of a process and its descendants, and keeps the highest sum.

    Pages of files, such as the code of libraries, are shared. They count once: those of the process that has the most.
    On systems that do not tell them apart, they count once for each process.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._family: list[psutil.Process] = []
        self._family_at = 0.0
        self._ended = threading.Event()
        self._peak = self._total_peak = self._resident_peak = 0

    def run(self) -> None:
        """Sample until `stop`."""
        while not self._ended.wait(SAMPLE_S):
            self._sample()

    def stop(self) -> None:
        """Stop sampling."""
        self._ended.set()
        self.join()

    def restart(self) -> None:
        """Forget the peak so far. `total_peak_mib` stays."""
        self._peak = 0
        self._sample()

    @property
    def peak_mib(self) -> float:
        """The highest sum since `restart`."""
        return self._peak / 2**20

    @property
    def total_peak_mib(self) -> float:
        """The highest sum since the start."""
        return self._total_peak / 2**20

    @property
    def resident_peak_mib(self) -> float:
        """The highest sum since the start, if shared pages count once for each process."""
        return self._resident_peak / 2**20

    def high_water_mib(self) -> float:
        """Return the sum of the highest memory use of each living process, at different times. It is never too low."""
        return sum(_high_water_kib(process.pid) for process in self._living()) / 2**10

    def cpu_s(self) -> float:
        """Return the processor time that all of them have used."""
        total = 0.0
        for process in self._living():
            with suppress(psutil.Error):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def wants_processor(self) -> bool:
        """Whether a thread can run. On a busy machine one of low priority may wait long for a processor."""
        for process in self._living():
            with suppress(OSError):  # it has ended
                for thread in Path(f"/proc/{process.pid}/task").glob("*/stat"):
                    if thread.read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "R":
                        return True
        return False

    def _sample(self) -> None:
        resident, files = [0], [0]
        for process in self._living():
            with suppress(psutil.Error):
                memory = process.memory_info()
                resident.append(memory.rss)
                files.append(getattr(memory, "shared", 0))  # Linux has it
        total = sum(resident) - sum(files) + max(files)
        self._peak = max(self._peak, total)
        self._total_peak = max(self._total_peak, total)
        self._resident_peak = max(self._resident_peak, sum(resident))

    def _living(self) -> list[psutil.Process]:
        now = time.monotonic()
        if now - self._family_at >= FAMILY_S:
            with suppress(psutil.Error):
                worker = psutil.Process(self._pid)
                self._family = [worker, *worker.children(recursive=True)]
            self._family_at = now
        return self._family


def own_environment() -> dict[str, str]:
    """Return this process's environment without any setting of a worker."""
    return {name: value for name, value in os.environ.items() if not name.upper().startswith(SETTINGS)}


def without_settings() -> None:
    """Remove the settings of a worker from the environment of this process, before a project runs in it."""
    for name in set(os.environ) - set(own_environment()):
        del os.environ[name]


def _high_water_kib(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0
