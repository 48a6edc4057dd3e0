"""What is due: decided from facts about what is stored, without a database and without the messages that arrived."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Due = Literal["update", "init", "announce", "score", "choose"]

Step = Literal["announce", "score", "choose"]
"""What follows a training."""

REASONS: dict[Step, str] = {
    "announce": "nobody has heard of the newest classifier",
    "score": "the newest classifier has no score",
    "choose": "there are enough labels to choose anew which classifier is trained",
}


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
    announcement_pending : bool
        Nobody heard of the newest classifier.
    is_unscored : bool
        The newest run has no score.
    is_choice_due : bool
        The classifier chooses among others, and it is time to.
    holds : bool
        The gate may hold a classifier back: nothing else happens until the newest has its score.
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
    announcement_pending: bool = False
    is_unscored: bool = False
    is_choice_due: bool = False
    holds: bool = False
    blocked: str | None = None

    @property
    def must_score(self) -> bool:
        """Whether the newest classifier waits for its score, which the gate needs."""
        return self.holds and self.is_unscored

    def is_pending(self, step: Step) -> bool:
        """Whether a step after the last training is still to be done."""
        return {"announce": self.announcement_pending, "score": self.is_unscored, "choose": self.is_choice_due}[step]


def steps_after_training(*, holds: bool) -> tuple[Step, ...]:
    """Return what follows a training, in order. A gate that `holds` needs the score before anybody hears of it."""
    return ("score", "announce", "choose") if holds else ("announce", "score", "choose")


def decide(facts: Facts) -> tuple[Due | None, str]:
    """Return the most urgent thing that is due, or None, and why."""
    update, why_update = may_update(facts)
    init, why_init = may_init(facts)
    if facts.blocked is None and not facts.must_score:
        if update:
            return "update", why_update
        if init and not facts.has_classifier:
            return "init", why_init
    for step in steps_after_training(holds=facts.holds):
        if facts.is_pending(step):
            return step, REASONS[step]
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
