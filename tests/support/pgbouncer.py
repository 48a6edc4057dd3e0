"""A real PgBouncer, Debian's, before a PostgreSQL of the tests."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from tests.support.servers import Postgres, Server, folder
from tests.support.waiting import DEADLINE_S

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")


class PgBouncer(Server):
    """A connection pooler in one of its modes: session or transaction."""

    def __init__(self, place: Path, behind: Postgres, mode: str) -> None:
        super().__init__()
        self.folder, self.behind, self.mode = place, behind, mode

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{database}"

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(DEADLINE_S)
            self.process = None

    def answers(self) -> bool:
        with suppress(psycopg.OperationalError):
            psycopg.connect(host=str(self.folder), port=self.port, user="postgres", dbname="postgres").close()
            return True
        return False

    def _launch(self, options: Sequence[str]) -> subprocess.Popen[bytes]:
        assert PROGRAM is not None
        users, settings = self.folder / "users.txt", self.folder / "pgbouncer.ini"
        users.write_text('"postgres" ""\n')
        settings.write_text(
            f"[databases]\n* = host=127.0.0.1 port={self.behind.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
            f"listen_port = {self.port}\nunix_socket_dir = {self.folder}\npool_mode = {self.mode}\n"
            f"auth_type = trust\nauth_file = {users}\nignore_startup_parameters = options\n"
        )
        return subprocess.Popen(
            [PROGRAM, *options, settings],
            user="nobody" if os.geteuid() == 0 else None,  # it refuses to run as root
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )


@contextmanager
def pgbouncer(behind: Postgres, mode: str) -> Iterator[PgBouncer]:
    """Start one, and stop it in the end. Without the program the test is skipped, but never where `.ci/run` runs."""
    if PROGRAM is None:
        missing = "there is no pgbouncer: apt-get install pgbouncer"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    with folder() as place:
        place.chmod(0o777)  # for its socket
        server = PgBouncer(place, behind, mode)
        try:
            server.start()
            yield server
        finally:
            server.stop()
