"""``python -m benchmarks.busy``: how long a batch takes while the worker scores and chooses. See README.md."""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

import psycopg

from benchmarks import corpus as corpora
from benchmarks import report
from benchmarks.app import App
from benchmarks.campaign import BATCH_SIZE, Bench
from benchmarks.common import OURS, end_tidily, numbers, say
from benchmarks.process import Worker, without_settings
from tests.support import servers
from tests.support.waiting import wait_until

CHOOSE_AGAIN = """
    UPDATE al_runs SET choice = (choice::jsonb || '{"labels": 1}')::json
    WHERE run_id = (SELECT max(run_id) FROM al_runs WHERE choice IS NOT NULL)
"""
"""The last choice counts as one that was made with a single label, so another one is due."""

IS_CHOOSING = "SELECT (choice ->> 'labels')::int = 1 FROM al_runs WHERE choice IS NOT NULL ORDER BY run_id DESC LIMIT 1"


def main() -> None:
    """Measure, print the table and write the JSON file."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.busy", description=__doc__)
    options.add_argument("--data", type=Path, default=corpora.DEMO, help="JSON lines (.gz) with text and label")
    options.add_argument("--texts", type=int, help="number of texts to use, chosen at random; default: all")
    options.add_argument("--labels", type=numbers, default=(1_000, 5_000), help="labelled texts: 1000,5000")
    options.add_argument("--rounds", type=int, default=4, help="rounds of quiet and of busy batches, in turn")
    options.add_argument("--batches", type=int, default=10, help="batches in a round")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--deadline-s", type=float, default=900)
    options.add_argument("--json", type=Path, help="default: benchmarks/results/busy.json")
    chosen = options.parse_args()
    end_tidily()
    without_settings()
    corpus = corpora.read(chosen.data, limit=chosen.texts, seed=chosen.seed)
    with servers.running() as running:
        bench = Bench.of(running, corpus, seed=chosen.seed, deadline_s=chosen.deadline_s, say=say)
        measured = [_Life(bench, chosen).at(labels) for labels in chosen.labels]
        machine = report.machine(*running)
    header = ["labels", "quiet, s", "95%", "busy, s", "95%", "ratio", "95%", "while choosing", "scoring process, MiB"]
    print(report.markdown(header, [_row(one) for one in measured]))
    say(f"raw figures: {report.write('busy', chosen.json, {'machine': machine, 'measured': measured})}")


class _Life:
    """A worker with the default strategies, on a database of its own."""

    def __init__(self, bench: Bench, options: argparse.Namespace) -> None:
        self._bench, self._options = bench, options
        self._labelled = 0

    def at(self, labels: int) -> dict[str, Any]:
        """Label so many texts, and measure rounds of quiet and of busy batches in turn."""
        bench, options = self._bench, self._options
        names = sorted(set(bench.label_of.tolist()))
        found: dict[str, Any] = {"labels": labels, "quiet": [], "busy": [], "choosing": 0, "scoring_mib": 0.0}
        with (
            App(bench.postgres, bench.redis, bench.template, names) as app,
            tempfile.TemporaryDirectory(prefix="al-learner-bench-") as folder,
            psycopg.connect(bench.postgres.url(app.database), autocommit=True) as connection,
        ):
            settings = {"BATCH_SIZE": str(BATCH_SIZE), "AL_LEARNER_HEARTBEAT_FILE": str(Path(folder) / "heartbeat")}
            with Worker(OURS, app.environment | settings, Path(folder)) as worker:
                wait_until(app.is_received, "the worker to subscribe")
                app.end_loading()
                self._batch(app, worker, labels)
                worker.rest(options.deadline_s)
                for number in range(options.rounds):
                    for _ in range(options.batches):
                        found["quiet"].append(self._batch(app, worker))
                        worker.rest(options.deadline_s)
                    connection.execute(CHOOSE_AGAIN)
                    self._batch(app, worker)  # the choice begins after it
                    for _ in range(options.batches):
                        found["choosing"] += bool(connection.execute(IS_CHOOSING).fetchone()[0])  # type: ignore[index]  # there is a choice
                        found["busy"].append(self._batch(app, worker))
                    found["scoring_mib"] = max(found["scoring_mib"], worker.lowest_priority_mib())
                    worker.rest(options.deadline_s)
                    say(f"{labels:,} labels, round {number + 1} of {options.rounds}")
        return found

    def _batch(self, app: App, worker: Worker, new: int = BATCH_SIZE) -> float:
        """Return the seconds from the message about new votes to the announcement."""
        app.vote(*self._bench.labels(self._labelled, self._labelled + new))
        self._labelled += new
        return app.seconds_until_announced("update", is_alive=worker.is_alive, deadline_s=self._options.deadline_s)[0]


def _row(found: dict[str, Any]) -> list[str]:
    quiet, busy = ((statistics.median(found[name]), _high(found[name])) for name in ("quiet", "busy"))
    ratios = (f"{b / q:.2f}" for q, b in zip(quiet, busy, strict=True))
    seconds = (f"{value:.2f}" for value in (*quiet, *busy))
    share = f"{found['choosing']} of {len(found['busy'])}"
    return [f"{found['labels']:,}", *seconds, *ratios, share, f"{found['scoring_mib']:.0f}"]


def _high(values: list[float]) -> float:
    """Return the 95th percentile."""
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


if __name__ == "__main__":
    main()
