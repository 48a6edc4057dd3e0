"""Computes the numbers by which strategies are compared, from the rounds of many trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from al_learner.core.simulation.grid import TrialResult

POINTS = (0, 50, 100, 200, 500, 1_000, 2_000, 5_000)
"""Numbers of labels at which accuracy is shown, if a simulation has so many."""

TARGET_SHARE = 0.95
"""The default target is this share of the best accuracy at the end."""


_HEADERS = {
    "classifier": "classifier",
    "vectorizer": "vectorizer",
    "init_sampler": "init sampler",
    "label_aggregator": "aggregator",
    "query": "query",
}


@dataclass(frozen=True)
class Spread:
    """A mean over seeds, and the standard deviation of a single seed. With one seed the deviation is None."""

    mean: float
    sd: float | None

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Spread:
        """Summarise the values, one for each seed."""
        return cls(float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else None)


@dataclass(frozen=True)
class Curve:
    """The learning curves of one combination of strategies, one curve for each seed.

    Attributes
    ----------
    names : mapping of str to str
        The strategies by kind, and the query.
    labels : ndarray of shape (n_rounds,), int
        Number of texts with votes after each round.
    accuracy : ndarray of shape (n_seeds, n_rounds), float64
        Only of the seeds that did not fail.
    macro_f1 : ndarray of shape (n_seeds, n_rounds), float64
    seconds : float or None
        Median seconds of an update, over all rounds and seeds.
    ceiling, majority : Spread or None
        Accuracy of the same classifier trained on all texts with their true labels, and of the most frequent label.
    errors : tuple of str
        Errors of the seeds that failed.
    """

    names: Mapping[str, str]
    labels: NDArray[np.intp]
    accuracy: NDArray[np.float64]
    macro_f1: NDArray[np.float64]
    seconds: float | None
    ceiling: Spread | None
    majority: Spread | None
    errors: tuple[str, ...]

    def at(self, labels: int) -> Spread | None:
        """Return the accuracy at a number of labels, interpolated between two rounds; None if it was not reached."""
        return self._interpolated(self.accuracy, labels)

    def macro_f1_at(self, labels: int) -> Spread | None:
        """Return macro F1 at a number of labels, as `at` returns the accuracy."""
        return self._interpolated(self.macro_f1, labels)

    def _interpolated(self, values: NDArray[np.float64], labels: int) -> Spread | None:
        if not len(values) or labels > self.labels[-1]:
            return None
        return Spread.of(np.array([np.interp(labels, self.labels, one) for one in values]))

    @property
    def area(self) -> Spread | None:
        """Area under the learning curve, divided by its width: the mean accuracy from no label to the last."""
        if not len(self.accuracy):
            return None
        return Spread.of(np.trapezoid(self.accuracy, self.labels, axis=1) / self.labels[-1])

    def labels_to(self, target: float) -> int | None:
        """Return the labels after the first round whose mean over seeds reaches an accuracy; None if none does."""
        if not len(self.accuracy):
            return None
        reached = np.flatnonzero(self.accuracy.mean(axis=0) >= target)
        return int(self.labels[reached[0]]) if len(reached) else None


def curves(played: Sequence[TrialResult]) -> list[Curve]:
    """Return the curve of each combination of strategies, the largest area first, failed ones last."""
    groups: dict[tuple[str, ...], list[TrialResult]] = {}
    for one in played:
        groups.setdefault(tuple(one.trial.names().values()), []).append(one)
    found = [_curve(group) for group in groups.values()]
    return sorted(found, key=lambda curve: -curve.area.mean if curve.area else 1.0)


def default_target(found: Sequence[Curve]) -> float | None:
    """Return 95% of the best accuracy at the end of a curve; None if there is no curve."""
    ends = [float(curve.accuracy[:, -1].mean()) for curve in found if len(curve.accuracy)]
    return round(TARGET_SHARE * max(ends), 3) if ends else None


def rows(found: Sequence[Curve], target: float | None) -> list[dict[str, Any]]:
    """Return the table as plain data."""
    return [
        {
            **curve.names,
            "seeds": len(curve.accuracy),
            "accuracy": {str(n): _plain(curve.at(n)) for n in points(found)},
            "macro_f1": {str(n): _plain(curve.macro_f1_at(n)) for n in points(found)},
            "area": _plain(curve.area),
            "ceiling": _plain(curve.ceiling),
            "majority": _plain(curve.majority),
            "target": target,
            "labels_to_target": None if target is None else curve.labels_to(target),
            "seconds_per_update": curve.seconds,
            "errors": list(curve.errors),
        }
        for curve in found
    ]


def table(found: Sequence[Curve], target: float | None) -> tuple[list[str], list[list[str]]]:
    """Return the table as text, header and rows: accuracy in percent, mean ± standard deviation."""
    names, at = varying(found), points(found)
    header = [_HEADERS[name] for name in names] + [f"{n:,}" for n in at]
    header += [f"macro F1 at {at[-1]:,}" if at else "macro F1", "all labels", "area"]
    header += [f"labels to {target:.1%}" if target is not None else "labels to target", "s/update"]
    lines = [
        [
            *(curve.names[name] for name in names),
            *(_percent(curve.at(n)) for n in at),
            _percent(curve.macro_f1_at(at[-1]) if at else None),
            _percent(curve.ceiling),
            _percent(curve.area),
            _or_dash(None if target is None else curve.labels_to(target), ","),
            _or_dash(curve.seconds, ".2f"),
        ]
        for curve in found
    ]
    return header, lines


def same(found: Sequence[Curve]) -> str:
    """Return in words what all curves have in common."""
    names = [name for name in found[0].names if name not in varying(found)]
    return ", ".join(f"{_HEADERS[name]} {found[0].names[name]}" for name in names)


def points(found: Sequence[Curve]) -> list[int]:
    """Return the numbers of labels at which accuracy is shown."""
    last = max((int(curve.labels[-1]) for curve in found if len(curve.accuracy)), default=0)
    reached = [point for point in POINTS if point <= last]
    return reached if last >= POINTS[1] else [*reached, last] if last else []


def varying(found: Sequence[Curve]) -> list[str]:
    """Return the names that distinguish curves: classifier, vectorizer, and what else differs."""
    always = ("classifier", "vectorizer")
    return [name for name in found[0].names if name in always or len({curve.names[name] for curve in found}) > 1]


def _curve(group: Sequence[TrialResult]) -> Curve:
    whole = [one.rounds for one in group if one.error is None]
    seconds = [r.seconds for rounds in whole for r in rounds if r.number and r.seconds is not None]
    return Curve(
        names=group[0].trial.names(),
        labels=np.array([r.labels for r in whole[0]] if whole else [], np.intp),
        accuracy=np.array([[r.accuracy for r in rounds] for rounds in whole], np.float64),
        macro_f1=np.array([[r.macro_f1 for r in rounds] for rounds in whole], np.float64),
        ceiling=_spread([rounds[-1].ceiling for rounds in whole]),
        majority=_spread([rounds[-1].majority for rounds in whole]),
        seconds=float(np.median(seconds)) if seconds else None,
        errors=tuple(dict.fromkeys(one.error for one in group if one.error is not None)),
    )


def _spread(values: Sequence[float | None]) -> Spread | None:
    known = [value for value in values if value is not None]
    return Spread.of(np.array(known)) if known else None


def _percent(spread: Spread | None) -> str:
    if spread is None:
        return "-"
    return f"{spread.mean * 100:.1f}" + ("" if spread.sd is None else f" ± {spread.sd * 100:.1f}")


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _plain(spread: Spread | None) -> dict[str, float | None] | None:
    return None if spread is None else {"mean": spread.mean, "sd": spread.sd}
