"""``python -m benchmarks.startup``: how fast command line and worker start, and which packages they load."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks import report
from benchmarks.app import App, make_template
from benchmarks.common import OURS, end_tidily, say
from benchmarks.process import own_environment, without_settings
from tests.support import servers
from tests.support.waiting import wait_until
from tests.support.workers import WorkerProcess

HEAVY = ("sklearn", "scipy", "lightgbm", "pandas")
TRAINER_DEADLINE_S = 60
RESTS_FOR_S = 0.3


def main() -> None:
    """Measure, print the table and write the JSON file."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.startup", description=__doc__)
    options.add_argument("--repeat", type=int, default=10)
    options.add_argument("--json", type=Path, help="default: benchmarks/results/startup.json")
    chosen = options.parse_args()
    end_tidily()
    without_settings()
    with servers.running() as running:
        template = make_template(running[0], "bench_texts", [("a text", "a"), ("another", "b")])
        helps = [help_s() for _ in range(chosen.repeat + 1)][1:]  # the first run fills the cache of the disk
        workers = [worker(running, template) for _ in range(chosen.repeat + 1)][1:]
        machine = report.machine(*running)
    rows = [
        _row("`al-learner --help`, s", helps),
        _row("worker: start to subscribed, s", [w["subscribed_s"] for w in workers]),
        _row("worker: start to trainer ready, s", [w["trainer_ready_s"] for w in workers]),
        _row("idle parent, MiB", [w["parent_mib"] for w in workers], digits=0),
        _row("idle trainer, MiB", [w["trainer_mib"] for w in workers], digits=0),
    ]
    print(report.markdown(["", "median", "minimum", "maximum", "runs"], rows))
    for who in ("parent", "trainer"):
        loaded = sorted({name for w in workers for name in w[f"{who}_loads"]})
        print(f"\nThe {who} has loaded of {', '.join(HEAVY)}: {', '.join(loaded) or 'none'}.")
    path = report.write("startup", chosen.json, {"machine": machine, "help_s": helps, "workers": workers})
    say(f"raw figures: {path}")


def help_s() -> float:
    """Return the seconds that ``al-learner --help`` takes."""
    program = Path(sys.executable).with_name("al-learner")
    started = time.monotonic()
    subprocess.run([program, "--help"], check=True, stdout=subprocess.DEVNULL, env=own_environment())
    return time.monotonic() - started


def worker(running: tuple[servers.Postgres, servers.Redis], template: str) -> dict[str, Any]:
    """Start a worker on new tables. Return when it had subscribed, when its trainer was ready, and their memory."""
    with (
        App(*running, template, []) as app,
        tempfile.TemporaryDirectory(prefix="al-learner-bench-") as folder,
    ):
        started = time.monotonic()
        with WorkerProcess(app.environment, Path(folder), command=OURS) as process:
            process.wait_for("redis.subscribed")
            subscribed_s = time.monotonic() - started
            trainer = psutil.Process(process.trainer_pid)
            wait_until(lambda: _rests(trainer), "the trainer to be idle", deadline_s=TRAINER_DEADLINE_S)
            ready_s = time.monotonic() - started - RESTS_FOR_S
            parent = psutil.Process(process.pid)
            return {
                "subscribed_s": subscribed_s,
                "trainer_ready_s": ready_s,
                "parent_mib": parent.memory_info().rss / 2**20,
                "trainer_mib": trainer.memory_info().rss / 2**20,
                "parent_loads": _loaded(parent),
                "trainer_loads": _loaded(trainer),
            }


def _rests(process: psutil.Process) -> bool:
    """Whether a process that has imported scikit-learn does nothing for a while."""
    if "sklearn" not in _loaded(process):
        return False
    before = process.cpu_times().user
    time.sleep(RESTS_FOR_S)
    return process.cpu_times().user - before < RESTS_FOR_S / 10


def _loaded(process: psutil.Process) -> list[str]:
    """Return the heavy packages whose compiled code is mapped into the memory of a process."""
    paths = [Path(mapping.path).parts for mapping in process.memory_maps()]
    return [name for name in HEAVY if any(name in parts for parts in paths)]


def _row(name: str, values: list[float], *, digits: int = 2) -> list[str]:
    return [name, *(f"{figure(values):.{digits}f}" for figure in (statistics.median, min, max)), str(len(values))]


if __name__ == "__main__":
    main()
