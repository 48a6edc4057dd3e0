"""The neighbours' own code, in an interpreter without al_learner, against the worker's process."""

from __future__ import annotations

import json
import os
import subprocess
from itertools import cycle
from pathlib import Path

import pytest

from tests.support import interpreters, tiny_vectors
from tests.support.forks import WORKER, Nursery
from tests.support.workers import WorkerProcess

ROOT = Path(__file__).parents[2]
PROGRAM = Path(interpreters.__file__).with_name("neighbours.py")
PROGRAM_TIMEOUT_S = 120
BATCH_SIZE = 4
PUBLICATIONS = 12
"""By the API: with two votes a text they make six of ours."""
FEW_PUBLICATIONS = 6

CLASSIFIERS = ("logreg", "sgd", "lightgbm", "complement-nb")
VECTORIZERS = ("words-and-meaning", "lsa", "count", "tfidf", "hashing")
PUBLICATIONS_OF = (PUBLICATIONS, *[FEW_PUBLICATIONS] * 4)
CASES = [*zip(cycle(CLASSIFIERS), VECTORIZERS, PUBLICATIONS_OF, strict=False)]
"""Each strategy once: what a vectorizer makes is the same kind of matrix, and `check_plugin` sees that it is."""


@pytest.fixture(scope="session")
def python(tmp_path_factory):
    """The interpreter of the neighbours."""
    return interpreters.make(tmp_path_factory.mktemp("neighbours") / "venv")


@pytest.fixture(scope="session")
def nursery():
    """Where workers are forked whose start is not the subject."""
    with Nursery(WORKER) as nursery:
        yield nursery


@pytest.fixture
def environment(postgresql, redis):
    shared = {"BATCH_SIZE": str(BATCH_SIZE), "MIN_LABEL_COUNT": "2"}
    return {**postgresql.environment, **redis.environment(), **shared}


def play(python, environment, *options):
    """Run the neighbours to their end and return what they saw."""
    command = [python, "-I", "-W", "error", PROGRAM, *options]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=PROGRAM_TIMEOUT_S, check=False
    )
    assert done.stderr == ""
    assert done.returncode == 0
    return json.loads(done.stdout)


@pytest.mark.parametrize(("classifier", "vectorizer", "publications"), CASES)
def test_every_strategy_serves_the_neighbours_through_many_publications(
    python, nursery, environment, postgresql, tmp_path, classifier, vectorizer, publications
):
    chosen = {
        "AL_LEARNER_CLASSIFIER": classifier,
        "AL_LEARNER_VECTORIZER": vectorizer,
        "AL_LEARNER_PREDICTOR_PACKAGES": "scikit-learn,numpy,scipy,lightgbm",
    }
    if vectorizer == "words-and-meaning":
        paths = [str(tiny_vectors.install(tmp_path / "source")), str(ROOT), os.environ.get("PYTHONPATH")]
        chosen["AL_LEARNER_VECTORIZER_PARAMS"] = json.dumps({"source": tiny_vectors.NAME})
        chosen["PYTHONPATH"] = os.pathsep.join(filter(None, paths))  # the worker's: the neighbours do not read it
    with WorkerProcess({**environment, **chosen}, tmp_path, nursery=nursery) as worker:
        saw = play(python, environment, "--publications", str(publications))
        worker.terminate()
        assert worker.wait() == 0

    # Two votes a text, a publication every BATCH_SIZE votes: each second one completes a batch.
    updates = publications // 2
    assert saw["publications"] == publications
    assert saw["classifiers"] == list(range(1, updates + 2))
    assert saw["overlaps"] == updates - 1  # votes arrived during each of the predictor's writes but the last
    assert saw["accuracies"][-1] > 0.9
    runs = postgresql.query("SELECT kind, status, new_samples, announced IS NOT NULL FROM al_runs ORDER BY run_id")
    assert runs == [("init", "succeeded", 0, True), *[("update", "succeeded", BATCH_SIZE, True)] * updates]
    assert (postgresql.count("classifiers"), postgresql.count("countvecs")) == (updates + 1, 1)
    assert worker.stray == []
    assert worker.complaints == []
    assert [event["new_samples"] for event in worker.logged("run.started")] == [0, *[BATCH_SIZE] * updates]


def test_the_neighbours_are_served_from_prelabelled_data(python, environment, postgresql, tmp_path):
    with WorkerProcess({**environment, "AL_LEARNER_CLASSIFIER": "complement-nb"}, tmp_path) as worker:
        saw = play(python, environment, "--init-data", "--publications", "4")
        assert worker.wait_for("run.started", kind="init")["new_samples"] == 0
        assert worker.wait_for("run.finished", clf_id=1)["texts"] == 12
        assert worker.wait_for("run.finished", clf_id=3)["texts"] == 12 + 2 * BATCH_SIZE

    assert saw["classifiers"] == [1, 2, 3]
    assert saw["accuracies"][0] > 0.4  # not at random, on the texts that it was least sure of
    assert postgresql.count("init_data") == 12


def test_a_classifier_that_the_predictor_cannot_read_is_refused_at_the_start(environment, postgresql, tmp_path):
    with WorkerProcess({**environment, "AL_LEARNER_CLASSIFIER": "lightgbm"}, tmp_path) as worker:
        assert worker.wait() == 1

    assert worker.events == []
    for word in ("error: ", "lightgbm", "AL_LEARNER_PREDICTOR_PACKAGES", "move-an-installation"):
        assert word in worker.log
    assert postgresql.count("classifiers") == 0
    assert postgresql.query("SELECT FROM pg_class WHERE relname = 'al_runs'") == []


def test_a_predictor_without_lightgbm_could_not_have_read_it(tmp_path):
    without = interpreters.make(tmp_path / "venv", [name for name in interpreters.NEIGHBOURS if name != "lightgbm"])

    done = subprocess.run(
        [without, "-I", "-c", "import sklearn, lightgbm"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "No module named 'lightgbm'" in done.stderr
