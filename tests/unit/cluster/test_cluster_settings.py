"""What is refused before a worker trains on a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from al_learner.core.cluster import compute
from al_learner.core.cluster.compute import on_cluster
from al_learner.core.configuration.settings import Settings
from al_learner.core.errors import SettingsError

POSTGRESQL = "postgresql://al_learner:secret@db.example:5433/labels?sslmode=require"


def refused(**settings):
    with pytest.raises(SettingsError) as caught:
        on_cluster(Settings(**settings), tick=lambda: None, on_done=lambda: None)
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(
    "address", ["tls://scheduler:8786", "tcp://127.0.0.1:1", "tcp://localhost:65535", "tcp://[::1]:8786"]
)
def test_an_address_is_taken_as_it_is(address):
    assert Settings(cluster=address).cluster == address


@pytest.mark.parametrize(
    "address",
    ["scheduler", "tls://scheduler", "http://a:1", "tls://a:0", "tls://a:65536", "tls://u:p@a:1", "tls://a:1/x"],
)
def test_another_form_of_address_is_refused(address):
    assert "write tls://HOST:PORT" in refused(cluster=address)


@pytest.mark.parametrize("host", ["scheduler", "10.0.0.1", "0.0.0.0", "[2001:db8::1]"])  # noqa: S104 - only a value
def test_only_this_machine_may_be_without_encryption(host):
    problem = refused(cluster=f"tcp://{host}:8786")
    assert "needs TLS" in problem
    assert f"write tls://{host}:8786" in problem


def test_tls_needs_three_files_and_names_those_that_are_missing():
    Path("ca.pem").write_text("a certificate")
    problem = refused(cluster="tls://scheduler:8786", cluster_ca_file="ca.pem", database_url=POSTGRESQL)
    assert problem == (
        "AL_LEARNER_CLUSTER = tls://scheduler:8786: TLS also needs AL_LEARNER_CLUSTER_CERT_FILE, "
        "AL_LEARNER_CLUSTER_KEY_FILE"
    )


def test_a_file_cannot_be_read_by_other_machines():
    problem = refused(cluster="tcp://127.0.0.1:8786", database_url="sqlite:///project.db")
    assert problem == "AL_LEARNER_CLUSTER needs a PostgreSQL; no other machine can read sqlite:///project.db"


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setattr(compute, "find_spec", lambda name: None if name == "distributed" else name)
    problem = refused(cluster="tcp://127.0.0.1:8786", database_url=POSTGRESQL)
    assert problem == "AL_LEARNER_CLUSTER needs the extra: pip install 'al-learner[cluster]' (distributed missing)"


@pytest.mark.parametrize(
    ("url", "found"),
    [
        (None, "postgresql:///labels?host=db.example&port=5433"),
        ("postgresql://al_learner:secret@other.example/mine", "postgresql://other.example/mine"),
        ("postgresql:///mine", "postgresql:///mine?host=db.example&port=5433"),
    ],
)
def test_a_place_that_libpq_knows_is_told_to_the_cluster(monkeypatch, url, found):
    for name, value in {"PGHOST": "db.example", "PGPORT": "5433", "PGDATABASE": "labels", "PGUSER": "me"}.items():
        monkeypatch.setenv(name, value)
    settings = Settings(cluster="tcp://127.0.0.1:8786", **({} if url is None else {"database_url": url}))
    made = on_cluster(settings, tick=lambda: None, on_done=lambda: None)
    assert made.trainer._given["database"] == found
    made.close()


def test_no_job_has_a_user_a_password_or_an_option():
    made = on_cluster(
        Settings(cluster="tcp://127.0.0.1:8786", database_url=POSTGRESQL), tick=lambda: None, on_done=lambda: None
    )
    assert made.trainer._given["database"] == "postgresql://db.example:5433/labels"
    made.close()
