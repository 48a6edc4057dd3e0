"""The strategies that the settings choose, and every problem with them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from al_learner.core.configuration.environment import PREFIX
from al_learner.core.errors import PluginError, SettingsError
from al_learner.core.interfaces import Classifier, InitSampler, LabelAggregator, ModelSelector, Strategy, Vectorizer
from al_learner.core.registry import INTERFACES, Kind, allowed, candidates, canonical, names, strategy

if TYPE_CHECKING:
    from al_learner.core.configuration.settings import Settings


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


def make_strategies(settings: Settings, broken: Collection[str]) -> tuple[Strategies | None, list[str]]:
    """Make the strategies that the settings choose; None if there is a problem. Return every problem too.

    Parameters
    ----------
    broken : collection of str
        Fields whose values are wrong. What depends on them is left out.
    """
    made: dict[str, Any] = {}
    problems: list[str] = []
    for kind in INTERFACES:
        if {kind, f"{kind}_params", f"{kind}s"}.isdisjoint(broken):
            try:
                made[kind] = _make(settings, kind)
                if isinstance(made[kind], ModelSelector):
                    made["candidates"] = candidates(made[kind], settings.classifiers, settings.predictor_packages)
            except SettingsError as exc:
                problems += exc.problems
            except PluginError as exc:
                problems.append(str(exc))
        if f"{kind}s" not in broken:
            problems += _unknown_tables(settings, kind)
    if "predictor_packages" not in broken:
        problems += _missing_packages(settings, made)
    is_complete = not problems and made.keys() >= INTERFACES.keys()
    return (Strategies(**{"candidates": {}, **made}) if is_complete else None), problems


def _make(settings: Settings, kind: Kind) -> Strategy:
    chosen, params = getattr(settings, kind), getattr(settings, f"{kind}_params")
    if isinstance(chosen, str):
        return strategy(kind, chosen, **{**getattr(settings, f"{kind}s").get(chosen, {}), **params})
    if params:
        raise SettingsError([f"{kind}_params = {params!r}: not allowed beside {chosen!r}, which has its own"])
    return chosen  # type: ignore[no-any-return]  # pydantic says Any


def _unknown_tables(settings: Settings, kind: Kind) -> list[str]:
    known = names(kind)
    tables = set(getattr(settings, f"{kind}s")) - {*known}
    return [f"[{kind}s.{name}]: no such {kind}; {allowed(name, known)}" for name in sorted(tables)]


def _missing_packages(settings: Settings, strategies: Mapping[str, Strategy]) -> list[str]:
    listed = {*map(canonical, settings.predictor_packages)}
    return [
        f"{kind} {getattr(settings, kind)!r} needs {', '.join(missing)} in the predictor and the download manager, "
        f"but {PREFIX}PREDICTOR_PACKAGES = {','.join(settings.predictor_packages)} does not list it: rebuild these "
        "two with it and add it to the list, or choose another "
        f"{kind} (docs: how-to/move-an-installation)"
        for kind in ("classifier", "vectorizer")
        if kind in strategies and (missing := sorted({*map(canonical, strategies[kind].requires)} - listed))
    ]
