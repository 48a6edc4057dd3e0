"""`al-learner models`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from al_learner.commands.shared import (
    App,
    Database,
    Json,
    Wait,
    completed_classifiers,
    finish,
    open_project,
    print_json,
    print_table,
    say,
)
from al_learner.core.representation import local_time, share

if TYPE_CHECKING:
    from al_learner.core.storage.records import Run, StoredClassifier

app = App(help="List, compare, promote, export and delete stored classifiers.", invoke_without_command=True)

Id = Annotated[
    int, typer.Argument(metavar="ID", autocompletion=completed_classifiers, help="clf_id of a stored classifier.")
]

Limit = Annotated[int, typer.Option(metavar="N", min=1, help="How many of the newest classifiers are listed.")]
N_LISTED = 50


@app.callback()
def models(context: typer.Context, limit: Limit = N_LISTED, database: Database = None, as_json: Json = False) -> None:
    """List the newest stored classifiers, or run a sub-command."""
    if context.invoked_subcommand is None:
        models_list(limit, database, as_json)
    elif database or as_json or limit != N_LISTED:
        raise typer.BadParameter(f"options go after the sub-command: models {context.invoked_subcommand} …")


@app.command("list")
def models_list(limit: Limit = N_LISTED, database: Database = None, as_json: Json = False) -> None:
    """List the newest stored classifiers: score, date, strategy, training size."""
    with open_project(database) as project:
        found = project.models(limit + 1)
    listed = found[:limit]
    if as_json:
        return print_json([_plain(model, run) for model, run in listed])
    columns = ("id", "stored", "accuracy", "measured on", "strategy", "texts", "classes", "size", "note")
    print_table(columns, [_row(model, run) for model, run in listed])
    if len(found) > limit:
        say(f"These are the newest {limit:,}. There are older ones: --limit lists more.")
    return None


@app.command("show")
def models_show(clf_id: Id, database: Database = None, as_json: Json = False) -> None:
    """Show one classifier: its training data, its strategies, and its score for each label."""
    from al_learner.core.lifecycle.quality_gate import describe_gate as worse_in_words
    from al_learner.core.training.candidate_selection import title, trained
    from al_learner.core.training.evaluation import describe_score

    with open_project(database) as project:
        model, run = project.model(clf_id)
    if as_json:
        return print_json(_plain(model, run))
    facts = [("stored", local_time(model.created_at)), ("size", f"{model.size_bytes / 1024:,.0f} KiB")]
    if run is None:
        return print_table(("", ""), [*facts, ("stored by", "another program: al_runs does not know it")])
    metrics = run.metrics or {}
    score = {name: f"{metrics[name]:.3f}" for name in ("macro_f1", "log_loss", "calibration_error") if name in metrics}
    promoted = metrics.get("promoted")
    facts += [
        ("run", f"{run.kind} {run.run_id}, {run.new_samples:,} new samples"),
        *([("promoted", f"from {promoted['clf_id']}: {promoted['because']}")] if promoted else []),
        ("trained on", f"{run.texts:,} texts in {run.classes:,} classes"),
        *(
            (kind, f"{title(run.strategies[kind])} {_params(trained(run.strategies[kind]).params)}")
            for kind in ("classifier", "vectorizer")
        ),
        ("versions", ", ".join(f"{name} {version}" for name, version in (run.versions or {}).items())),
        ("announced to the predictor", local_time(run.announced) if run.announced else "no"),
        ("score", describe_score(run.metrics)),
        *((name.replace("_", " "), value) for name, value in score.items()),
        *([("gate", warning)] if (warning := worse_in_words(clf_id, metrics.get("gate"))) else []),
    ]
    print_table(("", ""), facts)
    if "per_class" in metrics:
        _print_classes(metrics)
    return None


@app.command("compare")
def models_compare(
    a: Annotated[int, typer.Argument(metavar="A", help="clf_id of a classifier.")],
    b: Annotated[int, typer.Argument(metavar="B", help="clf_id of another classifier.")],
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Compare two classifiers on the texts that both were measured on, with an exact McNemar test."""
    with open_project(database) as project:
        found = project.compare(a, b)
    if as_json:
        return print_json(asdict(found) | {"accuracies": found.accuracies, "p_value": found.p_value})
    return say(str(found))


@app.command("promote")
def models_promote(clf_id: Id, wait: Wait = 10, database: Database = None, as_json: Json = False) -> None:
    """Make a former classifier the newest again: store a copy of it and of its vectorizer, and announce it."""
    with open_project(database) as project:
        finish(project.promote(clf_id, wait_s=wait), as_json)


@app.command("export")
def models_export(
    clf_id: Id,
    file: Annotated[Path, typer.Argument(metavar="FILE", dir_okay=False, help="The file to write.")],
    force: Annotated[bool, typer.Option("--force", help="Overwrite FILE and FILE.json.")] = False,
    database: Database = None,
) -> None:
    """Write a classifier and its vectorizer as one scikit-learn Pipeline, and FILE.json with its description."""
    with open_project(database) as project:
        sidecar = project.export_model(clf_id, file, force=force)
    say(f"{file}: a Pipeline from texts to labels; {sidecar}: its digest, versions and score")


@app.command("prune")
def models_prune(
    keep: Annotated[int, typer.Option(metavar="N", min=1, help="How many of the newest classifiers are kept.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Delete nothing, and print what would be deleted.")
    ] = False,
    wait: Wait = 10,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Delete old classifiers. The newest one and those that somebody asked to download are kept."""
    from al_learner.core.models.catalogue import ranges

    with open_project(database) as project:
        found = project.prune(keep, dry_run=dry_run, wait_s=wait)
    if as_json:
        return print_json(asdict(found))
    removed = "would be deleted" if dry_run else "deleted"
    for name, ids in (("classifiers", found.clf_ids), ("vectorizers", found.countvec_ids)):
        say(f"{len(ids):,} {name} {removed}{f': {ranges(ids)}' if ids else ''}")
    return None


def _plain(model: StoredClassifier, run: Run | None) -> dict[str, Any]:
    return asdict(model) | {"run": asdict(run) if run else None}


def _row(model: StoredClassifier, run: Run | None) -> tuple[str, ...]:
    from al_learner.core.training.candidate_selection import title  # heavy: numpy

    metrics = (run.metrics or {}) if run else {}
    return (
        str(model.clf_id),
        local_time(model.created_at),
        share(model.precision_score),
        metrics.get("basis", "-"),
        f"{title(run.strategies['classifier'])} + {run.strategies['vectorizer']['name']}"
        if run
        else "from another program",
        f"{run.texts:,}" if run and run.texts else "-",
        str(run.classes) if run and run.classes else "-",
        f"{model.size_bytes / 1024:,.0f} KiB",
        _note(metrics),
    )


def _note(metrics: Mapping[str, Any]) -> str:
    notes = [f"copy of {metrics['promoted']['clf_id']}"] if "promoted" in metrics else []
    gate = metrics.get("gate", {})
    verdict = {"worse": f"worse than {gate.get('against')}", "held": f"held back: worse than {gate.get('against')}"}
    return ", ".join([*notes, *filter(None, [verdict.get(gate.get("verdict"))])])


def _params(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in params.items())


def _print_classes(metrics: Mapping[str, Any]) -> None:
    """Print precision, recall and the most frequent error of each label, the most frequent label first."""
    labels = metrics["labels"]
    mistakes: dict[str, tuple[int, str]] = {}
    for true, predicted, count in metrics["confusion"]:
        if true != predicted:
            mistakes[labels[true]] = max(mistakes.get(labels[true], (0, "")), (count, labels[predicted]))
    rows = [
        (
            label,
            str(row["support"]),
            *(share(row[name]) for name in ("precision", "recall")),
            f"{mistakes[label][1]} ({mistakes[label][0]})" if label in mistakes else "",
        )
        for label, row in sorted(metrics["per_class"].items(), key=lambda item: -item[1]["support"])
    ]
    print_table(("label", "texts", "precision", "recall", "most often confused with"), rows)
