"""`al-learner health` beside a worker."""

from __future__ import annotations

from pathlib import Path

from al_learner.cli import EXIT_ERROR
from tests.acceptance.conftest import Cli
from tests.support.workers import WorkerProcess


def test_health_sees_a_worker(cli: Cli, project: str, tmp_path: Path) -> None:
    with WorkerProcess({"AL_LEARNER_DATABASE_URL": project}, tmp_path) as worker:
        worker.wait_for("run.finished")
        seen = cli("health", AL_LEARNER_HEARTBEAT_FILE=str(worker.heartbeat))

    assert (seen.returncode, seen.stdout.startswith("alive: ")) == (0, True)


def test_a_worker_touches_nothing_through_a_link_and_health_says_so(cli: Cli, project: str, tmp_path: Path) -> None:
    (tmp_path / "heartbeat").symlink_to(tmp_path / "precious")

    with WorkerProcess({"AL_LEARNER_DATABASE_URL": project}, tmp_path) as worker:
        failed = worker.wait_for("heartbeat.failed", level="warning")
        seen = cli("health", AL_LEARNER_HEARTBEAT_FILE=str(worker.heartbeat))

    assert str(worker.heartbeat) in failed["error"]
    assert not (tmp_path / "precious").exists()
    assert (seen.returncode, seen.stderr) == (EXIT_ERROR, f"error: {worker.heartbeat}: not a regular file\n")
