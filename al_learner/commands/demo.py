"""`al-learner demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from al_learner.commands.shared import print_table, say
from al_learner.core.errors import DataError

MARK = ".al-learner-demo"
"""An empty file in a folder that a demo made. Only there does the next demo delete files."""

DATABASE = "demo.db"
PICTURE = "learning-curve.png"

MADE = (PICTURE, *(f"{DATABASE}{suffix}" for suffix in ("", "-journal", "-shm", "-wal", ".lock", ".lock-journal")))
"""What a demo writes, and SQLite beside it."""


def demo(
    folder: Annotated[
        Path, typer.Option(help="Where the project and the picture go: an empty folder, a new one, or an old demo's.")
    ] = Path("al-learner-demo"),
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of votes.")] = 20,
    batch_size: Annotated[int, typer.Option(min=2, help="Votes in a round.")] = 20,
) -> None:
    """Show the whole loop on a bundled sample, without any server: cold start, votes, training, learning curve."""
    from rich.console import Console
    from rich.progress import track

    from al_learner.core.configuration.defaults import missing_extra
    from al_learner.core.exchange.corpus import demo_corpus
    from al_learner.core.report.pictures import is_possible
    from al_learner.core.simulation.plan import Plan
    from al_learner.core.simulation.replay import replay
    from al_learner.core.simulation.report import plot

    _prepare(folder)
    texts, labels = demo_corpus()
    say(f"{len(texts):,} package descriptions, {len(set(labels))} classes; {rounds} rounds of {batch_size} votes")
    plan = Plan(rounds=rounds, batch_size=batch_size, annotators=3)
    url = f"sqlite:///{folder / DATABASE}"
    played = replay(url, texts, labels, plan, score=True)
    bar = Console(stderr=True)
    done = list(track(played, total=rounds + 1, description="voting and learning", console=bar))
    rows = [
        (str(r.number), str(r.labels), f"{r.accuracy:.1%}", f"{r.seconds:.2f} s" if r.seconds else "-") for r in done
    ]
    if advice := missing_extra():
        say(advice)
    print_table(("round", "texts voted on", "accuracy on held-out texts", "last vote to classifier"), rows)
    if not is_possible():
        say("for the learning curve as a picture: pip install 'al-learner[plots]'")
    else:
        plot(done, folder / PICTURE)
        say(f"the learning curve: {folder / PICTURE}")
    say(f"the project: al-learner status --database {url}")


def _prepare(folder: Path) -> None:
    """Make and mark the folder. If a demo made it, delete the files that the demo wrote.

    Raises
    ------
    DataError
        The folder has files and no mark, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / MARK).is_file() and any(folder.iterdir()):
            raise DataError(f"{folder}: the folder is not empty, and no demo made it; give another one with --folder")
        (folder / MARK).touch()
        for name in MADE:
            (folder / name).unlink(missing_ok=True)
    except OSError as exc:
        raise DataError(f"{folder}: the demo cannot write there: {exc.strerror}") from exc
