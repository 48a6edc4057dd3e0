"""Which candidate stands in for a chooser, such as the classifier `auto`: who may, when to choose, and how."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from al_learner.core.errors import AlLearnerError, DatabaseUnavailable, PluginError, SettingsError
from al_learner.core.events import event
from al_learner.core.interfaces import Chooser, Classifier
from al_learner.core.registry import Spec, canonical, strategy

GROWTH = 1.5
"""By how much the labels must have grown since the last choice for the next one to be due."""

Losses = NDArray[np.floating[Any]]
Specs = Mapping[str, Spec]


@dataclass(frozen=True)
class Choice:
    """A choice, as al_runs records it.

    Attributes
    ----------
    name : str
        The candidate that is trained from now on, as it is called.
    labels : int
        Labelled texts that it was made with.
    losses : mapping of str to float
        Mean loss of each candidate that could be compared.
    failed : mapping of str to str
        Why the others could not.
    candidates : mapping of str to dict
        Parameters of all of them.
    """

    name: str
    labels: int
    losses: Mapping[str, float]
    failed: Mapping[str, str]
    candidates: Mapping[str, Mapping[str, Any]]

    def __str__(self) -> str:
        compared = ", ".join(f"{name} {loss:.3f}" for name, loss in sorted(self.losses.items(), key=lambda i: i[1]))
        failed = f"; failed: {', '.join(self.failed)}" if self.failed else ""
        return f"{self.name}, at {self.labels:,} labels; mean loss: {compared or 'none'}{failed}"


def candidates(
    chooser: Chooser, params: Mapping[str, Mapping[str, Any]] | None = None, packages: Collection[str] | None = None
) -> dict[str, Classifier]:
    """Make the candidates of a chooser, by what they are called: ``NAME``, or ``NAME(parameter=value)``.

    Parameters
    ----------
    params : mapping of str to dict
        Parameters by plug-in, which go before the plug-in's defaults and the chooser's, not before what somebody asked
        of the chooser.
    packages : collection of str, optional
        Distributions that those who read the classifier have; candidates that require others are left out.

    Raises
    ------
    SettingsError
        Names every candidate that is unknown, or wrong parameters of it; or none is left.
    """
    made: dict[str, Classifier] = {}
    problems: list[str] = []
    is_asked_for = "candidates" in chooser.model_fields_set
    for item in chooser.candidates:
        try:
            spec = Spec.read("classifier", item)
            given = (params or {}).get(spec.name, {})
            own = {name: value for name, value in spec.params.items() if is_asked_for or name not in given}
            made[str(Spec(spec.name, own))] = cast(Classifier, strategy("classifier", spec.name, **{**given, **own}))
        except SettingsError as exc:
            problems += exc.problems
        except PluginError as exc:
            problems.append(str(exc))
    problems += [f"candidate {name!r} chooses itself" for name, one in made.items() if isinstance(one, Chooser)]
    if problems:
        raise SettingsError(problems)
    if packages is not None:
        has = {*map(canonical, packages)}
        made = {name: one for name, one in made.items() if {*map(canonical, one.requires)} <= has}
    if not made:
        listed, has_alone = ", ".join(chooser.candidates), ", ".join(packages or ())
        raise SettingsError(
            [
                (
                    f"a predictor with {has_alone} can read none of the candidates {listed}: rebuild it with what they "
                    "need and list that in AL_LEARNER_PREDICTOR_PACKAGES, or add a candidate that needs no more"
                )
            ]
        )
    return made


def specs_of(made: Mapping[str, Classifier]) -> Specs:
    """Return candidates as plain data."""
    return {name: Spec.of("classifier", one) for name, one in made.items()}


def trained(record: Mapping[str, Any]) -> Spec:
    """Return the strategy that is trained, of a classifier as al_runs records it."""
    chosen = record.get("chosen", record)
    return Spec(chosen["name"], chosen["params"])


def title(record: Mapping[str, Any]) -> str:
    """Say in a word or two what a classifier as al_runs records it is: ``auto (logreg)``."""
    return f"{record['name']} ({record['chosen']['name']})" if "chosen" in record else str(record["name"])


def is_due(chooser: Chooser, specs: Specs, last: Choice | None, labels: int) -> bool:
    """Tell whether it is time to choose, for `labels` labelled texts."""
    if labels < chooser.min_labels or len(specs) < 2:
        return False
    return last is None or last.candidates != _params(specs) or labels >= GROWTH * last.labels


def standing_in(specs: Specs, last: Choice | None) -> str:
    """Return which candidate to train: the one that was chosen, or the first if that one is no longer there."""
    if last is not None and last.name in specs and last.candidates[last.name] == specs[last.name].params:
        return last.name
    return next(iter(specs))


def choose(specs: Specs, last: Choice | None, labels: int, losses_of: Callable[[str], Losses]) -> Choice:
    """Compare the candidates; one that fails is left out, and if all do, nothing changes.

    Parameters
    ----------
    losses_of : callable
        Takes a candidate's name; gives its loss on each row, nan where that cannot be told.
    """
    found: dict[str, Losses] = {}
    failed: dict[str, str] = {}
    for name in specs:
        try:
            found[name] = losses_of(name)
            if not np.isfinite(found[name]).any():
                del found[name]
                raise PluginError("on no text it can be told how far off it is")
        except DatabaseUnavailable:
            raise
        except AlLearnerError as exc:
            failed[name] = str(exc)
            event("choice.candidate_failed", level=logging.WARNING, candidate=name, error=str(exc))
    name = best(found) if found else standing_in(specs, last)
    means = {candidate: round(float(np.nanmean(losses)), 4) for candidate, losses in found.items()}
    return Choice(name, labels, means, failed, _params(specs))


def best(losses: Mapping[str, Losses]) -> str:
    """Return the first candidate that is not worse than the best by more than one standard error of the difference.

    On few texts the lowest mean is a matter of luck; the order of the candidates then knows more.

    Parameters
    ----------
    losses : mapping of str to ndarray of shape (n_rows,)
        In the order of preference. Rows that are nan for one are left out for all.

    References
    ----------
    The one-standard-error rule: Breiman, Friedman, Olshen and Stone (1984). Classification and regression trees.
    Wadsworth. doi:10.1201/9781315139470
    """
    told = np.isfinite(np.stack(list(losses.values()))).all(axis=0)
    compared = {name: each[told] for name, each in losses.items()}
    lowest = min(compared, key=lambda name: compared[name].mean() if told.any() else 0.0)
    for name, each in compared.items():
        worse = each - compared[lowest]
        if len(worse) < 2 or worse.mean() <= worse.std(ddof=1) / np.sqrt(len(worse)):
            return name
    return lowest


def _params(specs: Specs) -> dict[str, Mapping[str, Any]]:
    return {name: spec.params for name, spec in specs.items()}
