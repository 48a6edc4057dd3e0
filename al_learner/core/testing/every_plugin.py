"""What every strategy promises: about its parameters, and about copies of it."""

from __future__ import annotations

import copy
import pickle
from importlib.metadata import PackageNotFoundError, version

from pydantic import ValidationError

from al_learner.core.errors import PluginError
from al_learner.core.interfaces import Strategy, WordVectors
from al_learner.core.registry import PLUGINS, Spec
from al_learner.core.testing.expect import expect


def check_comes_back_from_a_copy(strategy: Strategy) -> None:
    """scikit-learn clones strategies, and pickles them for its own processes."""
    expect(copy.deepcopy(strategy) == strategy, "a deep copy differs")
    unpickled = pickle.loads(pickle.dumps(strategy))  # noqa: S301 - it was pickled in the same line
    expect(unpickled == strategy, "a pickled and unpickled strategy differs from the original")


def check_parameters_have_defaults(strategy: Strategy) -> None:
    """A strategy can be made from its name alone. Word vectors need not: a setting names them ``NAME:VALUE``."""
    needed = _required(strategy)
    expect(isinstance(strategy, WordVectors) or not needed, f"parameters without a default: {', '.join(needed)}")


def check_parameters_are_described(strategy: Strategy) -> None:
    """`al-learner plugins` shows the description of each parameter."""
    bare = [name for name, field in type(strategy).model_fields.items() if not field.description]
    expect(not bare, f"parameters without a description: {', '.join(bare)}; write Field(description=…)")


def check_unknown_parameters_are_refused(strategy: Strategy) -> None:
    """A misspelt parameter is an error. It is never ignored."""
    try:
        type(strategy)(**{**dict(strategy), "no_such_parameter": 1})
    except ValidationError:
        return
    raise PluginError("an unknown parameter is accepted; keep extra='forbid' in model_config")


def check_parameters_cannot_be_changed(strategy: Strategy) -> None:
    """Parameters are checked when the strategy is made. They cannot be changed later."""
    expect(
        bool(strategy.model_config.get("frozen")), "parameters can be changed later; keep frozen=True in model_config"
    )


def check_comes_back_from_json(strategy: Strategy) -> None:
    """Parameters can be written to JSON and read again, also the defaults, which pydantic does not check."""
    for made in (strategy, *([] if _required(strategy) else [type(strategy)()])):
        text = made.model_dump_json()
        expect(type(made).model_validate_json(text) == made, f"the JSON {text} gives another strategy")


def check_comes_back_from_a_record(strategy: Strategy) -> None:
    """The training process gets a name and parameters, and makes the strategy from them."""
    kind = next(kind for kind, interface in PLUGINS.items() if isinstance(strategy, interface))
    spec = Spec.of(kind, strategy)
    expect(spec.make(kind) == strategy, f"the record {spec} gives another strategy")


def check_required_packages_are_installed(strategy: Strategy) -> None:
    """`requires` names distributions; their versions are recorded with every artifact."""
    expect(isinstance(strategy.requires, tuple), f"requires must be a tuple of names, not {strategy.requires!r}")
    for package in strategy.requires:
        try:
            version(package)
        except PackageNotFoundError:
            raise PluginError(f"requires names {package!r}, but no package of that name is installed") from None


CHECKS = (
    check_comes_back_from_a_copy,
    check_parameters_have_defaults,
    check_parameters_are_described,
    check_unknown_parameters_are_refused,
    check_parameters_cannot_be_changed,
    check_comes_back_from_json,
    check_comes_back_from_a_record,
    check_required_packages_are_installed,
)


def _required(strategy: Strategy) -> list[str]:
    """Return the names of the parameters without a default."""
    return [name for name, field in type(strategy).model_fields.items() if field.is_required()]
