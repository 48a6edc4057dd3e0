"""The real programs, each in an environment of its own, on loopback and in a temporary folder."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from uuid import NAMESPACE_DNS, uuid5

from tests.interop.questions import ANNOTATORS, ANSWERS, LABELS, MODEL_VERSION, PREDICTIONS, TEXTS, Answer
from tests.interop.session import ANSWER_S, Session
from tests.support.servers import Server, folder
from tests.support.waiting import DEADLINE_S, wait_until

ENVIRONMENTS = Path(__file__).resolve().parents[2] / ".interop"
"""Made by `make interop`."""

PASSWORD = "correct-horse-battery"  # noqa: S105 - of a server that lives for one test


def email(annotator: str) -> str:
    return f"{annotator}@example.org"


class Program(Server):
    """A server that people reach with their sessions; it takes minutes to start, where it first makes its tables."""

    name: str
    deadline_s = 600

    def __init__(self, place: Path) -> None:
        super().__init__()
        self.folder = place / self.name
        self.folder.mkdir()

    @abstractmethod
    def sign_up(self) -> None:
        """Let every annotator have an account."""

    def program(self, name: str) -> Path:
        return ENVIRONMENTS / self.name / "bin" / name

    def launch(self, *command: str | Path, **environment: str) -> subprocess.Popen[bytes]:
        """Start a process of the program, the leader of a group of its own."""
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                command,
                env={"PATH": os.environ["PATH"], "HOME": str(self.folder), "LANG": "C.UTF-8", **environment},
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def stop(self) -> None:
        end(self.process)
        self.process = None

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def end(process: subprocess.Popen[bytes] | None) -> None:
    """End a process that leads a group, and its children."""
    if process is not None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(DEADLINE_S)


Started = TypeVar("Started", bound=Program)


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

    def annotate(self, project: int, answers: Iterable[Answer]) -> None:
        """Let the annotators answer, each with the own account."""
        tasks = {task["data"]["ref"]: task["id"] for task in self.tasks(project)}
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
        self._run("init")
        self._run("createuser", "--username", owner, "--password", PASSWORD, "--email", email(owner))
        super().start(*options)
        self._worker = self.launch(self.program("doccano"), "task", "--concurrency", "1", **self._environment)

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

    def _run(self, *command: str) -> None:
        process = self.launch(self.program("doccano"), *command, **self._environment)
        assert process.wait(self.deadline_s) == 0, (self.folder / "log").read_text()

    def _launch(self, options: Sequence[str]) -> subprocess.Popen[bytes]:
        # What `doccano webserver` does, which would listen on every address of the machine.
        backend = next((ENVIRONMENTS / self.name).glob("lib/python*/site-packages/backend"))
        return self.launch(
            self.program("gunicorn"), "config.wsgi", "--chdir", backend, "--workers", "1",
            "--bind", f"127.0.0.1:{self.port}", *options, **self._environment,
        )  # fmt: skip


def _choice(label: str) -> dict[str, Any]:
    return {"from_name": "topic", "to_name": "question", "type": "choices", "value": {"choices": [label]}}


def label_studio_tasks() -> list[dict[str, Any]]:
    """Return the questions as a person would write them for Label Studio, with predictions of some."""
    return [
        {
            "data": {"text": text, "ref": id_},
            "meta": {"thread": f"thread-{number}"},
            "predictions": [
                {"result": [_choice(label)], "score": score, "model_version": MODEL_VERSION}
                for label, score in [PREDICTIONS[id_]]
            ]
            if id_ in PREDICTIONS
            else [],
        }
        for number, (id_, text) in enumerate(TEXTS.items(), 1)
    ]


def doccano_lines() -> bytes:
    """Return the questions as a person would write them for doccano; without `label` it reports an error."""
    rows = ({"id": id_, "text": text, "label": [], "source": "forum"} for id_, text in TEXTS.items())
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def argilla_user(annotator: str) -> str:
    """Return the UUID that a user of Argilla may have."""
    return str(uuid5(NAMESPACE_DNS, f"{annotator}.example.org"))


def argilla(*arguments: str | Path, home: Path) -> str:
    """Run `argilla_records.py` in the environment of Argilla's SDK, and return what it prints."""
    done = subprocess.run(
        [ENVIRONMENTS / "argilla" / "bin" / "python", Path(__file__).with_name("argilla_records.py"), *arguments],
        env={"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", "HF_HUB_OFFLINE": "1"},
        input=json.dumps(
            {
                "texts": TEXTS,
                "users": {annotator: argilla_user(annotator) for annotator in ANNOTATORS},
                "answers": ANSWERS,
                "predictions": PREDICTIONS,
                "model_version": MODEL_VERSION,
            }
        ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def running(program: type[Started]) -> Iterator[Started]:
    """Start a program in a folder of its own, with an account for every annotator; stop it in the end."""
    with folder() as place:
        server = program(place)
        try:
            server.start()
            server.sign_up()
            yield server
        finally:
            server.stop()
