"""A real program, in an environment of its own, on loopback and in a temporary folder."""

from __future__ import annotations

import os
import signal
import subprocess
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from tests.support.servers import Server, folder
from tests.support.waiting import DEADLINE_S

HERE = Path(__file__).resolve().parent

ENVIRONMENTS = HERE.parents[1] / ".interop"
"""Made by `make interop`."""

PASSWORD = "correct-horse-battery"  # noqa: S105 - of a server that lives for one test


LOG_CHARACTERS = 5_000
"""A failed start shows so much of the program's log."""


def email(annotator: str) -> str:
    return f"{annotator}@example.org"


class Program(Server):
    """A server that people reach with their sessions; it takes minutes to start, where it first makes its tables."""

    name: str
    deadline_s = 600

    def __init__(self, place: Path) -> None:
        super().__init__()
        self.folder = place / self.name
        self.folder.mkdir()

    @abstractmethod
    def sign_up(self) -> None:
        """Let every annotator have an account."""

    def program(self, name: str) -> Path:
        path = ENVIRONMENTS / self.name / "bin" / name
        assert path.exists(), f"{path} is not there: `make interop` installs it"
        return path

    def launch(self, *command: str | Path, **environment: str) -> subprocess.Popen[bytes]:
        """Start a process of the program, the leader of a group of its own."""
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                command,
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": str(self.folder),
                    "TMPDIR": str(self.folder),
                    "LANG": "C.UTF-8",
                    **environment,
                },
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def run(self, *command: str | Path, **environment: str) -> None:
        """Run a command of the program to its end."""
        process = self.launch(*command, **environment)
        assert process.wait(self.deadline_s) == 0, (self.folder / "log").read_text()[-LOG_CHARACTERS:]

    def stop(self) -> None:
        end(self.process)
        self.process = None

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def end(process: subprocess.Popen[bytes] | None) -> None:
    """End a process that leads a group, and its children."""
    if process is not None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(DEADLINE_S)


Started = TypeVar("Started", bound=Program)


@contextmanager
def running(program: type[Started]) -> Iterator[Started]:
    """Start a program in a folder of its own, with an account for every annotator; stop it in the end."""
    with folder() as place:
        server = program(place)
        try:
            try:
                server.start()
                server.sign_up()
            except AssertionError as exc:
                exc.add_note((server.folder / "log").read_text()[-LOG_CHARACTERS:])
                raise
            yield server
        finally:
            server.stop()
