"""The conformance suite: it checks what the interfaces promise. The built-in plug-ins pass it; others run it too.

There is one module for each kind of plug-in. No check needs a test runner, a database or a file.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from al_learner.core.errors import PluginError, PluginWarning
from al_learner.core.interfaces import (
    Classifier,
    InitSampler,
    LabelAggregator,
    ModelSelector,
    QueryStrategy,
    Strategy,
    Vectorizer,
    WordVectors,
)
from al_learner.core.registry import PLUGINS
from al_learner.core.testing import (
    classifiers,
    every_plugin,
    init_samplers,
    label_aggregators,
    model_selectors,
    query_strategies,
    vectorizers,
    word_vectors,
)
from al_learner.core.testing.expect import expect, reason


def check_plugin(strategy: Strategy) -> None:
    """Check that a plug-in keeps the promises of its interface.

    Parameters
    ----------
    strategy : Classifier, Vectorizer, InitSampler, LabelAggregator, WordVectors or QueryStrategy
        An object with the parameters that are checked.

    Raises
    ------
    PluginError
        A promise is broken. The message names the strategy, the check and the reason.

    Warns
    -----
    PluginWarning
        All promises are kept, but the classifier cannot have a prior, because it does not weigh rows.

    Examples
    --------
    >>> from al_learner import check_plugin, strategy
    >>> check_plugin(strategy("label_aggregator", "majority"))
    """
    kind = next((kind for kind, interface in PLUGINS.items() if isinstance(strategy, interface)), None)
    if kind is None:
        allowed = ", ".join(interface.__name__ for interface in PLUGINS.values())
        raise PluginError(
            f"{strategy!r} is not a strategy; allowed: an object, not a class, of one of these types: {allowed}"
        )
    for check in checks(type(strategy)):
        try:
            before = strategy.model_copy(deep=True)
            check(strategy)
            expect(
                strategy == before,
                "the strategy was changed; store what is learned in the artifact, not in the strategy",
            )
        except Exception as exc:  # whatever a third party's code raises
            raise PluginError(f"{kind} {strategy!r} fails {check.__name__}: {reason(exc)}") from exc
    if isinstance(strategy, Classifier) and not isinstance(strategy, ModelSelector) and not strategy.weighs_rows():
        warnings.warn(
            f"{type(strategy).__name__}.fit has no parameter sample_weight: it works, but texts that nobody voted on "
            "cannot stay in training with a small weight (the prior)",
            PluginWarning,
            stacklevel=2,
        )


def checks(cls: type[Strategy]) -> tuple[Callable[[Any], None], ...]:
    """Return the checks for strategies of a class, in their order."""
    promises: dict[type[Strategy], tuple[Callable[[Any], None], ...]] = {
        ModelSelector: model_selectors.CHECKS,  # before Classifier, which it is too: it trains nothing itself
        Classifier: classifiers.CHECKS,
        Vectorizer: vectorizers.CHECKS,
        InitSampler: init_samplers.CHECKS,
        LabelAggregator: label_aggregators.CHECKS,
        WordVectors: word_vectors.CHECKS,
        QueryStrategy: query_strategies.CHECKS,
    }
    return (*every_plugin.CHECKS, *next(promises[interface] for interface in promises if issubclass(cls, interface)))
