"""A process that is forked with its imports done is, from outside, the one that a command starts."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.acceptance.conftest import AL_LEARNER
from tests.support import forks
from tests.support.faults_processes import wait_for_end
from tests.support.workers import WorkerProcess


@pytest.fixture(scope="module")
def nursery() -> Iterator[forks.Nursery]:
    with forks.Nursery(forks.WORKER) as nursery:
        yield nursery


@pytest.fixture
def forked(nursery: forks.Nursery, tmp_path: Path) -> WorkerProcess:
    """A worker that waits for a database."""
    return WorkerProcess({"PGHOST": "127.0.0.1", "PGPORT": "1"}, tmp_path, nursery=nursery)


def test_it_writes_the_same_and_has_the_same_exit_code(nursery: forks.Nursery, tmp_path: Path) -> None:
    wrong = {"PGHOST": "127.0.0.1", "BATCH_SIZE": "ten", "AL_LEARNER_CLASSIFIER": "logregg"}
    forked, started = WorkerProcess(wrong, tmp_path, nursery=nursery), WorkerProcess(wrong, tmp_path)
    with forked, started:
        assert forked.wait() == started.wait() == 1
        assert forked.log == started.log != ""


def test_it_leads_a_session_and_stops_on_a_signal(forked: WorkerProcess) -> None:
    with forked as worker:
        worker.wait_for("database.waiting")
        assert os.getsid(worker.pid) == worker.pid
        assert worker.process.poll() is None
        worker.terminate()
        assert worker.wait() == 0


def test_its_end_by_a_signal_is_reported(forked: WorkerProcess) -> None:
    with forked as worker:
        assert worker.wait_for("worker.started")["pid"] == worker.pid
        worker.kill()
        assert worker.wait() == -signal.SIGKILL


def test_its_training_process_is_its_child_and_ends_with_it(forked: WorkerProcess) -> None:
    with forked as worker:
        trainer = psutil.Process(worker.trainer_pid)
        assert trainer.ppid() == worker.pid
        worker.kill()
        wait_for_end([trainer])


@pytest.mark.parametrize("arguments", [("--version",), ("trane",), ("predict", "-", "--database", "sqlite:///none.db")])
def test_a_command_answers_as_the_installed_one(
    nursery: forks.Nursery, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    nursery.install(AL_LEARNER, tmp_path)

    forked, installed = (
        subprocess.run([command, *arguments], input="a text\n", capture_output=True, text=True, check=False, timeout=60)
        for command in (tmp_path / AL_LEARNER.name, AL_LEARNER)
    )

    assert (forked.returncode, forked.stdout, forked.stderr) == (
        installed.returncode,
        installed.stdout,
        installed.stderr,
    )
