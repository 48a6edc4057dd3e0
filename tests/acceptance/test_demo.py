"""`al-learner demo`: what it shows, and which files it makes and deletes."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from al_learner.cli import EXIT_ERROR
from al_learner.core.exchange import corpus
from tests.acceptance.conftest import Cli
from tests.support.corpora import small


def test_the_demo_ignores_the_servers_of_the_environment_and_learns(command: Cli, tmp_path: Path) -> None:
    played = command(
        "demo", "--rounds", "8", PGHOST="192.0.2.1", REDIS_HOST="192.0.2.1", REDIS_PORT="tcp://192.0.2.1:6379"
    )

    assert played.returncode == 0, played.stderr
    accuracy = [float(line.split()[2].rstrip("%")) for line in played.stdout.splitlines() if " s " in f"{line} "]
    assert len(accuracy) == 9
    assert 60 < accuracy[0] < accuracy[-1]  # of twelve classes, by the meaning of their names
    picture = tmp_path / "al-learner-demo" / "learning-curve.png"
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_demo_refuses_a_folder_that_it_did_not_make_and_deletes_nothing_there(cli: Cli, tmp_path: Path) -> None:
    mine = {f"{name}{suffix}" for name in ("project.db", "demo.db") for suffix in ("", "-wal", ".lock", ".backup")}
    for name in mine:
        (tmp_path / name).write_text("mine", encoding="utf-8")

    refused = cli("demo", "--folder", ".", "--rounds", "1")

    assert refused.returncode == EXIT_ERROR
    assert refused.stderr == "error: .: the folder is not empty, and no demo made it; give another one with --folder\n"
    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == dict.fromkeys(mine, "mine")


def test_the_demo_starts_again_in_its_own_folder_and_deletes_only_its_own_files(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus, "demo_corpus", small)
    first = cli("demo", "--rounds", "1")
    assert first.returncode == 0, first.stderr
    made = {path.name for path in (tmp_path / "al-learner-demo").iterdir()}
    mine = {"project.db", "demo.db.backup", "demo.db-old", "notes.txt"}
    for name in mine:
        (tmp_path / "al-learner-demo" / name).write_text("mine", encoding="utf-8")

    again = cli("demo", "--rounds", "2")

    assert again.returncode == 0, again.stderr
    left = {path.name: path for path in (tmp_path / "al-learner-demo").iterdir()}
    assert {*left} == made | mine
    assert {left[name].read_text(encoding="utf-8") for name in mine} == {"mine"}
    with sqlite3.connect(left["demo.db"]) as connection:
        assert connection.execute("SELECT count(*) FROM classifiers").fetchone() == (3,)


@pytest.mark.parametrize("folder", ["/proc/x", "file"])
def test_a_folder_that_the_demo_cannot_make_is_an_error(cli: Cli, tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").touch()

    failed = cli("demo", "--folder", folder)

    assert failed.returncode == EXIT_ERROR
    assert failed.stderr.startswith(f"error: {folder}: the demo cannot write there: ")
