"""The status of a project, for a person and for monitoring."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from al_learner.core.deprecated import warn
from al_learner.core.lifecycle.announcements import Announcements
from al_learner.core.lifecycle.project_state import ProjectState
from al_learner.core.lifecycle.quality_gate import describe_gate
from al_learner.core.models.stopping_advice import StoppingAdvice
from al_learner.core.representation import html_table, local_time
from al_learner.core.service.figures import Vitals
from al_learner.core.storage.records import RowLocks, Run, RunStatus
from al_learner.core.storage.storage import Storage
from al_learner.core.training.candidate_selection import Choice, title
from al_learner.core.training.evaluation import describe_score

FAILURES = (RunStatus.FAILED, RunStatus.DIED)

N_RECENT = 20
"""So many runs are searched for a score, or for failures."""


PRIOR = "of texts without votes that the init sampler has labelled"
"""What a prior is, in a few words."""

N_CANDIDATES = 3
"""So many candidates of a model selector are shown."""


@dataclass(frozen=True)
class Status:
    """The status of a project.

    Attributes
    ----------
    database : str
        The URL of the database that was read, without password.
    votes, countable_texts, new_samples : int
        As the glossary defines them.
    missing : int
        New samples that are still needed until the next training.
    classifier : str
        The strategy that the next run trains, such as ``logreg`` or ``auto (logreg)``.
    choice : Choice or None
        The last choice, if the classifier is a model selector.
    unknown_tokens : float or None
        Share of the tokens of up to 2,000 texts that the newest classifier's vectorizer did not know when the
        classifier was scored; None if that is not known.
    prior_share : float or None
        The weight of the prior among all texts that the newest classifier was trained on, from 0 to 1; None without a
        prior.
    row_locks : RowLocks or None
        New samples that other sessions keep a run from writing, and these sessions.
    due : str or None
        What a worker would do now: update, init, announce, score or choose.
    reason : str
        Why that is due, or why nothing is.
    newest : Run or None
        The newest run that succeeded, with its score.
    stopping_advice : StoppingAdvice
        What the last batches gained, and whether predictions still change.
    """

    database: str
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
    prior_share: float | None
    row_locks: RowLocks | None
    last_run: Run | None
    due: str | None
    reason: str
    newest: Run | None
    stopping_advice: StoppingAdvice

    def __str__(self) -> str:
        unknown = "" if self.unknown_tokens is None else f"; {self.unknown_tokens:.1%} of the tokens are unknown"
        unknown += "" if self.prior_share is None else f"; {self.prior_share:.1%} of it is the prior"
        classifier = f"classifier {self.clf_id}" if self.clf_id else "no classifier yet"
        return (
            f"{self.database}: {self.texts} texts, {self.votes} votes, {self.countable_texts} countable texts; "
            f"{self.new_samples} of {self.batch_size} new samples; "
            f"{classifier}{unknown}; due: {self.due or 'nothing'} "
            f"({self.reason})"
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table(self.facts())

    def facts(self) -> list[tuple[str, str]]:
        """Return what a person wants to know, as pairs of a name and a value."""
        last, newest, metrics = self.last_run, self.newest, (self.newest.metrics or {}) if self.newest else {}
        promoted, warning = metrics.get("promoted"), describe_gate(self.clf_id, metrics.get("gate"))
        return [
            ("database", self.database),
            ("texts", f"{self.texts:,}"),
            ("votes", f"{self.votes:,}"),
            ("texts with enough votes", f"{self.countable_texts:,}"),
            ("new samples", self._new_samples),
            ("newest classifier", str(self.clf_id or "none yet")),
            *([("its score", describe_score(newest.metrics))] if newest else []),
            *([("promoted from", f"{promoted['clf_id']}: {promoted['because']}")] if promoted else []),
            *([("gate", warning)] if warning else []),
            ("strategy", self.classifier),
            *([("selected candidate", self.choice.described(N_CANDIDATES))] if self.choice else []),
            *([("weight of its prior", f"{self.prior_share:.1%}, {PRIOR}")] if self.prior_share is not None else []),
            ("unknown words in texts", "-" if self.unknown_tokens is None else f"{self.unknown_tokens:.1%}"),
            *([("locked rows", str(self.row_locks))] if self.row_locks else []),
            ("last run", f"{last.kind} {last.run_id}, {last.status}, {local_time(last.started)}" if last else "none"),
            *([("its error", last.error)] if last and last.error else []),
            ("due", self.due or "nothing"),
            ("because", self.reason),
            ("stopping advice", self.stopping_advice.words),
        ]

    @property
    def _new_samples(self) -> str:
        if self.missing:
            return f"{self.new_samples:,} of {self.batch_size:,}; {self.missing:,} more needed"
        return f"{self.new_samples:,}, enough for a training ({self.batch_size:,})"

    @property
    def advice(self) -> StoppingAdvice:
        """Old name of `stopping_advice`."""
        warn("Status.advice", "Status.stopping_advice")
        return self.stopping_advice


def read_status(state: ProjectState, storage: Storage, stopping_advice: StoppingAdvice) -> Status:
    """Read the status. Trains nothing, and unpickles nothing."""
    facts = state.facts
    return Status(
        database=storage.url(),
        texts=storage.tables.n_texts(),
        votes=state.aggregated.n_votes,
        countable_texts=state.aggregated.n_countable,
        new_samples=facts.new_samples,
        batch_size=facts.batch_size,
        missing=max(0, facts.batch_size - facts.new_samples),
        classes=facts.classes,
        classifier=title(state.specs["classifier"]),
        choice=state.choice,
        clf_id=storage.tables.newest_clf_id() or None,
        row_locks=storage.tables.row_locks(state.aggregated.text_ids[state.aggregated.is_new]),
        unknown_tokens=((state.newest.metrics or {}) if state.newest else {}).get("unknown_tokens"),
        prior_share=_prior_share(state.newest),
        last_run=storage.runs.last(),
        due=state.due,
        reason=state.reason,
        newest=state.newest,
        stopping_advice=stopping_advice,
    )


def _prior_share(run: Run | None) -> float | None:
    if run is None or run.prior is None:
        return None
    if run.origin == "init":
        return 1.0
    weight = run.prior["weight"] * run.prior["texts"]
    return float(weight / (weight + (run.texts or 0)))


def _accuracy(runs: Sequence[Run]) -> float | None:
    """Return the accuracy of the first classifier that is scored; None if none is."""
    scored = (run.metrics["accuracy"] for run in runs if run.metrics and run.metrics.get("accuracy") is not None)
    return next(scored, None)


def read_vitals(storage: Storage, announcements: Announcements) -> Vitals:
    """Read the figures for monitoring.

    Raises
    ------
    DatabaseUnavailable
        The database does not answer.
    """
    runs, now = storage.runs.recent(limit=N_RECENT, status=RunStatus.SUCCEEDED), storage.database.now()
    newest = runs[0] if runs else None
    waiting_since = storage.database.waiting_since
    finished = newest.finished if newest else None
    return Vitals(
        runs=storage.runs.by_status(),
        last_run_s=newest.seconds if newest else None,
        last_success=finished,
        accuracy=_accuracy(runs),
        failures=sum(run.status in FAILURES for run in storage.runs.recent(limit=N_RECENT, after=newest)),
        unacknowledged_s=(now - finished).total_seconds() if finished and announcements.is_unreceived(newest) else 0.0,
        rows_locked_s=0.0 if waiting_since is None else time.monotonic() - waiting_since,
    )
