"""Many simulated projects: in parallel, each on its own, kept and found again."""

import json

import pytest

from al_learner.core.errors import DataError
from al_learner.core.simulation.grid import Grid, TrialResult
from al_learner.core.simulation.replay import Round
from al_learner.core.simulation.running.sweep import _Store, sweep
from tests.support.corpora import small
from tests.support.faults_plugins import Deadly, Raising

TEXTS, LABELS = small()


def cells(**grid):
    fast = {"classifiers": "complement-nb", "vectorizers": "tfidf", "init_samplers": "balanced"}
    chosen = {**fast, "seeds": 2, "rounds": 2, "batch_size": 6, **grid}
    return Grid(**chosen).trials(len(TEXTS))


def accuracies(played):
    return [[r.accuracy for r in one.rounds] for one in played]


@pytest.fixture
def finished():
    """A project that was played."""
    rounds = [
        Round(0, 0, 0, 0.25, 0.2, 0.1, 1.5),
        Round(1, 6, 6, 0.5, 0.4, 0.1, None),
        Round(2, 12, 12, 0.75, 0.6, 0.1, 0.25, 0.9),
    ]
    return TrialResult(cells()[0], rounds)


@pytest.fixture
def store(tmp_path):
    return _Store(tmp_path, (TEXTS, LABELS))


def test_the_result_is_the_same_for_any_number_of_workers():
    grid = cells(classifiers="complement-nb,sgd", annotators=2, noise="uniform:0.2")
    one, two = (sweep(TEXTS, LABELS, grid, workers=n) for n in (1, 2))
    assert accuracies(one) == accuracies(two)
    assert [len(played.rounds) for played in one] == [3] * 4


def test_one_project_that_fails_or_dies_does_not_stop_the_others(tmp_path):
    told = []
    grid = cells(classifiers=[Raising(), Deadly(), "complement-nb"], seeds=1)
    played = sweep(TEXTS, LABELS, grid, folder=tmp_path, workers=1, tick=lambda *done: told.append(done))
    broken, dead, fine = played
    assert broken.error is not None
    assert "boom" in broken.error
    assert dead.error == "its process was killed by SIGKILL, perhaps because the memory was used up"
    assert fine.error is None
    assert [r.labels for r in fine.rounds] == [0, 6, 12]
    assert (told[0], told[-1]) == ((0, 0), (3, 3))
    assert len([*(tmp_path / "cells").iterdir()]) == 1  # what failed is tried again


def test_an_interruption_keeps_what_is_finished_and_the_next_time_goes_on_from_there(tmp_path):
    def interrupt(_, n_cells):
        if n_cells:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(TEXTS, LABELS, cells(), folder=tmp_path, workers=1, tick=interrupt)
    again = sweep(TEXTS, LABELS, cells(), folder=tmp_path)
    assert [one.is_reused for one in again] == [True, False]
    assert again[0].trial == cells()[0]


def test_a_finished_project_is_found_again(store, finished):
    store.keep(finished)
    assert store.find(finished.trial).rounds == finished.rounds


def test_another_seed_strategy_corpus_or_version_is_another_project(store, finished, tmp_path, monkeypatch):
    store.keep(finished)
    for grid in (
        cells(seeds=2)[1:],
        cells(classifiers="complement-nb(alpha=0.5)"),
        cells(rounds=3),
        cells(noise="uniform:1"),
    ):
        assert store.find(grid[0]) is None
    assert _Store(tmp_path, ([*TEXTS[:-1], "other"], LABELS)).find(finished.trial) is None
    monkeypatch.setattr("al_learner.core.artifacts.pickling._version", lambda _: "99.0")
    assert store.find(finished.trial) is None


def test_projects_that_were_finished_before_query_strategies_were_plugins_are_found_again(store):
    [trial] = cells(seeds=1, init_samplers="balanced")

    assert store._key(trial)["cell"] == {
        "classifier": {"name": "complement-nb", "params": {}},
        "vectorizer": {"name": "tfidf", "params": {}},
        "init_sampler": {"name": "balanced", "params": {}},
        "label_aggregator": {"name": "majority", "params": {}},
        "plan": {
            "rounds": 2,
            "batch_size": 6,
            "query": "least-confidence",
            "annotators": 1,
            "votes": 1,
            "noise": {"kind": "uniform", "rate": 0.0},
            "max_texts": None,
            "seed": 0,
        },
    }
    assert {*store._key(trial)["versions"]} == {"python", "al-learner", "scikit-learn", "numpy", "scipy"}


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", '{"rounds": [{"number": 0}]}', '{"rounds": []}', '{"rounds": 1}', "\xff"]
)
def test_a_damaged_file_is_as_good_as_none(store, finished, tmp_path, damage):
    store.keep(finished)
    (file,) = (tmp_path / "cells").iterdir()
    file.write_bytes(damage.encode("latin-1"))
    assert store.find(finished.trial) is None


def test_a_file_that_was_cut_off_is_as_good_as_none(store, finished, tmp_path):
    store.keep(finished)
    (file,) = (tmp_path / "cells").iterdir()
    document = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**document, "rounds": document["rounds"][:-1]}), encoding="utf-8")
    assert store.find(finished.trial) is None


def test_a_folder_that_cannot_be_written_is_named_before_anything_is_simulated(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="file"):
        sweep(TEXTS, LABELS, cells(), folder=tmp_path / "file")
