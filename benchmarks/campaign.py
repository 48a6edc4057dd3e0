"""A campaign: one worker on one database, from the cold start through growing numbers of labelled texts."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.app import App, make_template
from benchmarks.corpus import Corpus
from benchmarks.process import Worker
from tests.support.servers import Postgres, Redis
from tests.support.waiting import wait_until

BATCH_SIZE = 10
SHORT_S = 5.0
"""An event that took longer in the first campaign is not repeated."""

SUBSCRIBE_DEADLINE_S = 60

Kind = Literal["init", "update", "batch"]


@dataclass(frozen=True)
class Subject:
    """A worker command to measure, and the largest number of labelled texts."""

    name: str
    command: Sequence[str]
    environment: dict[str, str]
    labels_up_to: int | None = None


@dataclass(frozen=True)
class Event:
    """One message on learner, and what it caused.

    Attributes
    ----------
    kind : str
        ``init``; ``update``: to `at` labelled texts in one step; ``batch``: BATCH_SIZE more texts at `at`.
    at : int
        The step that it belongs to; 0 for ``init``.
    labelled, new : int
        Number of texts with a vote, and how many of them got it just before the message.
    seconds : float
        From PUBLISH on learner to `update` on predictor.
    busy_s : float
        How long the worker worked after that. Votes that arrive during this time may have to wait.
    peak_mib : float
        Highest memory use of worker and children, from the message until they are idle.
    """

    kind: Kind
    at: int
    labelled: int
    new: int
    seconds: float
    busy_s: float
    peak_mib: float
    clf_id: int
    countvec_id: int
    clf_bytes: int


@dataclass
class Campaign:
    """The measurements of one campaign.

    Attributes
    ----------
    subscribed_s : float
        From the start of the process to its subscription, with an error of up to 20 ms.
    peak_mib, resident_peak_mib, high_water_mib : float
        Highest memory use of worker and children at one time, as sampled; the same if shared pages count once for each
        process; and the sum of the highest of each process.
    """

    subject: str
    number: int
    subscribed_s: float = 0.0
    peak_mib: float = 0.0
    resident_peak_mib: float = 0.0
    high_water_mib: float = 0.0
    events: list[Event] = field(default_factory=list)


@dataclass(frozen=True)
class Bench:
    """Servers, a corpus loaded into a template, and the order in which its texts are labelled."""

    postgres: Postgres
    redis: Redis
    template: str
    label_of: NDArray[np.object_]
    order: NDArray[np.int64]
    deadline_s: float
    say: Callable[[str], object]

    @classmethod
    def of(
        cls,
        servers: tuple[Postgres, Redis],
        corpus: Corpus,
        *,
        seed: int,
        deadline_s: float,
        say: Callable[[str], object],
    ) -> Bench:
        """Load a corpus into a template."""
        template = make_template(servers[0], "bench_texts", corpus.rows())
        order = np.random.default_rng([seed, 1]).permutation(len(corpus))
        return cls(*servers, template, np.array(corpus.labels, object), order, deadline_s, say)

    def labels(self, start: int, stop: int) -> tuple[list[int], list[str]]:
        """Return text_ids and labels of the texts that are labelled as number `start` … `stop - 1`."""
        rows = self.order[start:stop]
        return (rows + 1).tolist(), self.label_of[rows].tolist()


def run(
    bench: Bench,
    subject: Subject,
    number: int,
    steps: Sequence[int],
    *,
    repeat: int = 1,
    judge: Callable[[App, Sequence[Event]], object] = lambda _app, _events: None,
) -> Campaign:
    """Run a campaign: `init`, then for each step an update to that number of labelled texts, and one more batch.

    Parameters
    ----------
    bench : Bench
    subject : Subject
    number : int
        Of the campaign, from 0.
    steps : sequence of int
        Numbers of labelled texts, ascending.
    repeat : int
        Number of batches at a step whose update takes too long to be repeated. A batch that takes too long is the last.
    judge : callable
        Called at the end, after the worker has stopped and before the database is deleted.
    """
    campaign = Campaign(subject.name, number)
    names = sorted(set(bench.label_of.tolist()))
    with App(bench.postgres, bench.redis, bench.template, names) as app:
        with tempfile.TemporaryDirectory(prefix="al-learner-bench-") as folder:
            environment = {**app.environment, "BATCH_SIZE": str(BATCH_SIZE), **subject.environment}
            environment["AL_LEARNER_HEARTBEAT_FILE"] = str(Path(folder) / "heartbeat")
            started = time.monotonic()
            with Worker(subject.command, environment, Path(folder)) as worker:
                _wait_for_subscription(app, worker)
                campaign.subscribed_s = time.monotonic() - started
                worker.rest(bench.deadline_s)
                life = _Life(bench, subject, campaign, app, worker)
                app.end_loading()
                life.happens("init", 0, 0)
                for step in steps:
                    update = life.happens("update", step, step - life.labelled)
                    is_long = update.seconds > SHORT_S
                    for _ in range(repeat if is_long else 1):
                        if life.happens("batch", step, BATCH_SIZE).seconds > SHORT_S:
                            break
                campaign.peak_mib = worker.memory.total_peak_mib
                campaign.resident_peak_mib = worker.memory.resident_peak_mib
                campaign.high_water_mib = worker.memory.high_water_mib()
        judge(app, campaign.events)
    return campaign


def _wait_for_subscription(app: App, worker: Worker) -> None:
    wait_until(
        lambda: app.is_received() or not worker.is_alive(), "the worker to subscribe", deadline_s=SUBSCRIBE_DEADLINE_S
    )
    if not worker.is_alive():
        raise RuntimeError("the worker ended before it subscribed to learner")


class _Life:
    """Sends a worker one event after the other, and records them."""

    def __init__(self, bench: Bench, subject: Subject, campaign: Campaign, app: App, worker: Worker) -> None:
        self._bench, self._subject, self._campaign, self._app, self._worker = bench, subject, campaign, app, worker
        self.labelled = 0

    def happens(self, kind: Kind, at: int, new: int) -> Event:
        """Write `new` votes, publish, wait for the announcement, and then until the worker is idle."""
        self._worker.memory.restart()
        if new:
            self._app.vote(*self._bench.labels(self.labelled, self.labelled + new))
            self.labelled += new
        payload = "update" if new else "init"
        seconds, clf_id = self._app.seconds_until_announced(
            payload, is_alive=self._worker.is_alive, deadline_s=self._bench.deadline_s
        )
        busy_s = self._worker.rest(self._bench.deadline_s)
        event = Event(
            kind=kind,
            at=at,
            labelled=self.labelled,
            new=new,
            seconds=seconds,
            busy_s=busy_s,
            peak_mib=self._worker.memory.peak_mib,
            clf_id=clf_id,
            countvec_id=self._app.newest("countvecs", "countvec_id"),
            clf_bytes=self._app.clf_bytes(clf_id),
        )
        self._campaign.events.append(event)
        self._bench.say(f"{self._subject.name} #{self._campaign.number + 1} {title(kind, at)}: {seconds:.2f} s")
        return event


def title(kind: Kind, at: int) -> str:
    """Return an event in words."""
    return {"init": "init", "update": f"update at {at:,}", "batch": f"{BATCH_SIZE} more at {at:,}"}[kind]


def repeatable(campaign: Campaign, steps: Sequence[int]) -> list[int] | None:
    """Return the first steps that are short enough to be repeated; None if `init` is too long."""
    if campaign.events[0].seconds > SHORT_S:
        return None
    kept = []
    for step in steps:
        if any(event.seconds > SHORT_S for event in campaign.events if event.at == step):
            break
        kept.append(step)
    return kept
