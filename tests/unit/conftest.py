"""Fixtures for tests that need no server."""

import subprocess
import sys
from collections.abc import Callable

import pytest
from hypothesis import settings

settings.register_profile("unit", deadline=None)  # a busy machine is not a failure
settings.load_profile("unit")


@pytest.fixture
def fresh_python() -> Callable[..., str]:
    """Run code in a new interpreter, in isolated mode; return what it printed."""

    def run(code: str, *arguments: str) -> str:
        command = [sys.executable, "-I", "-W", "error", "-c", code, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
