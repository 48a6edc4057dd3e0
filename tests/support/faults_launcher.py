"""The worker, started so that it kills itself with SIGKILL the first time it gets to a given step of a run.

``FAULTS_STEP`` names the step; ``FAULTS_MARKER`` is a file that tells the worker's next life that it has happened.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from al_learner import worker
from al_learner.core.lifecycle.run_steps import Lifecycle
from al_learner.core.service.redis_channels import Channels
from al_learner.core.storage.database import Database
from al_learner.core.storage.run_transactions import RunTransactions

When = Literal["before", "inside", "after"]

STEPS: dict[str, tuple[type, str, When]] = {
    "before the first commit": (RunTransactions, "begin", "before"),
    "within the first commit": (RunTransactions, "begin", "inside"),
    "after the first commit": (RunTransactions, "begin", "after"),
    "before the second commit": (RunTransactions, "finish", "before"),
    "within the second commit": (RunTransactions, "finish", "inside"),
    "before the announcement": (Channels, "announce", "before"),
    "after the announcement, before it is recorded": (Channels, "announce", "after"),
    "before the score": (Lifecycle, "_measure", "before"),
    "after the score, before the third commit": (Lifecycle, "_store_score", "before"),
    "within the third commit": (RunTransactions, "score", "inside"),
}

LEAVES_A_RUN = {"after the first commit", "before the second commit", "within the second commit"}
"""Steps after which al_runs still says `running`."""


def arrange(owner: type, method: str, when: When, die: Callable[[], None]) -> None:
    """Make a method call `die` before it does its work, after it, or after the last statement of its transaction."""
    original = getattr(owner, method)

    def changed(*arguments: Any, **named: Any) -> Any:
        if when == "before":
            die()
        if when == "inside":
            writing = Database.writing

            @contextmanager
            def write_and_die(self: Database, connection: Any) -> Iterator[None]:
                with writing(self, connection):
                    yield
                    die()

            Database.writing = write_and_die  # type: ignore[method-assign]  # the hook of the scenario
            try:
                return original(*arguments, **named)
            finally:
                Database.writing = writing  # type: ignore[method-assign]
        result = original(*arguments, **named)
        if when == "after":
            die()
        return result

    setattr(owner, method, changed)


def main() -> int:
    marker = Path(os.environ["FAULTS_MARKER"])

    def die() -> None:
        if not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    arrange(*STEPS[os.environ["FAULTS_STEP"]], die)
    return worker.main()


if __name__ == "__main__":
    sys.exit(main())
