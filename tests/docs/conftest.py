"""The al-learner that the pages' examples find."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.forks import COMMAND, Nursery

AL_LEARNER = Path(sys.executable).with_name("al-learner")


@pytest.fixture(scope="session")
def forked_command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with an al-learner that is the installed script, run in a process that has loaded what takes long."""
    folder = tmp_path_factory.mktemp("command")
    with Nursery(COMMAND) as nursery:
        nursery.install(AL_LEARNER, folder)
        yield folder
