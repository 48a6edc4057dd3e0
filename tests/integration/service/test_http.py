"""What the worker answers over HTTP: about states that are rare, and to clients that are slow."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import replace
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from al_learner.core.errors import DatabaseError, DatabaseUnavailable, SchemaError, SettingsError
from al_learner.core.service import http_server
from al_learner.core.service.figures import OwnFigures, Source, Vitals
from al_learner.core.service.http import LOCKED_S, serve
from tests.support.servers import free_port
from tests.support.waiting import DEADLINE_S, wait_until

WELL = {
    "database": True,
    "subscribed": True,
    "reconciled": True,
    "rows_free": True,
    "problems": [],
    "looked": True,
    "superseded": False,
}
NONE = {"runs": {}, "last_run_s": None, "last_success": None, "unacknowledged_s": 0, "accuracy": None, "failures": 0}
VITALS = Vitals(**NONE, rows_locked_s=0)


FIGURES = OwnFigures(
    is_alive=True,
    is_subscribed=True,
    is_superseded=False,
    new_samples=3,
    batch_size=10,
    unexpected_errors=2,
    waiting_s=0,
    problem=None,
)


def forbidden():
    pytest.fail("the database was asked")


class Served:
    """A port that answers for a worker that is well, but for what is given."""

    def __init__(self, **differing):
        self.port = free_port()
        vitals = differing.pop("vitals", lambda: VITALS)
        source = Source(vitals, lambda: replace(FIGURES, **differing))
        serve("127.0.0.1", self.port, lambda: {None: source})

    def get(self, path):
        try:
            with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=DEADLINE_S) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as exc:
            return exc.code, exc.read().decode()

    def health(self):
        status, body = self.get("/healthz")
        return status, json.loads(body)

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE_S)


def raising(error):
    def vitals():
        raise error

    return vitals


def test_a_worker_that_is_well_has_no_problem():
    assert Served().health() == (200, WELL)


@pytest.mark.parametrize(("locked_s", "status"), [(LOCKED_S - 1, 200), (LOCKED_S + 1, 503)])
def test_a_run_that_waits_long_for_locked_rows_makes_the_worker_unhealthy(locked_s, status):
    vitals = Vitals(**NONE, rows_locked_s=locked_s)
    served = Served(vitals=lambda: vitals)

    assert (served.health()[0], served.health()[1]["rows_free"]) == (status, status == 200)
    assert served.get("/livez")[0] == 200
    assert f"al_learner_rows_locked_seconds {locked_s}" in served.get("/metrics")[1]


@pytest.mark.parametrize(
    ("differing", "fields", "problem"),
    [
        pytest.param(
            {"vitals": raising(DatabaseUnavailable("host db.example, user anna"))},
            {"database": False, "rows_free": None},
            "the database cannot be reached",
            id="database down",
        ),
        pytest.param(
            {"vitals": raising(SchemaError("no table text_data"))},
            {"rows_free": None},
            "the database is not ready: no table text_data",
            id="tables missing",
        ),
        pytest.param(
            {"vitals": raising(DatabaseError("permission denied"))},
            {"rows_free": None},
            "the database is not ready: permission denied",
            id="database refuses",
        ),
        pytest.param(
            {"waiting_s": LOCKED_S + 1},
            {},
            "the worker has waited for more than 60 s for the database; its log says why",
            id="table locked",
        ),
        pytest.param(
            {"is_subscribed": False},
            {"subscribed": False},
            "the worker receives no messages from Redis",
            id="Redis down",
        ),
        pytest.param(
            {"is_alive": False},
            {"reconciled": False, "looked": False},
            "the worker's loop has not run for too long",
            id="loop hangs",
        ),
        pytest.param(
            {"problem": "the loop failed"},
            {},
            "the loop failed",
            id="unexpected error",
        ),
    ],
)
def test_each_problem_has_words_of_its_own(differing, fields, problem):
    assert Served(**differing).health() == (503, WELL | fields | {"problems": [problem]})


def test_no_redis_is_told_apart_from_a_lost_one_also_while_the_database_is_down():
    served = Served(is_subscribed=None)
    assert served.health() == (200, WELL | {"subscribed": None})

    for is_subscribed in (None, True):
        down = Served(vitals=raising(DatabaseUnavailable("down")), is_subscribed=is_subscribed)
        assert down.health()[1]["subscribed"] is is_subscribed


def test_what_the_worker_knows_by_itself_is_measured_without_a_database():
    metrics = Served(vitals=raising(DatabaseUnavailable("down"))).get("/metrics")[1]

    assert 'al_learner_connected{to="database"} 0.0' in metrics
    assert 'al_learner_connected{to="redis"} 1.0' in metrics
    assert "al_learner_new_samples 3.0" in metrics
    assert "al_learner_unexpected_errors_total 2.0" in metrics


@pytest.mark.parametrize("alive", [True, False])
def test_livez_asks_the_loop_alone(alive):
    status, body = Served(vitals=forbidden, problem="anything", is_alive=alive).get("/livez")

    assert status == (200 if alive else 503)
    assert json.loads(body) == {"reconciled": alive, "looked": alive}


def test_silent_and_slow_connections_hold_nobody_up():
    served = Served()
    with ExitStack() as stack:
        for _ in range(http_server.MAX_CONNECTIONS + 10):
            stack.enter_context(served.connect())
        stack.enter_context(served.connect()).sendall(b"GET /liv")

        for path in ("/livez", "/healthz", "/metrics"):
            assert served.get(path)[0] == 200


def test_connections_that_last_too_long_are_closed(monkeypatch, capfd):
    monkeypatch.setattr(http_server, "LIMIT_S", 0.2)
    served = Served()
    ended = threading.Event()

    def drip(slow):
        while not ended.is_set():
            try:
                slow.sendall(b"x")
            except OSError:
                return
            ended.wait(0.05)

    with served.connect() as silent, served.connect() as half, served.connect() as slow:
        half.sendall(b"GET /livez")
        dripping = threading.Thread(target=drip, args=(slow,))
        dripping.start()
        for connection in (silent, half, slow):
            with suppress(ConnectionResetError):  # what it sent was not read
                assert connection.recv(1000) == b""
        ended.set()
        dripping.join(DEADLINE_S)
    assert served.get("/livez")[0] == 200
    assert capfd.readouterr().err == ""


def test_a_client_that_goes_away_leaves_no_traceback(capfd):
    served = Served()
    for sent in (b"", b"GET", b"GET /healthz HTTP/1.0\r\n\r\n"):
        with served.connect() as gone:
            gone.sendall(sent)
            gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # close with a reset
    assert served.health()[0] == 200
    assert capfd.readouterr().err == ""


def test_a_database_that_is_silent_is_reported_and_asked_by_one_thread_at_a_time():
    released, asked = threading.Event(), []

    def vitals():
        asked.append(time.monotonic())
        assert released.wait(DEADLINE_S)
        return VITALS

    served = Served(vitals=vitals)
    answers = []
    probes = [threading.Thread(target=lambda: answers.append(served.health())) for _ in range(5)]
    for probe in probes:
        probe.start()
    for probe in probes:
        probe.join(DEADLINE_S)

    silent = WELL | {"database": False, "rows_free": None, "problems": ["the database has not answered for 3 s"]}
    assert answers == [(503, silent)] * 5
    assert served.get("/livez")[0] == 200
    assert len(asked) == 1
    released.set()
    wait_until(lambda: served.health() == (200, WELL), "the worker to be well again")


def test_it_answers_only_on_the_address_that_is_named():
    served = Served()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", served.port), timeout=DEADLINE_S)


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid", "::ffff:192.0.2.1"])
def test_an_address_that_is_not_this_machines_is_named(host):
    with pytest.raises(SettingsError, match=f"AL_LEARNER_HTTP_HOST = {host}"):
        serve(host, free_port(), forbidden)


@pytest.fixture
def several():
    """Serve two projects, of which one has lost its database, and a settings file with a mistake."""
    served = Served.__new__(Served)
    served.port = free_port()
    runs = replace(VITALS, runs={"succeeded": 3, "failed": 1})
    sources = {
        "news": Source(lambda: runs, lambda: FIGURES),
        "mail": Source(raising(DatabaseUnavailable("no route")), lambda: replace(FIGURES, is_subscribed=None)),
    }
    serve("127.0.0.1", served.port, lambda: sources, problems=lambda: ["bad.toml: not a setting"])
    return served


def test_the_health_of_several_projects_is_told_by_name(several):
    status, health = several.health()

    assert status == 503
    assert health["problems"] == ["mail: the database cannot be reached", "bad.toml: not a setting"]
    assert health["projects"]["news"] == WELL
    assert health["projects"]["mail"]["database"] is False
    assert several.get("/livez")[0] == 200


def test_the_metrics_of_several_projects_are_labelled(several):
    _, metrics = several.get("/metrics")

    lines = metrics.splitlines()
    assert 'al_learner_runs{project="news",status="succeeded"} 3.0' in lines
    assert 'al_learner_connected{project="mail",to="database"} 0.0' in lines
    assert 'al_learner_connected{project="news",to="redis"} 1.0' in lines
    assert 'al_learner_unexpected_errors_total{project="mail"} 2.0' in lines
    assert not any('project="mail",to="redis"' in line or 'runs{project="mail"' in line for line in lines)
    assert len([line for line in lines if line.startswith("# HELP al_learner_runs ")]) == 1
