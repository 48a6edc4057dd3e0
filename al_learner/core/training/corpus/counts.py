"""The words of a corpus, counted in parts by id. Only whole numbers are added, so the parts make no difference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from al_learner.core.interfaces import SAMPLED_CHARACTERS, CountsWords, Transformer
from al_learner.core.storage.labelforward_tables import PART, LabelForwardTables, PartSize, TextTable
from al_learner.core.training.corpus.texts import CorpusTexts

PARTS = 8
"""So many parts are counted in one go."""


class IdRange(NamedTuple):
    """Rows of a table, from the first id to the last."""

    table: TextTable
    first: int
    last: int

    def divided(self, size: int) -> Iterator[IdRange]:
        """Yield it in pieces of `size` ids."""
        for first in range(self.first, self.last + 1, size):
            yield IdRange(self.table, first, min(first + size - 1, self.last))


@dataclass(frozen=True)
class CorpusCounts:
    """What a `CountsWords` has counted.

    Attributes
    ----------
    words : ndarray of shape (n_words,), object
    counts : ndarray of shape (n_words,), int64
        A number for each word, such as in how many texts it occurs.
    parts : tuple of PartSize
        What was counted, in the order of the corpus.
    """

    words: NDArray[np.object_]
    counts: NDArray[np.int64]
    parts: tuple[PartSize, ...]


def ranges(tables: LabelForwardTables) -> tuple[IdRange, ...]:
    """Return the corpus as ranges of ids."""
    step = PARTS * PART
    newest: dict[TextTable, int] = {table: tables.newest_id(table) for table in ("text_data", "init_data")}
    return tuple(
        IdRange(table, first, first + step - 1)
        for table, last in newest.items()
        for first in (range(0, last + 1, step) if last else ())
    )


def count(tables: LabelForwardTables, vectorizer: CountsWords, part: IdRange) -> CorpusCounts:
    """Count a part of the corpus."""
    sizes: Counter[int] = Counter()
    blank: Counter[int] = Counter()

    def texts() -> Iterator[str]:
        for text_id, text in tables.texts_between(*part):
            sizes[text_id // PART] += 1
            blank[text_id // PART] += not text.strip()
            yield text

    counts = vectorizer.count(texts())
    parts = (PartSize(part.table, number, n, blank[number]) for number, n in sorted(sizes.items()))
    return _as_arrays(counts, parts)


def merged(counted: Iterable[CorpusCounts]) -> CorpusCounts:
    """Return the counts of several parts together, which come in the order of the corpus."""
    sums: Counter[str] = Counter()
    parts: list[PartSize] = []
    for one in counted:
        parts += one.parts
        sums.update(dict(zip(one.words.tolist(), one.counts.tolist(), strict=True)))
    return _as_arrays(sums, parts)


def fit(tables: LabelForwardTables, vectorizer: CountsWords, counted: CorpusCounts) -> Transformer:
    """Fit a vectorizer to a counted corpus; as `CountsWords.fit` does it on all texts."""
    n_texts = sum(part.n_texts for part in counted.parts)
    texts = CorpusTexts(tables, counted.parts, with_blank=True)
    sample = texts.at(vectorizer.sampled_positions(n_texts))
    counts = dict(zip(counted.words.tolist(), counted.counts.tolist(), strict=True))
    return vectorizer.fit_counts(counts, n_texts, [text[:SAMPLED_CHARACTERS] for text in sample])


def _as_arrays(counts: Counter[str], parts: Iterable[PartSize]) -> CorpusCounts:
    words: Sequence[str] = [*counts]
    return CorpusCounts(np.array(words, object), np.array([counts[word] for word in words], np.int64), tuple(parts))
