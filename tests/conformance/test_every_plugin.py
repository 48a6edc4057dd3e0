"""What every strategy promises, whatever its kind, and ``check_plugin`` itself."""

from typing import ClassVar

import pytest
from pydantic import ConfigDict, Field, PrivateAttr

from al_learner import check_plugin
from al_learner.core.errors import PluginError
from al_learner.core.interfaces import ModelSelector
from al_learner.core.registry import PLUGINS, names
from al_learner.core.testing import checks, every_plugin
from al_learner.plugins.aggregators.majority import Majority
from tests.support.broken import Broken, assert_fails

BROKEN = Broken()


def test_the_built_in_strategies_and_those_of_the_example_are_installed():
    assert {(kind, name) for kind in PLUGINS for name in names(kind)} >= {
        *(("classifier", name) for name in ("auto", "bernoulli-nb", "complement-nb", "lightgbm", "logreg", "sgd")),
        *(("vectorizer", name) for name in ("count", "hashing", "lsa", "tfidf", "words-and-meaning")),
        *(
            ("init_sampler", name)
            for name in ("balanced", "diverse", "kmeans", "label-meaning", "label-names", "uniform")
        ),
        *(("label_aggregator", name) for name in ("dawid-skene", "majority")),
        *(("word_vector", name) for name in ("model2vec", "model2vec-hub", "use", "wordllama")),
    }


class WithoutDefault(Majority):
    threshold: int = Field(description="Votes.")


class WithoutDescription(Majority):
    threshold: int = 1


class TakesAnything(Majority):
    model_config = ConfigDict(extra="ignore")


class Changeable(Majority):
    model_config = ConfigDict(frozen=False)


class WrongDefault(Majority):
    threshold: int = Field(default=-1, ge=0, description="Votes.")


class LeftOutOfJson(Majority):
    threshold: int = Field(default=1, description="Votes.", exclude=True)


class CopiedWrong(Majority):
    threshold: int = Field(default=1, description="Votes.")

    def __deepcopy__(self, memo=None):
        del memo
        return type(self)()


class PickledWrong(CopiedWrong):
    __deepcopy__ = Majority.__deepcopy__

    def __reduce__(self):
        return type(self), ()


class StrictAboutTuples(Majority):
    model_config = ConfigDict(strict=True)
    weights: tuple[int, ...] = Field(default=(1, 2), description="Weights of votes.")


class RequiresLetters(Majority):
    requires: ClassVar = "numpy"


class RequiresModule(Majority):
    requires: ClassVar = ("sklearn",)


class RemembersTheLast(Majority):
    _last: int = PrivateAttr(default=0)

    def aggregate(self, votes):
        self._last += len(votes.text)
        return super().aggregate(votes)


def _local():
    class Local(Majority):
        """Nobody can import it."""

    return Local()


BROKEN += [
    (WithoutDefault(threshold=1), "check_parameters_have_defaults", "without a default: threshold"),
    (WithoutDescription(), "check_parameters_are_described", "without a description: threshold"),
    (TakesAnything(), "check_unknown_parameters_are_refused", "extra='forbid'"),
    (Changeable(), "check_parameters_cannot_be_changed", "frozen=True"),
    (WrongDefault(threshold=1), "check_comes_back_from_json", "greater than or equal to 0"),
    (LeftOutOfJson(threshold=2), "check_comes_back_from_json", "gives another strategy"),
    (CopiedWrong(threshold=2), "check_comes_back_from_a_copy", "a deep copy differs"),
    (PickledWrong(threshold=2), "check_comes_back_from_a_copy", "differs from the original"),
    (_local(), "check_comes_back_from_a_copy", "Local"),
    (StrictAboutTuples(), "check_comes_back_from_a_record", "weights"),
    (RequiresLetters(), "check_required_packages_are_installed", "must be a tuple of names, not 'numpy'"),
    (RequiresModule(), "check_required_packages_are_installed", "no package of that name is installed"),
    (RemembersTheLast(), "check_one_label_a_text", "the strategy was changed"),
]


@BROKEN.each()
def test_a_broken_strategy_fails_the_check_of_what_it_breaks(broken, check, reason):
    assert_fails(broken, check, reason)


def test_every_check_of_all_plugins_can_fail():
    assert BROKEN.not_failed(every_plugin.CHECKS) == set()


@pytest.mark.parametrize("interface", [ModelSelector, *PLUGINS.values()])
def test_every_kind_has_checks_of_its_own_too(interface):
    assert {*checks(interface)} > {*every_plugin.CHECKS}


@pytest.mark.parametrize("wrong", [Majority, "majority", None])
def test_what_is_no_strategy_cannot_be_checked(wrong):
    with pytest.raises(PluginError, match="not a class, of one of these types: Classifier, Vectorizer, InitSampler"):
        check_plugin(wrong)
