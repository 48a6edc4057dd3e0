"""The learning half of an active-learning annotation app: from annotators' votes to a served text classifier."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from al_learner.core.errors import AlLearnerError
    from al_learner.core.exchange.corpus import demo_corpus
    from al_learner.core.interfaces import (
        Classifier,
        InitSampler,
        LabelAggregator,
        QueryStrategy,
        Vectorizer,
        WordVectors,
    )
    from al_learner.core.learner import Learner
    from al_learner.core.project import Project
    from al_learner.core.registry import strategy
    from al_learner.core.simulation.notebook import simulate
    from al_learner.core.testing import check_plugin

__all__ = [
    "AlLearnerError",
    "Classifier",
    "InitSampler",
    "LabelAggregator",
    "Learner",
    "Project",
    "QueryStrategy",
    "Vectorizer",
    "WordVectors",
    "check_plugin",
    "demo_corpus",
    "simulate",
    "strategy",
]

_MODULES = {
    "AlLearnerError": "errors",
    "Classifier": "interfaces",
    "InitSampler": "interfaces",
    "LabelAggregator": "interfaces",
    "Learner": "learner",
    "Project": "project",
    "QueryStrategy": "interfaces",
    "Vectorizer": "interfaces",
    "WordVectors": "interfaces",
    "check_plugin": "testing",
    "demo_corpus": "exchange.corpus",
    "simulate": "simulation.notebook",
    "strategy": "registry",
}


def __getattr__(name: str) -> Any:
    """Load a public name on first use (PEP 562), so that ``import al_learner`` costs nothing."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"al_learner.core.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
