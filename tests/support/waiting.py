"""Waiting for what calls nobody: processes, rows, sockets. The neighbours can import it too."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

DEADLINE_S = 30
PAUSES_S = (0.02, 0.1)
"""Shortest and longest pause between two looks: what takes long is looked at less often, for looking costs time too."""


def wait_until(condition: Callable[[], Any], what: str, *, deadline_s: float = DEADLINE_S) -> Any:
    """Return the first true value of `condition`; fail after the deadline."""
    deadline = time.monotonic() + deadline_s
    pause, longest = PAUSES_S
    while True:
        if value := condition():
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {deadline_s} s for {what}")
        time.sleep(pause)
        pause = min(1.2 * pause, longest)
