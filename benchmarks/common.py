"""What the programs of this folder share: the commands that they measure, types of options, and messages."""

from __future__ import annotations

import shlex
import signal
import sys
from pathlib import Path

from benchmarks.campaign import Subject

OURS = (sys.executable, "-m", "al_learner.worker")
PLAIN = (sys.executable, str(Path(__file__).with_name("plain_worker.py")))


def asked_for(name: str, command: str | None, *, classifier: str | None, vectorizer: str | None) -> Subject:
    """Return the worker to measure. If `command` is None, it is that of al_learner. None: the default strategy."""
    environment = {}
    if classifier is not None:
        environment["AL_LEARNER_CLASSIFIER"] = classifier
    if classifier == "lightgbm":
        environment["AL_LEARNER_PREDICTOR_PACKAGES"] = "scikit-learn,numpy,scipy,lightgbm"
    if vectorizer is not None:
        environment["AL_LEARNER_VECTORIZER"] = vectorizer
    return Subject(name, shlex.split(command) if command else OURS, environment)


def end_tidily() -> None:
    """Let SIGTERM raise SystemExit, so that servers and workers are stopped when this program ends."""
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))


def numbers(value: str) -> tuple[int, ...]:
    """Read an option such as ``100,1000``."""
    return tuple(int(part) for part in value.split(","))


def say(line: str) -> None:
    """Print a line about the progress to standard error, separate from the tables."""
    print(line, file=sys.stderr, flush=True)
