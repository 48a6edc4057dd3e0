"""A soak: workers, a predictor and annotators at work, while all kinds of faults happen to them.

Run it with ``python -m tests.faults.soak --minutes 30 --faults 1000 --seed 1``. A seed fixes what happens to whom and
when; what it meets does not repeat. Every minute, and in the end, every invariant must hold, or the exit code is 1.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext, suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg

from tests.support import interpreters, servers
from tests.support.faults import Stage, make_template
from tests.support.faults_actors import PACKAGES, Predictors, Vote
from tests.support.faults_processes import family
from tests.support.faults_servers import LOCKED, WORKERS, cut, full_disk, heal, paused, silent_session, terminate
from tests.support.waiting import wait_until
from tests.support.workers import WorkerProcess

N_WORKERS = 2
N_ANNOTATORS = 4
CHECK_S = 60
"""How often the invariants are checked."""

PAUSE_S = 0.2
"""Between an annotator's votes."""

TEXTS_A_MINUTE = 500
LONGEST_S = 2.0
"""How long a pause, a full disk or a lock lasts, at most."""

TRAIN_TIMEOUT_S = 20
"""Longer than a training process takes to start on a busy machine. Some are stopped, and never go on."""

GATES = ("warn", "off")

LOCK_SOME = """
    SELECT FROM text_data WHERE text_id IN (SELECT text_id FROM text_data ORDER BY random() LIMIT 5)
    FOR UPDATE SKIP LOCKED
"""
CHANGE_SOME = """
    WITH taken AS (SELECT text_id FROM text_data WHERE text_id % 50 = 0 FOR UPDATE SKIP LOCKED)
    UPDATE text_data SET text_data = text_data || ' again' WHERE text_id IN (SELECT text_id FROM taken)
"""
"""Both wait for no row while they hold others, or PostgreSQL would have deadlocks to break."""


class Soak:
    """What can be done to a stage on which `N_WORKERS` workers are kept running, as Docker would."""

    def __init__(self, stage: Stage, chance: random.Random) -> None:
        self.stage, self._chance = stage, chance
        self.faults: Counter[str] = Counter()
        self.broken: list[str] = []
        self._over = threading.Event()
        self._running: dict[int, WorkerProcess] = {}
        self._keepers = [threading.Thread(target=self._keep, args=(n,), daemon=True) for n in range(N_WORKERS)]
        self._backed_up: list[Vote] | None = None
        self._faults: dict[str, tuple[Callable[[], object], int]] = {
            "worker killed": (self._kill_worker, 9),
            "child process killed": (lambda: self._signal_child(signal.SIGKILL), 5),
            "child process stopped for a while": (self._pause_child, 3),
            "child process stopped for good": (lambda: self._signal_child(signal.SIGSTOP), 1),
            "predictor killed": (self._kill_predictor, 3),
            "worker told to stop": (self._stop_worker, 3),
            "PostgreSQL backend killed": (self._kill_backend, 2),
            "PostgreSQL stopped at once and restarted": (self._restart_postgresql, 1),
            "PostgreSQL replaced by a replica": (stage.postgres.fail_over, 1),
            "database restored from a backup": (self._restore, 1),
            "connections of workers terminated": (lambda: self._terminate(WORKERS), 2),
            "connection with the lock terminated": (lambda: self._terminate(LOCKED), 4),
            "connection silent": (lambda: self._last(silent_session(stage.postgres)), 2),
            "disk full": (self._fill_disk, 2),
            "rows locked": (lambda: self._lock(LOCK_SOME), 3),
            "table locked": (lambda: self._lock("LOCK TABLE text_data"), 2),
            "texts changed": (self._change_texts, 1),
            "newest classifier deleted": (self._delete_classifier, 2),
            "table al_workers dropped": (lambda: stage.query("DROP TABLE IF EXISTS al_workers"), 1),
            "Redis killed": (stage.redis.stop, 1),
            "Redis connections closed": (lambda: cut(stage.redis, "normal"), 1),
            "Redis subscriptions closed": (lambda: cut(stage.redis, "pubsub"), 2),
            "Redis emptied": (self._empty_redis, 2),
            "Redis paused": (lambda: self._last(paused(stage.redis)), 2),
        }

    def run(self, minutes: float, n_faults: int) -> None:
        """Do it all, and leave a stage on which nothing happens any more but that its workers go on."""
        started, ends_s = time.monotonic(), minutes * 60
        self.stage.predictor.start()
        self.stage.voters.start(N_ANNOTATORS, pause_s=PAUSE_S)
        for keeper in self._keepers:
            keeper.start()
        wait_until(lambda: len(self._running) == N_WORKERS, "the workers")
        names = self._chance.choices([*self._faults], [weight for _, weight in self._faults.values()], k=n_faults)
        n_checks = 0
        for at_s, name in zip(sorted(self._chance.uniform(0, ends_s) for _ in names), names, strict=True):
            self._over.wait(started + at_s - time.monotonic())
            self._faults[name][0]()
            heal(self.stage.postgres, self.stage.redis)
            self.faults[name] += 1
            if time.monotonic() > started + CHECK_S * (n_checks + 1):
                n_checks += 1
                self._check(time.monotonic() - started)
        self._over.wait(started + ends_s - time.monotonic())
        self.stage.voters.stop()

    def _check(self, seconds: float) -> None:
        """Check what must hold at any time, and print a line."""
        found = self.stage.broken_now() if self.stage.has_runs() else []
        new = [one for one in found if one not in self.broken]
        self.broken += new
        line = f"{seconds / 60:4.1f} min: {self.faults.total()} faults, {len(self.stage.voters.stored)} votes"
        print(f"{line}, invariants broken: {len(self.broken)}", *new, sep="\n", flush=True)  # noqa: T201 - what it is run for

    def stop(self) -> None:
        """Stop the workers."""
        self._over.set()
        for worker in [*self._running.values()]:
            worker.terminate()
        for keeper in self._keepers:
            keeper.join()

    def _keep(self, number: int) -> None:
        while not self._over.is_set():
            # Two workers often have different settings, as in a rolling update.
            aggregator = random.choice([{}, self.stage.staged_aggregator()])
            with self.stage.worker(AL_LEARNER_GATE=random.choice(GATES), **aggregator) as worker:
                self._running[number] = worker
                worker.process.wait()

    def _last(self, fault: AbstractContextManager[object]) -> None:
        """Let a fault last for some time."""
        with fault:
            self._over.wait(self._chance.uniform(0, LONGEST_S))

    def _worker(self) -> WorkerProcess:
        return self._chance.choice([*self._running.values()])

    def _kill_worker(self) -> None:
        self._worker().kill()

    def _stop_worker(self) -> None:
        self._worker().terminate()

    def _signal_child(self, number: signal.Signals) -> list[psutil.Process]:
        """Send a signal to one of a worker's child processes. Return it, or nothing where there is none."""
        found = []
        with suppress(psutil.NoSuchProcess):
            children = family(self._worker().pid)
            found = [child for child in children if any("spawn_main" in word for word in child.cmdline())]
        for child in found[:1] if number != signal.SIGKILL else found:
            with suppress(psutil.NoSuchProcess):
                child.send_signal(number)
        return found[:1]

    def _pause_child(self) -> None:
        stopped = self._signal_child(signal.SIGSTOP)
        self._over.wait(self._chance.uniform(0, LONGEST_S))
        for child in stopped:
            with suppress(psutil.NoSuchProcess):
                child.resume()

    def _kill_predictor(self) -> None:
        self.stage.predictor.kill()
        self.stage.predictor.start()

    def _kill_backend(self) -> None:
        """Make PostgreSQL think of a crash: it ends every connection and recovers. Return when it has begun to."""
        with closing(self.stage.postgres.connect(self.stage.database)) as connection:
            backends = connection.execute(f"SELECT pid FROM pg_stat_activity WHERE {WORKERS}")
            for (pid,) in backends.fetchmany(1):
                with suppress(psutil.NoSuchProcess):
                    psutil.Process(pid).kill()
                    wait_until(lambda: _is_cut(connection), "PostgreSQL to end this connection")

    def _restart_postgresql(self) -> None:
        self.stage.postgres.stop(immediate=True)

    def _restore(self) -> None:
        """Restore the last backup, with which all later votes and classifiers are lost; then make the next backup.

        Nobody votes meanwhile, so that it is certain which votes the backup has.
        """
        stage = self.stage
        stage.voters.stop()
        if self._backed_up is not None:
            stage.postgres.restore(stage.database)
            stage.voters.stored = self._backed_up
        stage.postgres.back_up(stage.database)
        self._backed_up = [*stage.voters.stored]
        stage.voters.start(N_ANNOTATORS, pause_s=PAUSE_S)

    def _terminate(self, which: str) -> None:
        terminate(self.stage.postgres, self.stage.database, which)

    def _fill_disk(self) -> None:
        table = self._chance.choice(["classifiers", "countvecs", "al_runs"])
        if self.stage.has_runs():
            self._last(full_disk(self.stage.postgres, self.stage.database, table))

    def _lock(self, statement: str) -> None:
        with self.stage.postgres.connect(self.stage.database) as connection, connection.transaction() as transaction:
            connection.execute(statement)
            self._last(nullcontext(transaction))

    def _change_texts(self) -> None:
        self.stage.query(CHANGE_SOME)

    def _delete_classifier(self) -> None:
        newest = "(SELECT max(clf_id) FROM classifiers)"
        for (clf_id,) in self.stage.query(f"DELETE FROM classifiers WHERE clf_id = {newest} RETURNING clf_id"):
            self.stage.deleted.append(clf_id)

    def _empty_redis(self) -> None:
        with self.stage.redis.client() as client:
            client.flushall()


def _is_cut(connection: psycopg.Connection[Any]) -> bool:
    try:
        connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return True
    return False


def report(soak: Soak, broken: list[str]) -> str:
    """Return the counts, a line each."""
    stage = soak.stage
    faults = (f"  {number:4} {name}" for name, number in soak.faults.most_common())
    statuses = stage.query("SELECT status, count(*) FROM al_runs GROUP BY status ORDER BY 2 DESC")
    lines = [
        f"faults: {soak.faults.total()}",
        *faults,
        f"worker's lives: {len(stage.workers)}",
        f"runs: {sum(number for _, number in statuses)}",
        *(f"  {number:4} {status}" for status, number in statuses),
        f"texts: {len(stage.texts)}, {stage.value('SELECT count(*) FROM text_data WHERE taught')} of them trained on",
        f"votes: {len(stage.voters.stored)}",
        f"publications: {stage.voters.publications} to the learner, {len(stage.predictor.said('heard'))} heard from it",
        f"invariants broken: {len(broken)}",
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--faults", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--defaults", action="store_true", help="the strategies of a new project, not a classifier that lingers in fits"
    )
    wanted = parser.parse_args()
    chance = random.Random(wanted.seed)
    n_texts = max(TEXTS_A_MINUTE, int(wanted.minutes * TEXTS_A_MINUTE))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="al-learner-soak-")))
        predictors = stack.enter_context(Predictors(interpreters.make(folder / "venv", PACKAGES)))
        python = interpreters.make(folder / "worker", interpreters.WORKER)
        postgres, redis = stack.enter_context(servers.running())
        make_template(postgres)
        stage = stack.enter_context(Stage(postgres, redis, predictors, folder / "stage", n_texts=n_texts)).fill()
        stage.python = python
        stage.settings["AL_LEARNER_TRAIN_TIMEOUT_S"] = str(TRAIN_TIMEOUT_S)
        if wanted.defaults:
            for kind in ("CLASSIFIER", "VECTORIZER", "INIT_SAMPLER"):
                del stage.settings[f"AL_LEARNER_{kind}"]
        else:
            stage.settings |= stage.staged()
            stage.director.order("linger")  # or a kill would hardly ever meet a run
        soak = Soak(stage, chance)
        stack.callback(soak.stop)
        soak.run(wanted.minutes, wanted.faults)
        broken = [*soak.broken, *stage.broken()]
        print(report(soak, broken), *broken, sep="\n")  # noqa: T201 - what it is run for
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
