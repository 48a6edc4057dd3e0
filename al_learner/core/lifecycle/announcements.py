"""Announcements: tells the predictor of a new classifier, and repeats it until a subscriber has received it.

Redis does not keep messages. So `al_runs.announced` is set when the message had a subscriber; until then the
announcement is pending. It is also repeated while the app is locked, which means that its `queryFlag` is not
`available`. A predictor that was killed while it wrote leaves the app locked; the next one unlocks it when it has
scored all texts.
"""

from __future__ import annotations

import logging
import time

from al_learner.core.errors import ChannelError
from al_learner.core.events import event
from al_learner.core.lifecycle.quality_gate import Gate
from al_learner.core.service.redis_channels import Channels
from al_learner.core.storage.records import Run, RunStatus
from al_learner.core.storage.storage import Storage

REANNOUNCE_MAX_S = 3600


class Announcements:
    """The announcements of one project.

    Parameters
    ----------
    channels : Channels or None
        None: no Redis is configured, so nothing is announced.
    reannounce_s : float
        Seconds that the app stays locked before the newest classifier is announced again. It doubles each time.
    """

    def __init__(self, channels: Channels | None, storage: Storage, gate: Gate, *, reannounce_s: float) -> None:
        self._channels, self._tables, self._runs, self._gate = channels, storage.tables, storage.runs, gate
        self._first_pause_s = self._pause_s = reannounce_s
        self._well_at = time.monotonic()

    def is_pending(self, newest: Run | None, *, asked_for: bool = False) -> bool:
        """Whether the newest successful run must be announced: it was never received, or it is `asked_for` again."""
        if self._channels is None:
            return False
        return asked_for or (newest is not None and newest.announced is None)

    def announce(self) -> int:
        """Announce the newest classifier. Return the number of subscribers; 0 also if Redis or the gate prevents it."""
        self._well_at = time.monotonic()
        if self._channels is None:
            return 0
        # Read before the message is sent: it does not announce a run that is stored later.
        newest = self._runs.last(status=RunStatus.SUCCEEDED)
        if self._gate.must_wait(newest):
            return 0
        try:
            receivers = self._channels.announce()
        except ChannelError as exc:
            event("announcement.failed", level=logging.WARNING, error=str(exc))
            return 0
        if not receivers:
            event("announcement.not_received", level=logging.WARNING, then="the announcement is repeated")
            return 0
        if newest is not None:
            self._runs.mark_announced(newest.run_id)
        event("announced", receivers=receivers)
        return receivers

    def repeat_if_locked(self) -> None:
        """Announce the newest classifier again if the app has been locked for long."""
        if not self._is_locked():
            self._well_at, self._pause_s = time.monotonic(), self._first_pause_s
        elif time.monotonic() - self._well_at >= self._pause_s and self._tables.newest_clf_id():
            event("app.locked", level=logging.WARNING, seconds=self._pause_s, then="it is announced again")
            self.announce()
            self._pause_s = min(2 * self._pause_s, REANNOUNCE_MAX_S)

    def _is_locked(self) -> bool:
        """Whether the app hands out no texts and drops votes. False also if Redis does not answer."""
        try:
            return self._channels is not None and not self._channels.is_available()
        except ChannelError:
            return False
