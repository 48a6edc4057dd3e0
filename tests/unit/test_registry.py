import itertools
import json
import math
import re
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import stevedore
from pydantic import Field, ValidationError

from al_learner.core.errors import PluginError, SettingsError
from al_learner.core.interfaces import Classifier, UsesWordVectors
from al_learner.core.registry import (
    PLUGINS,
    Spec,
    candidates,
    changed,
    entry_points,
    is_same,
    names,
    origin,
    split,
    strategy,
    word_vectors,
)

BUILT_IN = [
    *(("classifier", name) for name in ("complement-nb", "lightgbm", "logreg", "sgd")),
    *(("vectorizer", name) for name in ("count", "hashing", "tfidf")),
    *(("init_sampler", name) for name in ("balanced", "uniform")),
    ("label_aggregator", "majority"),
    *(("word_vector", name) for name in ("use", "wordllama")),
    *(("query_strategy", name) for name in ("diverse", "entropy", "least-confidence", "margin", "random")),
]

PLUGIN = """
from al_learner import Classifier

class Constant(Classifier):
    depth: int = 3

    def fit(self, X, y):
        raise NotImplementedError
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Install a package with one module of the given code, and one classifier, as pip would."""
    monkeypatch.setattr(stevedore._cache._c, "_dir", str(tmp_path / "cache"))  # else it writes to the user's
    monkeypatch.setattr(stevedore.ExtensionManager, "ENTRY_POINT_CACHE", {})
    folders = (tmp_path / f"site-{number}" for number in itertools.count())

    def install(package: str, code: str, *, name: str = "constant", attribute: str = "Constant") -> None:
        folder = next(folders)
        info = folder / f"{package}-1.2.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[al_learner.classifiers]\n{name} = {package}:{attribute}\n")
        (folder / f"{package}.py").write_text(code)
        monkeypatch.delitem(sys.modules, package, raising=False)
        monkeypatch.syspath_prepend(folder)
        stevedore.ExtensionManager.ENTRY_POINT_CACHE.clear()

    return install


@pytest.mark.parametrize(("kind", "name"), BUILT_IN)
def test_a_built_in_is_found_through_its_entry_point(kind, name):
    assert isinstance(strategy(kind, name), PLUGINS[kind])
    [entry_point] = [found for found in entry_points(kind) if found.name == name]
    assert origin(kind, entry_point).startswith("al-learner ")


def test_nothing_but_the_one_plug_in_is_loaded(fresh_python):
    code = (
        "import sys, al_learner; al_learner.strategy('classifier', 'sgd'); "
        "print(*(name for name in sys.modules if name.startswith('al_learner.plugins.classifiers.')))"
    )

    assert fresh_python(code).split() == ["al_learner.plugins.classifiers.sgd"]


AUTO = {"name": "auto", "params": strategy("classifier", "auto").model_dump(mode="json")}
LOGREG = {"name": "logreg", "params": strategy("classifier", "logreg").model_dump(mode="json")}


@pytest.mark.parametrize(
    ("recorded", "same"),
    [
        pytest.param(LOGREG, True, id="as it is"),
        pytest.param({"name": "logreg", "params": {}}, True, id="without parameters that a version added"),
        pytest.param({"name": "logreg", "params": {"C": 10.0}}, True, id="without some of them"),
        pytest.param({"name": "logreg", "params": {"C": 2.0}}, False, id="another parameter"),
        pytest.param({"name": "logreg", "params": {"gone": 1}}, False, id="a parameter that it has no more"),
        pytest.param({"name": "uninstalled", "params": {}}, False, id="another strategy"),
        pytest.param({**LOGREG, "chosen": LOGREG}, False, id="a candidate of another selector"),
        pytest.param(None, False, id="nothing"),
    ],
)
def test_a_recorded_strategy_is_compared_with_the_current_one(recorded, same):
    assert is_same("classifier", recorded, LOGREG) is same


@pytest.mark.parametrize(("C", "same"), [(10.0, True), (2.0, False)])
def test_what_a_selector_chose_is_compared_too(C, same):
    recorded = {"name": "auto", "params": {}, "chosen": {"name": "logreg", "params": {"C": C}}}

    assert is_same("classifier", recorded, {**AUTO, "chosen": LOGREG}) is same


def test_for_digests_a_strategy_has_only_the_parameters_that_are_not_its_defaults():
    assert Spec("logreg", LOGREG["params"]).shorten("classifier") == Spec("logreg", {})
    assert Spec("logreg", {**LOGREG["params"], "C": 2.0}).shorten("classifier") == Spec("logreg", {"C": 2.0})


def test_a_class_that_is_no_plug_in_is_compared_too():
    name = f"{WithADefault.__module__}:{WithADefault.__qualname__}"

    assert is_same(
        "classifier", {"name": name, "params": {"needed": 1}}, asdict(Spec.of("classifier", WithADefault(needed=1)))
    )
    assert not is_same(
        "classifier", {"name": name, "params": {}}, asdict(Spec.of("classifier", WithADefault(needed=1)))
    )


class WithADefault(Classifier):
    needed: int
    words: tuple[str, ...] = ("the", "a")

    def fit(self, X, y):
        raise NotImplementedError


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(SettingsError, match="vectorizer 'Tf-idf' is unknown; did you mean 'tfidf'") as caught:
        strategy("vectorizer", "Tf-idf")

    for name in ("count", "hashing", "tfidf"):
        assert name in str(caught.value)


def test_every_wrong_parameter_is_reported_at_once_by_name():
    with pytest.raises(SettingsError) as caught:
        strategy("classifier", "logreg", C=-1, max_iter="many", tols=1)

    problems = sorted(caught.value.problems)
    assert [problem.partition(":")[0] for problem in problems[1:]] == ["classifier 'logreg'", "classifier 'logreg'"]
    assert problems[0].startswith("classifier 'logreg' has no parameter 'tols'; did you mean 'tol'")
    assert "C = -1: " in problems[1]
    assert "max_iter = 'many': " in problems[2]


@pytest.mark.parametrize("source", ["use", "model2vec:models/ours", "model2vec:C:\\models", "model2vec-hub:owner/name"])
def test_a_source_of_word_vectors_is_a_name_or_a_name_and_a_value(source):
    made = word_vectors(source)

    assert [*dict(made).values()] == source.split(":", 1)[1:]
    spec = Spec.of("word_vector", made)
    assert Spec(spec.name, json.loads(json.dumps(spec.params))).make("word_vector") == made


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("use:en", "word vectors 'use:en': use has no parameter; write use"),
        ("model2vec", "word vectors 'model2vec': write model2vec:FOLDER"),
        ("model2vec-hub:", "word vectors 'model2vec-hub:': write model2vec-hub:NAME"),
        ("wordlama", "word_vector 'wordlama' is unknown; did you mean 'wordllama'"),
        ("", "word_vector '' is unknown"),
    ],
)
def test_another_source_is_refused_with_what_to_write(source, problem):
    with pytest.raises(SettingsError) as caught:
        word_vectors(source)

    assert str(caught.value).startswith(problem)


def test_a_strategy_with_an_unknown_source_is_refused_when_it_is_made():
    class Meaning(Free, UsesWordVectors):
        """A classifier that uses word vectors."""

    with pytest.raises(SettingsError, match="word_vector 'wordlama' is unknown"):
        changed("classifier", Meaning(), source="wordlama")


class Free(Classifier):
    """Has parameters of every form, and a default that cannot be recorded."""

    number: float = 1.0
    table: dict[str, Any] = Field(default={})

    def fit(self, X, y):
        raise NotImplementedError


class InfiniteByDefault(Free):
    number: float = math.inf


@pytest.mark.parametrize(
    ("cls", "params", "named"),
    [
        (Free, {"number": math.inf}, "number = inf"),
        (Free, {"number": -math.inf}, "number = -inf"),
        (Free, {"number": math.nan}, "number = nan"),
        (Free, {"table": {"a": [1, (2, math.nan)]}}, "table = {'a': [1, (2, nan)]}"),
        (InfiniteByDefault, {}, "number = inf"),
    ],
)
def test_a_number_that_is_not_finite_is_refused_by_name(cls, params, named):
    with pytest.raises(SettingsError) as caught:
        Spec(f"{cls.__module__}:{cls.__name__}", params).make("classifier")
    with pytest.raises(ValidationError, match=re.escape(f"{named}: every number must be finite")):
        cls(**params)

    [problem] = caught.value.problems
    assert f"{named}: every number must be finite" in problem


def test_a_candidate_whose_parameter_is_not_finite_is_refused():
    with pytest.raises(SettingsError, match="classifier 'logreg': C = inf: every number must be finite"):
        candidates(strategy("classifier", "auto", candidates=("sgd", "logreg(C=Infinity)")))


def test_a_strategy_without_parameters_says_so():
    with pytest.raises(SettingsError, match="'majority' has no parameter 'ties'") as caught:
        strategy("label_aggregator", "majority", ties="random")

    assert "installed" not in str(caught.value)


def test_a_plug_in_of_a_third_party_is_made_like_a_built_in(install):
    install("acme_good", PLUGIN)

    assert "constant" in names("classifier")
    assert strategy("classifier", "constant", depth=5).depth == 5
    with pytest.raises(SettingsError, match="'constant' has no parameter 'deph'; did you mean 'depth'"):
        strategy("classifier", "constant", deph=5)


@pytest.mark.parametrize(
    ("code", "attribute", "reason"),
    [
        pytest.param("1 / 0", "Constant", "ZeroDivisionError", id="raises"),
        pytest.param("import no_such_library", "Constant", "no_such_library", id="misses a library"),
        pytest.param("", "Constant", "Constant", id="misses the class"),
        pytest.param("class Constant: pass", "Constant", "not a subclass of al_learner.Classifier", id="other class"),
        pytest.param("Constant = 3", "Constant", "not a subclass of al_learner.Classifier", id="no class"),
        pytest.param(
            "from al_learner import Vectorizer as Constant", "Constant", "al_learner.Classifier", id="other kind"
        ),
    ],
)
def test_a_broken_plug_in_is_named_with_its_package_and_disturbs_no_other(install, code, attribute, reason):
    install("acme_broken", code, attribute=attribute)

    with pytest.raises(PluginError, match=reason) as caught:
        strategy("classifier", "constant")
    assert "acme_broken 1.2" in str(caught.value)
    assert "constant" in names("classifier")
    assert isinstance(strategy("classifier", "logreg"), Classifier)


def test_a_name_that_two_packages_provide_is_refused_with_both(install):
    install("acme_first", PLUGIN)
    install("acme_second", PLUGIN)

    with pytest.raises(PluginError, match=r"acme_first 1\.2, acme_second 1\.2"):
        strategy("classifier", "constant")


@pytest.mark.parametrize(("kind", "name"), BUILT_IN)
def test_a_strategy_survives_being_recorded_as_json(kind, name):
    made = strategy(kind, name)

    spec = Spec.of(kind, made)

    assert spec.name == name
    assert Spec(spec.name, json.loads(json.dumps(spec.params))).make(kind) == made


class AtTheTop(Classifier):
    C: float = 1

    def fit(self, X, y):
        raise NotImplementedError


def test_a_strategy_that_is_not_installed_is_recorded_by_its_module():
    spec = Spec.of("classifier", AtTheTop(C=2))

    assert spec.name.endswith(":AtTheTop")
    assert spec.make("classifier") == AtTheTop(C=2)
    with pytest.raises(SettingsError, match="has no parameter 'D'"):
        Spec(spec.name, {"D": 1}).make("classifier")


@pytest.mark.parametrize("name", ["no_such_module:Constant", "json:NoSuchClass"])
def test_a_recorded_strategy_whose_class_is_gone_is_refused(name):
    with pytest.raises(PluginError, match=name):
        Spec(name, {}).make("classifier")


def test_a_strategy_inside_a_function_cannot_be_made_again():
    class Inside(AtTheTop):
        pass

    with pytest.raises(PluginError, match="top level of a module"):
        Spec.of("classifier", Inside()).make("classifier")


def test_a_changed_copy_keeps_the_other_parameters():
    made = strategy("classifier", "logreg", C=2, max_iter=7)

    copy = changed("classifier", made, C=3)

    assert (copy.C, copy.max_iter, made.C) == (3, 7, 2)
    with pytest.raises(SettingsError, match="C = 0"):
        changed("classifier", made, C=0)


@pytest.mark.parametrize(
    "item",
    ["logreg", "logreg(C=10)", "logreg(C=0.5, class_weight=balanced)", "tfidf(ngram_range=[1, 2], sublinear_tf=true)",
     "tfidf(max_features=null)"],
)  # fmt: skip
def test_a_strategy_is_written_as_it_is_read(item):
    assert str(Spec.read("classifier", item)) == item


def test_values_are_json_or_words_or_what_python_prints():
    spec = Spec.read("classifier", "x( a=1,b = [1,2] ,c=word,d=None,e=True )")
    assert spec.params == {"a": 1, "b": [1, 2], "c": "word", "d": None, "e": True}


@pytest.mark.parametrize(
    "item", ["", "sgd(alpha", "sgd(alpha)", "sgd(=1)", "sgd(alpha=)", "(C=1)", "sgd)", "sgd(C=1)x"]
)
def test_what_is_no_strategy_is_refused_with_an_example(item):
    with pytest.raises(SettingsError, match=r"write NAME, or NAME\(parameter=value, …\) like logreg\(C=10\)"):
        Spec.read("classifier", item)


def test_commas_within_brackets_do_not_separate():
    assert split("a, b(c=[1, 2], d=3) ,e") == ["a", "b(c=[1, 2], d=3)", "e"]
