"""Makes strategies from kind, name and parameters. The only module that knows stevedore."""

from __future__ import annotations

import difflib
import importlib.metadata
import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint
from typing import Any, Literal, cast

from pydantic import ValidationError
from pydantic_core import to_jsonable_python
from stevedore.named import NamedExtensionManager

from al_learner.core.errors import PluginError, SettingsError
from al_learner.core.interfaces import (
    Classifier,
    InitSampler,
    LabelAggregator,
    ModelSelector,
    QueryStrategy,
    Strategy,
    UsesWordVectors,
    Vectorizer,
    WeighsColumns,
    WordVectors,
)

Kind = Literal["classifier", "vectorizer", "init_sampler", "label_aggregator", "word_vector", "query_strategy"]

INTERFACES: dict[Kind, type[Strategy]] = {
    "classifier": Classifier,
    "vectorizer": Vectorizer,
    "init_sampler": InitSampler,
    "label_aggregator": LabelAggregator,
}
"""What a project chooses by its settings."""

PLUGINS: dict[Kind, type[Strategy]] = {**INTERFACES, "word_vector": WordVectors, "query_strategy": QueryStrategy}
"""All kinds of plug-ins."""

_ITEM = re.compile(r"(?P<name>[^\s(),]+)\s*(?:\((?P<params>.*)\))?", re.DOTALL)


def group(kind: Kind) -> str:
    """Return the entry-point group of a kind of plug-ins."""
    return "al_learner.query_strategies" if kind == "query_strategy" else f"al_learner.{kind}s"


def strategy(kind: Kind, name: str, /, **params: Any) -> Strategy:
    """Make a strategy from its name and parameters. No other plug-in is loaded.

    Raises
    ------
    SettingsError
        The name or a parameter is unknown or wrong. All wrong parameters are reported at once.
    PluginError
        The plug-in cannot be loaded, or is not of the kind of its group.
    """
    return _make(kind, name, strategy_class(kind, name), params)


def word_vectors(source: str) -> WordVectors:
    """Make a source of word vectors from ``NAME``, or ``NAME:VALUE`` if it has a parameter; raises like `strategy`."""
    name, colon, value = source.partition(":")
    cls = strategy_class("word_vector", name)
    parameter = next(iter(cls.model_fields), None)
    if colon and parameter is None:
        raise SettingsError([f"word vectors {source!r}: {name} has no parameter; write {name}"])
    if parameter is not None and not value:
        raise SettingsError([f"word vectors {source!r}: write {name}:{parameter.upper()}"])
    return cast(WordVectors, _make("word_vector", name, cls, {parameter: value} if parameter else {}))


def changed(kind: Kind, obj: Strategy, /, **params: Any) -> Strategy:
    """Return a copy of a strategy with some parameters changed. Wrong ones raise SettingsError."""
    given = {name: getattr(obj, name) for name in obj.model_fields_set}
    return _make(kind, type(obj).__name__, type(obj), {**given, **params})


def strategy_class(kind: Kind, name: str) -> type[Strategy]:
    """Load one plug-in; raises like `strategy`."""
    found = [entry_point for entry_point in entry_points(kind) if entry_point.name == name]
    if not found:
        raise SettingsError([f"{kind} {name!r} is unknown; {allowed(name, names(kind))}"])
    if len(found) > 1:
        packages = ", ".join(sorted(origin(kind, entry_point) for entry_point in found))
        raise PluginError(f"{kind} {name!r} is provided more than once, by {packages}: uninstall all but one")
    try:
        cls = found[0].load()
    except Exception as exc:  # whatever a third party's module raises when it is imported
        reason = f"{type(exc).__name__}: {exc}"
        where = f"{found[0].value}, from {origin(kind, found[0])}"
        raise PluginError(f"{kind} {name!r} ({where}) cannot be loaded: {reason}") from exc
    if not (isinstance(cls, type) and issubclass(cls, PLUGINS[kind])):
        raise PluginError(
            f"{kind} {name!r} ({found[0].value}, from {origin(kind, found[0])}) is not a subclass of "
            f"al_learner.{PLUGINS[kind].__name__}"
        )
    return cls


def entry_points(kind: Kind) -> list[EntryPoint]:
    """Return the installed plug-ins of a kind, sorted by name. Nothing is loaded."""
    manager: NamedExtensionManager[Any] = NamedExtensionManager(group(kind), names=[])
    return sorted(manager.list_entry_points(), key=lambda entry_point: entry_point.name)


def names(kind: Kind) -> list[str]:
    """Return the names of the installed plug-ins of a kind. Nothing is loaded."""
    return [entry_point.name for entry_point in entry_points(kind)]


def origin(kind: Kind, entry_point: EntryPoint) -> str:
    """Return the distribution of an entry point, as ``name version``."""
    for installed in importlib.metadata.entry_points(group=group(kind), name=entry_point.name):
        if installed.value == entry_point.value and installed.dist is not None:
            return f"{installed.dist.name} {installed.dist.version}"
    return "an unknown package"


@dataclass(frozen=True)
class Spec:
    """A strategy as plain data, for al_runs and for the training process.

    Attributes
    ----------
    name : str
        The entry point's name; ``module:Class`` for a strategy that is not installed as a plug-in.
    params : dict
        Every parameter, as JSON has it.
    """

    name: str
    params: Mapping[str, Any]

    @classmethod
    def of(cls, kind: Kind, obj: Strategy) -> Spec:
        """Describe a strategy. Nothing is loaded."""
        value = f"{type(obj).__module__}:{type(obj).__qualname__}"
        name = next((e.name for e in entry_points(kind) if e.value.replace(" ", "") == value), value)
        return cls(name, obj.model_dump(mode="json"))

    @classmethod
    def read(cls, kind: Kind, item: str) -> Spec:
        """Parse ``NAME`` or ``NAME(parameter=value, …)``. A value is JSON or a word.

        Raises
        ------
        SettingsError
            It is written in another form.
        """
        match = _ITEM.fullmatch(item)
        pairs = [pair.partition("=") for pair in split(match["params"] or "")] if match else []
        if not match or not all(name.strip() and equals and value.strip() for name, equals, value in pairs):
            raise SettingsError([f"{kind} {item!r}: write NAME, or NAME(parameter=value, …) like logreg(C=10)"])
        return cls(match["name"], {name.strip(): _read_value(value.strip()) for name, _, value in pairs})

    def __str__(self) -> str:
        """Return it in the form that `read` parses."""
        params = ", ".join(f"{name}={_value(value)}" for name, value in self.params.items())
        return f"{self.name}({params})" if params else self.name

    def make(self, kind: Kind) -> Strategy:
        """Make the strategy; raises like `strategy`."""
        return _make(kind, self.name, self._load(kind), self.params)

    def complete(self, kind: Kind) -> Spec:
        """Return it with all parameters: those that it lacks have their defaults. Raises PluginError, SettingsError."""
        return Spec(self.name, {**self._defaults(kind), **self.params})

    def shorten(self, kind: Kind) -> Spec:
        """Return it without parameters that have their defaults, for digests: a version that adds one changes none."""
        defaults = self._defaults(kind)
        return Spec(self.name, {n: v for n, v in self.params.items() if n not in defaults or defaults[n] != v})

    def _defaults(self, kind: Kind) -> dict[str, Any]:
        return {
            name: to_jsonable_python(field.get_default(call_default_factory=True))
            for name, field in self._load(kind).model_fields.items()
            if not field.is_required() and not field.exclude
        }

    def _load(self, kind: Kind) -> type[Strategy]:
        module, _, attribute = self.name.partition(":")
        if not attribute:
            return strategy_class(kind, self.name)
        try:
            cls: type[Strategy] = getattr(import_module(module), attribute)
        except (ImportError, AttributeError) as exc:
            raise PluginError(
                f"{kind} {self.name}: a strategy's class must be defined at the top level of a module"
            ) from exc
        return cls


def is_same(kind: Kind, recorded: Mapping[str, Any] | None, current: Mapping[str, Any] | None) -> bool:
    """Whether a strategy that was recorded is the current one; every comparison with a record is made here.

    A parameter that the record lacks, because a former version did not have it, has its default.

    Parameters
    ----------
    recorded, current : mapping or None
        Name and parameters, and ``chosen`` for a model selector; as al_runs records them. `current` has all parameters.
    """
    if not recorded or not current:
        return not recorded and not current
    if recorded["name"] != current["name"] or not is_same(kind, recorded.get("chosen"), current.get("chosen")):
        return False
    former, now = dict(recorded["params"]), dict(current["params"])
    return former == now or Spec(recorded["name"], former).complete(kind).params == now


def candidates(
    selector: ModelSelector,
    params: Mapping[str, Mapping[str, Any]] | None = None,
    packages: Collection[str] | None = None,
    *,
    groups: Collection[str] | None = None,
    is_asked_for: bool | None = None,
) -> dict[str, Classifier]:
    """Make the candidates of a model selector. Their names are ``NAME`` or ``NAME(parameter=value)``.

    Parameters
    ----------
    params : mapping of str to dict
        Parameters by plug-in, from the settings. They override the defaults of plug-in and selector, but not
        parameters that were given to the selector itself.
    packages : collection of str, optional
        Distributions that the readers of the classifier have. Candidates that require others are left out.
    groups : collection of str, optional
        The vectorizer's groups of columns. Candidates whose `column_weights` name others are left out, except with the
        factor 0. So are those that leave out all of its groups.
    is_asked_for : bool, optional
        Whether a person chose the list of candidates; by default whether it was given to the selector.

    Raises
    ------
    SettingsError
        Names every unknown candidate and every wrong parameter. Or no candidate is left.
    """
    made: dict[str, Classifier] = {}
    problems: list[str] = []
    is_asked_for = "candidates" in selector.model_fields_set if is_asked_for is None else is_asked_for
    for item in selector.candidates:
        try:
            spec = Spec.read("classifier", item)
            given = (params or {}).get(spec.name, {})
            own = {name: value for name, value in spec.params.items() if is_asked_for or name not in given}
            made[str(Spec(spec.name, own))] = cast(Classifier, strategy("classifier", spec.name, **{**given, **own}))
        except SettingsError as exc:
            problems += exc.problems
        except PluginError as exc:
            problems.append(str(exc))
    problems += [
        f"candidate {name!r} is a model selector itself" for name, one in made.items() if isinstance(one, ModelSelector)
    ]
    if problems:
        raise SettingsError([*dict.fromkeys(problems)])  # a strategy may be among the candidates several times
    if packages is not None:
        has = {*map(canonical, packages)}
        made = {name: one for name, one in made.items() if {*map(canonical, one.requires)} <= has}
    if not made:
        listed, has_alone = ", ".join(selector.candidates), ", ".join(packages or ())
        raise SettingsError(
            [
                (
                    f"a predictor with {has_alone} can read none of the candidates {listed}: rebuild it with the "
                    "packages that they need and list these in AL_LEARNER_PREDICTOR_PACKAGES, or add a candidate "
                    "that needs no other package"
                )
            ]
        )
    usable = {name: one for name, one in made.items() if groups is None or _suits(one, groups)}
    if not usable:
        weighed, known = ", ".join(made), ", ".join(groups or ())
        problem = (
            f"the column_weights of {weighed} name other groups of columns than the vectorizer's, or leave out all"
        )
        then = "choose a vectorizer that has them too, or add a candidate without them"
        raise SettingsError([f"{problem} that it has: {known}; {then}"])
    return usable


def _suits(classifier: Classifier, groups: Collection[str]) -> bool:
    """Whether a vectorizer with these groups of columns has all that a classifier weighs, and one that it uses."""
    factors = classifier.column_weights if isinstance(classifier, WeighsColumns) else {}
    is_one_used = not groups or any(factors.get(group, 1) for group in groups)
    return is_one_used and {group for group, factor in factors.items() if factor} <= {*groups}


def split(text: str, opening: str = "([{", closing: str = ")]}") -> list[str]:
    """Split at commas outside brackets, and strip the parts."""
    depth, items = 0, [""]
    for character in text:
        depth += (character in opening) - (character in closing)
        if character == "," and depth == 0:
            items.append("")
        else:
            items[-1] += character
    return [item.strip() for item in items if item.strip()]


def canonical(package: str) -> str:
    """Return a distribution's name as pip compares it: lower-case, with hyphens."""
    return re.sub(r"[-_.]+", "-", package).lower()


def allowed(value: str, choices: Iterable[str]) -> str:
    """Return in words the choices that are nearest to a wrong value, and all choices."""
    choices = sorted(choices)
    folded = {choice.lower(): choice for choice in choices}
    near = [folded[key] for key in difflib.get_close_matches(value.lower(), folded, n=2, cutoff=0.6)]
    hint = f"did you mean {' or '.join(map(repr, near))}? Allowed" if near else "allowed"
    return f"{hint}: {', '.join(choices) or 'none'}"


def _make(kind: Kind, name: str, cls: type[Strategy], params: Mapping[str, Any]) -> Strategy:
    try:
        made = cls(**params)
    except ValidationError as exc:
        raise SettingsError([_problem(kind, name, cls, error) for error in exc.errors()]) from exc
    if isinstance(made, UsesWordVectors):
        _ = made.word_vectors  # raises if there is no such source
    return made


def _problem(kind: Kind, name: str, cls: type[Strategy], error: Any) -> str:
    if not error["loc"]:
        return f"{kind} {name!r}: {error['msg'].removeprefix('Value error, ')}"
    parameter = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"{kind} {name!r} has no parameter {parameter!r}; {allowed(parameter, cls.model_fields)}"
    return f"{kind} {name!r}: {parameter} = {error['input']!r}: {error['msg']}"


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _read_value(value: str) -> Any:
    try:
        return json.loads({"None": "null", "True": "true", "False": "false"}.get(value, value))
    except ValueError:
        return value  # a word
