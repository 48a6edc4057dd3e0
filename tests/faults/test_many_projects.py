"""One worker of many projects: each has its own servers, and none of them keeps the others waiting."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support import faults_plugins
from tests.support.cluster import ROOT
from tests.support.corpora import add_weather
from tests.support.faults_plugins import NAME, Director
from tests.support.tables import PostgresqlTables
from tests.support.waiting import wait_until
from tests.support.workers import WorkerProcess

PROGRAM = "import sys; from pathlib import Path; from al_learner.worker import main; sys.exit(main(Path(sys.argv[1])))"


class Projects:
    """Databases with a settings file each, in one folder."""

    def __init__(self, folder: Path, servers) -> None:
        self.folder, self._servers = folder, servers
        folder.mkdir()
        self.tables: dict[str, PostgresqlTables] = {}

    def add(self, name: str, *lines: str, votes: int = 10) -> PostgresqlTables:
        """Add a project with texts, of which ten are enough for a run."""
        tables = self.tables[name] = PostgresqlTables(self._servers[0], "labelforward")
        add_weather(tables, votes)
        self.put(name, f'database_url = "{tables.url}"', *lines)
        return tables

    def put(self, name: str, *lines: str) -> None:
        new = self.folder / f"{name}.new"
        given = ('vectorizer = "tfidf"', "reconcile_s = 1", *lines)
        new.write_text("\n".join([*(() if any("classifier" in line for line in lines) else ('classifier = "logreg"',)),
                                  *given]), encoding="utf-8")  # fmt: skip
        new.replace(self.folder / f"{name}.toml")

    def runs(self, name: str) -> list[str]:
        return [row[0] for row in self.tables[name].query("SELECT status FROM al_runs ORDER BY run_id")]

    def close(self) -> None:
        for tables in self.tables.values():
            tables.close()


@pytest.fixture
def projects(tmp_path, servers) -> Iterator[Projects]:
    made = Projects(tmp_path / "projects", servers)
    yield made
    made.close()


@pytest.fixture
def worker(projects, tmp_path):
    path = f"{faults_plugins.install(tmp_path / 'plugins')}:{ROOT}"

    def start(**environment: str) -> WorkerProcess:
        command = (sys.executable, "-W", "error", "-c", PROGRAM, str(projects.folder))
        given = {"AL_LEARNER_TRAINERS": "1", "PYTHONPATH": path}
        given["OPENBLAS_NUM_THREADS"] = "2"  # as elsewhere: what is forked has threads then
        given |= {name.upper(): value for name, value in environment.items()}
        return WorkerProcess(given, tmp_path, command=command)

    return start


def test_projects_come_change_and_go_while_the_worker_runs(projects, worker):
    projects.add("news")
    with worker(pghost="127.0.0.1", pgport="1", redis_host="127.0.0.1", redis_port="1") as process:
        process.wait_for("run.scored", project="news")
        assert process.logged("redis.not_configured", project="news")

        mail = projects.add("mail")
        process.wait_for("run.scored", project="mail")
        assert projects.runs("mail") == projects.runs("news") == ["succeeded"]

        projects.put("news", f'database_url = "{projects.tables["news"].url}"', "batch_size = 0", "nonsense = 1")
        projects.put("bad", "batch_size = 3")
        refused = [process.wait_for("project.refused", problem=problem) for problem in (
            f"{projects.folder}/bad.toml: database_url is missing; every project names its own",
            f"{projects.folder}/news.toml: batch_size = 0: Input should be greater than or equal to 1",
        )]  # fmt: skip
        assert [event["level"] for event in refused] == ["error", "error"]
        add_weather(projects.tables["news"], 10, first=10)
        process.wait_for("run.finished", project="news", run_id=2)

        (projects.folder / "mail.toml").unlink()
        process.wait_for("project.stopped", project="mail")
        add_weather(mail, 10, first=10)
        projects.put("news", f'database_url = "{projects.tables["news"].url}"', "batch_size = 5")
        process.wait_for("project.stopped", project="news")
        add_weather(projects.tables["news"], 5, first=20)
        process.wait_for("run.finished", project="news", run_id=3)

    assert projects.runs("mail") == ["succeeded"]
    assert process.stray == []


def test_a_project_that_never_ends_or_has_no_database_keeps_no_other_one_waiting(projects, worker, tmp_path):
    director = Director(tmp_path / "orders")
    director.order("hold")
    projects.add("endless", f"classifier = '{NAME}'", f"classifier_params = {{folder = '{tmp_path / 'orders'}'}}")
    projects.put("broken", 'database_url = "postgresql://127.0.0.1:1/labels"')
    with worker(al_learner_slice_s="1") as process:
        wait_until(director.doing, "the endless fit to begin")
        (pid,) = director.doing()
        process.wait_for("database.waiting", project="broken")
        projects.add("other")
        process.wait_for("run.finished", project="other")

        assert projects.runs("endless") == ["running"]
        assert director.doing() == [pid]  # it was suspended, not killed
        director.order("")
        process.wait_for("run.finished", project="endless")

    assert projects.runs("endless") == ["succeeded"]


def test_all_mistakes_are_shown_if_no_project_can_be_used(projects, worker):
    projects.put("a", "batch_size = 0")
    projects.put("b", 'database_url = "sqlite:///x.db"', "nonsense = 1")
    with worker() as process:
        assert process.wait() == 1

    assert [line.partition(": ")[2].replace(f"{projects.folder}/", "") for line in process.stray] == [
        "a.toml: database_url is missing; every project names its own",
        "a.toml: batch_size = 0: Input should be greater than or equal to 1",
        "b.toml: nonsense is not a setting; " + process.stray[-1].partition("a setting; ")[2],
    ]


def test_an_end_of_the_worker_ends_every_project_and_every_process(projects, worker, tmp_path):
    director = Director(tmp_path / "orders")
    director.order("hold")
    for name in ("first", "second"):
        lines = f"classifier = '{NAME}'", f"classifier_params = {{folder = '{tmp_path / 'orders'}'}}", "grace_s = 0.5"
        projects.add(name, *lines)
    with worker(al_learner_trainers="2", al_learner_grace_s="1") as process:
        wait_until(lambda: len(director.doing()) == 2, "both fits to begin")
        pids = director.doing()
        process.terminate()
        assert process.wait() == 0

    assert [projects.runs(name) for name in ("first", "second")] == [["abandoned"], ["abandoned"]]
    wait_until(lambda: not any(psutil.pid_exists(pid) for pid in pids), "the training processes to end")
    assert len(process.logged("project.stopped")) == 2
