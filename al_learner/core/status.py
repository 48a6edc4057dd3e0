"""How a project stands."""

from __future__ import annotations

from dataclasses import dataclass

from al_learner.core.look import Look
from al_learner.core.runs import Run


@dataclass(frozen=True)
class Status:
    """How a project stands.

    Attributes
    ----------
    votes, countable_texts, new_samples : int
        As the glossary defines them.
    missing : int
        New samples that are still needed until the next training.
    unknown_tokens : float or None
        Share of the tokens of up to 2,000 texts that the vectorizer does not know; None if it cannot tell.
    due : str or None
        What a worker would do now: update, init, announce or score.
    reason : str
        Why; or why nothing is due.
    """

    texts: int
    votes: int
    countable_texts: int
    new_samples: int
    batch_size: int
    missing: int
    classes: int
    clf_id: int | None
    unknown_tokens: float | None
    last_run: Run | None
    due: str | None
    reason: str

    def __str__(self) -> str:
        unknown = "" if self.unknown_tokens is None else f"; {self.unknown_tokens:.1%} of the tokens are unknown"
        return (
            f"{self.texts} texts, {self.votes} votes, {self.countable_texts} countable texts; "
            f"{self.new_samples} of {self.batch_size} new samples; "
            f"{f'classifier {self.clf_id}' if self.clf_id else 'no classifier'}{unknown}; due: {self.due or 'nothing'} "
            f"({self.reason})"
        )

    __repr__ = __str__


def report(look: Look, *, texts: int, clf_id: int, unknown_tokens: float | None, last_run: Run | None) -> Status:
    """Put a status together."""
    facts = look.facts
    return Status(
        texts=texts,
        votes=look.settled.n_votes,
        countable_texts=look.settled.n_countable,
        new_samples=facts.new_samples,
        batch_size=facts.batch_size,
        missing=max(0, facts.batch_size - facts.new_samples),
        classes=facts.classes,
        clf_id=clf_id or None,
        unknown_tokens=unknown_tokens,
        last_run=last_run,
        due=look.due,
        reason=look.reason,
    )
