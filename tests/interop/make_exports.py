"""Makes `tests/data/exports` anew, with the real programs: `python -m tests.interop.make_exports`.

The environments are those of `make interop`. Times, unique ids and the order of a zip's files differ every time.
"""

from __future__ import annotations

from pathlib import Path

from tests.interop.programs import Doccano, LabelStudio, argilla, doccano_lines, label_studio_tasks, running
from tests.interop.questions import ANSWERS, LABELS, VOTES
from tests.support.servers import folder

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
    for file in place.glob("*.json"):
        file.unlink()  # the SDK writes no file that is there
    with folder() as home:
        argilla("write", place, home=home)


if __name__ == "__main__":
    for name, make in {"argilla": make_argilla, "doccano": make_doccano, "label-studio": make_label_studio}.items():
        (EXPORTS / name).mkdir(parents=True, exist_ok=True)
        make(EXPORTS / name)
