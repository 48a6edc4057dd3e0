import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from al_learner.core.configuration.settings import Settings, variable, variables
from al_learner.core.errors import SettingsError
from al_learner.core.interfaces import Classifier
from al_learner.core.registry import strategy

SECRET = "correct-horse"  # noqa: S105 - no real one


def refused(**arguments: Any) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        Settings(**arguments)
    return caught.value.problems


def configured(toml: str | bytes, path: str = "al_learner.toml") -> None:
    Path(path).write_bytes(toml if isinstance(toml, bytes) else toml.encode())


# -- where values come from ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argument", "environment", "file", "value", "origin"),
    [
        pytest.param(None, None, None, 10, "default", id="default"),
        pytest.param(None, None, 4, 4, "al_learner.toml", id="file over default"),
        pytest.param(None, "5", None, 5, "environment BATCH_SIZE", id="environment over default"),
        pytest.param(None, "5", 4, 5, "environment BATCH_SIZE", id="environment over file"),
        pytest.param(6, None, None, 6, "argument", id="argument over default"),
        pytest.param(6, None, 4, 6, "argument", id="argument over file"),
        pytest.param(6, "5", None, 6, "argument", id="argument over environment"),
        pytest.param(6, "5", 4, 6, "argument", id="argument over all"),
    ],
)
def test_the_nearest_source_wins_and_is_named(monkeypatch, argument, environment, file, value, origin):
    if environment:
        monkeypatch.setenv("BATCH_SIZE", environment)
    if file:
        configured(f"batch_size = {file}")

    settings = Settings(**({"batch_size": argument} if argument else {}))

    assert settings.batch_size == value
    assert settings.origins["batch_size"] == origin


ELSEWHERE = {
    "AL_LEARNER_DATABASE_URL": ("sqlite:///other.db", "sqlite:///other.db"),
    "REDIS_URL": ("redis://other", "redis://other"),
    "REDIS_HOST": ("other", "other"),
    "REDIS_PORT": ("7000", 7000),
    "REDIS_USERNAME": ("other", "other"),
    "REDIS_PASSWORD": (SECRET, "**********"),
    "REDIS_PASSWORD_FILE": ("secret", "secret"),
    "REDIS_TLS": ("true", True),
    "REDIS_CA_FILE": ("secret", "secret"),
    "BATCH_SIZE": ("7", 7),
    "ACTIVE_LEARNING": ("false", False),
    "AL_LEARNER_GATE": ("hold", "hold"),
    "MIN_LABEL_COUNT": ("3", 3),
    "AL_LEARNER_CLASSIFIER": ("sgd", "sgd"),
    "AL_LEARNER_CLASSIFIER_PARAMS": (
        '{"n_folds": 3}',
        strategy("classifier", "auto", n_folds=3).model_dump(mode="json"),
    ),
    "AL_LEARNER_VECTORIZER": ("count", "count"),
    "AL_LEARNER_VECTORIZER_PARAMS": (
        '{"min_df": 2, "sublinear_tf": true, "ngram_range": [1, 2]}',
        {**strategy("vectorizer", "tfidf").model_dump(), "min_df": 2, "sublinear_tf": True, "ngram_range": [1, 2]},
    ),
    "AL_LEARNER_INIT_SAMPLER": ("uniform", "uniform"),
    "AL_LEARNER_INIT_SAMPLER_PARAMS": (
        '{"random_state": 3}',
        {**strategy("init_sampler", "label-meaning").model_dump(), "random_state": 3},
    ),
    "AL_LEARNER_LABEL_AGGREGATOR": ("majority", "majority"),
    "AL_LEARNER_LABEL_AGGREGATOR_PARAMS": ("{}", {}),
    "AL_LEARNER_EXCLUDE_LABELS": ("spam, ham,", ["spam", "ham"]),
    "AL_LEARNER_PREDICTOR_PACKAGES": (
        "numpy,scipy,scikit-learn,lightgbm",
        ["numpy", "scipy", "scikit-learn", "lightgbm"],
    ),
    "AL_LEARNER_SIGNING_KEY": (SECRET, "**********"),
    "AL_LEARNER_SIGNING_KEY_FILE": ("secret", "secret"),
    "AL_LEARNER_RECONCILE_S": ("1.5", 1.5),
    "AL_LEARNER_GRACE_S": ("0", 0),
    "AL_LEARNER_TRAIN_TIMEOUT_S": ("60", 60),
    "AL_LEARNER_TRAIN_MEMORY_MIB": ("512", 512),
    "AL_LEARNER_MAX_ARTIFACT_MIB": ("100", 100),
    "AL_LEARNER_KEEP_GIB": ("0.5", 0.5),
    "AL_LEARNER_CLUSTER": ("tls://scheduler:8786", "tls://scheduler:8786"),
    "AL_LEARNER_CLUSTER_CA_FILE": ("secret", "secret"),
    "AL_LEARNER_CLUSTER_CERT_FILE": ("secret", "secret"),
    "AL_LEARNER_CLUSTER_KEY_FILE": ("secret", "secret"),
    "AL_LEARNER_TRAINERS": ("3", 3),
    "AL_LEARNER_TRAINERS_MIB": ("512", 512),
    "AL_LEARNER_SLICE_S": ("2.5", 2.5),
    "AL_LEARNER_REANNOUNCE_S": ("60", 60),
    "AL_LEARNER_HTTP_HOST": ("0.0.0.0", "0.0.0.0"),  # noqa: S104 - only a value
    "AL_LEARNER_HTTP_PORT": ("9000", 9000),
    "AL_LEARNER_HEARTBEAT_FILE": ("beat", "beat"),
    "AL_LEARNER_LOG": ("json", "json"),
}


def test_every_variable_that_is_listed_is_known_here():
    assert {*variables()} == ELSEWHERE.keys() | {"AL_LEARNER_CONFIG"}


@pytest.mark.parametrize(
    ("given", "query"),
    [
        ({}, None),
        ({"redis_host": "redis"}, "least-confidence"),
        ({"redis_host": "redis", "active_learning": False}, "most-confidence"),
        ({"active_learning": True}, "least-confidence"),
    ],
)
def test_it_is_known_how_the_app_picks_texts_only_where_it_is_said_or_there_is_an_app(given, query):
    assert Settings(**given).query == query


@pytest.mark.parametrize("name", ELSEWHERE)
def test_every_variable_is_read_and_shown(monkeypatch, name):
    Path("secret").write_text(SECRET)
    raw, shown = ELSEWHERE[name]
    monkeypatch.setenv(name, raw)

    settings = Settings()

    [field] = [field for field in settings.shown() if variable(field) == name]
    assert settings.shown()[field] == shown
    assert settings.origins[field] == f"environment {name}"
    assert [other for other, origin in settings.origins.items() if origin != "default"] == [field]


def test_an_empty_variable_is_unset(monkeypatch):
    before = Settings()
    for name in variables():
        monkeypatch.setenv(name, "")

    after = Settings()

    assert after == before
    assert {*after.origins.values()} == {"default"}


def test_without_any_setting_the_contract_with_labelforward_holds():
    settings = Settings()

    assert (settings.batch_size, settings.min_label_count) == (10, 1)
    assert (settings.redis_port, settings.redis_tls, settings.has_redis) == (6379, False, False)
    assert (settings.reconcile_s, settings.grace_s, settings.reannounce_s) == (30, 8, 120)
    assert settings.exclude_labels == ()
    assert settings.predictor_packages == ("scikit-learn", "numpy", "scipy")


@pytest.mark.parametrize(
    ("name", "allowed", "beyond"),
    [
        ("redis_port", [1, 65535], [0, 65536]),
        ("http_port", [1, 65535], [0, 65536]),
        ("batch_size", [1], [0]),
        ("min_label_count", [1], [0]),
        ("reconcile_s", [0.001], [0, float("nan")]),
        ("grace_s", [0], [-0.001]),
        ("train_timeout_s", [0.001], [0]),
        ("reannounce_s", [0.001], [0]),
        ("train_memory_mib", [384], [383]),
        ("max_artifact_mib", [1, 511], [0, 512]),
        ("keep_gib", [0.001], [0]),
    ],
)
def test_a_number_is_taken_within_its_limits_alone(name, allowed, beyond):
    for value in allowed:
        assert getattr(Settings(**{name: value}), name) == value
    for value in beyond:
        [problem] = refused(**{name: value})
        assert problem.startswith(f"{name} = {value}: ")


@pytest.mark.parametrize("name", ["reconcile_s", "grace_s", "train_timeout_s", "reannounce_s", "keep_gib"])
@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_number_without_an_upper_limit_is_finite(name, value):
    [problem] = refused(**{name: value})
    assert problem.startswith(f"{name} = {value}: Input should be ")


@pytest.mark.parametrize("source", ["argument", "environment", "file", "table"])
def test_a_parameter_that_is_not_finite_is_refused_wherever_it_comes_from(monkeypatch, source):
    params: dict[str, Any] = {}
    if source == "argument":
        params = {"classifier_params": {"C": float("inf")}}
    elif source == "environment":
        monkeypatch.setenv("AL_LEARNER_CLASSIFIER_PARAMS", '{"C": Infinity}')
    else:
        configured("[classifier_params]\nC = inf" if source == "file" else "[classifiers.logreg]\nC = inf")

    [problem] = refused(classifier="logreg", **params)

    assert problem == "classifier 'logreg': C = inf: every number must be finite, neither infinite nor NaN"


def test_settings_never_change():
    with pytest.raises(ValidationError, match="frozen"):
        Settings().batch_size = 3


# -- problems -----------------------------------------------------------------------------------------------------


def test_every_problem_is_reported_at_once(monkeypatch):
    monkeypatch.setenv("BATCH_SIZE", "0")
    monkeypatch.setenv("AL_LEARNER_VECTORIZER_PARAMS", "[1, 2]")
    monkeypatch.setenv("AL_LEARNER_CLASIFIER", "sgd")
    monkeypatch.setenv("AL_LEARNER_LOG", "xml")
    configured('init_samler = "uniform"\n[classifiers.logreg]\nC = -1\npenalty = "l1"')

    problems = refused(label_aggregator="mayority", grace_s="soon")

    starts = (
        "AL_LEARNER_CLASIFIER is not a setting; did you mean 'AL_LEARNER_CLASSIFIER'",
        "AL_LEARNER_LOG = xml: ",
        "AL_LEARNER_VECTORIZER_PARAMS = [1, 2]: must be a JSON object",
        "BATCH_SIZE = 0: ",
        "classifier 'logreg' has no parameter 'penalty'; ",
        "classifier 'logreg': C = -1: ",
        "grace_s = 'soon': ",
        "init_samler is not a setting; did you mean 'init_sampler'",
        "label_aggregator 'mayority' is unknown; did you mean 'majority'",
    )
    assert len(problems) == len(starts)
    for problem, start in zip(sorted(problems), starts, strict=True):
        assert problem.startswith(start)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("AL_LEARNER_DATABASE", "AL_LEARNER_DATABASE_URL"),
        ("AL_LEARNER_SIGNINGKEY", "AL_LEARNER_SIGNING_KEY"),
        ("AL_LEARNER_CLASSIFIERS", "AL_LEARNER_CLASSIFIER"),
        ("al_learner_clasifier", "AL_LEARNER_CLASSIFIER"),
        ("AL_LEARNER_BATCH_SIZE", "BATCH_SIZE"),
        ("AL_LEARNER_REDIS_HOST", "REDIS_HOST"),
    ],
)
def test_an_unknown_variable_is_refused_with_the_nearest(monkeypatch, name, nearest):
    monkeypatch.setenv(name, "{}")

    problem, *_ = refused()

    assert problem.startswith(f"{name} is not a setting; did you mean")
    assert f"'{nearest}'" in problem.partition("?")[0]


def test_a_wrong_argument_is_not_blamed_on_the_environment(monkeypatch):
    monkeypatch.setenv("BATCH_SIZE", "5")

    [problem] = refused(batch_size=0)

    assert problem.startswith("batch_size = 0: ")


@pytest.mark.parametrize("value", ["3", "[vectorizer.count]", "true"])
def test_a_strategy_that_is_no_name_is_one_problem_under_the_settings_own_name(value):
    configured(value if value.startswith("[") else f"vectorizer = {value}")

    [problem] = refused()

    assert problem.startswith("vectorizer = ")


def test_the_redis_port_that_kubernetes_sets_is_explained(monkeypatch):
    monkeypatch.setenv("REDIS_PORT", "tcp://10.0.0.7:6379")

    [problem] = refused()

    assert problem.startswith("REDIS_PORT = tcp://10.0.0.7:6379: Kubernetes sets this")
    assert "enableServiceLinks: false" in problem


def test_a_params_variable_that_is_not_json_shows_how_to_write_it(monkeypatch):
    monkeypatch.setenv("AL_LEARNER_CLASSIFIER_PARAMS", "C=0.5")

    [problem] = refused()

    assert problem.startswith("AL_LEARNER_CLASSIFIER_PARAMS = C=0.5: not JSON")
    assert '{"C": 0.5}' in problem


@pytest.mark.parametrize("name", ["redis_password", "signing_key"])
def test_a_secret_of_the_wrong_type_is_not_shown(monkeypatch, name):
    monkeypatch.setenv("AL_LEARNER_CONFIG", "al_learner.toml")
    configured(f"{name} = 31415926")

    [problem] = refused()

    assert name in problem
    assert "31415926" not in problem


# -- the file -----------------------------------------------------------------------------------------------------


def test_a_named_file_is_read_instead_of_the_one_here(monkeypatch):
    configured("batch_size = 4")
    configured("min_label_count = 2", "elsewhere.toml")
    monkeypatch.setenv("AL_LEARNER_CONFIG", "elsewhere.toml")

    settings = Settings()

    assert (settings.batch_size, settings.min_label_count) == (10, 2)
    assert settings.origins["min_label_count"] == "elsewhere.toml"


@pytest.mark.parametrize("name", ["missing.toml", "."])
def test_a_named_file_must_exist(monkeypatch, name):
    monkeypatch.setenv("AL_LEARNER_CONFIG", name)

    assert refused() == (f"AL_LEARNER_CONFIG = {name}: there is no such file",)


@pytest.mark.parametrize("content", ["batch_size = \n", "classifier = logreg", b'log = "\xff"'])
def test_a_file_that_is_not_toml_is_named(content):
    configured(content)

    [problem] = refused()

    assert problem.startswith("al_learner.toml: not a readable TOML file: ")


def test_every_kind_of_value_can_stand_in_a_named_file(monkeypatch):
    monkeypatch.setenv("AL_LEARNER_CONFIG", "al_learner.toml")
    configured(
        'database_url = "sqlite:///p.db"\nredis_tls = true\nreconcile_s = 5\nexclude_labels = ["spam"]\n'
        'predictor_packages = ["scikit-learn", "numpy", "scipy", "lightgbm"]\n'
        'classifier = "lightgbm"\nclassifier_params = {num_leaves = 7}'
    )

    settings = Settings()

    assert (settings.database, settings.redis_tls, settings.reconcile_s) == ("sqlite:///p.db", True, 5)
    assert settings.exclude_labels == ("spam",)
    assert settings.strategies.classifier.num_leaves == 7


# -- strategies ---------------------------------------------------------------------------------------------------

TABLES = """
classifier = "logreg"
vectorizer = "tfidf"

[classifiers.logreg]
C = 0.5
max_iter = 50

[classifiers.sgd]
alpha = 0.01

[vectorizers.tfidf]
min_df = 3
"""


def test_parameters_stand_in_tables_by_name_and_switching_drags_none_along(monkeypatch):
    configured(TABLES)

    before = Settings().strategies
    monkeypatch.setenv("AL_LEARNER_CLASSIFIER", "sgd")
    after = Settings().strategies

    assert before.classifier == strategy("classifier", "logreg", C=0.5, max_iter=50)
    assert after.classifier == strategy("classifier", "sgd", alpha=0.01)
    assert before.vectorizer == after.vectorizer == strategy("vectorizer", "tfidf", min_df=3)


def test_parameters_of_the_environment_go_over_the_table_one_by_one(monkeypatch):
    configured(TABLES)
    monkeypatch.setenv("AL_LEARNER_CLASSIFIER_PARAMS", '{"C": 2, "tol": 0.1}')

    assert Settings().strategies.classifier == strategy("classifier", "logreg", C=2, max_iter=50, tol=0.1)


def test_where_parameters_come_from_is_shown():
    configured(TABLES)

    origins = Settings().origins

    assert origins["classifier_params"] == "al_learner.toml"
    assert origins["init_sampler_params"] == "default"


def test_a_strategy_may_be_given_as_an_object():
    classifier = strategy("classifier", "logreg", C=2)

    settings = Settings(classifier=classifier)

    assert settings.strategies.classifier is classifier
    assert settings.origins["classifier"] == "argument"
    assert settings.shown()["classifier_params"]["C"] == 2


class WithAList(Classifier):
    stop_words: list[str]

    def fit(self, X, y):
        raise NotImplementedError


def test_an_object_may_have_any_parameters():
    classifier = WithAList(stop_words=["the"])

    assert Settings(classifier=classifier).strategies.classifier is classifier


def test_parameters_beside_an_object_are_refused():
    [problem] = refused(classifier=strategy("classifier", "logreg"), classifier_params={"C": 2})

    assert problem.startswith("classifier_params = {'C': 2}: not allowed beside LogReg(")


@pytest.mark.parametrize("by", ["name", "object"])
def test_what_the_predictor_cannot_read_is_refused_with_the_remedy(by):
    listed = "scikit-learn,numpy,scipy,lightgbm"
    lightgbm = "lightgbm" if by == "name" else strategy("classifier", "lightgbm")

    [problem] = refused(classifier=lightgbm)

    assert "needs lightgbm in the predictor and the download manager" in problem
    assert "AL_LEARNER_PREDICTOR_PACKAGES = scikit-learn,numpy,scipy " in problem
    assert Settings(classifier=lightgbm, predictor_packages=listed).strategies.classifier.num_leaves


def test_packages_of_the_predictor_may_be_spelt_as_pip_accepts_them(monkeypatch):
    monkeypatch.setenv("AL_LEARNER_PREDICTOR_PACKAGES", "Scikit_Learn, NumPy, SciPy, LightGBM")

    assert Settings(classifier="lightgbm").strategies.classifier.num_leaves


WORDS_ALONE = ["complement-nb", "logreg(C=10)", 'sgd(column_weights={"meaning": 0})']
"""The candidates of `auto` that need no columns of meaning."""


def test_the_candidates_of_auto_are_those_that_the_predictor_can_read():
    listed = ("scikit-learn", "numpy", "scipy", "lightgbm")

    assert [*Settings(classifier="auto", vectorizer="tfidf").candidates] == WORDS_ALONE
    assert [*Settings(classifier="auto", predictor_packages=listed).candidates][-1] == "lightgbm"
    assert Settings(classifier="logreg").candidates == {}


def test_candidates_that_weigh_a_group_of_columns_need_a_vectorizer_that_has_it():
    assert [*Settings(classifier="auto", vectorizer="lsa").candidates] == [
        'logreg(C=30, naive_bayes=0.3, column_weights={"meaning": 1})',
        'logreg(C=30, naive_bayes=0.3, column_weights={"meaning": 0.5})',
        *WORDS_ALONE,
    ]


def test_candidates_get_the_parameters_of_their_tables():
    settings = Settings(classifier="auto", classifiers={"logreg": {"C": 7}})

    assert settings.candidates["logreg"] == strategy("classifier", "logreg", C=7)


def test_what_the_list_of_candidates_says_goes_before_their_tables():
    listed = ["logreg", "logreg(C=3)", "logreg(class_weight=balanced)"]
    settings = Settings(classifier="auto", classifier_params={"candidates": listed}, classifiers={"logreg": {"C": 7}})

    assert [*settings.candidates.items()] == [
        ("logreg", strategy("classifier", "logreg", C=7)),
        ("logreg(C=3)", strategy("classifier", "logreg", C=3)),
        ("logreg(class_weight=balanced)", strategy("classifier", "logreg", C=7, class_weight="balanced")),
    ]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"classifier_params": {"candidates": ["logrg"]}}, "did you mean 'logreg'?"),
        ({"classifier_params": {"candidates": ["logreg(C=no)"]}}, "C = 'no'"),
        ({"classifier_params": {"candidates": ["logreg(C"]}}, "write NAME, or NAME(parameter=value"),
        ({"classifier_params": {"candidates": ["auto"]}}, "'auto' is a model selector itself"),
        ({"classifier_params": {"candidates": []}}, "candidates"),
        ({"classifier_params": {"candidates": ["lightgbm"]}}, "can read none of the candidates lightgbm"),
        ({"classifiers": {"sgd": {"alhpa": 1}}}, "no parameter 'alhpa'"),
    ],
)
def test_wrong_candidates_are_named(given, problem):
    [found] = refused(classifier="auto", **given)

    assert problem in found


# -- the database -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:///project.db", "sqlite:///project.db"),
        ("postgresql://u@h/d", "postgresql+psycopg://u@h/d"),
        ("postgres://u@h/d", "postgresql+psycopg://u@h/d"),
        ("postgresql+psycopg://u@h/d", "postgresql+psycopg://u@h/d"),
    ],
)
def test_the_url_names_the_database_for_sqlalchemy(url, expected):
    assert Settings(database_url=url).database == expected


@pytest.mark.parametrize("name", ["PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE"])
def test_libpq_is_asked_when_one_of_its_variables_names_a_place(monkeypatch, name):
    monkeypatch.setenv(name, "somewhere")

    assert Settings().database == "postgresql+psycopg://"
    assert Settings(database_url="sqlite:///p.db").database == "sqlite:///p.db"


@pytest.mark.parametrize("name", ["PGUSER", "PGPASSWORD", "PGPORT"])
def test_without_a_named_database_pghost_is_asked_for(monkeypatch, name):
    monkeypatch.setenv(name, "5432")
    monkeypatch.setenv("PGHOST", "")

    with pytest.raises(SettingsError, match="no database is named: give --database"):
        _ = Settings().database


# -- secrets ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shown", [Settings.shown, repr, str], ids=["shown", "repr", "str"])
def test_no_secret_is_shown(monkeypatch, shown):
    monkeypatch.setenv("AL_LEARNER_DATABASE_URL", f"postgresql://user:{SECRET}@host/db")
    monkeypatch.setenv("REDIS_URL", f"redis://:{SECRET}@host")
    monkeypatch.setenv("REDIS_PASSWORD", SECRET)
    monkeypatch.setenv("AL_LEARNER_SIGNING_KEY", SECRET)

    assert SECRET not in str(shown(Settings()))


SECRETS = [("signing_key", "signing_secret"), ("redis_password", "redis_secret")]


@pytest.mark.parametrize(("name", "secret"), SECRETS)
def test_a_secret_comes_from_a_variable_or_a_file(name, secret):
    Path("secret").write_text(f"{SECRET}\n")

    assert getattr(Settings(), secret) is None
    assert getattr(Settings(**{name: SECRET}), secret) == SECRET
    assert getattr(Settings(**{f"{name}_file": "secret"}), secret) == SECRET


@pytest.mark.parametrize(("name", "_secret"), SECRETS)
def test_a_secrets_file_must_exist(name, _secret):
    [problem] = refused(**{f"{name}_file": "missing"})

    assert problem.startswith(f"{name}_file = ***: there is no such file")


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe\x00"], ids=["empty", "blank", "not text"])
@pytest.mark.parametrize(("name", "secret"), SECRETS)
def test_a_secrets_file_must_hold_a_secret(name, secret, content):
    Path("secret").write_bytes(content)

    with pytest.raises(SettingsError, match=f"{name}_file"):
        getattr(Settings(**{f"{name}_file": "secret"}), secret)


@pytest.mark.parametrize(
    ("arguments", "named"), [({}, False), ({"redis_host": "h"}, True), ({"redis_url": "redis://u"}, True)]
)
def test_redis_is_used_only_when_it_is_named(monkeypatch, arguments, named):
    monkeypatch.setenv("REDIS_PORT", "6379")

    assert Settings(**arguments).has_redis is named


def test_a_dotenv_file_is_not_read():
    Path(".env").write_text("BATCH_SIZE=3\n")

    assert Settings().batch_size == 10
    assert "BATCH_SIZE" not in os.environ


def test_a_table_of_parameters_for_a_plugin_that_is_not_installed_is_refused():
    configured("[classifiers.lightgmb]\nnum_leaves = 3")

    [problem] = refused()

    assert problem.startswith("[classifiers.lightgmb]: no such classifier; did you mean 'lightgbm'?")
