"""A command that is started in a folder of somebody else runs none of their code."""

from __future__ import annotations

import pickle
import sqlite3
from pathlib import Path

import pytest

from al_learner.cli import EXIT_ERROR
from al_learner.core.artifacts.pickling import sha256
from tests.acceptance.conftest import FAST, Cli

SPRUNG = "sprung"
READING = [
    ("status",),
    ("status", "--json"),
    ("models",),
    ("models", "list", "--json"),
    ("models", "show", "1"),
    ("models", "show", "1", "--json"),
    ("models", "compare", "1", "2"),
    ("annotators",),
    ("config",),
    ("plugins",),
    ("db", "upgrade"),
    ("load", "labels", "labels.jsonl"),
    ("models", "promote", "1"),
    ("models", "prune", "--keep", "1"),
]


class Trap:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> object:
        return (Path.touch, (self.path,))


@pytest.fixture
def trapped(cli: Cli, project: str, tmp_path: Path) -> str:
    """A project whose stored objects make a file when they are unpickled; al_runs has their digests."""
    cli("load", "votes", "votes.csv", "--database", project)
    for _ in range(2):
        assert cli("train", "--force", "--database", project, **FAST).returncode == 0
    trap = pickle.dumps(Trap(tmp_path / SPRUNG))
    with sqlite3.connect(tmp_path / "project.db") as connection:
        connection.execute("UPDATE countvecs SET countvec = ?", (trap,))
        connection.execute("UPDATE classifiers SET clf = ?", (trap,))
        connection.execute("UPDATE al_runs SET clf_sha256 = ?, countvec_sha256 = ?", (sha256(trap), sha256(trap)))
    connection.close()
    return project


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_what_only_reads_unpickles_nothing(cli: Cli, trapped: str, tmp_path: Path, words: tuple[str, ...]) -> None:
    shown = cli(*words, AL_LEARNER_DATABASE_URL=trapped)

    assert shown.returncode == 0, shown.stderr
    assert not (tmp_path / SPRUNG).exists()


def test_the_trap_would_have_sprung(cli: Cli, trapped: str, tmp_path: Path) -> None:
    with pytest.raises(AttributeError):  # what it unpickled is no classifier
        cli("predict", "--database", trapped)
    assert (tmp_path / SPRUNG).exists()


def test_a_database_of_a_file_that_was_only_found_is_not_opened(cli: Cli, trapped: str, tmp_path: Path) -> None:
    (tmp_path / "al_learner.toml").write_text(f'database_url = "{trapped}"', encoding="utf-8")
    before = (tmp_path / "project.db").read_bytes()

    for words in (("status",), ("models",), ("predict",), ("train",), ("config",), ("worker",), ("health",)):
        refused = cli(*words, PGHOST="192.0.2.1")
        assert refused.returncode == EXIT_ERROR
        assert "database_url in al_learner.toml: this file was only found in the current folder" in refused.stderr
    assert (tmp_path / "project.db").read_bytes() == before
    assert not (tmp_path / SPRUNG).exists()


def test_a_file_that_is_named_by_the_option_sets_the_database(cli: Cli, project: str, tmp_path: Path) -> None:
    (tmp_path / "al_learner.toml").write_text(f'database_url = "{project}"', encoding="utf-8")

    status = cli("--config", "al_learner.toml", "status").stdout.splitlines()
    assert ["texts", "30"] in [line.split() for line in status]
    assert "  al_learner.toml" in cli("--config", "al_learner.toml", "config").stdout
    assert cli("status").returncode == EXIT_ERROR


def test_a_file_that_is_named_by_the_option_must_exist(cli: Cli) -> None:
    missing = cli("--config", "missing.toml", "status")
    assert (missing.returncode, "missing.toml" in missing.stderr) == (2, True)
