"""Starts each program once, one at a time: the fixtures of a server live as long as its module."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.interop.programs import Doccano, LabelStudio, running

AL_LEARNER = Path(sys.executable).with_name("al-learner")

Votes = set[tuple[str, str | None, str]]
"""External id, annotator and label of each vote."""


@dataclass(frozen=True)
class OwnProject:
    """A project of al_learner on SQLite, and the installed command."""

    folder: Path

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [AL_LEARNER, *arguments, "--database", f"sqlite:///{self.folder / 'project.db'}"]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=120, check=False)

    def must(self, *arguments: str | Path) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def load(self, content: bytes, name: str, *options: str) -> dict[str, Any]:
        """Load what a tool exported, and return what the command says."""
        (self.folder / name).write_bytes(content)
        return dict(json.loads(self.must("load", "project", name, *options, "--json")))

    def export(self, what: str, *options: str) -> Path:
        """Export into a file, and return it."""
        file = self.folder / f"{what}.out"
        self.must("export", what, file, "--force", *options)
        return file

    def rows(self, what: str) -> list[dict[str, Any]]:
        """Return the rows of an export."""
        return [json.loads(line) for line in self.export(what, "--format", "jsonl").read_text().splitlines()]

    def texts(self) -> dict[str, str]:
        """Return external ids and texts, as they are stored."""
        return {external_id: text for external_id, text, _, _ in self._stored()}

    def votes(self) -> Votes:
        stored = [(i, json.loads(labels or "[]"), json.loads(users or "[]")) for i, _, labels, users in self._stored()]
        votes = [
            (i, user or None, label) for i, labels, users in stored for label, user in zip(labels, users, strict=True)
        ]
        assert len(votes) == len(set(votes)), "a vote is stored twice"
        return set(votes)

    def labels(self) -> set[str]:
        return {label for (label,) in self._query("SELECT label FROM labels")}

    def _stored(self) -> list[tuple[Any, ...]]:
        return self._query(
            "SELECT external_id, text_data, labels, users FROM text_data LEFT JOIN al_external_ids USING (text_id)"
        )

    def _query(self, statement: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.folder / "project.db")) as connection:
            return connection.execute(statement).fetchall()


@pytest.fixture
def new_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], OwnProject]:
    """Return a function that returns an empty project of al_learner; its classifiers train fast."""
    for name, value in {"CLASSIFIER": "complement-nb", "VECTORIZER": "tfidf", "INIT_SAMPLER": "balanced"}.items():
        monkeypatch.setenv(f"AL_LEARNER_{name}", value)

    def new() -> OwnProject:
        folder = tmp_path / f"project-{len([*tmp_path.iterdir()])}"
        folder.mkdir()
        return OwnProject(folder)

    return new


@pytest.fixture(scope="module")
def label_studio() -> Iterator[LabelStudio]:
    with running(LabelStudio) as server:
        yield server


@pytest.fixture(scope="module")
def doccano() -> Iterator[Doccano]:
    with running(Doccano) as server:
        yield server
