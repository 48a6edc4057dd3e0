"""`al-learner simulate`, as a person runs it."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from al_learner.cli import EXIT_ERROR
from tests.acceptance.conftest import AL_LEARNER, Cli
from tests.support.corpora import small

EXIT_INTERRUPTED = 130
FAST = (
    "--classifiers",
    "complement-nb",
    "--vectorizers",
    "tfidf",
    "--init-samplers",
    "balanced",
    "--batch-size",
    "6",
    "--rounds",
    "3",
    "--seeds",
    "2",
)


@pytest.fixture
def cli(command: Cli) -> Cli:
    """Run the command in a process of its own, for it starts others."""
    return command


@pytest.fixture
def data(tmp_path: Path) -> str:
    """A labelled corpus as a CSV file; return its name."""
    with (tmp_path / "corpus.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("body", "topic"), *zip(*small(), strict=True)])
    return "corpus.csv"


def test_it_compares_strategies_writes_what_it_found_and_finds_it_again(cli: Cli, data: str, tmp_path: Path) -> None:
    columns = ("--data", data, "--column", "text=body", "--column", "label=topic")
    vectorizers = ("--vectorizers", "count,tfidf(sublinear_tf=true)")

    played = cli("simulate", *columns, *FAST, *vectorizers, PGHOST="192.0.2.1", REDIS_HOST="192.0.2.1", BATCH_SIZE="99")

    assert (played.returncode, played.stderr) == (0, "")
    assert "tfidf(sublinear_tf=true)" in played.stdout
    assert "± " in played.stdout
    folder = tmp_path / "al-learner-simulation"
    assert {path.name for path in folder.iterdir()} == {"cells", "curves.svg", "report.html", "rounds.csv"}
    assert "corpus.csv, 120 texts" in (folder / "report.html").read_text(encoding="utf-8")
    rounds = (folder / "rounds.csv").read_text(encoding="utf-8")
    assert len(rounds.splitlines()) == 1 + (2 + 1) * 2 * 4  # two vectorizers, and the first with random queries

    again = cli("simulate", *columns, *FAST, *vectorizers, "--json")

    assert again.stderr == "6 of 6 projects were finished before and taken from al-learner-simulation\n"
    assert (folder / "rounds.csv").read_text(encoding="utf-8") == rounds
    rows = json.loads(again.stdout)
    assert {row["vectorizer"] for row in rows} == {"count", "tfidf(sublinear_tf=true)"}
    assert all(row["seeds"] == 2 and row["accuracy"]["18"]["sd"] >= 0 for row in rows)


def test_it_uses_the_bundled_sample_when_no_file_is_named(cli: Cli) -> None:
    played = cli("simulate", *FAST, "--texts", "100", "--seeds", "1", "--annotators", "3", "--noise", "careless:0.5")

    assert (played.returncode, played.stderr) == (0, "")
    assert "18" in played.stdout.splitlines()[1]


def test_everything_that_is_wrong_is_reported_at_once_and_nothing_is_simulated(cli: Cli, tmp_path: Path) -> None:
    failed = cli(
        "simulate", "--classifiers", "logregg,sgd(alfa=1)", "--query", "best", "--noise", "0.1", "--votes", "2"
    )

    assert failed.returncode == EXIT_ERROR
    problems = failed.stderr.splitlines()
    assert len(problems) == 5
    for said in (
        "did you mean 'logreg'?",
        "did you mean 'alpha'?",
        "query_strategy 'best'",
        "uniform:RATE",
        "votes = 2: must be at most 1",
    ):
        assert any(said in problem for problem in problems), said
    assert not (tmp_path / "al-learner-simulation").exists()


def test_a_project_that_fails_is_reported_at_the_end_and_the_others_are_compared(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(
        "from al_learner import Classifier\n\n"
        "class Broken(Classifier):\n    def fit(self, X, y):\n        raise OSError('boom')\n",
        encoding="utf-8",
    )
    info = tmp_path / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[al_learner.classifiers]\nbroken = broken:Broken\n", encoding="utf-8")

    played = cli("simulate", *FAST, "--classifiers", "broken,complement-nb", "--texts", "100", PYTHONPATH=str(tmp_path))

    assert played.returncode == EXIT_ERROR
    assert [line for line in played.stdout.splitlines() if "complement-nb" in line]
    assert len(played.stderr.splitlines()) == 4  # two seeds, also with random queries
    assert "error: broken, tfidf, balanced" in played.stderr
    assert "boom" in played.stderr
    assert (tmp_path / "al-learner-simulation" / "report.html").exists()


@pytest.fixture
def endless(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A simulation that would take long, as the leader of a group of processes."""
    command = [AL_LEARNER, "simulate", *FAST, "--rounds", "200", "--texts", "2000", "--seeds", "50", "--workers", "2"]
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    # Where the tests run in the background, a shell ignores SIGINT, and what they start would inherit that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    signal.signal(signal.SIGINT, before)
    yield process
    process.kill()
    process.communicate()


def test_ctrl_c_ends_it_and_its_processes_at_once_and_says_how_to_go_on(
    endless: subprocess.Popen[str], tmp_path: Path
) -> None:
    parent = psutil.Process(endless.pid)
    while len(children := parent.children(recursive=True)) < 2:
        assert endless.poll() is None

    os.killpg(endless.pid, signal.SIGINT)  # as a terminal does: to all of them
    out, err = endless.communicate(timeout=60)

    assert endless.returncode == EXIT_INTERRUPTED
    assert out == ""
    assert err == "interrupted: the same command goes on from the projects finished so far, in al-learner-simulation\n"
    assert psutil.wait_procs(children, timeout=30)[1] == []
    assert (tmp_path / "al-learner-simulation" / "cells").is_dir()
