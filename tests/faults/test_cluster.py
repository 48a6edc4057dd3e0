"""A worker whose Dask cluster fails: nothing is lost, no run counts as failed, and it goes on when it is back."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

from al_learner.core.storage.labelforward_tables import PART
from al_learner.core.training.corpus.counts import PARTS
from al_learner.plugins.vectorizers.tfidf import Tfidf
from tests.support import faults_plugins
from tests.support.cluster import ROOT, Cluster, kill
from tests.support.corpora import add_weather
from tests.support.faults_plugins import Director
from tests.support.forks import DASK, Nursery
from tests.support.tables import PostgresqlTables
from tests.support.waiting import wait_until
from tests.support.workers import WorkerProcess

pytestmark = pytest.mark.xdist_group("faults of clusters")  # one process makes the nursery, for all of them

BATCH = 10


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    """Where workers are forked that can use a cluster, and the processes of the cluster."""
    with Nursery(DASK) as nursery:
        yield nursery


@pytest.fixture
def voted(postgresql: PostgresqlTables) -> PostgresqlTables:
    postgresql.add_labels("a", "b")
    add_weather(postgresql, BATCH)
    return postgresql


@pytest.fixture
def path(tmp_path: Path) -> str:
    """The PYTHONPATH of the worker and the cluster, with the plug-in ``staged``."""
    return f"{faults_plugins.install(tmp_path / 'plugins')}:{ROOT}"


@pytest.fixture
def cluster(tmp_path: Path, path: str, nursery: Nursery) -> Iterator[Cluster]:
    with Cluster(tmp_path, {"PGUSER": "postgres", "PYTHONPATH": path}, nursery=nursery) as cluster:
        yield cluster


@pytest.fixture
def director(tmp_path: Path) -> Director:
    return Director(tmp_path / "orders")


@pytest.fixture
def settings(voted: PostgresqlTables, cluster: Cluster, tmp_path: Path, path: str) -> dict[str, str]:
    return {
        "AL_LEARNER_DATABASE_URL": voted.url,
        "AL_LEARNER_CLUSTER": cluster.address,
        "AL_LEARNER_CLASSIFIER": faults_plugins.NAME,
        "AL_LEARNER_CLASSIFIER_PARAMS": json.dumps({"folder": str(tmp_path / "orders")}),
        "AL_LEARNER_VECTORIZER": "tfidf",
        "AL_LEARNER_RECONCILE_S": "0.5",
        "PYTHONPATH": path,
    }


@pytest.fixture
def worker(settings: dict[str, str], tmp_path: Path, nursery: Nursery) -> WorkerProcess:
    """A worker that is not started."""
    return WorkerProcess(settings, tmp_path, nursery=nursery)


def test_a_cluster_is_waited_for_when_it_begins_and_when_it_is_gone(voted, cluster, director, worker):
    director.order("")
    with worker:
        assert "has no workers" in worker.wait_for("cluster.waiting")["error"]
        cluster.add_worker()
        worker.wait_for("run.scored")

        since = len(worker.events)
        kill(cluster.scheduler)
        add_weather(voted, BATCH, first=BATCH)
        assert "cannot be used" in worker.wait_for("cluster.waiting", since=since)["error"]
        cluster.start_scheduler()
        cluster.add_worker()
        worker.wait_for("run.finished", since=since)

    assert voted.query("SELECT DISTINCT status FROM al_runs") == [("succeeded",)]
    assert voted.value("SELECT count(*) FROM text_data WHERE taught") == 2 * BATCH


def test_a_run_whose_scheduler_ends_is_abandoned_and_done_again(voted, cluster, director, worker):
    director.order("hold")
    with worker:
        cluster.add_worker()
        worker.wait_for("run.started")
        wait_until(director.doing, "a fit to begin")
        kill(cluster.scheduler)
        worker.wait_for("run.abandoned")
        director.order("")
        cluster.start_scheduler()
        cluster.add_worker()
        worker.wait_for("run.finished")

    assert [row[0] for row in voted.query("SELECT status FROM al_runs ORDER BY run_id")][-1] == "succeeded"
    assert "failed" not in {row[0] for row in voted.query("SELECT status FROM al_runs")}
    assert voted.value("SELECT count(*) FROM text_data WHERE taught") == BATCH


def test_a_run_whose_dask_worker_is_killed_is_done_by_another(voted, cluster, director, worker):
    director.order("hold")
    with worker:
        first = cluster.add_worker()
        worker.wait_for("run.started")
        wait_until(director.doing, "a fit to begin")
        director.order("")
        cluster.add_worker()
        kill(first)
        worker.wait_for("run.finished")

    assert voted.query("SELECT status FROM al_runs") == [("succeeded",)]


@pytest.fixture
def in_parts(voted: PostgresqlTables, settings: dict[str, str]) -> None:
    """Let the corpus be counted in parts: there are ids far from each other."""
    sequence = voted.value("SELECT pg_get_serial_sequence('text_data', 'text_id')")
    for part in (1, 2):
        voted.query("SELECT setval(?, ?)", sequence, part * PARTS * PART)
        add_weather(voted, BATCH, first=part * BATCH)
    settings["AL_LEARNER_VECTORIZER"] = faults_plugins.NAME
    settings["AL_LEARNER_VECTORIZER_PARAMS"] = settings["AL_LEARNER_CLASSIFIER_PARAMS"]


@pytest.mark.usefixtures("in_parts")
@pytest.mark.parametrize("step", ["counting", "learning"])
def test_counts_that_end_with_a_dask_worker_are_made_again(voted, cluster, director, worker, step):
    director.order(f"{step}: hold")
    with worker:
        first = cluster.add_worker()
        wait_until(lambda: director.doing(step), f"{step} to begin")
        cluster.add_worker()
        cluster.wait()
        director.order("")
        kill(first)
        worker.wait_for("run.finished")

    assert voted.query("SELECT status FROM al_runs") == [("succeeded",)]
    assert voted.value("SELECT count(*) FROM text_data WHERE taught") == 3 * BATCH
    vectorizer = pickle.loads(voted.value("SELECT countvec FROM countvecs"))
    texts = [text for (text,) in voted.query("SELECT text_data FROM text_data ORDER BY text_id")]
    assert vectorizer.vocabulary_ == Tfidf().fit(texts).vocabulary_
