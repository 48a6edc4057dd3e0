"""A soak: workers, a predictor and annotators at work, while everything is killed again and again.

Run it with ``python -m tests.faults.soak --minutes 10 --kills 100 --seed 1``. A seed fixes what happens to whom and
when; what it meets does not repeat. In the end every invariant must hold, or the exit code is 1.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil

from tests.support import interpreters, servers
from tests.support.faults import Stage, make_template
from tests.support.faults_actors import PACKAGES, Predictors
from tests.support.faults_processes import family
from tests.support.faults_servers import LOCKED, WORKERS, cut, full_disk, heal, paused, terminate
from tests.support.waiting import wait_until
from tests.support.workers import WorkerProcess

N_WORKERS = 2
N_ANNOTATORS = 4
PAUSE_S = 0.2
"""Between an annotator's votes."""

TEXTS_A_MINUTE = 500
OTHERS_A_KILL = 0.5
LONGEST_S = 2.0
"""How long a pause, a full disk or a lock lasts, at most."""

GATES = ("warn", "off")


class Soak:
    """What can be done to a stage on which `N_WORKERS` workers are kept running, as Docker would."""

    def __init__(self, stage: Stage, chance: random.Random) -> None:
        self.stage, self._chance = stage, chance
        self.faults: Counter[str] = Counter()
        self._over = threading.Event()
        self._running: dict[int, WorkerProcess] = {}
        self._keepers = [threading.Thread(target=self._keep, args=(n,), daemon=True) for n in range(N_WORKERS)]
        self._kills: dict[str, tuple[Callable[[], object], int]] = {
            "worker killed": (self._kill_worker, 9),
            "training process killed": (self._kill_child, 5),
            "predictor killed": (self._kill_predictor, 3),
            "PostgreSQL backend killed": (self._kill_backend, 2),
            "Redis killed": (self._kill_redis, 1),
        }
        self._others: dict[str, tuple[Callable[[], object], int]] = {
            "worker told to stop": (self._stop_worker, 3),
            "PostgreSQL stopped at once and restarted": (self._restart_postgresql, 1),
            "connections of workers terminated": (lambda: self._terminate(WORKERS), 2),
            "connection with the lock terminated": (lambda: self._terminate(LOCKED), 4),
            "disk full": (self._fill_disk, 2),
            "rows locked": (self._lock_rows, 3),
            "texts changed": (self._change_texts, 1),
            "newest classifier deleted": (self._delete_classifier, 2),
            "table al_workers dropped": (lambda: stage.query("DROP TABLE IF EXISTS al_workers"), 1),
            "Redis connections closed": (lambda: cut(stage.redis, "normal"), 1),
            "Redis subscriptions closed": (lambda: cut(stage.redis, "pubsub"), 2),
            "Redis emptied": (self._empty_redis, 2),
            "Redis paused": (self._pause_redis, 2),
        }

    def run(self, minutes: float, n_kills: int) -> None:
        """Do it all, and leave a stage on which nothing happens any more but that its workers go on."""
        started, ends_s = time.monotonic(), minutes * 60
        plan = [(self._chance.uniform(0, ends_s), self._kills) for _ in range(n_kills)]
        plan += [(self._chance.uniform(0, ends_s), self._others) for _ in range(int(n_kills * OTHERS_A_KILL))]
        self.stage.predictor.start()
        self.stage.voters.start(N_ANNOTATORS, pause_s=PAUSE_S)
        for keeper in self._keepers:
            keeper.start()
        wait_until(lambda: len(self._running) == N_WORKERS, "the workers")
        for at_s, faults in sorted(plan, key=lambda planned: planned[0]):
            self._over.wait(started + at_s - time.monotonic())
            [name] = self._chance.choices([*faults], [weight for _, weight in faults.values()])
            faults[name][0]()
            heal(self.stage.postgres, self.stage.redis)
            self.faults[name] += 1
        self._over.wait(started + ends_s - time.monotonic())
        self.stage.voters.stop()

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
            with self.stage.worker(AL_LEARNER_GATE=random.choice(GATES)) as worker:
                self._running[number] = worker
                worker.process.wait()

    def _worker(self) -> WorkerProcess:
        return self._chance.choice([*self._running.values()])

    def _kill_worker(self) -> None:
        self._worker().kill()

    def _stop_worker(self) -> None:
        self._worker().terminate()

    def _kill_child(self) -> None:
        for process in family(self._worker().pid):
            with suppress(psutil.NoSuchProcess):
                if any("spawn_main" in word for word in process.cmdline()):
                    process.kill()

    def _kill_predictor(self) -> None:
        self.stage.predictor.kill()
        self.stage.predictor.start()

    def _kill_backend(self) -> None:
        """Make PostgreSQL think of a crash: it ends every connection and recovers."""
        for (pid,) in self.stage.query("SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'al-learner %%'"):
            with suppress(psutil.NoSuchProcess):
                return psutil.Process(pid).kill()
        return None

    def _restart_postgresql(self) -> None:
        self.stage.postgres.stop(immediate=True)

    def _terminate(self, which: str) -> None:
        terminate(self.stage.postgres, self.stage.database, which)

    def _fill_disk(self) -> None:
        with full_disk(self.stage.postgres, self.stage.database, "classifiers"):
            self._over.wait(self._chance.uniform(0, LONGEST_S))

    def _lock_rows(self) -> None:
        with self.stage.postgres.connect(self.stage.database) as connection, connection.transaction():
            connection.execute("SELECT FROM text_data ORDER BY random() LIMIT 5 FOR UPDATE")
            self._over.wait(self._chance.uniform(0, LONGEST_S))

    def _change_texts(self) -> None:
        self.stage.query("UPDATE text_data SET text_data = text_data || ' again' WHERE text_id % 50 = 0")

    def _delete_classifier(self) -> None:
        newest = "(SELECT max(clf_id) FROM classifiers)"
        for (clf_id,) in self.stage.query(f"DELETE FROM classifiers WHERE clf_id = {newest} RETURNING clf_id"):
            self.stage.deleted.append(clf_id)

    def _kill_redis(self) -> None:
        self.stage.redis.stop()

    def _empty_redis(self) -> None:
        with self.stage.redis.client() as client:
            client.flushall()

    def _pause_redis(self) -> None:
        with paused(self.stage.redis):
            self._over.wait(self._chance.uniform(0, LONGEST_S))


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
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
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
        stage.settings |= stage.staged()
        stage.director.order("linger")  # or a kill would hardly ever meet a run
        soak = Soak(stage, chance)
        stack.callback(soak.stop)
        soak.run(wanted.minutes, wanted.kills)
        broken = stage.broken()
        print(report(soak, broken), *broken, sep="\n")  # noqa: T201 - what it is run for
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
