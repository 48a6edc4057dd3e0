"""A project under fire: its database, predictor, voters and workers, and the state in which all must end."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg

from tests.support import faults_plugins
from tests.support.faults_actors import Predictor, Predictors, Voters
from tests.support.faults_launcher import __name__ as launcher
from tests.support.faults_model import VOTED, broken_runs, broken_votes, countable
from tests.support.faults_plugins import Director
from tests.support.forks import Nursery
from tests.support.servers import Postgres, Redis
from tests.support.tables import SCHEMA
from tests.support.waiting import wait_until
from tests.support.workers import COMMAND, WorkerProcess

ROOT = Path(__file__).parents[2]
TEMPLATE = "labelforward"
LABELS = ("cooking", "ignored", "sport")
CRASH = re.compile(r"^(?!Exception ignored).*\nTraceback ", re.MULTILINE)
"""A traceback, but for what an interpreter says of objects that were left when it was made to end."""
CALM_S = 90
"""How long everything may take to come to rest: longer than any pause before another try."""


def has_crashed(worker: WorkerProcess) -> bool:
    """Tell whether a worker, unless it was killed, or its child has written a traceback."""
    return worker.process.poll() != -signal.SIGKILL and CRASH.search(worker.log) is not None


def make_template(postgres: Postgres) -> None:
    """Create the database with LabelForward's empty tables, once a server."""
    with postgres.connect() as connection:
        connection.execute(f"CREATE DATABASE {TEMPLATE}")
    with postgres.connect(TEMPLATE) as connection:
        connection.execute(SCHEMA.read_text())


class Stage:
    """A database of its own on given servers, with a predictor that scores and annotators that vote.

    Parameters
    ----------
    predictors : Predictors
    folder : Path
    template : str
        Of the database: with LabelForward's empty tables, or without any.
    write_s : float
        What the predictor's transaction takes, at least.
    **settings
        Environment variables of every worker.

    Attributes
    ----------
    python : Path
        The workers' interpreter.
    nursery : Nursery or None
        Where workers are forked; None: they are started as users start them.
    """

    def __init__(
        self, postgres: Postgres, redis: Redis, predictors: Predictors, folder: Path, *,
        n_texts: int = 60, template: str = TEMPLATE, seed: int = 0, write_s: float = 0.1, **settings: Any,
    ) -> None:  # fmt: skip
        self.postgres, self.redis = postgres, redis
        self.python = Path(sys.executable)
        self._connection: psycopg.Connection[Any] | None = None
        self.nursery: Nursery | None = None
        self.database = postgres.clone(template)
        self._folder = folder
        folder.mkdir(exist_ok=True)
        self.director = Director(folder / "director")
        plugins = faults_plugins.install(folder / "plugins")
        servers = {**postgres.environment(self.database), **redis.environment()}
        self.settings = {
            "BATCH_SIZE": "10",
            "AL_LEARNER_RECONCILE_S": "1",
            "AL_LEARNER_REANNOUNCE_S": "2",
            "AL_LEARNER_CLASSIFIER": "complement-nb",
            "AL_LEARNER_VECTORIZER": "tfidf",  # word vectors would take a second in every process
            "AL_LEARNER_INIT_SAMPLER": "balanced",
            **settings,
        }
        self._environment = {**servers, "PYTHONPATH": os.pathsep.join([str(ROOT), str(plugins)])}
        self.batch_size = int(self.settings["BATCH_SIZE"])
        self._min_label_count = int(self.settings.get("MIN_LABEL_COUNT", "1"))
        self._chance = random.Random(seed)
        self.texts = {n: self._text(n) for n in range(1, n_texts + 1)}
        truth = {n: label for n, (_, label) in self.texts.items()}
        self.predictor = Predictor(predictors, folder / "predictor", servers, seed=seed, write_s=write_s)
        self.voters = Voters(postgres, self.database, redis, truth, seed=seed, every=self.batch_size)
        self._numbers = itertools.count()
        self.workers: list[WorkerProcess] = []
        self.deleted: list[int] = []
        self._unvoted = [*self.texts]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.voters.stop()
        self.predictor.kill()
        self.postgres.drop(self.database)

    # -- filling it ---------------------------------------------------------------------------------------------

    def fill(self, *, with_labels: bool = True) -> Self:
        """Write the texts and then the labels, as db_helper does."""
        rows = [(text, False, False, False) for text, _ in self.texts.values()]
        with psycopg.connect(self.postgres.url(self.database)) as connection, connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO text_data (text_data, labeled, selected, taught) VALUES (%s, %s, %s, %s)", rows
            )
        if with_labels:
            self.add_labels()
        return self

    def add_labels(self) -> None:
        for label in LABELS:
            self.query("INSERT INTO labels (label) VALUES (%s)", label)

    def vote(self, n_texts: int | None = None) -> None:
        """Vote on so many texts that nobody was sent to before (default: a batch), and publish `update`."""
        n_texts = self.batch_size if n_texts is None else n_texts
        chosen, self._unvoted = self._unvoted[:n_texts], self._unvoted[n_texts:]
        assert len(chosen) == n_texts, "the stage has too few texts for so many votes"
        self.voters.give([(n, self.texts[n][1]) for n in chosen] * self._min_label_count)

    # -- who works on it ----------------------------------------------------------------------------------------

    @property
    def command(self) -> tuple[str | Path, ...]:
        """What starts a worker; its last word is the module."""
        return (self.python, *COMMAND[1:])

    def worker(
        self, *, dies: str | None = None, started: Sequence[str | Path] | None = None, **settings: Any
    ) -> WorkerProcess:
        """Return a worker, to be used in a with statement.

        Parameters
        ----------
        dies : str, optional
            The step at which it kills itself, once.
        started : sequence of str or Path, optional
            A command, to start the worker by; default: as the stage does it.
        """
        folder = self._folder / f"worker-{next(self._numbers)}"
        folder.mkdir()
        environment = {**self._environment, **self.settings, **{name: str(value) for name, value in settings.items()}}
        command = started or self.command
        if dies is not None:
            command = (*self.command[:-1], launcher)
            environment |= {"FAULTS_STEP": dies, "FAULTS_MARKER": str(folder / "marker")}
        nursery = self.nursery if started is None else None
        self.workers.append(WorkerProcess(environment, folder, command=command, nursery=nursery))
        return self.workers[-1]

    def staged(self) -> dict[str, str]:
        """Return the settings of workers whose classifier obeys the director."""
        params = json.dumps({"folder": str(self._folder / "director")})
        return {"AL_LEARNER_CLASSIFIER": faults_plugins.NAME, "AL_LEARNER_CLASSIFIER_PARAMS": params}

    def staged_aggregator(self) -> dict[str, str]:
        """Return the settings of workers whose label aggregator obeys the director."""
        classifier, params = self.staged().values()
        return {"AL_LEARNER_LABEL_AGGREGATOR": classifier, "AL_LEARNER_LABEL_AGGREGATOR_PARAMS": params}

    def wait_until_fitting(self, *, but: Sequence[int] = (), doing: str = "fitting") -> int:
        """Wait until a process fits, or does what `doing` says; return its process id. `but`: others."""
        found = wait_until(lambda: [*{*self.director.doing(doing)} - {*but}], f"a process to be {doing}")
        return int(found[0])

    # -- how it is ----------------------------------------------------------------------------------------------

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run one statement on a connection of its own, which no fault has cut yet."""
        with self.connected() as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def connected(self) -> Iterator[psycopg.Connection[Any]]:
        """Open a connection, for all queries within the block."""
        if self._connection is not None:
            yield self._connection
            return
        with self.postgres.connect(self.database) as connection:
            self._connection = connection
            try:
                yield connection
            finally:
                self._connection = None

    def value(self, statement: str, *values: Any) -> Any:
        return self.query(statement, *values)[0][0]

    def runs(self) -> list[tuple[str, str]]:
        """Return kind and status of every run, the oldest first."""
        return [*self.query("SELECT kind, status FROM al_runs ORDER BY run_id")]

    def new_samples(self) -> int:
        return sum(is_new for _, _, is_new in countable(self.query(VOTED), self._min_label_count))

    def n_deadlocks(self) -> int:
        """Return how many deadlocks PostgreSQL has found and broken."""
        return int(self.value("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"))

    def flag(self) -> str | None:
        with self.redis.client() as client:
            return client.get("queryFlag")  # type: ignore[return-value]  # redis says it may be awaited

    def assert_well(self) -> None:
        """Assert every invariant: once all is at rest, and again after one more batch of votes."""
        broken = self.broken()
        assert not broken, "\n".join(broken)

    def broken_now(self) -> list[str]:
        """Return the invariants that do not hold although they must at any time, also while everybody works."""
        stored = [*self.voters.stored]  # before the tables are read, so that what they lack is lost
        return [
            *broken_runs(self.query, self.batch_size, self.deleted),
            *broken_votes(self.query, stored, lambda: self.voters.given),
            *([f"{n} deadlocks"] if (n := self.n_deadlocks()) else []),
            *(f"a voter saw {error}" for error in self.voters.errors),
            *(f"the predictor failed: {error}" for error in self.predictor.errors()),
            *(f"a worker crashed: {worker.log}" for worker in self.workers if has_crashed(worker)),
        ]

    def broken(self) -> list[str]:
        """Return the invariants that do not hold: the function with which every scenario ends.

        The last votes make a batch complete, so that in the end no label may differ from what the votes say.
        """
        broken = self._unrest_in_the_end(at_most=self.batch_size - 1)
        if not broken:
            self._complete_the_batch()
            broken = self._unrest_in_the_end(at_most=0)
        return [*broken, *self.broken_now()]

    def _unrest_in_the_end(self, *, at_most: int) -> list[str]:
        try:
            wait_until(lambda: not self._unrest(at_most), "rest", deadline_s=CALM_S)
        except AssertionError:
            logs = [f"worker {number} logged\n{worker.log}" for number, worker in enumerate(self.workers)]
            return [*self._unrest(at_most), *logs]
        return []

    def _unrest(self, at_most: int) -> list[str]:
        """Return what is still to be done, as far as the tables and the predictor tell."""
        with self.connected():
            return self._unrest_of_tables(at_most) if self.has_runs() else ["there is no al_runs"]

    def _unrest_of_tables(self, at_most: int) -> list[str]:
        newest = self.query(
            "SELECT clf_id, extract(epoch FROM finished), announced IS NULL, metrics IS NULL, texts FROM al_runs"
            " WHERE status = 'succeeded' ORDER BY run_id DESC LIMIT 1"
        )
        if not newest:
            return ["no run has succeeded"]
        clf_id, finished, is_unheard, is_unscored, texts = newest[0]
        n_init = self.value("SELECT count(*) FROM init_data")
        samples = [*countable(self.query(VOTED), self._min_label_count)]
        n_new = sum(is_new for _, _, is_new in samples)
        wrote, heard = self.predictor.said("wrote"), self.predictor.said("heard")
        unrest = {
            f"{n_new} new samples are left": n_new > at_most,
            f"the newest classifier saw {texts} texts, but {len(samples)} count": at_most == 0
            and texts != len(samples) + n_init,
            "nobody was told of the newest classifier": is_unheard,
            "the newest classifier has no score": is_unscored,
            "nobody heard an update after the last commit": not heard or heard[-1]["at"] < finished,
            f"the predictor has not written what {clf_id} says": not wrote or wrote[-1]["clf_id"] != clf_id,
            "a text has no prediction": self.value("SELECT count(*) FROM text_data WHERE predicted_label IS NULL") > 0,
            "a run is on": self.value("SELECT count(*) FROM al_runs WHERE status = 'running'") > 0,
            "the app is locked": self.flag() != "available",
        }
        return [what for what, is_so in unrest.items() if is_so]

    def _complete_the_batch(self) -> None:
        """Outvote as many settled texts as a batch still lacks."""
        rows = self.query(VOTED)
        samples = {text_id: is_new for text_id, _, is_new in countable(rows, self._min_label_count)}
        settled = [row for row in rows if not samples.get(row[0], False)]
        missing = self.batch_size - sum(samples.values())
        votes = []
        for text_id, labels, major, _ in self._chance.sample(settled, missing):
            counts = Counter(label for label in labels or () if label)
            label = next(label for label in LABELS if label != major) if major else self.texts[text_id][1]
            n_votes = max(counts[major] - counts[label] + 1, self._min_label_count - counts.total())
            votes += [(text_id, label)] * n_votes
        self.voters.give(votes)

    def has_runs(self) -> bool:
        return bool(self.value("SELECT to_regclass('al_runs') IS NOT NULL"))

    def _text(self, number: int) -> tuple[str, str]:
        label = LABELS[number % len(LABELS)]
        words = [f"{label}{self._chance.randrange(8)}" for _ in range(4)]
        words += [f"word{self._chance.randrange(40)}" for _ in range(self._chance.randrange(3, 9))]
        return " ".join([*words, f"text{number}"]), label
