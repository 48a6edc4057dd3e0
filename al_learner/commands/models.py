"""`al-learner models`."""

from __future__ import annotations

from dataclasses import asdict

import typer

from al_learner.commands.shared import Database, Json, local_time, open_project, print_json, print_table

app = typer.Typer(help="List the stored classifiers.", invoke_without_command=True)


@app.callback()
def models_list(context: typer.Context, database: Database = None, as_json: Json = False) -> None:
    """List every stored classifier: score, date, strategy, training size."""
    if context.invoked_subcommand is not None:
        return None
    with open_project(database) as project:
        found = project.models()
    if as_json:
        return print_json([asdict(model) | {"run": asdict(run) if run else None} for model, run in found])
    rows = [
        (
            str(model.clf_id),
            local_time(model.created_at),
            "-" if model.precision_score is None else f"{model.precision_score:.3f}",
            (run.metrics or {}).get("basis", "-") if run else "-",
            f"{run.strategies['classifier']['name']} + {run.strategies['vectorizer']['name']}" if run else "not ours",
            f"{run.texts:,}" if run and run.texts else "-",
            str(run.classes) if run and run.classes else "-",
            f"{model.size_bytes / 1024:,.0f} KiB",
        )
        for model, run in found
    ]
    return print_table(("id", "stored", "precision", "measured on", "strategy", "texts", "classes", "size"), rows)
