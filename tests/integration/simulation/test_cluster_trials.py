"""Simulations on a Dask cluster: the same results as here, also when Dask workers end."""

from __future__ import annotations

import threading

import pytest

from al_learner.core.errors import ClusterError, ClusterUnavailable, SettingsError
from al_learner.core.simulation.grid import Grid
from al_learner.core.simulation.running import cluster_trials
from al_learner.core.simulation.running.sweep import sweep
from tests.support.cluster import Cluster, kill
from tests.support.corpora import small
from tests.support.faults_plugins import Deadly, Raising

pytestmark = pytest.mark.xdist_group("trials")  # one process starts the cluster, for all of them

TEXTS, LABELS = small()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("cluster"), {}) as cluster:
        cluster.add_worker()
        cluster.wait()
        yield cluster


def trials(**grid):
    fast = {"classifiers": "complement-nb", "vectorizers": "tfidf", "init_samplers": "balanced"}
    return Grid(**{**fast, "seeds": 2, "rounds": 2, "batch_size": 6, **grid}).trials(len(TEXTS))


def accuracies(results):
    return [[played.accuracy for played in one.rounds] for one in results]


def test_the_result_is_that_of_this_machine_also_if_a_dask_worker_ends(cluster, tmp_path):
    """The last Dask worker takes the corpus with it, which is sent again."""
    given = trials(classifiers="complement-nb,sgd")
    here = sweep(TEXTS, LABELS, given)
    told = []

    def end_a_worker(_rounds, n_done):
        told.append(n_done)
        if n_done == 1:
            kill(cluster.workers[0])
            threading.Thread(target=cluster.add_worker).start()

    there = sweep(TEXTS, LABELS, given, cluster=cluster.address, folder=tmp_path / "kept", tick=end_a_worker)

    assert accuracies(there) == accuracies(here)
    assert all(one.error is None for one in there)
    assert told[-1] == 4
    again = sweep(TEXTS, LABELS, given, cluster="tcp://127.0.0.1:1", folder=tmp_path / "kept")
    assert all(one.is_reused for one in again)


def test_a_trial_that_fails_or_whose_process_ends_does_not_stop_the_others(cluster):
    given = trials(classifiers=["complement-nb", Deadly(), Raising()], seeds=1)

    fine, killed, raising = sweep(TEXTS, LABELS, given, cluster=cluster.address)

    assert fine.error is None
    assert len(fine.rounds) == 3
    assert killed.error == "the simulation process was killed by SIGKILL, perhaps because the memory was used up"
    assert "boom" in raising.error


def test_what_cannot_be_used_is_refused_at_once(cluster, monkeypatch):
    given = trials(seeds=1)
    with pytest.raises(ClusterUnavailable, match=r"the Dask scheduler at tcp://127\.0\.0\.1:1 cannot be used"):
        sweep(TEXTS, LABELS, given, cluster="tcp://127.0.0.1:1")
    with pytest.raises(SettingsError, match="needs TLS"):
        sweep(TEXTS, LABELS, given, cluster="tcp://scheduler:8786")
    monkeypatch.setattr(cluster_trials, "versions", lambda: {"numpy": "0.1"})
    with pytest.raises(ClusterError, match=r"has numpy .*, not 0.1"):
        sweep(TEXTS, LABELS, given, cluster=cluster.address)
