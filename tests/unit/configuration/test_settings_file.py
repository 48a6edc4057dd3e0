"""What a settings file may set that was only found in the current folder."""

from pathlib import Path

import pytest

from al_learner.core.configuration.settings import Settings
from al_learner.core.configuration.settings_file import HARMLESS, NAMED_ONLY
from al_learner.core.errors import SettingsError

VALUES = {
    "database_url": '"sqlite:///foreign.db"',
    "redis_url": '"redis://foreign"',
    "redis_host": '"foreign"',
    "redis_port": "7000",
    "redis_username": '"foreign"',
    "redis_password": '"foreign"',
    "redis_password_file": '"secret"',
    "redis_tls": "true",
    "redis_ca_file": '"secret"',
    "cluster": '"tls://scheduler:8786"',
    "cluster_ca_file": '"secret"',
    "cluster_cert_file": '"secret"',
    "cluster_key_file": '"secret"',
    "trainers": "3",
    "trainers_mib": "512",
    "slice_s": "2.5",
    "signing_key": '"foreign"',
    "signing_key_file": '"secret"',
    "http_host": '"127.0.0.2"',
    "http_port": "9000",
    "heartbeat_file": '"beat"',
    "batch_size": "7",
    "min_label_count": "3",
    "classifier": '"sgd"',
    "classifier_params": "{n_folds = 3}",
    "vectorizer": '"count"',
    "vectorizer_params": "{min_df = 2}",
    "init_sampler": '"uniform"',
    "init_sampler_params": "{random_state = 3}",
    "label_aggregator": '"dawid-skene"',
    "label_aggregator_params": "{}",
    "exclude_labels": '["spam"]',
    "predictor_packages": '["numpy", "scipy", "scikit-learn", "lightgbm"]',
    "active_learning": "false",
    "gate": '"hold"',
    "reconcile_s": "1.5",
    "grace_s": "0",
    "train_timeout_s": "60",
    "train_memory_mib": "512",
    "max_artifact_mib": "100",
    "keep_gib": "0.5",
    "reannounce_s": "60",
    "log": '"json"',
    "classifiers": "{logreg = {C = 2}}",
    "vectorizers": "{tfidf = {min_df = 2}}",
    "init_samplers": "{balanced = {random_state = 3}}",
    "label_aggregators": "{majority = {}}",
}


@pytest.fixture
def content(request):
    """A settings file with the one setting that the test asks for."""
    Path("secret").write_text("foreign")
    Path("al_learner.toml").write_text(f"{request.param} = {VALUES[request.param]}")
    return request.param


def test_every_setting_is_in_exactly_one_class():
    assert HARMLESS | NAMED_ONLY == Settings.model_fields.keys() == VALUES.keys()
    assert not HARMLESS & NAMED_ONLY


@pytest.mark.parametrize("content", sorted(HARMLESS), indirect=True)
def test_a_file_that_was_only_found_sets_what_is_harmless(content):
    assert Settings().origins[content] == "al_learner.toml"


@pytest.mark.parametrize("content", sorted(NAMED_ONLY), indirect=True)
def test_a_file_that_was_only_found_sets_nothing_else(content):
    with pytest.raises(SettingsError) as caught:
        Settings()

    [problem] = caught.value.problems
    assert problem.startswith(f"{content} in al_learner.toml: this file was only found in the current folder")
    assert "al-learner --config al_learner.toml" in problem
    assert "AL_LEARNER_CONFIG=al_learner.toml" in problem
    assert "foreign" not in problem.replace(str(Path.cwd()), "")


@pytest.mark.parametrize("content", sorted(NAMED_ONLY), indirect=True)
def test_a_named_file_sets_everything(monkeypatch, content):
    monkeypatch.setenv("AL_LEARNER_CONFIG", "al_learner.toml")

    assert Settings().origins[content] == "al_learner.toml"


def test_it_is_refused_also_where_the_environment_or_an_argument_wins(monkeypatch):
    monkeypatch.setenv("PGHOST", "ours")
    Path("al_learner.toml").write_text('database_url = "sqlite:///foreign.db"\nhttp_port = 1')

    with pytest.raises(SettingsError) as caught:
        Settings(database_url="sqlite:///ours.db")

    assert [problem.partition(" ")[0] for problem in caught.value.problems] == ["database_url", "http_port"]
