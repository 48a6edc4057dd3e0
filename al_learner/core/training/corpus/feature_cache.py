"""The features of labelled texts, kept between runs as long as the texts stay the same."""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from al_learner.core.interfaces import Transformer
from al_learner.core.storage.labelforward_tables import LabelForwardTables, TextTable
from al_learner.core.storage.records import Ids

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

SOON_S = 10
"""If a text changes so few seconds before a training, or during it, its old features may be used."""


class Features:
    """The features of a table's texts, by id, so that a run vectorizes only new texts.

    If a text was changed or deleted since, for example by a restore, all features are computed again.
    """

    def __init__(self, tables: LabelForwardTables, table: TextTable, transformer: Transformer) -> None:
        self._tables, self._table, self._transformer = tables, table, transformer
        self._used: set[int] = set()
        self._forget()

    def _forget(self) -> None:
        self._row_of: dict[int, int] = {}
        self._digest_of: dict[int, int | None] = {}
        self._unchanged: set[int] = set()
        self._looked_at = 0.0
        self._blank: list[bool] = []
        self._X: csr_matrix | None = None

    def read_ahead(self, ids: Ids) -> None:
        """Read these texts, and those of the last job. The next `read`, if it comes soon, looks for no changes in them.

        The time counts from before they were read.
        """
        self._unchanged.clear()
        wanted, now = np.union1d(ids, [*self._used]).astype(np.int64), time.monotonic()
        self.read(wanted)
        self._unchanged, self._looked_at, self._used = {*wanted.tolist()}, now, set()

    def read(self, ids: Ids) -> None:
        """Compute the features of texts that are new or have changed."""
        from scipy.sparse import vstack  # heavy

        from al_learner.core.training.fitting import transform

        wanted = ids.tolist()
        self._used.update(wanted)
        unchanged, self._unchanged = self._unchanged, set()
        if time.monotonic() - self._looked_at > SOON_S:
            unchanged.clear()
        unsure = [i for i in wanted if i not in unchanged]
        new = sorted({i for i in wanted if i not in self._row_of})
        with self._tables.on_one_connection() if unsure and new else nullcontext():
            digests = self._tables.digests(self._table, unsure) if unsure else {}
            texts = self._tables.texts(self._table, new) if new else {}
        if any(self._digest_of.get(i, digests.get(i)) != digests.get(i) for i in unsure):
            self._forget()
            self.read(ids)
            return
        if new or self._X is None:
            fresh = transform(self._transformer, [texts.get(i, "") for i in new])
            first = 0 if self._X is None else self._X.shape[0]
            X = fresh if self._X is None else vstack([self._X, fresh], format="csr")
            # Over what an interrupted call has left, and last what makes the texts known.
            self._blank[first:] = [not texts.get(i, "").strip() for i in new]
            self._digest_of.update((i, digests.get(i)) for i in new)
            self._X = X
            self._row_of.update((i, first + n) for n, i in enumerate(new))

    def of(self, ids: Ids) -> tuple[csr_matrix, NDArray[np.bool_]]:
        """Return the features of texts that were read, and which of them have a text that is not blank."""
        rows = np.array([self._row_of[i] for i in ids.tolist()], np.intp)
        return cast("csr_matrix", self._X)[rows], ~np.array(self._blank, bool)[rows]

    def digests(self, ids: Ids) -> NDArray[np.object_]:
        """Return the digests of texts that were read; None for one that does not exist."""
        return np.array([self._digest_of[i] for i in ids.tolist()], object)
