"""`al-learner simulate`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from al_learner.commands.shared import Json, named_columns, print_json, print_table, progress_bar, say

if TYPE_CHECKING:
    from al_learner.core.simulation.grid import Trial, TrialResult

EXIT_ERROR = 1
EXIT_INTERRUPTED = 130

STRATEGIES = "Names, separated by commas; NAME(parameter=value) sets parameters. Default: that of al_learner."
ONE_OR_MORE = "One or several, as for --classifiers. Default: that of al_learner."


def simulate(  # noqa: PLR0913, PLR0917 - typer makes an option of each parameter
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="Labelled texts, as for `load init`. Default: the bundled sample, 2,384 texts.",
        ),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option("--column", metavar="FIELD=NAME", help="The column that holds a field, e.g. text=body."),
    ] = None,
    texts: Annotated[
        int | None, typer.Option(min=10, help="Use this many random texts; they differ with each seed.")
    ] = None,
    classifiers: Annotated[str | None, typer.Option(help=STRATEGIES)] = None,
    vectorizers: Annotated[str | None, typer.Option(help=ONE_OR_MORE)] = None,
    init_samplers: Annotated[str | None, typer.Option(help=ONE_OR_MORE)] = None,
    aggregators: Annotated[str | None, typer.Option(help=ONE_OR_MORE)] = None,
    query: Annotated[
        str, typer.Option(help="Query strategies: which texts are voted on next. One or several, as above.")
    ] = "least-confidence",
    batch_size: Annotated[int, typer.Option(min=1, help="Texts voted on in a round; each round trains.")] = 25,
    rounds: Annotated[
        int | None,
        typer.Option(
            min=1, help="Number of rounds. Default: enough for 1,000 labels, or for all texts if there are fewer."
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Repetitions, each with its own random texts and votes.")] = 3,
    annotators: Annotated[int, typer.Option(min=1, help="Number of annotators.")] = 1,
    votes: Annotated[
        int | None,
        typer.Option(min=1, help="Votes on each text, from different annotators. Default: all annotators vote."),
    ] = None,
    noise: Annotated[
        str,
        typer.Option(
            metavar="KIND:RATE",
            help="uniform:0.1: all annotators err in 10% of their votes; careless:0.5: one of them errs in 50%.",
        ),
    ] = "uniform:0",
    target: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Report the number of labels needed for this accuracy. Default: 95% of the best."
        ),
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes at a time. Default: one per core.")] = None,
    cluster: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Dask scheduler; the projects are simulated on its cluster."),
    ] = None,
    folder: Annotated[
        Path,
        typer.Option(help="Folder for the report, the numbers and finished projects, which the same command reuses."),
    ] = Path("al-learner-simulation"),
    without_random: Annotated[
        bool,
        typer.Option(
            "--without-random", help="Do not simulate the first combination with random queries, to compare with."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare strategies: simulate labelling projects on a labelled corpus, with the code that a worker runs.

    Each project is a combination of the strategies and a seed. A fifth of the texts is held out of it; accuracy is
    measured on those. After an interruption the same command goes on from the finished projects.
    """
    from al_learner.core.report.pictures import check_extra
    from al_learner.core.simulation.grid import Grid
    from al_learner.core.simulation.metrics import curves, default_target, rows, same, table
    from al_learner.core.simulation.report import write

    check_extra()
    corpus = _corpus(data, column)
    grid = Grid(
        classifiers=classifiers,
        vectorizers=vectorizers,
        init_samplers=init_samplers,
        aggregators=aggregators,
        query=query,
        batch_size=batch_size,
        rounds=rounds,
        seeds=seeds,
        annotators=annotators,
        votes=votes,
        noise=noise,
        max_texts=texts,
        with_random=not without_random,
    )
    played = _sweep(corpus, grid.trials(len(corpus[0])), folder, workers, cluster)
    found = curves(played)
    target = default_target(found) if target is None else target
    size = f"{len(corpus[0]):,} texts" if texts is None else f"{texts:,} of {len(corpus[0]):,} texts"
    source = f"{'the bundled sample' if data is None else data.name}, {size}"
    report = write(folder, played, target, corpus=source, command=shlex.join(_command()))
    if as_json:
        print_json(rows(found, target))
    else:
        header, lines = table(found, target)
        print_table(header, lines)
        say("columns with a number: accuracy in % after that many labels, mean ± standard deviation over seeds")
        say(f"in all rows: {same(found)}")
        if (majority := found[0].majority) is not None:
            say(f"the most frequent label alone: {majority.mean:.1%}")
        say(f"the report: {report}")
    if failed := [one for one in played if one.error]:
        for one in failed:
            say(f"error: {', '.join(one.trial.names().values())}, seed {one.trial.plan.seed}: {one.error}", err=True)
        raise typer.Exit(EXIT_ERROR)


def _sweep(
    corpus: tuple[Sequence[str], Sequence[str]],
    trials: Sequence[Trial],
    folder: Path,
    workers: int | None,
    cluster: str | None,
) -> list[TrialResult]:
    from al_learner.core.simulation.running.sweep import sweep

    with progress_bar() as progress:
        task = progress.add_task("", total=sum(trial.plan.rounds + 1 for trial in trials))

        def tick(n_rounds: int, n_trials: int) -> None:
            progress.update(task, completed=n_rounds, description=f"{n_trials} of {len(trials)} projects")

        try:
            played = sweep(*corpus, trials, folder=folder, workers=workers, cluster=cluster, tick=tick)
        except KeyboardInterrupt:
            progress.stop()
            say(f"interrupted: the same command goes on from the projects finished so far, in {folder}", err=True)
            raise typer.Exit(EXIT_INTERRUPTED) from None
    if n_reused := sum(one.is_reused for one in played):
        say(f"{n_reused} of {len(trials)} projects were finished before and taken from {folder}", err=True)
    return played


def _command() -> list[str]:
    return [Path(sys.argv[0]).name, *sys.argv[1:]]


def _corpus(data: Path | None, column: Sequence[str] | None) -> tuple[list[str], list[str]]:
    from al_learner.core.exchange.corpus import checked, demo_corpus
    from al_learner.core.exchange.rows import read
    from al_learner.core.storage.records import MAX_LABEL_LENGTH

    if data is None:
        return demo_corpus()
    rows = list(read(data, ("text", "label"), columns=named_columns(column), max_label_length=MAX_LABEL_LENGTH))
    return checked([row["text"] for row in rows], [row["label"] for row in rows])
