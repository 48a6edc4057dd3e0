"""A project keeps the strategies that it began with, whatever a newer version or another installation would choose."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from al_learner import Vectorizer
from al_learner.core import registry
from al_learner.core.configuration import defaults
from al_learner.core.errors import SettingsError
from al_learner.core.interfaces import UsesWordVectors, WordVectors
from al_learner.plugins.word_vectors import use
from tests.support.corpora import add_weather
from tests.support.strategies import Prefers
from tests.support.tables import ON_BOTH

TODAY = {"classifier": "auto", "vectorizer": "tfidf", "init_sampler": "balanced"}
OTHER = {"classifier": "sgd", "vectorizer": "hashing", "init_sampler": "uniform"}


@pytest.fixture
def voted(database):
    add_weather(database, 10)
    return database


@pytest.fixture
def install(monkeypatch):
    """Return a function that makes this process another version, or another installation, with its own defaults."""

    def other(names):
        monkeypatch.setattr(defaults, "WITHOUT_SOURCE", names)
        monkeypatch.setattr(defaults, "WITH_SOURCE", names)

    return other


@pytest.fixture(autouse=True)
def _today(install):
    """Have the same defaults whatever is installed here."""
    install(TODAY)


@pytest.fixture
def open_default(open_project):
    """Return a function that opens a project whose settings name no strategy."""
    unset = {"classifier": None, "vectorizer": None, "init_sampler": None}
    return lambda tables, **settings: open_project(tables, **{**unset, **settings})


def trained_with(tables: Any) -> list[tuple[str, str]]:
    """Return classifier and vectorizer of every run, the oldest first."""
    rows = tables.query("SELECT strategies FROM al_runs ORDER BY run_id")
    found = [row[0] if isinstance(row[0], dict) else json.loads(row[0]) for row in rows]
    return [(each["classifier"]["name"], each["vectorizer"]["name"]) for each in found]


@ON_BOTH
def test_an_upgrade_changes_neither_vectorizer_nor_classifier(voted, open_default, install, logged):
    install(OTHER)
    open_default(voted).update(force=True)

    install(TODAY)
    upgraded = open_default(voted)
    upgraded.update(force=True)

    assert trained_with(voted) == [("sgd", "hashing")] * 2
    assert voted.count("countvecs") == 1
    assert not logged.named("vectorizer.refitted")
    assert upgraded.settings.strategies.vectorizer == registry.strategy("vectorizer", "hashing")
    records = {str(row[0]) for row in voted.query("SELECT defaults FROM al_runs")}
    assert len(records) == 1


@ON_BOTH
def test_a_project_of_a_former_version_keeps_what_that_had(voted, open_default, install):
    open_default(voted).update(force=True)
    voted.query("UPDATE al_runs SET defaults = NULL")

    install(OTHER)
    open_default(voted).update(force=True)

    assert trained_with(voted) == [("auto", "tfidf")] * 2
    assert voted.count("countvecs") == 1
    recorded = open_default(voted)._storage.runs.defaults()
    assert recorded == defaults.to_record(defaults.FORMER)


def test_the_start_of_a_project_of_a_former_version_stays(database, open_default, install):
    database.add_texts("one", "two", "three")
    database.add_labels("a", "b")
    open_default(database).init()
    database.query("UPDATE al_runs SET defaults = NULL")

    install(OTHER)
    state = open_default(database).read_state()

    assert state.specs["init_sampler"]["name"] == "balanced"


def test_a_setting_goes_over_the_record_and_the_record_stays(voted, open_default, install):
    open_default(voted).update(force=True)
    install(OTHER)

    open_default(voted, vectorizer="count").update(force=True)
    assert trained_with(voted)[-1] == ("auto", "count")

    open_default(voted).update(force=True)
    assert trained_with(voted)[-1] == ("auto", "tfidf")


def test_what_the_first_run_was_told_is_no_default(voted, open_default):
    open_default(voted, vectorizer="count", vectorizer_params={"min_df": 1}).update(force=True)

    open_default(voted).update(force=True)

    assert trained_with(voted) == [("auto", "count"), ("auto", "tfidf")]


def test_only_a_new_project_is_told_of_the_extra(voted, open_default, monkeypatch, logged):
    monkeypatch.setattr(defaults, "SOURCE_MODULE", "not_installed_for_this_test")
    monkeypatch.setattr(defaults, "WITH_SOURCE", OTHER)
    defaults.tell_of_extra.cache_clear()
    project = open_default(voted)
    project.read_state()
    project.update(force=True)
    assert [told["extra"] for told in logged.named("defaults.without_meaning")] == ["meaning"]

    defaults.tell_of_extra.cache_clear()
    open_default(voted).read_state()

    assert len(logged.named("defaults.without_meaning")) == 1


@ON_BOTH
def test_of_two_installations_that_begin_at_once_the_second_takes_over_the_first_ones_record(
    voted, open_default, install, logged
):
    first, second = open_default(voted), open_default(voted)
    install(OTHER)
    assert second.read_state().specs["vectorizer"]["name"] == "hashing"
    install(TODAY)
    first.update(force=True)
    install(OTHER)

    second.update(force=True)

    assert trained_with(voted) == [("auto", "tfidf")] * 2
    assert not logged.named("vectorizer.refitted")


@ON_BOTH
def test_workers_do_not_contend_because_one_began_before_the_record_and_the_other_after(voted, open_default, install):
    older = open_default(voted)
    older.register_worker()
    install(OTHER)
    newer = open_default(voted)
    newer.register_worker()
    assert newer.read_state().specs["vectorizer"]["name"] == "hashing"
    install(TODAY)

    assert older.reconcile().due == "update"

    install(OTHER)
    last = open_default(voted)
    last.register_worker()
    assert {project.read_state().facts.superseded for project in (older, newer, last)} == {None}
    assert {project.read_state().specs["vectorizer"]["name"] for project in (older, newer, last)} == {"tfidf"}


def test_workers_that_name_different_strategies_still_differ(voted, open_default):
    older, newer = open_default(voted), open_default(voted, vectorizer="count")
    older.register_worker()
    newer.register_worker()

    superseded = older.read_state().facts.superseded

    assert superseded is not None
    assert 'vectorizer is "the project\'s" here and "count(' in superseded


# -- parameters that a version has added -----------------------------------------------------------------------------


def drop_parameters(tables: Any) -> None:
    """Make the records those of a version that did not have some of the parameters."""
    for run_id, strategies, choice in tables.query("SELECT run_id, strategies, choice FROM al_runs"):
        found = strategies if isinstance(strategies, dict) else json.loads(strategies)
        compared = choice if isinstance(choice, dict | None) else json.loads(choice)
        del found["vectorizer"]["params"]["norm"]
        del found["classifier"]["params"]["winner"]
        del found["classifier"]["chosen"]["params"]["alpha"]
        if compared:
            del compared["candidates"]["sgd"]["alpha"]
        tables.query(
            "UPDATE al_runs SET strategies = ?, choice = ? WHERE run_id = ?",
            json.dumps(found),
            json.dumps(compared) if compared else None,
            run_id,
        )


@ON_BOTH
def test_a_parameter_that_a_version_added_neither_refits_nor_chooses_anew_nor_starts_cold(voted, open_project, logged):
    project = open_project(voted, classifier=Prefers(min_labels=10))
    project.update(force=True)
    project.update(force=True)
    assert project.read_state().choice.name == "sgd"
    drop_parameters(voted)

    state = project.read_state()
    countvec, reason = project._models.usable_countvec(state.specs["vectorizer"])

    assert (countvec is None, reason) == (False, "")
    assert state.specs["classifier"]["chosen"]["name"] == "sgd"
    assert state.due is None
    assert project._models.startable(state.newest, state.specs["classifier"], countvec) is not None
    project.update(force=True)
    assert voted.count("countvecs") == 1
    assert not logged.named("vectorizer.refitted")
    assert len(logged.named("choice.made")) == 1


# -- a source of word vectors that is not installed here -------------------------------------------------------------


class Vectors(WordVectors):
    """Knows one word, where its package is installed."""

    languages: ClassVar[tuple[str, ...]] = ("en",)
    licence: ClassVar[str] = "MIT"
    provenance: ClassVar[str] = "made up"
    is_installed: ClassVar[bool] = True

    def vectors(self, words):
        if not self.is_installed:
            raise SettingsError(["word vectors 'fake' need a package: pip install 'al-learner[fake]'"])
        return np.ones((len(words), 1), np.float32)

    def digest(self):
        return hashlib.sha256(b"").hexdigest()


class ByMeaning(Vectorizer, UsesWordVectors):
    """Looks words up, as far as this test needs it."""

    source: str = "fake"

    def fit(self, texts: Iterable[str]) -> Any:
        self.word_vectors.vectors(["sun"])
        return TfidfVectorizer(dtype=np.float32).fit(texts)


def test_without_the_source_a_process_trains_on_and_refuses_only_to_fit_a_new_vectorizer(
    voted, open_project, monkeypatch
):
    monkeypatch.setattr(registry, "word_vectors", lambda _source: Vectors())
    first = open_project(voted, vectorizer=ByMeaning()).update(force=True).run
    assert first.versions["word vectors fake"] == Vectors().digest()
    monkeypatch.setattr(Vectors, "is_installed", False)
    elsewhere = open_project(voted, vectorizer=ByMeaning())

    assert elsewhere.update(force=True).run.status == "succeeded"
    with pytest.raises(SettingsError, match=r"al-learner\[fake\]"):
        elsewhere.update(force=True, refit=True)

    assert voted.count("countvecs") == 1
    assert [run.status for run in elsewhere._storage.runs.recent()] == ["failed", "succeeded", "succeeded"]
    assert elsewhere.update(force=True).run.status == "succeeded"


def test_a_project_that_began_with_meaning_goes_on_in_an_installation_without_it(
    voted, open_default, monkeypatch, logged
):
    pytest.importorskip(defaults.SOURCE_MODULE, reason="the extra `meaning` is not installed")
    monkeypatch.setattr(defaults, "WITH_SOURCE", {**TODAY, "vectorizer": "words-and-meaning"})
    open_default(voted).update(force=True)
    monkeypatch.setitem(sys.modules, defaults.SOURCE_MODULE, None)
    use._model.cache_clear()
    elsewhere = open_default(voted)

    assert elsewhere.update(force=True).run.status == "succeeded"
    with pytest.raises(SettingsError, match=r"pip install 'al-learner\[meaning\]'"):
        elsewhere.update(force=True, refit=True)

    assert {vectorizer for _, vectorizer in trained_with(voted)} == {"words-and-meaning"}
    assert voted.count("countvecs") == 1
    assert not logged.named("defaults.without_meaning")
