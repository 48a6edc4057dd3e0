"""What a person sees on a terminal of some width, and what a pipe gets."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pytest

from al_learner import Project
from tests.support.terminal import on_terminal


@pytest.fixture
def program(forked_command):
    return str(forked_command / "al-learner")


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """A project with two classifiers, and annotators who do not agree."""
    url = f"sqlite:///{tmp_path_factory.mktemp('terminal') / 'weather.db'}"
    with_options = {"classifier": "logreg", "vectorizer": "tfidf", "init_sampler": "uniform", "batch_size": 4}
    project = Project(url, **with_options)
    project.load_labels(["sun", "rain"])
    project.load_texts([f"text {n} about {'sun' if n % 2 else 'rain'} and other things" for n in range(40)])
    project.init()
    project.load_votes(
        [(n + 1, ("rain", "sun")[n % 2], who) for n in range(20) for who in ("ada", "ben")] + [(1, "sun", "cy")]
    )
    project.update()
    project.close()
    return url


@pytest.fixture
def own_url(url, tmp_path):
    """A copy of the project, for a test that changes it."""
    shutil.copy(url.removeprefix("sqlite:///"), tmp_path / "weather.db")
    return f"sqlite:///{tmp_path / 'weather.db'}"


@pytest.fixture
def commands(url):
    return [["models"], ["status"], ["annotators"], ["plugins"], ["explain", "1"], ["models", "show", "2"]], url


@pytest.mark.parametrize("columns", [80, 40])
def test_no_table_is_wider_than_the_terminal_and_no_text_is_cut(program, commands, columns):
    for command, url in ((command, commands[1]) for command in commands[0]):
        options = [] if command[0] == "plugins" else ["--database", url]
        lines = on_terminal([program, *command, *options], columns=columns)
        ruled = [line for line in lines if "─" in line]
        assert all(len(line.rstrip()) <= columns for line in ruled), command
        assert "…" not in "".join(lines), command


def test_a_wide_table_becomes_records_on_a_narrow_terminal(program, url):
    lines = on_terminal([program, "models", "--database", url], columns=60)
    assert "id: 2" in lines
    assert "strategy: logreg + tfidf" in lines
    assert lines.index("id: 1") > lines.index("id: 2")


def test_a_pipe_gets_lines_without_rules(program, url):
    printed = subprocess.run(
        [program, "models", "--database", url], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    assert printed[0].split()[:3] == ["id", "stored", "accuracy"]
    assert printed[1].startswith("2 ")
    assert len(printed) == 3
    assert not {"─", "│"} & {*"".join(printed)}
    assert all(line == line.rstrip() for line in printed)


def test_times_have_their_zone(program, url):
    printed = subprocess.run(
        [program, "models", "--database", url],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "TZ": "UTC"},
    ).stdout
    assert " UTC " in printed


@pytest.mark.parametrize("option", ["-h", "--help"])
@pytest.mark.parametrize("command", [[], ["train"], ["models"], ["models", "show"]])
def test_every_command_has_a_short_option_for_help(program, command, option):
    printed = subprocess.run([program, *command, option], check=True, capture_output=True, text=True).stdout
    assert "Usage: " in printed
    assert "<bool>" not in printed
    assert "<int>" not in printed


def test_commands_are_grouped_by_the_work_in_its_order(program):
    printed = subprocess.run([program, "-h"], check=True, capture_output=True, text=True).stdout
    found = re.findall(r"^(?:╭─ ([A-Z].+?) ─|│ ([a-z]+)  )", printed, re.MULTILINE)
    order = [
        "Options",
        "Begin",
        "demo",
        "config",
        "plugins",
        "db",
        "Texts and votes",
        "load",
        "export",
        "Train",
        "init",
    ]
    assert [heading or command for heading, command in found][: len(order)] == order
    assert [heading for heading, _ in found if heading][-2:] == ["See", "Choose strategies"]


def test_verbose_logs_what_is_done_and_quiet_only_errors(program, own_url):
    def log(*options):
        done = subprocess.run(
            [program, *options, "train", "--force", "--database", own_url], capture_output=True, text=True, check=False
        )
        assert done.returncode in (0, 3), done.stderr
        return done.stderr

    assert "run.started" in log("-v")
    assert log("-q") == ""
    both = subprocess.run([program, "-v", "-q", "status"], capture_output=True, text=True, check=False)
    assert both.returncode == 2
    assert "exclude each other" in both.stderr


def test_an_error_of_a_run_is_told_once(program, own_url):
    strategies = ["--classifier", 'complement-nb(column_weights={"meaning": 1})', "--vectorizer", "lsa"]
    done = subprocess.run(
        [program, "train", "--force", *strategies, "--database", own_url], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.count("complement-nb counts words") == 1
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in done.stderr


def test_strategies_are_options_over_the_environment_and_config_shows_them(program, own_url):
    environment = {"AL_LEARNER_CLASSIFIER": "sgd", "AL_LEARNER_CLASSIFIER_PARAMS": '{"alpha": 1}', **os.environ}
    options = ["--classifier", "logreg(C=3)", "--vectorizer", "tfidf", "--database", own_url]
    shown = subprocess.run([program, "config", *options], check=True, capture_output=True, text=True, env=environment)
    lines = {line.split()[0]: line for line in shown.stdout.splitlines() if line}
    assert lines["AL_LEARNER_CLASSIFIER"].split()[1:] == ["logreg", "argument"]
    assert '"C": 3.0' in lines["AL_LEARNER_CLASSIFIER_PARAMS"]
    subprocess.run([program, "train", "--force", *options], check=False, capture_output=True, env=environment)
    wrong = subprocess.run(
        [program, "train", "--classifier", "logregg", "--database", own_url],
        check=False,
        capture_output=True,
        text=True,
    )
    assert wrong.stderr.startswith("error: classifier 'logregg' is unknown; did you mean") or "allowed" in wrong.stderr


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("al-learner train --classifier log", ["logreg"]),
        ("al-learner query 3 --strategy ma", ["margin"]),
        ("al-learner expl", ["explain"]),
        ("al-learner models show ", ["1", "2"]),
        ("al-learner explain 2", ["2", "20"]),
    ],
)
def test_names_and_ids_are_completed(url, words, completed):
    environment = {
        "_AL_LEARNER_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1),
        "AL_LEARNER_DATABASE_URL": url, "PATH": "", "_TYPER_COMPLETE_ARGS": words,
    }  # fmt: skip
    script = "import sys; sys.argv = ['al-learner']; from al_learner.cli import app; app(prog_name='al-learner')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False)
    assert {*completed} <= {*done.stdout.split()}, done.stderr
