"""Which of two classifiers is better, by the predictions of their hold-out models on common texts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from al_learner.core.errors import DataError
from al_learner.core.training.evaluation import Basis, describe_size

SIGNIFICANT = 0.05
"""With a p-value below this a difference is called significant."""

Z_95 = 1.959964
"""Quantile of the normal distribution for an interval of 95%."""


@dataclass(frozen=True)
class Comparison:
    """Two hold-out models on the hold-out texts that both predicted, against the current labels.

    Attributes
    ----------
    a, b : int
        The classifiers' ids.
    basis : str
        ``votes`` or ``init-data``: which texts.
    size : int
        Texts that both have predicted.
    both_right, only_a_right, only_b_right : int
        How many of these texts both, or only one of them, predicted correctly.
    priors : tuple of int or None
        The prior that each was trained with; None: no prior.
    """

    a: int
    b: int
    basis: Basis
    size: int
    both_right: int
    only_a_right: int
    only_b_right: int
    priors: tuple[int | None, int | None] = (None, None)

    @property
    def accuracies(self) -> tuple[float, float]:
        """Share of right predictions of `a` and of `b`."""
        return (self.both_right + self.only_a_right) / self.size, (self.both_right + self.only_b_right) / self.size

    @property
    def p_value(self) -> float:
        """p-value of the two-sided exact McNemar test.

        It is the probability of a difference at least as large, if both classifiers are equally good.

        References
        ----------
        McNemar (1947). Note on the sampling error of the difference between correlated proportions or percentages.
        Psychometrika 12. doi:10.1007/BF02295996
        """
        return min(1.0, 2 * min(_tail(self.only_a_right, self._discordant), _tail(self.only_b_right, self._discordant)))

    @property
    def p_worse(self) -> float:
        """p-value of the one-sided exact McNemar test.

        It is the probability that `b` does at least as badly compared with `a`, if both are equally good.
        """
        return _tail(self.only_b_right, self._discordant)

    @property
    def gain(self) -> tuple[float, float, float]:
        """Accuracy of `b` minus that of `a`, and its 95% interval.

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
            verdict = f"classifier {better} is significantly better"
        elif first == second:
            verdict = "these texts show no difference"
        else:
            verdict = f"classifier {better} did better, but the difference is not significant"
        return (
            f"measured on {describe_size(self.size, self.basis)} that both classifiers have predicted\n"
            f"classifier {self.a}: {first:.1%} right; right where {self.b} is wrong: {self.only_a_right:,}\n"
            f"classifier {self.b}: {second:.1%} right; right where {self.a} is wrong: {self.only_b_right:,}\n"
            f"exact McNemar test: p = {self.p_value:.3g}; {verdict}"
        ) + ("\n" + self.different_priors if self.different_priors else "")

    @property
    def different_priors(self) -> str:
        """That the priors are different, in words; empty if they are the same."""
        return describe_priors(self.a, self.b, self.priors)


def describe_priors(a: int, b: int | None, priors: Sequence[int | None]) -> str:
    """Return in words that the priors of two classifiers are different; empty if they are the same."""
    first, second = ("no prior" if prior is None else f"prior {prior}" for prior in priors)
    if first == second:
        return ""
    return f"their priors are different: classifier {a} has {first}, classifier {b} has {second}"


def compare(
    a: int, first: Mapping[str, Any] | None, b: int, second: Mapping[str, Any] | None, truth: Mapping[int, str]
) -> Comparison:
    """Compare two classifiers by the scores of their hold-out models.

    Parameters
    ----------
    a, b : int
        The classifiers' ids.
    first, second : mapping or None
        Their metrics, with predictions.
    truth : mapping of int to str
        The current label of each text of their basis.

    Raises
    ------
    DataError
        They cannot be compared. The message gives the reason.
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
        raise DataError(f"classifiers {a} and {b} have no hold-out text in common that still has a label")
    right = [(one[i] == truth[i], other[i] == truth[i]) for i in common]
    return Comparison(
        a=a,
        b=b,
        basis=first["basis"],
        size=len(common),
        both_right=right.count((True, True)),
        only_a_right=right.count((True, False)),
        only_b_right=right.count((False, True)),
        priors=(first.get("prior_id"), second.get("prior_id")),
    )


def predictions(clf_id: int, metrics: Mapping[str, Any] | None, part: str = "predictions") -> dict[int, str]:
    """Return a hold-out model's predictions by text id: on the hold-out set, or with `part` on the fixed ``sample``.

    Raises
    ------
    DataError
        There are none. The message gives the reason.
    """
    if not metrics or not metrics.get(part):
        reason = (metrics or {}).get("reason", "it was scored by an older version" if metrics else "it has no score")
        raise DataError(f"classifier {clf_id} cannot be compared: {reason}")
    labels, found = metrics["labels"], metrics[part]
    return {i: labels[code] for i, code in zip(found["ids"], found["labels"], strict=True)}


def _tail(k: int, n: int) -> float:
    """Return the probability of at most k heads in n tosses of a coin. It needs no SciPy, so a worker starts faster."""
    return float(sum(math.comb(n, i) for i in range(k + 1)) / 2**n)
