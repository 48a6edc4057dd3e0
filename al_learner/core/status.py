"""How a project stands, and what came of asking it for something."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from al_learner.core.advice import Advice
from al_learner.core.choosing import Choice, title
from al_learner.core.commits import Run, RunKind
from al_learner.core.evaluation import in_words as score_in_words
from al_learner.core.gate import in_words as worse_in_words
from al_learner.core.look import Look


@dataclass(frozen=True)
class Status:
    """How a project stands.

    Attributes
    ----------
    votes, countable_texts, new_samples : int
        As the glossary defines them.
    missing : int
        New samples that are still needed until the next training.
    classifier : str
        Which strategy the next run trains, as ``logreg``, or ``auto (logreg)``: what ``auto`` chose.
    choice : Choice or None
        The last choice, if the classifier chooses among others.
    unknown_tokens : float or None
        Share of the tokens of up to 2,000 texts that the vectorizer does not know; None if it cannot tell.
    due : str or None
        What a worker would do now: update, init, announce, score or choose.
    reason : str
        Why; or why nothing is due.
    newest : Run or None
        The newest run that succeeded, with its score.
    advice : Advice
        What the last batches gained.
    """

    texts: int
    votes: int
    countable_texts: int
    new_samples: int
    batch_size: int
    missing: int
    classes: int
    classifier: str
    choice: Choice | None
    clf_id: int | None
    unknown_tokens: float | None
    last_run: Run | None
    due: str | None
    reason: str
    newest: Run | None
    advice: Advice

    def __str__(self) -> str:
        unknown = "" if self.unknown_tokens is None else f"; {self.unknown_tokens:.1%} of the tokens are unknown"
        return (
            f"{self.texts} texts, {self.votes} votes, {self.countable_texts} countable texts; "
            f"{self.new_samples} of {self.batch_size} new samples; "
            f"{f'classifier {self.clf_id}' if self.clf_id else 'no classifier'}{unknown}; due: {self.due or 'nothing'} "
            f"({self.reason})"
        )

    __repr__ = __str__


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


class Prediction(NamedTuple):
    """A text's most probable label; `number` is its text_id, or its position among given texts."""

    number: int
    label: str
    probability: float


@dataclass(frozen=True)
class Loaded:
    """How many rows were loaded, and what to think of."""

    rows: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """What came of asking for a run: the run, or None and the reason why there was nothing to do."""

    kind: RunKind
    reason: str
    run: Run | None = None

    def __str__(self) -> str:
        if self.run is None:
            return f"{self.kind}: nothing to do ({self.reason})"
        run, metrics = self.run, self.run.metrics or {}
        if self.kind == "promote":
            return (
                f"promote: classifier {run.clf_id}, a copy of {metrics['promoted']['clf_id']}, is the newest until the "
                "next training, which is on all votes"
            )
        warning = worse_in_words(run.clf_id, metrics.get("gate"))
        did = (
            f"{self.kind}: classifier {run.clf_id} from {run.texts} texts in {run.classes} classes, "
            f"{run.new_samples} of them new, in {run.seconds:.2f} s"
        )
        lines = [did, f"score: {score_in_words(run.metrics)}", *([f"warning: {warning}"] if warning else [])]
        return "\n".join(lines)

    __repr__ = __str__


def report(
    look: Look, *, texts: int, clf_id: int, unknown_tokens: float | None, last_run: Run | None, advice: Advice
) -> Status:
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
        classifier=title(look.specs["classifier"]),
        choice=look.choice,
        clf_id=clf_id or None,
        unknown_tokens=unknown_tokens,
        last_run=last_run,
        due=look.due,
        reason=look.reason,
        newest=look.newest,
        advice=advice,
    )


def ranges(ids: Iterable[int]) -> str:
    """Return ids in words: ``1-3, 7``."""
    spans: list[list[int]] = []
    for i in sorted(ids):
        if spans and i == spans[-1][1] + 1:
            spans[-1][1] = i
        else:
            spans.append([i, i])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)
