"""Announcements: telling the predictor that there is a new classifier, again until somebody has heard it.

Pub/sub forgets, so what counts is recorded: `al_runs.announced` is set when somebody listened. Until then an
announcement is pending. It is also repeated while the app is locked, its `queryFlag` not `available`: a predictor that
was killed while it wrote leaves it so, and frees it when it has scored all texts.
"""

from __future__ import annotations

import logging
import time

from al_learner.core.errors import ChannelError
from al_learner.core.events import event
from al_learner.core.lifecycle.quality_gate import Gate
from al_learner.core.service.redis_channels import Channels
from al_learner.core.storage.records import Run
from al_learner.core.storage.storage import Storage

REANNOUNCE_MAX_S = 3600


class Announcements:
    """What is announced of one project.

    Parameters
    ----------
    channels : Channels or None
        None: no Redis is configured, and nothing is ever announced.
    reannounce_s : float
        Seconds that the app stays locked before the newest classifier is announced again; doubles each time.
    """

    def __init__(self, channels: Channels | None, storage: Storage, gate: Gate, *, reannounce_s: float) -> None:
        self._channels, self._tables, self._runs, self._gate = channels, storage.tables, storage.runs, gate
        self._first_pause_s = self._pause_s = reannounce_s
        self._well_at = time.monotonic()

    def is_pending(self, newest: Run | None, *, asked_for: bool = False) -> bool:
        """Whether the newest success must be announced: nobody has heard of it, or somebody `asked_for` it anew."""
        if self._channels is None:
            return False
        return asked_for or (newest is not None and newest.announced is None)

    def announce(self) -> int:
        """Announce the newest classifier. Return how many heard it; 0 also when Redis failed, or the gate holds it."""
        self._well_at = time.monotonic()
        if self._channels is None:
            return 0
        newest = self._runs.last(status="succeeded")  # asked first: what is stored later is not announced by this
        if self._gate.must_wait(newest):
            return 0
        try:
            heard = self._channels.announce()
        except ChannelError as exc:
            event("announcement.failed", level=logging.WARNING, error=str(exc))
            return 0
        if heard and newest is not None:
            self._runs.announced(newest.run_id)
        event("announced", heard=heard)
        return heard

    def repeat_if_locked(self) -> None:
        """Announce the newest classifier again if the app has been locked for long."""
        if not self._is_locked():
            self._well_at, self._pause_s = time.monotonic(), self._first_pause_s
        elif time.monotonic() - self._well_at >= self._pause_s and self._tables.newest_clf_id():
            event("app.locked", level=logging.WARNING, seconds=self._pause_s, then="announced again")
            self.announce()
            self._pause_s = min(2 * self._pause_s, REANNOUNCE_MAX_S)

    def _is_locked(self) -> bool:
        """Whether the app hands out no texts and drops votes; False also where nobody can tell."""
        try:
            return self._channels is not None and not self._channels.is_available()
        except ChannelError:
            return False
