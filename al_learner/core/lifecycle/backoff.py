"""The pause after runs that failed or died on the same project state."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from al_learner.core.storage.records import Run, RunStatus

FAILED_BACKOFF_S = (30, 3600)
"""Pause after the first failed run in a row, and the longest."""

DIED_BACKOFF_S = (5, 3600)
"""Pause after the second run in a row that died, and the longest; after the first there is none."""


def blocked(runs: Sequence[Run], state: str, now: datetime) -> str | None:
    """Return why no run starts now: the last runs failed or died on the same state a short time ago. Else None.

    Parameters
    ----------
    runs : sequence of Run
        The newest first.
    state : str
        Digest of votes, data and settings now.
    now : datetime
        By the database's clock.
    """
    in_a_row = 0
    for run in runs:
        if run.status not in (RunStatus.FAILED, RunStatus.DIED) or run.state != state:
            break
        in_a_row += 1
    if not in_a_row or runs[0].finished is None:
        return None
    first_s, longest_s = FAILED_BACKOFF_S if runs[0].status == RunStatus.FAILED else DIED_BACKOFF_S
    exponent = in_a_row - (1 if runs[0].status == RunStatus.FAILED else 2)
    pause_s = min(first_s * 2**exponent, longest_s) if exponent >= 0 else 0
    until = runs[0].finished + timedelta(seconds=pause_s)
    if not runs[0].finished <= now < until:  # before it ended: the database's clock was set back
        return None
    times = "" if in_a_row == 1 else f", {in_a_row} times in a row"
    what = f"the last run {runs[0].status}{times} ({runs[0].error})"
    return f"{what}; the next one starts at {until:%H:%M:%S %Z}, or when votes, data or settings change"
