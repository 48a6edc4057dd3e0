"""Which of two classifiers is better, as far as their twins' predictions on the common part of the slice tell."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from al_learner.core.errors import DataError
from al_learner.core.training.evaluation import IN_WORDS, Basis

SIGNIFICANT = 0.05
"""Below this a two-sided test says that a difference is not chance."""

Z_95 = 1.959964
"""Quantile of the normal distribution for an interval of 95%."""


@dataclass(frozen=True)
class Comparison:
    """Two classifiers' twins on the slice texts that both have predicted, against the labels of now.

    Attributes
    ----------
    a, b : int
        The classifiers' ids.
    basis : str
        ``votes`` or ``init-data``: which texts.
    size : int
        Texts that both have.
    both_right, only_a_right, only_b_right : int
        Of these texts.
    """

    a: int
    b: int
    basis: Basis
    size: int
    both_right: int
    only_a_right: int
    only_b_right: int

    @property
    def accuracies(self) -> tuple[float, float]:
        """Share of right answers of `a` and of `b`."""
        return (self.both_right + self.only_a_right) / self.size, (self.both_right + self.only_b_right) / self.size

    @property
    def p_value(self) -> float:
        """Two-sided exact test of McNemar: how often chance alone makes the two differ as much.

        References
        ----------
        McNemar (1947). Note on the sampling error of the difference between correlated proportions or percentages.
        Psychometrika 12. doi:10.1007/BF02295996
        """
        return min(1.0, 2 * min(_tail(self.only_a_right, self._discordant), _tail(self.only_b_right, self._discordant)))

    @property
    def p_worse(self) -> float:
        """One-sided exact test of McNemar: how often chance alone makes `b` look as much worse."""
        return _tail(self.only_b_right, self._discordant)

    @property
    def gain(self) -> tuple[float, float, float]:
        """What `b` has over `a` in accuracy, and the 95% interval of that.

        References
        ----------
        Agresti and Min (2005). Simple improved confidence intervals for comparing matched proportions. Statistics in
        Medicine 24. doi:10.1002/sim.1781
        """
        n, a, b = self.size + 2, self.only_a_right + 0.5, self.only_b_right + 0.5
        half = Z_95 * math.sqrt((a + b) - (b - a) ** 2 / n) / n
        middle = (b - a) / n
        return (self.only_b_right - self.only_a_right) / self.size, max(-1.0, middle - half), min(1.0, middle + half)

    @property
    def _discordant(self) -> int:
        return self.only_a_right + self.only_b_right

    def __str__(self) -> str:
        first, second = self.accuracies
        better = self.a if first > second else self.b
        if self.p_value < SIGNIFICANT:
            verdict = f"classifier {better} is better; chance alone would hardly show such a difference"
        elif first == second:
            verdict = "there is no difference"
        else:
            verdict = f"classifier {better} did better, but the difference may be chance"
        return (
            f"{self.size:,} texts were measured with both, of the {IN_WORDS[self.basis]}\n"
            f"classifier {self.a}: {first:.1%} right, {self.only_a_right:,} of them where {self.b} is wrong\n"
            f"classifier {self.b}: {second:.1%} right, {self.only_b_right:,} of them where {self.a} is wrong\n"
            f"exact McNemar test: p = {self.p_value:.3g}; {verdict}"
        )


def compare(
    a: int, first: Mapping[str, Any] | None, b: int, second: Mapping[str, Any] | None, truth: Mapping[int, str]
) -> Comparison:
    """Compare two classifiers by the scores of their twins.

    Parameters
    ----------
    a, b : int
        The classifiers' ids.
    first, second : mapping or None
        Their metrics, with predictions.
    truth : mapping of int to str
        The label of each text of their basis, as it is settled now.

    Raises
    ------
    DataError
        They have no texts in common; says why.
    """
    one, other = predictions(a, first), predictions(b, second)
    assert first is not None and second is not None  # noqa: S101, PT018 - they have predictions
    if first["basis"] != second["basis"]:
        raise DataError(
            f"classifier {a} was measured on {first['basis']}, classifier {b} on {second['basis']}: these numbers "
            "cannot be compared"
        )
    common = [i for i in one if i in other and i in truth]
    if not common:
        raise DataError(f"classifiers {a} and {b} have no slice text in common that is still labelled")
    right = [(one[i] == truth[i], other[i] == truth[i]) for i in common]
    return Comparison(
        a=a,
        b=b,
        basis=first["basis"],
        size=len(common),
        both_right=right.count((True, True)),
        only_a_right=right.count((True, False)),
        only_b_right=right.count((False, True)),
    )


def predictions(clf_id: int, metrics: Mapping[str, Any] | None, part: str = "predictions") -> dict[int, str]:
    """Return a twin's predictions by the texts' ids; `part`: ``predictions`` on the slice, or the fixed ``sample``.

    Raises
    ------
    DataError
        There are none; says why.
    """
    if not metrics or not metrics.get(part):
        reason = (metrics or {}).get("reason", "it was scored by an older version" if metrics else "it has no score")
        raise DataError(f"classifier {clf_id} has nothing to be compared by: {reason}")
    labels, found = metrics["labels"], metrics[part]
    return {i: labels[code] for i, code in zip(found["ids"], found["labels"], strict=True)}


def _tail(k: int, n: int) -> float:
    """Return how often n tosses of a coin show heads k times or less; without SciPy, which a worker need not load."""
    return float(sum(math.comb(n, i) for i in range(k + 1)) / 2**n)
