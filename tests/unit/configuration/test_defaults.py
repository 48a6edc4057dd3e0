"""The strategies of a project where no setting names one."""

from __future__ import annotations

import pytest

from al_learner import strategy
from al_learner.core.configuration import defaults
from al_learner.core.configuration.settings import Settings
from al_learner.core.errors import SettingsError
from al_learner.core.registry import Spec

RECORD = {
    "classifier": {"name": "auto", "params": {"candidates": ["sgd", "logreg(C=3)"], "min_labels": 20}},
    "vectorizer": {"name": "tfidf", "params": {"min_df": 2, "sublinear_tf": True}},
    "init_sampler": {"name": "uniform", "params": {}},
}


def of_project(**settings):
    """Return settings with the strategies of a project that has recorded some."""
    return Settings(**settings).of_project(defaults.of_project(RECORD, has_succeeded=True))


@pytest.fixture
def other_version(monkeypatch):
    """Let new projects have another vectorizer."""
    monkeypatch.setattr(defaults, "WITHOUT_SOURCE", {**defaults.WITHOUT_SOURCE, "vectorizer": "hashing"})
    monkeypatch.setattr(defaults, "WITH_SOURCE", defaults.WITHOUT_SOURCE)


@pytest.mark.parametrize(
    ("record", "has_succeeded", "vectorizer"),
    [
        pytest.param(None, False, "hashing", id="a new project"),
        pytest.param(None, True, "tfidf", id="one that a former version made"),
        pytest.param(RECORD, True, "tfidf", id="what it has recorded"),
        pytest.param(RECORD, False, "tfidf", id="what its first run recorded though it failed"),
        pytest.param({"future": {"name": "x", "params": {}}}, True, "hashing", id="of a kind that is not recorded"),
    ],
)
@pytest.mark.usefixtures("other_version")
def test_the_defaults_of_a_project(record, has_succeeded, vectorizer):
    assert defaults.of_project(record, has_succeeded=has_succeeded)["vectorizer"].name == vectorizer


def test_what_is_recorded_has_every_parameter():
    new = defaults.of_project(None, has_succeeded=False)

    for kind, record in defaults.to_record(new).items():
        assert record["params"] == strategy(kind, record["name"]).model_dump(mode="json")


def test_what_former_versions_had_is_recorded_as_it_was():
    recorded = defaults.to_record(defaults.FORMER)

    assert {kind: Spec(**record) for kind, record in recorded.items()} == defaults.FORMER
    assert recorded["classifier"]["params"]["candidates"] == ["complement-nb", "logreg(C=10)", "sgd", "lightgbm"]


def test_a_project_has_the_recorded_strategies_where_no_setting_names_one():
    found = of_project(classifier="sgd").strategies

    assert found.classifier == strategy("classifier", "sgd")
    assert found.vectorizer == strategy("vectorizer", "tfidf", min_df=2, sublinear_tf=True)
    assert found.init_sampler == strategy("init_sampler", "uniform")


def test_parameters_that_are_set_go_over_the_recorded_ones_one_by_one():
    found = of_project(vectorizer_params={"min_df": 5}, vectorizers={"tfidf": {"max_df": 0.5}}).strategies

    assert found.vectorizer == strategy("vectorizer", "tfidf", min_df=5, max_df=0.5, sublinear_tf=True)


def test_to_name_what_the_project_has_anyway_changes_nothing():
    assert of_project(vectorizer="tfidf", classifier="auto").strategies == of_project().strategies


def test_a_table_goes_over_the_parameters_of_a_recorded_candidate_as_over_those_of_a_default_one():
    assert [*of_project().candidates] == ["sgd", "logreg(C=3)"]
    assert of_project(classifiers={"logreg": {"C": 7}}).candidates["logreg"] == strategy("classifier", "logreg", C=7)


@pytest.mark.usefixtures("other_version")
def test_parameters_of_what_a_project_began_with_are_no_error_before_the_project_is_read():
    settings = Settings(vectorizer_params={"sublinear_tf": True})

    found = settings.of_project(defaults.of_project(None, has_succeeded=True))
    assert found.strategies.vectorizer == strategy("vectorizer", "tfidf", sublinear_tf=True)
    with pytest.raises(SettingsError, match="'hashing' has no parameter 'sublinear_tf'"):
        settings.of_project(defaults.of_project(None, has_succeeded=False))


def test_a_recorded_strategy_that_is_not_installed_is_refused_with_the_remedy():
    record = {**RECORD, "vectorizer": {"name": "gone", "params": {}}}
    found = defaults.of_project(record, has_succeeded=True)

    with pytest.raises(SettingsError) as caught:
        Settings().of_project(found)

    assert "vectorizer 'gone' is unknown" in caught.value.problems[0]
    assert "the project began with classifier auto, vectorizer gone" in caught.value.problems[-1]
    assert Settings(vectorizer="tfidf").of_project(found).strategies.vectorizer == strategy("vectorizer", "tfidf")


def test_config_tells_what_comes_from_the_project(monkeypatch):
    monkeypatch.setenv("AL_LEARNER_CLASSIFIER", "sgd")
    monkeypatch.setenv("AL_LEARNER_INIT_SAMPLER_PARAMS", '{"random_state": 3}')

    settings = of_project(vectorizers={"tfidf": {"max_df": 0.5}})

    assert settings.origins["classifier"] == "environment AL_LEARNER_CLASSIFIER"
    assert settings.origins["classifier_params"] == "default"
    assert settings.origins["vectorizer"] == settings.origins["init_sampler"] == "project"
    assert settings.origins["vectorizer_params"] == "argument"
    assert settings.origins["init_sampler_params"] == "environment AL_LEARNER_INIT_SAMPLER_PARAMS"
    assert settings.shown()["vectorizer"] == "tfidf"
    assert settings.shown()["vectorizer_params"]["min_df"] == 2


def test_the_extra_is_named_once_and_only_where_it_would_change_something(monkeypatch, logged, tmp_path):
    defaults.tell_of_extra.cache_clear()
    monkeypatch.setattr(defaults, "SOURCE_MODULE", "vectors_for_this_test")
    monkeypatch.setattr(defaults, "WITH_SOURCE", defaults.WITHOUT_SOURCE)
    assert defaults.missing_extra() is None

    monkeypatch.setattr(defaults, "WITH_SOURCE", {**defaults.WITHOUT_SOURCE, "vectorizer": "hashing"})
    assert defaults.of_new_project()["vectorizer"] == "tfidf"
    defaults.tell_of_extra()
    defaults.tell_of_extra()
    [told] = logged.named("defaults.without_meaning")
    assert told["extra"] == "meaning"
    assert "pip install 'al-learner[meaning]'" in told["advice"]

    (tmp_path / "vectors_for_this_test.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert defaults.missing_extra() is None
    assert defaults.of_new_project()["vectorizer"] == "hashing"
    defaults.tell_of_extra.cache_clear()
