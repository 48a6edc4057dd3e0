"""The files of deploy/: valid for Kubernetes, and about metrics that a worker has."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from tests.docs.pages import DOCS, blocks
from tests.support.tables import PostgresqlTables
from tests.support.waiting import wait_until

DEPLOY = Path(__file__).parents[2] / "deploy"
KUBERNETES = "1.30"


def rendered() -> list[dict]:
    kubectl = Path(sys.executable).with_name("kubectl")
    done = subprocess.run([kubectl, "kustomize", DEPLOY / "kubernetes"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def cluster() -> list[dict]:
    (block,) = [block for block in blocks(DOCS / "how-to/scale-out.md") if block.title == "cluster.yaml"]
    return list(yaml.safe_load_all(block.body))


@pytest.mark.parametrize("resources", [rendered, cluster], ids=["deploy", "page"])
def test_the_resources_are_what_kubernetes_accepts(resources):
    found = resources()
    assert len(found) >= 3
    for resource in found:
        kubernetes_validate.validate(resource, KUBERNETES, strict=True)


def test_the_worker_runs_with_few_rights():
    (deployment,) = [one for one in rendered() if one["kind"] == "Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["enableServiceLinks"] is False
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert len(container["volumeMounts"]) == 2
    assert not [one for one in container["env"] if "PASSWORD" in one["name"] and "value" in one]
    assert deployment["spec"]["replicas"] == 1


def test_the_settings_of_the_deployment_are_settings(monkeypatch):
    from al_learner.core.configuration.settings import Settings

    (config,) = [one for one in rendered() if one["kind"] == "ConfigMap"]
    for name, value in config["data"].items():
        monkeypatch.setenv(name, value)
    assert Settings().http_port == 8000


def queries() -> list[str]:
    rules = yaml.safe_load((DEPLOY / "prometheus/alerts.yaml").read_text(encoding="utf-8"))
    board = json.loads((DEPLOY / "grafana/al_learner.json").read_text(encoding="utf-8"))
    return [
        *(rule["expr"] for group in rules["groups"] for rule in group["rules"]),
        *(target["expr"] for panel in board["panels"] for target in panel["targets"]),
    ]


def test_every_query_is_about_metrics_and_labels_that_a_worker_has(postgresql: PostgresqlTables, worker_with_metrics):
    metrics = worker_with_metrics(postgresql)
    names = {*re.findall(r"^(al_learner_\w+)", metrics, re.MULTILINE)}
    labels = {*re.findall(r'(\w+)="', metrics)}
    assert len(queries()) > 15
    for query in queries():
        assert {*re.findall(r"al_learner_\w+", query)} <= names, query
        assert {*re.findall(r'(\w+)="', query)} | {*re.findall(r"by \((\w+)\)", query)} <= labels, query
        assert query.count("(") == query.count(")")


@pytest.fixture
def worker_with_metrics(tmp_path):
    """Return what starts a worker, lets it train and be scored, and returns what it tells Prometheus."""
    from urllib.request import urlopen

    from tests.support.corpora import add_weather
    from tests.support.servers import free_port
    from tests.support.workers import WorkerProcess

    def metrics(tables: PostgresqlTables) -> str:
        tables.add_labels("a", "b")
        add_weather(tables, 60)
        port = free_port()
        environment = {
            "AL_LEARNER_DATABASE_URL": tables.url, "AL_LEARNER_HTTP_PORT": str(port), "AL_LEARNER_VECTORIZER": "tfidf",
            "AL_LEARNER_CLASSIFIER": "complement-nb",
        }  # fmt: skip
        with WorkerProcess(environment, tmp_path) as worker:
            worker.wait_for("run.scored")

            def read() -> str:
                with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
                    return answer.read().decode()

            wait_until(lambda: "al_learner_accuracy" in read(), "the score to be among the metrics")
            return read()

    return metrics
