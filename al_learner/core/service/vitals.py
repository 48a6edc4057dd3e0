"""What a monitor is told of a project."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Vitals:
    """What a monitor wants to know.

    Attributes
    ----------
    runs : mapping of str to int
        Status to number of runs, of all workers ever.
    last_run_s : float or None
        Seconds that the newest success took.
    last_success : datetime or None
    unheard_s : float
        For how many seconds nobody has heard of the newest classifier.
    is_subscribed : bool or None
        None without Redis.
    """

    runs: Mapping[str, int]
    last_run_s: float | None
    last_success: datetime | None
    unheard_s: float
    is_subscribed: bool | None
