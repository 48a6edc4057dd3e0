"""Records from one place, and what they were taken for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

Rows = Iterator[tuple[str, Mapping[str, Any]]]
"""Records, each with its place: the file, and the line, item or row."""

Progress = Callable[[int], object]
"""Called with the number of bytes that were read so far."""

N_PEEKED = 100
"""So many records show which columns there are, and which tool wrote them."""


@dataclass
class Records:
    """Records, in order.

    Attributes
    ----------
    source : str
        The file, or what else they come from, for errors.
    kind : str
        What it was taken for, such as ``CSV, delimiter ';', cp1252``.
    rows : iterator
        It can be read once.
    member : str
        The file's name without ending, if it is one of several in a zip file.
    class_names : mapping of str to tuple of str
        The labels of each column of class labels, in the order of their numbers.
    """

    source: str
    kind: str
    rows: Rows
    member: str = ""
    class_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def peek(self) -> list[Mapping[str, Any]]:
        """Return the first records; they are read again later."""
        first = list(islice(self.rows, N_PEEKED))
        self.rows = chain(first, self.rows)
        return [record for _, record in first]
