"""In a pod beside Services whose names begin with al-learner."""

from __future__ import annotations

from pathlib import Path

from al_learner.worker import EXIT_OK
from tests.acceptance.conftest import Cli
from tests.support.workers import WorkerProcess

SERVICES = {
    "AL_LEARNER_SERVICE_HOST": "10.0.0.7",
    "AL_LEARNER_SERVICE_PORT": "8000",
    "AL_LEARNER_SERVICE_PORT_HTTP": "8000",
    "AL_LEARNER_PORT": "tcp://10.0.0.7:8000",
    "AL_LEARNER_PORT_8000_TCP": "tcp://10.0.0.7:8000",
    "AL_LEARNER_PORT_8000_TCP_PROTO": "tcp",
    "AL_LEARNER_PORT_8000_TCP_PORT": "8000",
    "AL_LEARNER_PORT_8000_TCP_ADDR": "10.0.0.7",
    "AL_LEARNER_HTTP_PORT": "tcp://10.0.0.7:8000",
}


def test_a_command_runs_and_says_once_what_it_ignores(cli: Cli, project: str) -> None:
    for words in (("status",), ("models",), ("config",)):
        done = cli(*words, AL_LEARNER_DATABASE_URL=project, **SERVICES)
        assert (done.returncode, done.stderr.count("settings.ignored")) == (0, 1), done.stderr
        assert all(name in done.stderr for name in SERVICES)


def test_a_worker_runs_and_says_once_what_it_ignores(project: str, tmp_path: Path) -> None:
    with WorkerProcess({"AL_LEARNER_DATABASE_URL": project, **SERVICES}, tmp_path) as worker:
        worker.wait_for("run.scored")
        worker.terminate()
        assert worker.wait() == EXIT_OK

    assert worker.stray == []
    [ignored] = worker.logged("settings.ignored")
    assert ignored["variables"].split(", ") == sorted(SERVICES)


def test_a_mistake_is_still_an_error(cli: Cli, project: str) -> None:
    wrong = cli("status", AL_LEARNER_DATABASE_URL=project, AL_LEARNER_CLASSIFER="sgd", **SERVICES)
    assert "error: AL_LEARNER_CLASSIFER is not a setting; did you mean 'AL_LEARNER_CLASSIFIER'" in wrong.stderr
    assert wrong.stderr.count("error:") == 1
