"""A trainer keeps features between runs, but never those of a text that was changed, deleted or replaced."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
import scipy.sparse

from al_learner import Project
from al_learner.core.configuration.settings import Settings
from al_learner.core.labels.aggregation import winners
from al_learner.core.storage.labelforward_tables import LabelForwardTables
from al_learner.core.storage.run_transactions import RunTransactions
from al_learner.core.training import fitting
from al_learner.core.training.compute import Compute
from al_learner.core.training.corpus.feature_cache import SOON_S
from al_learner.core.training.subprocess_trainer import training_tasks
from tests.support.corpora import add_weather
from tests.support.tables import ON_BOTH

N_TEXTS = 60


@pytest.fixture
def trained(database, open_project):
    """A project that has learned from texts about rain and sun: a is rain, b is sun; it keeps their features."""
    add_weather(database, N_TEXTS)
    project = open_project(database, vectorizer="count")
    project.update()
    assert labels(project, "rain", "sun") == ["a", "b"]
    return project


def labels(project, *texts: str) -> list[str]:
    return [prediction.label for prediction in project.predict(texts)]


@ON_BOTH
def test_texts_that_were_changed_are_vectorized_again(trained, database):
    database.query("UPDATE text_data SET text_data = replace(text_data, 'rain', 'snow')")
    database.query("UPDATE text_data SET text_data = replace(text_data, 'sun', 'rain')")

    trained.update(force=True)

    assert labels(trained, "rain") == ["b"]


@ON_BOTH
def test_other_texts_under_the_same_ids_are_vectorized_anew(trained, database):
    """As after a restore of another backup."""
    rows = database.query("SELECT text_id, major_label FROM text_data ORDER BY text_id")
    database.query("DELETE FROM text_data")
    for text_id, label in rows:
        database.query(
            "INSERT INTO text_data (text_id, text_data, labeled, selected, taught, labels, users, major_label)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            text_id, {"a": "sun", "b": "rain"}[label], True, False, True,
            database.array([label]), database.array(["anna"]), label,
        )  # fmt: skip

    trained.update(force=True)

    assert labels(trained, "rain", "sun") == ["b", "a"]


@ON_BOTH
def test_prelabelled_texts_that_were_loaded_again_are_vectorized_anew(database, open_project):
    database.add_init_data(*[("rain", "a"), ("sun", "b")] * 10)
    project = open_project(database, vectorizer="count")
    project.init()
    database.query("UPDATE init_data SET text_data = CASE text_data WHEN 'sun' THEN 'rain' ELSE 'sun' END")

    project.init(force=True)

    assert labels(project, "rain", "sun") == ["b", "a"]


@ON_BOTH
def test_a_text_that_is_there_again_is_trained_on(trained, database):
    texts = database.query("SELECT text_id, text_data FROM text_data WHERE text_id <= 30")
    database.query("UPDATE text_data SET text_data = '' WHERE text_id <= 30")
    assert trained.update(force=True).run.texts == N_TEXTS - 30

    for text_id, text in texts:
        database.query("UPDATE text_data SET text_data = ? WHERE text_id = ?", text, text_id)

    assert trained.update(force=True).run.texts == N_TEXTS


@pytest.fixture
def worker(sqlite):
    """A project that has learned as a worker does, and its trainer."""
    add_weather(sqlite, N_TEXTS)
    settings = Settings(database_url=sqlite.url, classifier="complement-nb", vectorizer="count", batch_size=1)
    trainer = SimpleNamespace(**training_tasks(sqlite.url))
    winners_of = partial(winners, settings.strategies.label_aggregator)
    project = Project.of(settings, compute=Compute(trainer, winners_of, read_ahead=trainer.read_ahead))
    project.update()
    yield project, trainer
    project.close()


@pytest.mark.parametrize("soon_s", [-1, 10])
def test_what_was_read_ahead_long_ago_is_looked_at_again(worker, sqlite, monkeypatch, soon_s):
    project, trainer = worker
    trainer.read_ahead(np.arange(1, N_TEXTS + 1))
    sqlite.query("UPDATE text_data SET text_data = replace(text_data, 'rain', 'snow')")
    monkeypatch.setattr("al_learner.core.training.corpus.feature_cache.SOON_S", soon_s)
    done = []
    transform = fitting.transform
    monkeypatch.setattr(fitting, "transform", lambda by, texts: done.append(len(texts)) or transform(by, texts))

    trainer.train(project._lifecycle._jobs.new("update", project.read_state()))

    assert done == ([N_TEXTS] if soon_s < 0 else [])


def test_the_time_since_a_text_was_looked_at_counts_from_before_it(worker, monkeypatch):
    project, trainer = worker
    clock = [100.0]
    monkeypatch.setattr(
        "al_learner.core.training.corpus.feature_cache.time", SimpleNamespace(monotonic=lambda: clock[0])
    )
    digests, looked = LabelForwardTables.digests, []

    def slow_digests(*asked):
        looked.append(len(asked[-1]))
        clock[0] += SOON_S + 1
        return digests(*asked)

    monkeypatch.setattr(LabelForwardTables, "digests", slow_digests)
    trainer.read_ahead(np.arange(1, N_TEXTS + 1))
    trainer.train(project._lifecycle._jobs.new("update", project.read_state()))

    assert looked == [N_TEXTS, N_TEXTS]


def test_a_text_that_no_job_has_any_more_does_not_make_the_others_be_vectorized_again(worker, sqlite, monkeypatch):
    project, trainer = worker
    job = project._lifecycle._jobs.new("update", project.read_state())
    rest, labels = job.text_ids[1:], job.labels[1:]
    for _ in range(2):  # the first time it is one of the last job
        trainer.read_ahead(rest)
        trainer.train(replace(job, text_ids=rest, labels=labels))
    sqlite.query("DELETE FROM text_data WHERE text_id = 1")
    done = []
    transform = fitting.transform
    monkeypatch.setattr(fitting, "transform", lambda by, texts: done.append(len(texts)) or transform(by, texts))

    trainer.read_ahead(rest)

    assert done == []


def test_a_worker_vectorizes_new_texts_while_the_run_begins_and_not_again(worker, sqlite, monkeypatch):
    project, _ = worker
    (new,) = sqlite.add_texts("rain and sun")
    sqlite.vote(new, "a")
    done = []

    def log(owner, name, what):
        original = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *args, **given: done.append(what(*args)) or original(*args, **given))

    log(fitting, "transform", lambda _, texts: texts)
    log(LabelForwardTables, "digests", lambda *given: [*given[-1]])
    log(RunTransactions, "begin", lambda *_: "begin")
    log(RunTransactions, "finish", lambda *_: "finish")

    assert project.update(force=True).run.texts == N_TEXTS + 1

    assert done[:5] == [[*range(1, new + 1)], ["rain and sun"], "begin", "finish", [*range(1, new + 1)]]


def test_an_interrupted_update_leaves_no_text_without_its_features(trained, database, monkeypatch):
    add_weather(database, 10, first=N_TEXTS)
    with monkeypatch.context() as patch:
        patch.setattr(scipy.sparse, "vstack", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            trained.update(force=True)
    add_weather(database, 10, first=N_TEXTS + 10)

    assert trained.update(force=True).run.texts == N_TEXTS + 20
    assert labels(trained, "rain", "sun") == ["a", "b"]
