"""Label Studio."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.interop.program import PASSWORD, Program, email
from tests.interop.questions import ANNOTATORS, LABELS, MODEL_VERSION, PREDICTIONS, TEXTS, Answer
from tests.interop.session import Session


class LabelStudio(Program):
    """Label Studio on SQLite. The first annotator owns it, the others sign up."""

    name = "label-studio"

    CONFIG = """<View>
      <Text name="question" value="$text"/>
      <Choices name="topic" toName="question" choice="single">{}</Choices>
    </View>""".format("".join(f'<Choice value="{label}"/>' for label in LABELS))

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self._token = secrets.token_hex(20)
        self.people: dict[str, Session] = {}

    def answers(self) -> bool:
        with suppress(AssertionError, OSError):
            return bool(self._session(self._token).get("/api/current-user/whoami"))
        return False

    def sign_up(self) -> None:
        owner, *others = ANNOTATORS
        self.people[owner] = self._session(self._token)
        for annotator in others:
            guest = Session(self.base)
            guest.get("/user/signup/")
            guest.form("/user/signup/", {"email": email(annotator), "password": PASSWORD})
            self.people[annotator] = self._session(guest.json("GET", "/api/current-user/token")["token"])

    def create(self, tasks: Iterable[Mapping[str, Any]], *, config: str = CONFIG) -> int:
        """Create a project with these tasks, and return its number."""
        owner = self.people[ANNOTATORS[0]]
        project = owner.json("POST", "/api/projects", {"title": "Questions", "label_config": config})
        imported = owner.json("POST", f"/api/projects/{project['id']}/import", list(tasks))
        assert imported["task_count"] == len(list(tasks)), imported
        return int(project["id"])

    def tasks(self, project: int) -> list[dict[str, Any]]:
        """Return every task as the program shows it."""
        path = f"/api/tasks?project={project}&page_size=100&fields=all"
        return list(self.people[ANNOTATORS[0]].json("GET", path)["tasks"])

    def annotate(self, project: int, answers: Iterable[Answer], *, id_key: str = "ref") -> None:
        """Let the annotators answer, each with the own account."""
        tasks = {task["data"][id_key]: task["id"] for task in self.tasks(project)}
        for answer in answers:
            place = f"/api/tasks/{tasks[answer.id]}"
            content = {"result": [_choice(answer.label)] if answer.label else [], "lead_time": 2.5}
            paths = {
                "vote": f"{place}/annotations/",
                "skip": f"{place}/annotations/?was_cancelled=1",
                "draft": f"{place}/drafts",
            }
            self.people[answer.annotator].json("POST", paths[answer.kind], content)

    def export(self, project: int, export_format: str) -> bytes:
        """Return the file that the program exports: `JSON`, `JSON_MIN` or `CSV`, of every task."""
        path = f"/api/projects/{project}/export?exportType={export_format}&download_all_tasks=true"
        return self.people[ANNOTATORS[0]].get(path)

    def numbers(self) -> dict[str, str]:
        """Return the number of each person, by e-mail address."""
        people = self.people[ANNOTATORS[0]].json("GET", "/api/users")
        return {person["email"]: str(person["id"]) for person in people}

    def snapshot(self, project: int, export_format: str | None = None) -> bytes:
        """Return a snapshot, whose annotators are people with e-mails; as JSON, or converted to another format."""
        owner, exports = self.people[ANNOTATORS[0]], f"/api/projects/{project}/exports/"
        whole = {"only_id": False}
        options = {"annotations__completed_by": whole, "drafts": whole, "predictions": whole}
        number = owner.json("POST", exports, {"serialization_options": options})["id"]
        if export_format is None:
            return owner.get(f"{exports}{number}/download")
        owner.json("POST", f"{exports}{number}/convert", {"export_type": export_format})
        return owner.get(f"{exports}{number}/download?exportType={export_format}")

    def _session(self, token: str) -> Session:
        session = Session(self.base)
        session.headers["Authorization"] = f"Token {token}"
        return session

    def _launch(self, options: Sequence[str]) -> subprocess.Popen[bytes]:
        return self.launch(
            self.program("label-studio"), "start", "--no-browser", "--internal-host", "127.0.0.1",
            "--port", str(self.port), "--username", email(ANNOTATORS[0]), "--password", PASSWORD,
            "--user-token", self._token, "--enable-legacy-api-token", *options,
            LABEL_STUDIO_BASE_DATA_DIR=str(self.folder / "data"),
            COLLECT_ANALYTICS="false", LATEST_VERSION_CHECK="false", SENTRY_DSN="", FRONTEND_SENTRY_DSN="",
        )  # fmt: skip


def label_studio_tasks() -> list[dict[str, Any]]:
    """Return the questions as a person would write them for Label Studio, with predictions of some."""
    return [
        {
            "data": {"text": text, "ref": id_},
            "meta": {"thread": f"thread-{number}"},
            "predictions": [_prediction(*PREDICTIONS[id_])] if id_ in PREDICTIONS else [],
        }
        for number, (id_, text) in enumerate(TEXTS.items(), 1)
    ]


def _choice(label: str) -> dict[str, Any]:
    return {"from_name": "topic", "to_name": "question", "type": "choices", "value": {"choices": [label]}}


def _prediction(label: str, score: float) -> dict[str, Any]:
    return {"result": [_choice(label)], "score": score, "model_version": MODEL_VERSION}
