"""A Dask cluster in the place of the training process: the same answers, and what happens when a part of it fails."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import distributed
import numpy as np
import psutil
import pytest
import trustme

from al_learner import Project
from al_learner.core.cluster import cluster_trainer
from al_learner.core.cluster.cluster_trainer import ClusterTrainer
from al_learner.core.cluster.compute import DO
from al_learner.core.cluster.predictions import ClusterPredictions
from al_learner.core.cluster.transport.client import Client
from al_learner.core.errors import ClusterError, ClusterUnavailable, SettingsError, TrainerError, UntrustedError
from al_learner.core.registry import Spec
from al_learner.core.training.job import ColdStart, Job
from al_learner.core.training.subprocess_trainer import SubprocessTrainer
from tests.support import cluster_faults
from tests.support.cluster import ROOT, Cluster, answers, kill, training_processes
from tests.support.corpora import add_weather
from tests.support.faults_plugins import Director
from tests.support.forks import DASK, Nursery
from tests.support.proxy import Proxy
from tests.support.tables import PostgresqlTables
from tests.support.waiting import DEADLINE_S, wait_until

pytestmark = [pytest.mark.xdist_group("cluster"), pytest.mark.long]  # one process starts the cluster, for all of them

MAX_BYTES = 2**24

READER = "al_cluster"

LOGREG = Spec("logreg", {})
SELECTOR = Spec("auto", {"min_labels": 2, "n_folds": 2})


@pytest.fixture(scope="module")
def dask_nursery():
    with Nursery(DASK) as nursery:
        yield nursery


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cluster")


@pytest.fixture(scope="module")
def cluster(folder, dask_nursery):
    with Cluster(folder, {"PGUSER": READER}, nursery=dask_nursery) as cluster:
        cluster.add_worker()
        cluster.wait()
        yield cluster


@pytest.fixture(scope="module")
def client(cluster):
    client = Client(DO, cluster.address, (), max_bytes=MAX_BYTES)
    wait_until(lambda: answers(client), "a Dask worker to come")
    yield client
    client.close()


@pytest.fixture
def voted(postgresql):
    """A project that a user can read who has the rights that the page grants, and no others."""
    add_weather(postgresql, 40)
    (grant,) = re.findall(r"GRANT .*;", (ROOT / "docs/how-to/scale-out.md").read_text(encoding="utf-8"))
    postgresql.query(
        f"DO $$ BEGIN CREATE ROLE {READER} LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$"
    )
    postgresql.query(grant)
    return postgresql


def trainer(client: Client, tables: PostgresqlTables, **options) -> ClusterTrainer:
    url = tables.url.replace("postgres@", "")
    return ClusterTrainer(client, url, **{"timeout_s": DEADLINE_S, **options})


def job(tables: PostgresqlTables, *, classifier: Spec = LOGREG, **options) -> Job:
    rows = tables.query("SELECT text_id, labels[1] FROM text_data ORDER BY text_id")
    given = {
        "classifier": classifier,
        "vectorizer": Spec("tfidf", {}),
        "text_ids": np.array([row[0] for row in rows]),
        "init_ids": np.zeros(0, np.int64),
        "labels": np.array([row[1] for row in rows], object),
        "countvec": None,
        "packages": ("scikit-learn", "numpy", "scipy"),
        "max_artifact_mib": 10,
    }
    return Job(**{**given, **options})


@pytest.fixture
def here(voted):
    trainer = SubprocessTrainer(voted.url, timeout_s=DEADLINE_S)
    yield trainer
    trainer.close()


def test_all_answers_are_those_of_a_training_process(client, voted, here):
    there = trainer(client, voted)
    given = job(voted, model_selector=SELECTOR)

    trained = there.train(given)
    assert trained == here.train(given)
    model = stored_model(voted, trained)
    known = replace(given, countvec=(1, trained.countvec_sha256), last=(1, trained.clf_sha256))
    assert there.score(known) == here.score(known)
    np.testing.assert_array_equal(there.losses(known), here.losses(known))
    assert there.has_predicted(*model) is here.has_predicted(*model) is False


def test_a_first_classifier_is_made_there(client, voted):
    start = ColdStart(Spec("balanced", {}), {"a": "", "b": ""}, 10, "made for", 0, np.zeros(0, int))
    empty = np.zeros(0, np.int64)
    given = job(voted, cold_start=start, text_ids=empty, labels=np.zeros(0, object))

    assert trainer(client, voted).train(given).texts == 10


def test_a_corpus_that_is_counted_in_parts_gives_the_same_artifacts(client, voted, here, monkeypatch):
    monkeypatch.setattr(cluster_trainer, "WHOLE", 0)  # also of so few texts
    voted.add_init_data(("snow", "c"), ("more snow", "c"))
    start = ColdStart(Spec("balanced", {"random_state": 0}), {"a": "", "b": ""}, 10, "made for", 0, np.zeros(0, int))
    empty = np.zeros(0, np.int64)
    cold = {"cold_start": start, "text_ids": empty, "labels": np.zeros(0, object)}
    for vectorizer, options in (("tfidf", {}), ("lsa", cold)):
        given = job(voted, vectorizer=Spec(vectorizer, {}), **options)
        assert repr(trainer(client, voted).train(given)) == repr(here.train(given))  # there are arrays in it


def test_predictions_of_all_texts_are_those_of_this_machine(cluster, voted, monkeypatch):
    with closing(Project(voted.url, classifier="logreg", vectorizer="tfidf", active_learning=True)) as project:
        project.update(force=True)
        monkeypatch.setattr(cluster_trainer, "PART", 16)  # of the 40 texts
        here = [*project.export_rows("predictions")]
        there = project.export_rows("predictions", cluster=cluster.address)
        first = next(there)
        voted.add_text("after the snapshot")

        assert [first, *there] == here
        with pytest.raises(SettingsError, match="only for the predictions of all texts"):
            next(project.export_rows("labels", cluster=cluster.address))


def test_a_text_that_the_cluster_does_not_find_is_predicted_here(client, voted):
    asked = []

    def here(texts):
        asked.extend(texts)
        return np.full((len(texts), 2), 0.5, np.float32)

    model = stored_model(voted, trainer(client, voted).train(job(voted)))
    predictions = ClusterPredictions(client, voted.url.replace("postgres@", ""), model, here)
    voted.query("DELETE FROM text_data WHERE text_id IN (3, 40)")

    found = np.concatenate([predictions.of([1, 2, 3], ["", "", "third"]), predictions.of([4, 40], ["", "last"])])
    predictions.close()

    assert asked == ["third", "last"]
    assert (found == 0.5).all(axis=1).tolist() == [False, False, True, False, True]


def stored_model(tables, trained):
    tables.query("INSERT INTO countvecs (countvec) VALUES (?)", trained.countvec)
    tables.query("INSERT INTO classifiers (clf, download) VALUES (?, 0)", trained.clf)
    return (1, trained.clf_sha256), (1, trained.countvec_sha256)


def test_an_error_is_raised_as_what_it_is(client, voted):
    voted.query("INSERT INTO countvecs (countvec) VALUES (?)", b"changed")
    with pytest.raises(UntrustedError):
        trainer(client, voted).train(job(voted, countvec=(1, "0" * 64)))


def test_a_job_goes_where_its_project_was_before_and_elsewhere_if_that_has_ended(
    voted, director, tmp_path, dask_nursery
):
    with Cluster(tmp_path, {"PGUSER": READER}, nursery=dask_nursery) as cluster, ThreadPoolExecutor(1) as pool:
        client = Client(DO, cluster.address, (), max_bytes=MAX_BYTES)
        cluster.add_worker()
        wait_until(lambda: answers(client), "a Dask worker to come")
        there, scores = trainer(client, voted), trainer(client, voted, slot="scoring", niceness=1)
        assert there.train(job(voted)).texts == 40
        scores.worker = warm = there.worker
        scoring = pool.submit(scores.train, held(voted, tmp_path))
        wait_until(director.doing, "the score to begin")
        cluster.add_worker()
        with distributed.Client(cluster.address, set_as_default=False) as dask:
            dask.wait_for_workers(2, timeout=DEADLINE_S)

        assert there.train(job(voted)).texts == 40  # beside the score, although the other has nothing to do
        assert there.worker == warm

        (busy,) = [one for one in cluster.workers if int(warm.rpartition(":")[2]) in listened_ports(one)]
        kill(busy)
        assert there.train(job(voted)).texts == 40
        assert there.worker != warm
        director.order("")
        assert scoring.result(DEADLINE_S).texts == 40
        client.close()


def listened_ports(process):
    return {one.laddr.port for one in psutil.Process(process.pid).net_connections() if one.status == "LISTEN"}


@pytest.fixture
def director(tmp_path):
    director = Director(tmp_path / "orders")
    director.order("hold")
    yield director
    director.order("")


def held(voted, tmp_path):
    """Return a job that does not end."""
    return job(voted, classifier=Spec("tests.support.faults_plugins:Staged", {"folder": str(tmp_path / "orders")}))


def test_the_training_process_ends_with_a_cancelled_job(client, voted, director, tmp_path):
    class Stopped(BaseException):
        pass

    def stop():
        if director.doing():
            raise Stopped

    with pytest.raises(Stopped):
        trainer(client, voted, tick=stop).train(held(voted, tmp_path))

    (pid,) = director.doing()
    wait_until(lambda: not psutil.pid_exists(pid), "the training process to end")


def test_an_endless_job_is_killed_after_its_time(client, voted, director, tmp_path):
    with pytest.raises(TrainerError, match="training took longer than 6 s and was killed"):
        trainer(client, voted, timeout_s=6).train(held(voted, tmp_path))

    assert not any(psutil.pid_exists(pid) for pid in director.doing())


def test_a_killed_training_process_costs_one_job(client, voted, director, tmp_path):
    def kill_it():
        for pid in director.doing():
            with suppress(psutil.NoSuchProcess):
                psutil.Process(pid).kill()

    there = trainer(client, voted, tick=kill_it)
    with pytest.raises(TrainerError, match="the training process was killed by SIGKILL"):
        there.train(held(voted, tmp_path))

    assert there.train(job(voted)).texts == 40


def test_the_process_that_was_used_longest_ago_ends_where_memory_is_short(voted, tmp_path, dask_nursery):
    with Cluster(tmp_path, {"PGUSER": READER}, nursery=dask_nursery) as cluster:
        dask_worker = cluster.add_worker(memory_limit="250MiB")
        client = Client(DO, cluster.address, (), max_bytes=MAX_BYTES)
        wait_until(lambda: answers(client), "a Dask worker to come")
        seen: list[set[int]] = []
        for n in range(30):  # each timeout is a kind of its own
            trainer(client, voted, timeout_s=DEADLINE_S + n).train(job(voted))
            seen.append(training_processes(dask_worker))
            if not seen[0] <= seen[-1]:
                break
        client.close()

    (first,) = seen[0]
    assert first not in seen[-1]
    assert len(seen[-1]) == len(seen[-2]) > 1


def test_a_database_that_the_cluster_cannot_read_is_waited_for(client, voted):
    there = ClusterTrainer(client, "postgresql://127.0.0.1:1/labels", timeout_s=DEADLINE_S)
    with pytest.raises(ClusterUnavailable, match=r"Dask worker tcp://127.0.0.1:\d+ cannot read the database: "):
        there.train(job(voted))


def test_other_versions_are_refused(client, voted):
    there = trainer(client, voted)
    there._given["versions"] = {**there._given["versions"], "numpy": "0.1"}
    with pytest.raises(ClusterError, match=r"Dask worker tcp://127.0.0.1:\d+ has numpy .*, not 0.1; install the same"):
        there.train(job(voted))


def test_the_process_that_reads_the_cluster_knows_no_secret(client, monkeypatch):
    monkeypatch.setenv("AL_LEARNER_SIGNING_KEY", "a signing key")
    monkeypatch.setenv("PGPASSWORD", "a password")
    client.close()
    client.ping()

    environment = psutil.Process(client.pid).environ()
    assert not [name for name in environment if name.startswith(("AL_LEARNER", "PG", "REDIS"))]


def test_an_answer_that_is_too_long_is_refused(cluster, client, voted):
    client.ping()
    impatient = Client(DO, cluster.address, (), max_bytes=1_000)
    with pytest.raises(ClusterUnavailable, match="the process that talks to the Dask scheduler has ended: "):
        trainer(impatient, voted).train(job(voted))
    impatient.ping()
    impatient.close()


def test_a_client_process_that_reads_and_answers_nothing_is_replaced(client, monkeypatch):
    class Stopped(BaseException):
        pass

    def stop():
        raise Stopped

    client.ping()  # which starts the process
    stuck = client.pid
    psutil.Process(stuck).suspend()
    with pytest.raises(Stopped):  # while it sends more than a pipe holds
        client.ask(bytes(2**20), slot="training", tick=stop, timeout_s=DEADLINE_S)
    monkeypatch.setattr("al_learner.core.cluster.transport.client.PING_S", 1)
    with pytest.raises(ClusterUnavailable, match="the cluster has not answered for 1 s"):
        client.ping()

    monkeypatch.undo()
    client.ping()
    assert client.pid != stuck


def test_an_answer_that_is_wrong_or_never_comes_is_an_error(voted, tmp_path, dask_nursery):
    said = {
        "garbage": (ClusterError, "a message from the cluster is not as expected"),
        "no_pair": (ClusterUnavailable, "cannot be used: TypeError"),
        "no_bytes": (ClusterUnavailable, "a message from the cluster is not as expected"),
        "raising": (ClusterUnavailable, "cannot be used: OSError: no space left"),
        "never": (ClusterUnavailable, "the cluster has not answered for 1 s"),
    }
    with Cluster(tmp_path, {}, nursery=dask_nursery) as cluster:
        cluster.add_worker(trainings=len(said))  # one of them is never free again
        cluster.wait()
        for name, (error, says) in said.items():
            client = Client(f"{cluster_faults.MODULE}:{name}", cluster.address, (), max_bytes=MAX_BYTES)
            with pytest.raises(error, match=says):
                trainer(client, voted, timeout_s=0.5 if name == "never" else DEADLINE_S).score(job(voted))
            client.close()


def test_a_connection_that_is_cut_costs_one_job(cluster, voted, director, tmp_path):
    with Proxy(cluster.port) as proxy:
        client = Client(DO, f"tcp://127.0.0.1:{proxy.port}", (), max_bytes=MAX_BYTES)
        cut = []

        def cut_once():
            if director.doing() and not cut:
                cut.append(proxy.cut())

        with pytest.raises(ClusterUnavailable):
            trainer(client, voted, tick=cut_once).train(held(voted, tmp_path))
        director.order("")
        wait_until(lambda: answers(client), "the connection to come back")
        assert trainer(client, voted).train(job(voted)).texts == 40
        client.close()
    assert cut[0] > 0


def test_projects_take_turns_where_few_may_train(voted, director, tmp_path, dask_nursery):
    environment = {"PGUSER": READER, "AL_LEARNER_TRAINERS": "1", "AL_LEARNER_SLICE_S": "0.5"}
    with Cluster(tmp_path, environment, nursery=dask_nursery) as cluster:
        cluster.add_worker(trainings=4)
        client = Client(DO, cluster.address, (), max_bytes=MAX_BYTES)
        wait_until(lambda: answers(client), "a Dask worker to come")
        with ThreadPoolExecutor(1) as pool:
            endless = pool.submit(trainer(client, voted, timeout_s=DEADLINE_S + 1).train, held(voted, tmp_path))
            wait_until(director.doing, "the endless fit to begin")
            assert trainer(client, voted).train(job(voted)).texts == 40
            assert not endless.done()
            director.order("")
            assert endless.result(DEADLINE_S).texts == 40
        client.close()


def test_a_scheduler_without_workers_is_waited_for(folder, voted, dask_nursery):
    with Cluster(folder, {}, nursery=dask_nursery) as empty:
        client = Client(DO, empty.address, (), max_bytes=MAX_BYTES)
        with pytest.raises(ClusterUnavailable, match="has no workers"):
            trainer(client, voted).train(job(voted))
        address = empty.address
        client.close()
    gone = Client(DO, address, (), max_bytes=MAX_BYTES)
    with pytest.raises(ClusterUnavailable, match=f"the Dask scheduler at {address} cannot be used"):
        gone.ping()
    gone.close()


def certificates(authority: trustme.CA, folder: Path) -> list[Path]:
    folder.mkdir()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    files = [folder / name for name in ("ca.pem", "cert.pem", "key.pem")]
    authority.cert_pem.write_to_path(files[0])
    issued.cert_chain_pems[0].write_to_path(files[1])
    issued.private_key_pem.write_to_path(files[2])
    return files


def test_over_tls_only_those_with_a_certificate_of_the_cluster_take_part(tmp_path, voted, dask_nursery):
    authority = trustme.CA()
    tls = certificates(authority, tmp_path / "cluster")
    with Cluster(tmp_path, {"PGUSER": READER}, tls=tls, nursery=dask_nursery) as cluster:
        cluster.add_worker()
        known = Client(DO, cluster.address, [*map(str, certificates(authority, tmp_path / "own"))], max_bytes=MAX_BYTES)
        wait_until(lambda: answers(known), "a Dask worker to come")
        assert trainer(known, voted).train(job(voted)).texts == 40
        known.close()

        stranger = Client(
            DO, cluster.address, [*map(str, certificates(trustme.CA(), tmp_path / "other"))], max_bytes=MAX_BYTES
        )
        with pytest.raises(ClusterUnavailable, match="certificate"):
            stranger.ping()
        stranger.close()
