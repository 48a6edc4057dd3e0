"""A SQLite database is one file, under whatever name, and only loading data creates it."""

from __future__ import annotations

import pytest

from al_learner import Project
from al_learner.core.errors import BusyError, DatabaseUnavailable
from al_learner.core.storage.database import Database
from al_learner.core.storage.run_lock import hold_run_lock
from tests.support.corpora import add_weather


@pytest.fixture
def linked(sqlite, tmp_path):
    """The URL of a database by another name: a link to its file."""
    add_weather(sqlite, 20)
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "link.db"
    link.symlink_to(sqlite.path)
    return f"sqlite:///{link}"


def test_the_run_lock_holds_for_every_name_of_a_file(connect, sqlite, linked, open_project):
    open_project(sqlite)
    by_link = Database(linked)

    with hold_run_lock(connect(sqlite)), pytest.raises(BusyError), hold_run_lock(by_link):
        pass
    by_link.close()


def test_workers_see_each_other_by_every_name_of_a_file(sqlite, linked, open_project):
    older = open_project(sqlite)
    older.register_worker()
    newer = Project(linked, classifier="complement-nb", batch_size=15)
    newer.register_worker()

    assert sqlite.count("al_workers") == 2
    assert "batch_size is 10 here and 15 there" in older.reconcile().reason
    newer.close()


def test_the_file_stays_the_same_when_the_process_changes_its_folder(tmp_path, monkeypatch):
    project = Project("sqlite:///project.db")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    project.load_texts(["text"])
    with hold_run_lock_of(project):
        pass
    project.close()

    assert [*(tmp_path / "elsewhere").iterdir()] == []
    assert (tmp_path / "project.db").exists()


def hold_run_lock_of(project):
    project.upgrade()
    return hold_run_lock(project._storage.database)


READING = {
    "status": lambda project: project.status(),
    "models": lambda project: project.models(),
    "predict": lambda project: [*project.predict()],
    "annotators": lambda project: project.annotators(),
    "compare": lambda project: project.compare(1, 2),
    "export": lambda project: project.export_model(1, "file"),
    "init": lambda project: project.init(),
    "upgrade": lambda project: project.upgrade(),
    "load votes": lambda project: project.load_votes([(1, "a", "anna")]),
    "register a worker": lambda project: project.register_worker(),
}


@pytest.mark.parametrize("what", READING)
def test_a_file_that_is_missing_is_named_and_not_created(tmp_path, what):
    project = Project("sqlite:///typo.db")

    with pytest.raises(DatabaseUnavailable, match=rf"{tmp_path}/typo\.db: there is no such file.*al-learner load"):
        READING[what](project)
    project.close()

    assert [*tmp_path.iterdir()] == []


LOADING = {
    "texts": lambda project: project.load_texts(["text"]),
    "labels": lambda project: project.load_labels(["a"]),
    "init data": lambda project: project.load_init_data([("text", "a")]),
}


@pytest.mark.parametrize("what", LOADING)
def test_loading_creates_the_file(tmp_path, what):
    project = Project("sqlite:///new.db")
    LOADING[what](project)

    assert project.status().database == f"sqlite:///{tmp_path}/new.db"
    project.close()


def test_the_status_names_the_database_of_a_server_without_its_password(postgresql, monkeypatch):
    for name, value in postgresql.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PGPASSWORD", "hunter2")
    project = Project()

    status = project.status()

    assert status.database == postgresql.url
    assert status.database in str(status)
    project.close()
