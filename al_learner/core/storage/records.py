"""What is stored, as plain objects: nothing here knows SQLAlchemy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

RunKind = Literal["init", "update", "promote"]

Ids = NDArray[np.int64]
"""text_ids or init_ids: a one-dimensional array of int64."""

MAX_LABEL_LENGTH = 50
"""What text_data.major_label holds; a longer vote does not count."""

METRIC_DETAILS = ("labels", "per_class", "confusion", "predictions", "sample")
"""The large parts of a score, which are read only where they are needed."""


@dataclass(frozen=True)
class Run:
    """A row of al_runs; see the comments in `schema`. `metrics` may come without its details."""

    run_id: int
    kind: RunKind
    status: Literal["running", "succeeded", "failed", "abandoned", "died"]
    forced: bool
    owner: str
    state: str
    error: str | None
    started: datetime
    finished: datetime | None
    announced: datetime | None
    clf_id: int | None
    countvec_id: int | None
    new_samples: int
    texts: int | None
    classes: int | None
    strategies: Mapping[str, Any]
    versions: Mapping[str, str] | None
    clf_sha256: str | None
    countvec_sha256: str | None
    signature: str | None
    seconds: float | None
    metrics: Mapping[str, Any] | None
    choice: Mapping[str, Any] | None

    @property
    def origin(self) -> RunKind:
        """The kind of the run that trained the classifier, also where this one promoted it."""
        promoted = (self.metrics or {}).get("promoted", {})
        return cast(RunKind, promoted.get("kind", self.kind))


@dataclass(frozen=True)
class StoredClassifier:
    """A row of table classifiers, without its bytes."""

    clf_id: int
    created_at: datetime
    precision_score: float | None
    size_bytes: int


@dataclass(frozen=True)
class StoredModel:
    """A classifier and its vectorizer that can be trusted: both pickles, and the run that stored them, with metrics."""

    run: Run
    clf: bytes
    countvec: bytes


@dataclass(frozen=True)
class Trained:
    """What a run stores.

    Attributes
    ----------
    clf : bytes
        The pickled classifier.
    countvec : bytes or None
        The pickled vectorizer if it is new; None if the newest stored one, `countvec_id`, goes with `clf`.
    notes : tuple of str
        What somebody should know.
    """

    clf: bytes
    clf_sha256: str
    countvec: bytes | None
    countvec_id: int | None
    countvec_sha256: str
    texts: int
    classes: int
    versions: Mapping[str, str]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pruned:
    """What was removed, or would be.

    Attributes
    ----------
    clf_ids, countvec_ids : tuple of int
    """

    clf_ids: tuple[int, ...]
    countvec_ids: tuple[int, ...]
