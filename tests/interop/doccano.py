"""doccano."""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.interop.program import ENVIRONMENTS, PASSWORD, Program, email, end
from tests.interop.questions import ANNOTATORS, LABELS, TEXTS, Answer
from tests.interop.session import ANSWER_S, Session
from tests.support.waiting import wait_until


class Doccano(Program):
    """doccano on SQLite: a web server, and the worker that imports and exports. The first annotator administers it."""

    name = "doccano"

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self._worker: subprocess.Popen[bytes] | None = None
        self._environment = {
            "DATABASE_URL": f"sqlite:///{self.folder / 'db.sqlite3'}",
            "DJANGO_SETTINGS_MODULE": "config.settings.production",
            "DOCCANO_HOME": str(self.folder),
            "MEDIA_ROOT": str(self.folder / "media"),
            "SECRET_KEY": secrets.token_hex(20),
            "STANDALONE": "True",
        }
        self.people: dict[str, Session] = {}

    def start(self, *options: str) -> None:
        """Make the tables, then start both processes."""
        owner = ANNOTATORS[0]
        doccano, account = self.program("doccano"), ("--password", PASSWORD, "--email", email(owner))
        self.run(doccano, "init", **self._environment)
        self.run(doccano, "createuser", "--username", owner, *account, **self._environment)
        super().start(*options)
        self._worker = self.launch(doccano, "task", "--concurrency", "1", **self._environment)

    def stop(self) -> None:
        end(self._worker)
        super().stop()

    def answers(self) -> bool:
        with suppress(AssertionError, OSError):
            return bool(self._log_in(ANNOTATORS[0]))
        return False

    def sign_up(self) -> None:
        owner, *others = ANNOTATORS
        self.people[owner] = self._log_in(owner)
        for name in others:
            account = {"username": name, "password1": PASSWORD, "password2": PASSWORD}
            self.people[owner].json("POST", "/v1/users/create", account)
            self.people[name] = self._log_in(name)

    def create(self, *, labels: Sequence[str] = LABELS, collaborative: bool = False) -> int:
        """Create a single-label project with every annotator as a member, and return its number."""
        owner = self.people[ANNOTATORS[0]]
        project = owner.json(
            "POST",
            "/v1/projects",
            {
                "name": "Questions",
                "description": "Which language is it about?",
                "project_type": "DocumentClassification",
                "resourcetype": "TextClassificationProject",
                "single_class_classification": True,
                "collaborative_annotation": collaborative,
            },
        )["id"]
        for number, label in enumerate(labels):
            content = {"text": label, "background_color": f"#{number}0{number}0{number}0"}
            owner.json("POST", f"/v1/projects/{project}/category-types", content)
        role = next(role["id"] for role in owner.json("GET", "/v1/roles") if role["name"] == "annotator")
        ids = {user["username"]: user["id"] for user in owner.json("GET", "/v1/users")}
        for name in ANNOTATORS[1:]:
            owner.json("POST", f"/v1/projects/{project}/members", {"user": ids[name], "role": role})
        return int(project)

    def upload(self, project: int, content: bytes, file_format: str = "JSONL") -> None:
        """Import a file; everything in it is credited to the first annotator."""
        owner = self.people[ANNOTATORS[0]]
        upload = owner.upload("/v1/fp/process/", "filepond", content)
        request = {"format": file_format, "task": "DocumentClassification", "uploadIds": [upload], "encoding": "utf_8"}
        result = self._wait_for(owner.json("POST", f"/v1/projects/{project}/upload", request)["task_id"])
        assert result["error"] == [], result

    def examples(self, project: int) -> list[dict[str, Any]]:
        """Return every text as the program shows it."""
        return list(self.people[ANNOTATORS[0]].json("GET", f"/v1/projects/{project}/examples?limit=100")["results"])

    def categories(self, project: int, example: int) -> list[dict[str, Any]]:
        """Return the labels that the first annotator gave to a text."""
        path = f"/v1/projects/{project}/examples/{example}/categories"
        return list(self.people[ANNOTATORS[0]].json("GET", path))

    def annotate(self, project: int, answers: Iterable[Answer]) -> None:
        """Let the annotators label and confirm, each with the own account."""
        place = f"/v1/projects/{project}"
        examples = {example["meta"]["id"]: example["id"] for example in self.examples(project)}
        types = self.people[ANNOTATORS[0]].json("GET", f"{place}/category-types")
        labels = {label["text"]: label["id"] for label in types}
        for answer in answers:
            example = f"{place}/examples/{examples[answer.id]}"
            self.people[answer.annotator].json("POST", f"{example}/categories", {"label": labels[answer.label]})
            self.people[answer.annotator].json("POST", f"{example}/states", {})

    def export(self, project: int, export_format: str) -> bytes:
        """Return the zip that the program exports: `JSONL`, `JSON` or `CSV`, of every text."""
        place = f"/v1/projects/{project}/download"
        owner = self.people[ANNOTATORS[0]]
        task = owner.json("POST", place, {"format": export_format, "exportApproved": False})["task_id"]
        self._wait_for(task)
        return owner.get(f"{place}?taskId={task}")

    def _wait_for(self, task: str) -> Any:
        """Return the result of a task of the worker."""
        path = f"/v1/tasks/status/{task}"
        owner = self.people[ANNOTATORS[0]]
        done = wait_until(
            lambda: (answer := owner.json("GET", path))["ready"] and answer, "doccano's worker", deadline_s=ANSWER_S
        )
        assert done["error"] is None, done
        return done["result"]

    def _log_in(self, name: str) -> Session:
        session = Session(self.base)
        session.json("POST", "/v1/auth/login/", {"username": name, "password": PASSWORD})
        return session

    def _launch(self, options: Sequence[str]) -> subprocess.Popen[bytes]:
        # What `doccano webserver` does, which would listen on every address of the machine.
        backend = next((ENVIRONMENTS / self.name).glob("lib/python*/site-packages/backend"))
        return self.launch(
            self.program("gunicorn"), "config.wsgi", "--chdir", backend, "--workers", "1",
            "--bind", f"127.0.0.1:{self.port}", *options, **self._environment,
        )  # fmt: skip


def doccano_lines() -> bytes:
    """Return the questions as a person would write them for doccano; without `label` it reports an error."""
    rows = ({"id": id_, "text": text, "label": [], "source": "forum"} for id_, text in TEXTS.items())
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
