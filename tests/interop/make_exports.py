"""Makes `tests/data/exports` anew, with the real programs: `python -m tests.interop.make_exports [FOLDER...]`.

The environments are those of `make interop`. Times, unique ids and the order of a zip's files differ every time.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.interop.argilla import Argilla, argilla_records
from tests.interop.doccano import Doccano, doccano_lines
from tests.interop.label_studio import LabelStudio, label_studio_tasks
from tests.interop.program import running
from tests.interop.questions import ANSWERS, LABELS, VOTES

CSV_LABELS = ("python", "sql", "csharp")
"""In doccano's CSV a label with `#` looks like two labels."""

EXPORTS = Path(__file__).resolve().parents[1] / "data" / "exports"


def make_label_studio(place: Path) -> None:
    with running(LabelStudio) as server:
        project = server.create(label_studio_tasks())
        server.annotate(project, ANSWERS)
        for name, kind in {"export.json": "JSON", "export-min.json": "JSON_MIN", "export.csv": "CSV"}.items():
            (place / name).write_bytes(server.export(project, kind))
        for name, kind in {"snapshot.json": None, "snapshot-min.json": "JSON_MIN", "snapshot.csv": "CSV"}.items():
            (place / name).write_bytes(server.snapshot(project, kind))


def make_doccano(place: Path) -> None:
    first_of_each = tuple({vote.id: vote for vote in reversed(VOTES)}.values())
    with running(Doccano) as server:
        for name, votes in {"members": VOTES, "collaborative": first_of_each}.items():
            for kind, labels in {"JSONL": LABELS, "CSV": CSV_LABELS}.items():
                renamed = dict(zip(LABELS, labels, strict=True))
                project = server.create(labels=labels, collaborative=name == "collaborative")
                server.upload(project, doccano_lines())
                server.annotate(project, [vote._replace(label=renamed[str(vote.label)]) for vote in votes])
                (place / f"{name}-{kind.lower()}.zip").write_bytes(server.export(project, kind))


def make_argilla(place: Path) -> None:
    with running(Argilla) as server:
        server.put("questions", argilla_records())
        server.annotate("questions", ANSWERS)
        for name, content in zip(("nested.json", "flat.json"), server.get("questions"), strict=True):
            (place / name).write_bytes(content)


MAKERS = {"argilla": make_argilla, "doccano": make_doccano, "label-studio": make_label_studio}

if __name__ == "__main__":
    for name in sys.argv[1:] or MAKERS:
        (EXPORTS / name).mkdir(parents=True, exist_ok=True)
        MAKERS[name](EXPORTS / name)
