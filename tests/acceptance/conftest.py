"""The command line, as a person runs it: installed, forked with its imports done, or within this process."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from al_learner.cli import main
from tests.conftest import AL_LEARNER

WIDTH = "160"
FAST = {"AL_LEARNER_CLASSIFIER": "complement-nb", "AL_LEARNER_VECTORIZER": "tfidf"}
"""Strategies of tests that are about something else."""

Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def installed(tmp_path: Path) -> Cli:
    """Run the installed al-learner in a folder of its own; the environment names no database."""
    return running(AL_LEARNER, tmp_path)


@pytest.fixture
def command(forked_command: Path, tmp_path: Path) -> Cli:
    """Run it in a process that is forked: for what is not about how Python starts."""
    return running(forked_command / AL_LEARNER.name, tmp_path)


def running(program: Path, folder: Path) -> Cli:
    def run(*arguments: str, text: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, *arguments],
            env={**os.environ, "COLUMNS": WIDTH, **environment},
            cwd=folder,
            input=text,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Run what the command runs, in this process, which has loaded what takes long."""
    logger = logging.getLogger("al_learner")
    before = (logger.handlers[:], logger.level, logger.propagate)

    def run(*arguments: str, text: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        out, err = io.StringIO(), io.StringIO()
        code: object = 0
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            # The option --config sets AL_LEARNER_CONFIG; so the patch must know it, to undo that.
            for name, value in {"COLUMNS": WIDTH, "AL_LEARNER_CONFIG": "", **environment}.items():
                patch.setenv(name, value)
            patch.chdir(tmp_path)
            patch.setattr(sys, "argv", [str(AL_LEARNER), *arguments])
            patch.setattr(sys, "stdin", io.StringIO(text))
            patch.setattr(sys, "excepthook", sys.excepthook)  # typer sets its own
            try:
                main()
            except SystemExit as exc:
                code = exc.code
            finally:
                logger.handlers[:], logger.level, logger.propagate = before
        assert isinstance(code, int), f"an exit code that is no number: {code!r}"
        return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())

    return run


@pytest.fixture
def project(cli: Cli, tmp_path: Path) -> str:
    """A SQLite project with thirty texts and three labels; return its URL."""
    url = f"sqlite:///{tmp_path / 'project.db'}"
    words = {"fruit": "apple pear plum", "tool": "hammer saw nail", "bird": "owl finch crow"}
    rows = [f'{number},"{text} {number}"' for number in range(10) for text in words.values()]
    (tmp_path / "texts.csv").write_text("\n".join(["number,text", *rows]), encoding="utf-8")
    (tmp_path / "labels.jsonl").write_text("".join(f'{{"label": "{label}"}}\n' for label in words), encoding="utf-8")
    votes = [f"{number},{list(words)[(number - 1) % 3]},ada" for number in range(1, 13)]
    (tmp_path / "votes.csv").write_text("\n".join(["text_id,label,user", *votes]), encoding="utf-8")
    for what, file in (("texts", "texts.csv"), ("labels", "labels.jsonl")):
        assert cli("load", what, file, "--database", url).returncode == 0
    return url
