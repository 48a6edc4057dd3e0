"""Announcements: tells the predictor of a new classifier, and repeats it until a subscriber has received it.

Redis does not keep messages. So `al_runs.announced` is set when the message had a subscriber; until then the
announcement is pending. An `init` that is received while there is a classifier asks for one more announcement. That is
pending in this process until a message had a subscriber.

A pending announcement is repeated as soon as the channel has a subscriber, and otherwise after pauses that double. It
also ends when the predictions that are stored with a sample of texts are those of the newest classifier.

It is also repeated while the app is locked, which means that its `queryFlag` is not `available`. A predictor that was
killed while it wrote leaves the app locked; the next one unlocks it when it has scored all texts. An `available` flag
does not mean that an announcement was received: an older one may have set it.
"""

from __future__ import annotations

import logging
from time import monotonic

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
        Seconds until the newest classifier is announced again, after an announcement that nobody received, and while
        the app stays locked. The pause doubles each time, up to an hour.
    """

    def __init__(self, channels: Channels | None, storage: Storage, gate: Gate, *, reannounce_s: float) -> None:
        self._channels, self._tables, self._runs, self._gate = channels, storage.tables, storage.runs, gate
        self._first_pause_s = self._locked_pause_s = self._retry_pause_s = reannounce_s
        self._well_at = monotonic()
        self._is_requested = False
        self._missed_run_id: int | None = None
        self._retry_at: float | None = None

    def request(self) -> None:
        """Announce the newest classifier once more, until a subscriber has received it."""
        self._is_requested = True

    def is_unreceived(self, newest: Run | None) -> bool:
        """Whether no subscriber has received the announcement of the newest successful run."""
        return self._channels is not None and newest is not None and newest.announced is None

    def is_pending(self, newest: Run | None, *, requested: bool = False) -> bool:
        """Whether an announcement is pending: that of the newest successful run, or one that was requested."""
        requested = requested or self._is_requested
        return self.is_unreceived(newest) or (requested and self._channels is not None)

    def is_due(self, newest: Run | None, *, requested: bool = False) -> bool:
        """Whether a pending announcement must be published now.

        It is published at once. If nobody receives it, it is published again when the pause is over or when the channel
        has a subscriber. A new run ends the pause.
        """
        if not self.is_pending(newest, requested=requested):
            return False
        return not self.is_missed(newest) or self._is_retry_due()

    def is_missed(self, newest: Run | None) -> bool:
        """Whether an announcement of this run was published, or should have been, and nobody received it."""
        return self._retry_at is not None and self._missed_run_id == _run_id(newest)

    def announce(self) -> int:
        """Announce the newest classifier. Return the number of subscribers; 0 also if Redis or the gate prevents it."""
        self._well_at = monotonic()
        if self._channels is None:
            return 0
        # Read before the message is sent: it does not announce a run that is stored later.
        newest = self._runs.last(status=RunStatus.SUCCEEDED)
        if self._gate.must_wait(newest):
            return 0
        try:
            receivers = self._channels.announce()
        except ChannelError as exc:
            self._pause(newest)
            event("announcement.failed", level=logging.WARNING, error=str(exc), retry_s=self._retry_pause_s)
            return 0
        if not receivers:
            self._pause(newest)
            event("announcement.not_received", level=logging.WARNING, retry_s=self._retry_pause_s)
            return 0
        self._end(newest)
        event("announced", receivers=receivers)
        return receivers

    def acknowledge(self, run: Run) -> None:
        """Record that the predictor uses the classifier of a run: its predictions are stored."""
        self._end(run)
        event("announcement.acknowledged", run_id=run.run_id, clf_id=run.clf_id)

    def repeat_if_locked(self) -> None:
        """Announce the newest classifier again if the app has been locked for long."""
        if not self._is_locked():
            self._well_at, self._locked_pause_s = monotonic(), self._first_pause_s
            return
        seconds = monotonic() - self._well_at
        is_due = seconds >= self._locked_pause_s if self._retry_at is None else self._is_retry_due()
        if is_due and self._tables.newest_clf_id():
            event("app.locked", level=logging.WARNING, seconds=seconds, then="it is announced again")
            self.announce()
            self._locked_pause_s = min(2 * self._locked_pause_s, REANNOUNCE_MAX_S)

    def _end(self, newest: Run | None) -> None:
        """Nothing is pending any more."""
        self._is_requested, self._retry_at = False, None
        if newest is not None:
            self._runs.mark_announced(newest.run_id)

    def _pause(self, newest: Run | None) -> None:
        """Wait before the next attempt: twice as long as after the last one, unless there is a new run."""
        longer = min(2 * self._retry_pause_s, REANNOUNCE_MAX_S)
        self._retry_pause_s = longer if self.is_missed(newest) else self._first_pause_s
        self._missed_run_id, self._retry_at = _run_id(newest), monotonic() + self._retry_pause_s

    def _is_retry_due(self) -> bool:
        """Whether the pause after a message that nobody received is over, or somebody can receive one now."""
        if self._channels is None or self._retry_at is None:
            return False
        try:
            return monotonic() >= self._retry_at or self._channels.has_predictor()
        except ChannelError as exc:
            event("announcement.failed", level=logging.WARNING, error=str(exc), retry_s=self._retry_at - monotonic())
            return False

    def _is_locked(self) -> bool:
        """Whether the app hands out no texts and drops votes. False also if Redis does not answer."""
        try:
            return self._channels is not None and not self._channels.is_available()
        except ChannelError:
            return False


def _run_id(run: Run | None) -> int | None:
    return None if run is None else run.run_id
