"""Argilla."""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

from tests.interop.program import ENVIRONMENTS, HERE, PASSWORD, Program
from tests.interop.questions import ANNOTATORS, LABELS, MODEL_VERSION, PREDICTIONS, TEXTS, Answer
from tests.interop.session import Session
from tests.support.servers import Redis


class Argilla(Program):
    """Argilla's server on SQLite and a Redis, without a search engine; the SDK puts records in and gets them out."""

    name = "argilla-server"

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self._redis = Redis(place)
        self._key = secrets.token_hex(20)
        self.people: dict[str, Session] = {}

    def start(self, *options: str) -> None:
        """Make the tables and the owner, then start Redis and the server."""
        self._redis.start()
        command = (self.program("python"), "-m", "argilla_server", "database")
        account = ("--first-name", "owner", "--username", "owner", "--password", PASSWORD)
        self.run(*command, "migrate", **self._environment)
        self.run(*command, "users", "create", *account, "--role", "owner", "--api-key", self._key, **self._environment)
        super().start(*options)

    def stop(self) -> None:
        super().stop()
        self._redis.stop()

    def answers(self) -> bool:
        with suppress(AssertionError, OSError):
            return bool(self._session(self._key).get("/api/v1/me"))
        return False

    def sign_up(self) -> None:
        owner = self._session(self._key)
        members = f"/api/v1/workspaces/{owner.json('POST', '/api/v1/workspaces', {'name': 'team'})['id']}/users"
        for name in ANNOTATORS:
            account = {"first_name": name, "username": name, "password": PASSWORD, "role": "annotator"}
            user = owner.json("POST", "/api/v1/users", {**account, "id": argilla_user(name)})
            owner.json("POST", members, {"user_id": user["id"]})
            self.people[name] = self._session(user["api_key"])

    def put(self, dataset: str, content: bytes) -> None:
        """Create a dataset from a file with records in JSON."""
        file = self.folder / f"{dataset}.json"
        file.write_bytes(content)
        self._sdk("put", dataset, file, *LABELS)

    def get(self, dataset: str) -> tuple[bytes, bytes]:
        """Return the records as the SDK exports them: nested, and flat."""
        folder = self.folder / dataset
        folder.mkdir()
        self._sdk("get", dataset, folder)
        nested, flat = (folder / f"{name}.json" for name in ("nested", "flat"))
        return nested.read_bytes(), flat.read_bytes()

    def annotate(self, dataset: str, answers: Iterable[Answer]) -> None:
        """Let the annotators answer, each with the own account."""
        owner = self._session(self._key)
        datasets = {found["name"]: found["id"] for found in owner.json("GET", "/api/v1/me/datasets")["items"]}
        path = f"/api/v1/datasets/{datasets[dataset]}/records?limit=100"
        records = {record["external_id"]: record["id"] for record in owner.json("GET", path)["items"]}
        status = {"vote": "submitted", "skip": "discarded", "draft": "draft"}
        for answer in answers:
            # Without `values`, which the server allows, the SDK cannot read the record: AttributeError.
            values = {"topic": {"value": answer.label}} if answer.label else {}
            response = {"status": status[answer.kind], "values": values}
            self.people[answer.annotator].json("POST", f"/api/v1/records/{records[answer.id]}/responses", response)

    @property
    def _environment(self) -> dict[str, str]:
        return {
            "ARGILLA_ENABLE_TELEMETRY": "0",
            "ARGILLA_HOME_PATH": str(self.folder),
            "ARGILLA_REDIS_URL": f"redis://127.0.0.1:{self._redis.port}/0",
            "ARGILLA_SEARCH_ENGINE": "none",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_OFFLINE": "1",
        }

    def _session(self, key: str) -> Session:
        session = Session(self.base)
        session.headers["X-Argilla-Api-Key"] = key
        return session

    def _sdk(self, *arguments: str | Path) -> None:
        python = ENVIRONMENTS / "argilla" / "bin" / "python"
        environment = {"ARGILLA_API_URL": self.base, "ARGILLA_API_KEY": self._key, "HF_HUB_OFFLINE": "1"}
        self.run(python, "-P", HERE / "argilla_records.py", *arguments, **environment)

    def _launch(self, options: Sequence[str]) -> subprocess.Popen[bytes]:
        command = (self.program("python"), "-P", HERE / "serve_argilla.py", str(self.port))
        return self.launch(*command, *options, **self._environment)


def argilla_user(annotator: str) -> str:
    """Return the UUID that an annotator has as a user of Argilla."""
    return str(uuid5(NAMESPACE_DNS, f"{annotator}.example.org"))


def argilla_records() -> bytes:
    """Return the questions as a person would write them for Argilla, with suggestions for some."""
    records: list[dict[str, Any]] = [
        {"id": id_, "fields": {"text": text}, "metadata": {"position": number}, "suggestions": {}}
        for number, (id_, text) in enumerate(TEXTS.items(), 1)
    ]
    for record in records:
        if record["id"] in PREDICTIONS:
            label, score = PREDICTIONS[record["id"]]
            record["suggestions"] = {"topic": {"value": label, "score": score, "agent": MODEL_VERSION}}
    return json.dumps(records).encode()
