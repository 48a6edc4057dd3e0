"""Decides what is due, from facts about what is stored. It uses no database and no messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Due = Literal["update", "init", "announce", "score", "choose"]

Step = Literal["announce", "score", "choose"]
"""A step after a training."""

REASONS: dict[Step, str] = {
    "announce": "no subscriber has received the announcement of the newest classifier",
    "score": "the newest classifier has no score",
    "choose": "there are enough labels to compare the candidates again",
}


@dataclass(frozen=True)
class Facts:
    """The facts that the decision uses.

    Attributes
    ----------
    new_samples, batch_size : int
    classes : int
        Different labels among the voted texts and init_data.
    has_classifier : bool
    is_loaded : bool
        There are rows in table labels, or an `init` message was received. db_helper writes labels last.
    can_start_from_init_data, can_start_at_random : bool
        There are two classes in init_data; there are two labels and a text.
    lacks_votes : bool
        A classifier was trained on votes before, but the newest one does not come from that training.
    announcement_pending : bool
        No subscriber has received the announcement of the newest classifier.
    is_unscored : bool
        The newest run has no score.
    is_choice_due : bool
        The classifier is a model selector, and its candidates must be compared.
    holds : bool
        The gate may hold a classifier back, so the newest must be scored before anything else.
    blocked : str or None
        Why no run starts now, although one may be due.
    superseded : str or None
        Why this worker does nothing: another one with other settings has started later.
    """

    new_samples: int
    batch_size: int
    classes: int
    has_classifier: bool
    is_loaded: bool
    can_start_from_init_data: bool
    can_start_at_random: bool
    lacks_votes: bool = False
    announcement_pending: bool = False
    is_unscored: bool = False
    is_choice_due: bool = False
    holds: bool = False
    blocked: str | None = None
    superseded: str | None = None

    @property
    def must_score(self) -> bool:
        """Whether the newest classifier must be scored first, because the gate needs its score."""
        return self.holds and self.is_unscored

    def is_pending(self, step: Step) -> bool:
        """Whether a step after the last training has not been done."""
        return {"announce": self.announcement_pending, "score": self.is_unscored, "choose": self.is_choice_due}[step]


def steps_after_training(*, holds: bool) -> tuple[Step, ...]:
    """Return the steps after a training, in order. A gate that `holds` needs the score before the announcement."""
    return ("score", "announce", "choose") if holds else ("announce", "score", "choose")


def decide(facts: Facts) -> tuple[Due | None, str]:
    """Return the most urgent step that is due, or None; and the reason."""
    if facts.superseded is not None:
        return None, facts.superseded
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
    reasons = [why_update] if facts.has_classifier else [why_init, *([why_update] if facts.new_samples else [])]
    return None, "; ".join(reasons)


def may_update(facts: Facts, *, forced: bool = False) -> tuple[bool, str]:
    """Whether an update may run, and the reason. `forced` ignores only the batch size.

    Where the newest classifier does not know the votes, no new samples are needed: a database may have been restored
    without the classifier, or somebody has deleted it.
    """
    missing = facts.batch_size - facts.new_samples
    if missing > 0 and not forced and not facts.lacks_votes:
        return False, f"{facts.new_samples} new samples; {missing} more are needed"
    if facts.classes < 2:
        return False, "two different labels are needed; there is " + ("one" if facts.classes else "none")
    if facts.lacks_votes:
        return True, "the newest classifier was not trained on the votes"
    return True, f"{facts.new_samples} new samples"


def may_init(facts: Facts) -> tuple[bool, str]:
    """Whether a first classifier can be trained, and the reason."""
    if not facts.is_loaded:
        return False, "no classifier yet: table labels is empty, so the data may still be loading"
    if facts.can_start_from_init_data:
        return True, "no classifier yet: init_data has two classes"
    if facts.can_start_at_random:
        return True, "no classifier yet: the init sampler picks texts and labels"
    return False, "no classifier yet: it needs two classes in init_data, or two labels and one text"
