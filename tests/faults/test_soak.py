"""Twelve seconds of the soak, which `make soak` runs for half an hour."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.faults import ROOT

MINUTES, FAULTS, SEED = 1 / 5, 6, 1
TIMEOUT_S = 280


@pytest.mark.long
def test_twelve_seconds_of_the_soak_break_nothing():
    arguments = ["--minutes", str(MINUTES), "--faults", str(FAULTS), "--seed", str(SEED)]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.faults.soak", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "invariants broken: 0" in done.stdout
    assert done.stderr == ""
    assert f"faults: {FAULTS}" in done.stdout
