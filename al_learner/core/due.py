"""What is due: decided from what is stored, never from which messages arrived."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from al_learner.core.commits import Run

Due = Literal["update", "init", "announce", "score", "choose"]

FAILED_BACKOFF_S = (30, 3600)
"""Pause after the first failed run in a row, and the longest."""

DIED_BACKOFF_S = (5, 3600)
"""Pause after the second run in a row that died, and the longest; after the first there is none."""


@dataclass(frozen=True)
class Facts:
    """What the decision rests on.

    Attributes
    ----------
    new_samples, batch_size : int
    classes : int
        Different labels among the voted texts and init_data.
    has_classifier : bool
    is_loaded : bool
        Rows in table labels, or an `init` message was heard: db_helper writes labels last.
    can_start_from_init_data, can_start_at_random : bool
        Two classes in init_data; two labels and a text.
    is_unheard : bool
        Nobody heard of the newest classifier.
    is_unscored : bool
        The newest run has no score.
    holds : bool
        The gate may hold a classifier: nothing else happens until the newest has its score.
    is_unchosen : bool
        The classifier chooses among others, and it is time to.
    blocked : str or None
        Why no run is tried now, though one may be due.
    """

    new_samples: int
    batch_size: int
    classes: int
    has_classifier: bool
    is_loaded: bool
    can_start_from_init_data: bool
    can_start_at_random: bool
    is_unheard: bool = False
    is_unscored: bool = False
    holds: bool = False
    is_unchosen: bool = False
    blocked: str | None = None

    @property
    def must_score(self) -> bool:
        """Whether the newest classifier waits for its score, which the gate needs."""
        return self.holds and self.is_unscored


def decide(facts: Facts) -> tuple[Due | None, str]:
    """Return the most urgent thing that is due, or None, and why."""
    update, why_update = may_update(facts)
    init, why_init = may_init(facts)
    if facts.blocked is None and not facts.must_score:
        if update:
            return "update", why_update
        if init and not facts.has_classifier:
            return "init", why_init
    after_a_run: tuple[tuple[bool, Due, str], ...] = (
        (facts.is_unheard and not facts.must_score, "announce", "nobody has heard of the newest classifier"),
        (facts.is_unscored, "score", "the newest classifier has no score"),
        (facts.is_unchosen, "choose", "there are enough labels to choose anew which classifier is trained"),
    )
    for is_due, due, reason in after_a_run:
        if is_due:
            return due, reason
    if facts.blocked is not None and (update or (init and not facts.has_classifier)):
        return None, facts.blocked
    return None, why_update if facts.has_classifier else f"{why_init}; {why_update}"


def may_update(facts: Facts, *, forced: bool = False) -> tuple[bool, str]:
    """Tell whether an update may run, and why or why not; `forced` ignores the batch size and nothing else."""
    missing = facts.batch_size - facts.new_samples
    if missing > 0 and not forced:
        return False, f"{facts.new_samples} new samples; {missing} more are needed"
    if facts.classes < 2:
        return False, "two different labels are needed; there is " + ("one" if facts.classes else "none")
    return True, f"{facts.new_samples} new samples"


def may_init(facts: Facts) -> tuple[bool, str]:
    """Tell whether a first classifier can be trained, and from what, or why not."""
    if not facts.is_loaded:
        return False, "no classifier yet: table labels is empty, so loading may not be over"
    if facts.can_start_from_init_data:
        return True, "no classifier yet: init_data has two classes"
    if facts.can_start_at_random:
        return True, "no classifier yet: random texts get random labels"
    return False, "no classifier yet: neither two classes in init_data, nor two labels and a text"


def blocked(runs: Sequence[Run], state: str, now: datetime) -> str | None:
    """Return why no run is tried now: the last ones failed or died on the same state, a short time ago.

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
        if run.status not in ("failed", "died") or run.state != state:
            break
        in_a_row += 1
    if not in_a_row or runs[0].finished is None:
        return None
    first_s, longest_s = FAILED_BACKOFF_S if runs[0].status == "failed" else DIED_BACKOFF_S
    exponent = in_a_row - (1 if runs[0].status == "failed" else 2)
    pause_s = min(first_s * 2**exponent, longest_s) if exponent >= 0 else 0
    until = runs[0].finished + timedelta(seconds=pause_s)
    if now >= until:
        return None
    times = "" if in_a_row == 1 else f", {in_a_row} times in a row"
    what = f"the last run {runs[0].status}{times} ({runs[0].error})"
    return f"{what}; next try at {until:%H:%M:%S %Z}, or when something changes"
