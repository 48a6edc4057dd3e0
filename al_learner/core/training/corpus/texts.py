"""The texts of a project by position. They are read when they are accessed, so a large corpus takes no memory."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from typing import Self, overload

import numpy as np
from numpy.typing import NDArray

from al_learner.core.storage.labelforward_tables import CHUNK, LabelForwardTables, PartSize
from al_learner.core.storage.records import Ids

KEPT = 64
"""So many parts have their ids in memory."""


class CorpusTexts(Sequence[str]):
    """Texts in the order of `parts`, and in a part by id.

    A text that was deleted after the parts were counted is empty.

    Parameters
    ----------
    tables : LabelForwardTables
    parts : iterable of PartSize
    with_blank : bool
        Whether blank texts have a position too.
    """

    def __init__(self, tables: LabelForwardTables, parts: Iterable[PartSize], *, with_blank: bool) -> None:
        self._tables, self._with_blank = tables, with_blank
        self._parts = list(parts)
        sizes = [part.n_texts - (0 if with_blank else part.n_blank) for part in self._parts]
        self._ends = np.cumsum(sizes, dtype=np.int64)
        self._ids: OrderedDict[int, Ids] = OrderedDict()

    @classmethod
    def not_blank(cls, tables: LabelForwardTables, parts: Iterable[PartSize] | None = None) -> Self:
        """Return the texts of text_data that are not blank. The parts are counted if they are not given."""
        counted = tables.part_sizes("text_data") if parts is None else parts
        return cls(tables, (part for part in counted if part.table == "text_data"), with_blank=False)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    @overload
    def __getitem__(self, position: int) -> str: ...
    @overload
    def __getitem__(self, position: slice) -> list[str]: ...
    def __getitem__(self, position: int | slice) -> str | list[str]:
        if isinstance(position, slice):
            return self.at(np.arange(*position.indices(len(self))))
        index = operator.index(position)
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self.at(np.array([index % len(self)]))[0]

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), CHUNK):
            yield from self[start : start + CHUNK]

    def at(self, positions: NDArray[np.integer] | Sequence[int]) -> list[str]:
        """Return the texts at some positions."""
        positions = np.asarray(positions, np.int64)
        ids = self.ids_at(positions)
        tables = np.array([part.table for part in self._parts], object)[self._part_of(positions)]
        found: dict[tuple[str, int], str] = {}
        for table in ("text_data", "init_data"):
            wanted = ids[tables == table].tolist()
            found.update(((table, i), text) for i, text in self._tables.texts(table, wanted).items())
        return [found.get(key, "") for key in zip(tables.tolist(), ids.tolist(), strict=True)]

    def ids_at(self, positions: NDArray[np.integer]) -> Ids:
        """Return the ids of the texts at some positions; 0 for one that was deleted."""
        ids = np.zeros(len(positions), np.int64)
        part_of = self._part_of(positions)
        for number in np.unique(part_of).tolist():
            rows = np.flatnonzero(part_of == number)
            there = self._ids_of(number)
            places = positions[rows] - (self._ends[number - 1] if number else 0)
            rows, places = rows[places < len(there)], places[places < len(there)]
            ids[rows] = there[places]
        return ids

    def _part_of(self, positions: NDArray[np.integer]) -> NDArray[np.intp]:
        return np.searchsorted(self._ends, positions, side="right")

    def _ids_of(self, number: int) -> Ids:
        if number not in self._ids:
            self._ids[number] = self._tables.ids_of(self._parts[number], with_blank=self._with_blank)
            if len(self._ids) > KEPT:
                self._ids.popitem(last=False)
        return self._ids[number]
