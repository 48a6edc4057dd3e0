"""Processes as the kernel sees them: whether they run, and who belongs to whom. Zombies have ended."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import psutil

from tests.support.waiting import wait_until


def family(pid: int) -> list[psutil.Process]:
    """Return a process's children, their children, and so on."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).children(recursive=True)
    return []


def is_running(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def wait_for_end(processes: Sequence[psutil.Process]) -> None:
    """Fail if one of them still runs after the deadline."""
    wait_until(lambda: not any(map(is_running, processes)), f"these to end: {processes}")


def rss_mib(pid: int) -> float:
    return float(psutil.Process(pid).memory_info().rss) / 2**20
