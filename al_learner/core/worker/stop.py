"""How a loop is asked to stop, and woken. It imports nothing that takes long, because signal handlers come first."""

from __future__ import annotations

import time
from contextlib import suppress
from queue import Empty, SimpleQueue


class Stop:
    """Asks one loop to stop, and lets it sleep until something happens.

    Attributes
    ----------
    stopping_since : float or None
        When it was asked, by `time.monotonic`; None: it was not.
    """

    def __init__(self) -> None:
        self.stopping_since: float | None = None
        self._wakes: SimpleQueue[None] = SimpleQueue()  # its put, unlike Event.set, may be interrupted by itself

    @property
    def stopping(self) -> bool:
        """Whether the loop is to stop."""
        return self.stopping_since is not None

    def stop(self) -> None:
        """Ask it to stop. Threads and signal handlers may call it."""
        self.stopping_since = self.stopping_since or time.monotonic()
        self.wake()

    def wake(self) -> None:
        """End its wait. Threads and signal handlers may call it."""
        self._wakes.put(None)

    def wait(self, seconds: float) -> None:
        """Wait until `wake`, or until the time is over. Called by the loop's thread."""
        with suppress(Empty):
            self._wakes.get(timeout=seconds)
            while True:
                self._wakes.get_nowait()
