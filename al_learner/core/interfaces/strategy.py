"""What every plug-in is, and the types that all kinds share."""

from __future__ import annotations

import math
from abc import ABC
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, model_validator

Labels = NDArray[Any]
"""Class labels, one a row: an array of str (of int or bool in a notebook)."""

Codes = NDArray[np.intp]
"""Row numbers or codes: a one-dimensional array of intp."""


class Strategy(BaseModel, ABC):
    """Base class of all plug-ins: named parameters, checked when it is made, then unchangeable."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    requires: ClassVar[tuple[str, ...]] = ("scikit-learn", "numpy", "scipy")
    """Distributions that are needed to unpickle and use this strategy's artifact."""

    @model_validator(mode="after")
    def _is_finite(self) -> Self:
        """Refuse infinity and NaN, also inside lists and tables and as defaults. JSON has neither."""
        if wrong := [f"{name} = {value!r}" for name, value in self if not _has_finite_numbers(value)]:
            raise ValueError(f"{', '.join(wrong)}: every number must be finite, neither infinite nor NaN")
        return self


def _has_finite_numbers(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Mapping):
        return all(map(_has_finite_numbers, value.values()))
    return not isinstance(value, list | tuple | set | frozenset) or all(map(_has_finite_numbers, value))
