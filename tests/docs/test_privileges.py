"""What the page on privileges grants is enough for the worker, and no more than it says."""

from __future__ import annotations

import shlex
import threading
from collections.abc import Iterator

import psycopg
import pytest

from al_learner import Project
from al_learner.core.configuration.settings import Settings
from al_learner.core.errors import DatabaseError
from al_learner.core.models import retention
from al_learner.core.service.redis_channels import Channels
from tests.conftest import Logged
from tests.docs.pages import DOCS, blocks
from tests.support.predictor import ear
from tests.support.servers import Redis
from tests.support.tables import PostgresqlTables

PAGE = DOCS / "how-to" / "limit-privileges.md"
GROWTH = DOCS / "how-to" / "limit-growth.md"
ROLE = "al_learner"


@pytest.fixture
def limited(postgresql: PostgresqlTables) -> Iterator[str]:
    """The URL of a database for a user with the privileges that the page grants."""
    owner = Project(postgresql.url)
    owner.upgrade()
    owner.close()
    server = postgresql.server
    with server.connect(postgresql.name) as connection:
        connection.execute("".join(block.body for block in blocks(PAGE) if block.language == "sql").encode())
    yield server.url(postgresql.name).replace("postgres@", f"{ROLE}@")
    with server.connect(postgresql.name) as connection:
        connection.execute(f"DROP OWNED BY {ROLE}; DROP ROLE {ROLE}".encode())


def test_the_granted_privileges_suffice_for_runs_status_and_predictions(
    limited: str, postgresql: PostgresqlTables
) -> None:
    ids = postgresql.add_texts("a good day", "good news", "a bad day", "bad news")
    postgresql.add_labels("+", "-")
    project = Project(limited, classifier="complement-nb", batch_size=2, signing_key="secret")
    project.register_worker()
    assert project.init().run
    for text_id, label in zip(ids, "++--", strict=True):
        postgresql.vote(text_id, label)
    assert project.reconcile().due == "update"
    assert project.reconcile().due == "score"
    assert project.update(force=True, refit=True).run
    assert project.status().due is None
    assert len(project.models()) == 3
    assert project.promote(2).run
    with pytest.raises(DatabaseError, match="permission denied for table classifiers"):
        project.prune(1)
    assert [prediction.label for prediction in project.predict()] == ["+", "+", "-", "-"]
    postgresql.query("INSERT INTO al_external_ids VALUES (?, 'a-1')", ids[0])
    exported = [(row["external_id"], row["label"]) for row in project.export_rows("texts")]
    assert exported == [("a-1", "+"), (None, "+"), (None, "-"), (None, "-")]
    postgresql.query(f"REVOKE SELECT ON al_external_ids FROM {ROLE}")
    assert [row["external_id"] for row in project.export_rows("labels")] == [None] * 4
    project.close()


def test_without_the_right_to_delete_retention_warns_once_and_with_it_it_deletes(
    limited: str, postgresql: PostgresqlTables, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "KEPT_NEWEST", 1)
    project = Project(limited, classifier="complement-nb", batch_size=2, keep_gib=1e-9)

    def run() -> None:
        for text_id, label in zip(postgresql.add_texts("a good day", "a bad day"), "+-", strict=True):
            postgresql.vote(text_id, label)
        assert project.reconcile().due == "update"
        postgresql.query("UPDATE classifiers SET created_at = '2020-01-01'")

    for _ in range(3):
        run()
    [warning] = logged.named("retention.not_permitted")
    assert "permission denied for table" in warning["error"]
    assert postgresql.count("classifiers") == 3

    [grant] = [block.body for block in blocks(GROWTH) if block.language == "sql"]
    postgresql.query(grant)
    run()
    assert [model.clf_id for model, _ in project.models()] == [4]
    assert logged.named("retention.deleted") == [{"classifiers": "1-3", "vectorizers": ""}]
    project.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE al_project SET project_id = ''",
        "INSERT INTO al_project VALUES ('', '[]')",
        "DELETE FROM text_data",
        "UPDATE text_data SET labels = '{}'",
        "UPDATE classifiers SET clf = ''",
        "UPDATE countvecs SET countvec = ''",
        "DELETE FROM classifiers",
        "INSERT INTO labels (label) VALUES ('x')",
        "SELECT * FROM users",
        "DELETE FROM al_runs",
    ],
)
def test_anything_else_is_refused(limited: str, statement: str) -> None:
    with psycopg.connect(limited) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement.encode())


def test_the_redis_user_may_listen_and_announce(redis: Redis) -> None:
    rule = next(block.body for block in blocks(PAGE) if "ACL SETUSER" in block.body)
    with redis.client() as admin:
        admin.execute_command(*shlex.split(rule))
        try:
            password = rule.split(">")[1].split()[0]
            channels = Channels(Settings(redis_url=f"redis://{ROLE}:{password}@127.0.0.1:{redis.port}"))
            with ear(admin):
                assert channels.has_predictor()
                assert channels.announce() == 1
            assert not channels.is_available()  # it may ask
            heard: list[str] = []
            stop = threading.Event()
            deadline = threading.Timer(10, stop.set)
            deadline.start()
            channels.listen(lambda payload: (heard.append(payload), stop.set()), stop)
            deadline.cancel()
            assert heard == [""]  # subscribed
            channels.close()
        finally:
            admin.execute_command("ACL", "DELUSER", ROLE)
