"""When word vectors are in memory: in a worker until a training has ended, in other processes for ever."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from al_learner import Project, Vectorizer
from al_learner.core import registry
from al_learner.core.configuration.settings import Settings
from al_learner.core.errors import DataError
from al_learner.core.interfaces import UsesWordVectors, release_word_vectors
from al_learner.core.labels.aggregation import winners
from al_learner.core.training import subprocess_trainer
from al_learner.core.training.compute import Compute
from al_learner.core.training.subprocess_trainer import training_tasks
from tests.support.corpora import add_weather
from tests.support.tiny_vectors import Tiny


class Keeping(Tiny):
    """Knows whether its model is in memory."""

    is_loaded: ClassVar[bool] = False

    def vectors(self, words):
        type(self).is_loaded = True
        return super().vectors(words)

    def release(self):
        type(self).is_loaded = False


class ByMeaning(Vectorizer, UsesWordVectors):
    fails: bool = False

    def fit(self, texts):
        self.word_vectors.lookup(["sun"])
        if self.fails:
            raise DataError("no")
        return TfidfVectorizer(dtype=np.float32).fit(texts)


@pytest.fixture(autouse=True)
def _keeping(monkeypatch):
    release_word_vectors()  # those of tests before
    for module in (registry, subprocess_trainer):
        monkeypatch.setattr(module, "word_vectors", lambda _source: Keeping())
    monkeypatch.setattr(Keeping, "is_loaded", False)


@pytest.fixture
def voted(sqlite):
    add_weather(sqlite, 10)
    return sqlite


@pytest.fixture
def open_as_worker():
    """Return a function that opens a project whose trainings are those of a training process."""
    opened = []

    def open_one(tables, **settings):
        chosen = Settings(database_url=tables.url, classifier="complement-nb", init_sampler="balanced", **settings)
        trainer = SimpleNamespace(**training_tasks(tables.url))
        winners_of = partial(winners, chosen.strategies.label_aggregator)
        compute = Compute(trainer, winners_of, load_word_vectors=trainer.load_word_vectors)
        opened.append(Project.of(chosen, compute=compute))
        opened[-1].prepare()
        return opened[-1]

    yield open_one
    for project in opened:
        project.close()


def test_a_worker_keeps_no_word_vectors_after_a_training(voted, open_as_worker):
    assert open_as_worker(voted, vectorizer=ByMeaning()).update(force=True).run.status == "succeeded"

    assert not Keeping.is_loaded


def test_a_worker_keeps_no_word_vectors_after_a_training_that_failed(voted, open_as_worker):
    with pytest.raises(DataError):
        open_as_worker(voted, vectorizer=ByMeaning(fails=True)).update(force=True)

    assert not Keeping.is_loaded


def test_a_worker_loads_them_while_a_project_waits_for_its_first_classifier(sqlite, open_as_worker):
    project = open_as_worker(sqlite, vectorizer=ByMeaning())

    project.reconcile()
    assert Keeping.is_loaded

    add_weather(sqlite, 10)
    assert project.reconcile().due == "update"
    assert not Keeping.is_loaded
    while project.reconcile().due is not None:
        pass
    assert not Keeping.is_loaded, "there is a classifier"


def test_a_notebook_keeps_them_for_the_next_fit(voted, open_project):
    open_project(voted, vectorizer=ByMeaning()).update(force=True)

    assert Keeping.is_loaded
