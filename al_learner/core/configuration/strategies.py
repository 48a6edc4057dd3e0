"""The strategies that the settings choose, and every problem with them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from al_learner.core.configuration.defaults import Defaults
from al_learner.core.configuration.environment import PREFIX
from al_learner.core.errors import PluginError, SettingsError
from al_learner.core.interfaces import Classifier, InitSampler, LabelAggregator, ModelSelector, Strategy, Vectorizer
from al_learner.core.registry import INTERFACES, Kind, allowed, candidates, canonical, names, strategy

if TYPE_CHECKING:
    from al_learner.core.configuration.settings import Settings


PUBLISHED: tuple[Kind, ...] = ("classifier", "vectorizer")
"""Kinds whose artifacts others load."""


@dataclass(frozen=True)
class Strategies:
    """The four strategies that a project uses.

    Attributes
    ----------
    candidates : mapping of str to Classifier
        The candidates of a model selector whose packages the predictor has; else empty.
    """

    classifier: Classifier
    vectorizer: Vectorizer
    init_sampler: InitSampler
    label_aggregator: LabelAggregator
    candidates: Mapping[str, Classifier]


def make_strategies(
    settings: Settings, defaults: Defaults, broken: Collection[str] = ()
) -> tuple[Strategies | None, list[str]]:
    """Make the strategies that the settings choose; None if there is a problem. Return every problem too.

    Parameters
    ----------
    defaults : mapping of str to Spec
        The strategies where the settings name none. If they name the same one, it has these parameters too.
    broken : collection of str
        Fields whose values are wrong. What depends on them is left out.
    """
    made: dict[str, Any] = {}
    problems: list[str] = []
    for kind in INTERFACES:
        if {kind, f"{kind}_params", f"{kind}s"}.isdisjoint(broken):
            try:
                made[kind] = _make(settings, kind, defaults)
                if kind == "vectorizer" and isinstance(made.get("classifier"), ModelSelector):
                    made["candidates"] = _candidates(settings, made["classifier"], made[kind], defaults)
            except SettingsError as exc:
                problems += exc.problems
            except PluginError as exc:
                problems.append(str(exc))
        if f"{kind}s" not in broken:
            problems += _unknown_tables(settings, kind)
    if "predictor_packages" not in broken:
        problems += _missing_packages(settings, made, defaults)
    is_complete = not problems and made.keys() >= INTERFACES.keys()
    return (Strategies(**{"candidates": {}, **made}) if is_complete else None), problems


def name_of(settings: Settings, kind: Kind, defaults: Defaults) -> str | None:
    """Return the name of the strategy that the settings choose; None if they have an object."""
    chosen = getattr(settings, kind)
    if chosen is None:
        return defaults[kind].name
    return chosen if isinstance(chosen, str) else None


def strategy_origins(
    settings: Settings, found: Mapping[str, str], defaults: Defaults, *, is_recorded: bool
) -> dict[str, str]:
    """Return where the value of each field came from, in words; `found` is right for all but the strategies.

    Parameters
    ----------
    defaults : mapping of str to Spec
    is_recorded : bool
        Whether they are the project's own.
    """
    origins = dict(found)
    for kind in INTERFACES:
        name, params = name_of(settings, kind, defaults), f"{kind}_params"
        if origins[params] == "default" and name in getattr(settings, f"{kind}s"):
            origins[params] = origins[f"{kind}s"]  # the file's table of that strategy, such as [classifiers.logreg]
        if is_recorded and kind in defaults and name == defaults[kind].name:
            origins |= {field: "project" for field in (kind, params) if origins[field] == "default"}
    return origins


def _make(settings: Settings, kind: Kind, defaults: Defaults) -> Strategy:
    chosen, params = getattr(settings, kind), getattr(settings, f"{kind}_params")
    name = name_of(settings, kind, defaults)
    if name is not None:
        recorded = defaults[kind].params if kind in defaults and name == defaults[kind].name else {}
        return strategy(kind, name, **{**recorded, **getattr(settings, f"{kind}s").get(name, {}), **params})
    if params:
        raise SettingsError([f"{kind}_params = {params!r}: not allowed beside {chosen!r}, which has its own"])
    return chosen  # type: ignore[no-any-return]  # pydantic says Any


def _candidates(
    settings: Settings, selector: ModelSelector, vectorizer: Vectorizer, defaults: Defaults
) -> dict[str, Classifier]:
    name = name_of(settings, "classifier", defaults)
    params = {**settings.classifiers.get(name or "", {}), **settings.classifier_params}
    is_asked_for = "candidates" in (selector.model_fields_set if name is None else params)
    given = selector, settings.classifiers, settings.predictor_packages
    return candidates(*given, groups=vectorizer.groups(0).keys(), is_asked_for=is_asked_for)


def _unknown_tables(settings: Settings, kind: Kind) -> list[str]:
    known = names(kind)
    tables = set(getattr(settings, f"{kind}s")) - {*known}
    return [f"[{kind}s.{name}]: no such {kind}; {allowed(name, known)}" for name in sorted(tables)]


def _missing_packages(settings: Settings, strategies: Mapping[str, Strategy], defaults: Defaults) -> list[str]:
    listed = {*map(canonical, settings.predictor_packages)}
    return [
        f"{kind} {name_of(settings, kind, defaults) or getattr(settings, kind)!r} needs {', '.join(missing)} in the "
        f"predictor and the download manager, but {PREFIX}PREDICTOR_PACKAGES = {','.join(settings.predictor_packages)} "
        f"does not list it: rebuild these two with it and add it to the list, or choose another {kind} "
        "(docs: how-to/move-an-installation)"
        for kind in PUBLISHED
        if kind in strategies and (missing := sorted({*map(canonical, strategies[kind].requires)} - listed))
    ]
