"""What init samplers promise."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import overload

import numpy as np

from al_learner.core.interfaces import Codes, InitSampler
from al_learner.core.testing.expect import CORPUS, FOUR_LABELS, TWO_LABELS, expect


def check_sample_of_many_texts(strategy: InitSampler) -> None:
    """The usual case, with several seeds."""
    for seed in range(10):
        _sampled(strategy, _Texts(50), FOUR_LABELS, 10, seed)


def check_sample_with_two_labels(strategy: InitSampler) -> None:
    """Two texts and two labels: both labels are used, with every seed."""
    for seed in range(20):
        _sampled(strategy, _Texts(50), TWO_LABELS, 2, seed)


def check_sample_of_one_text(strategy: InitSampler) -> None:
    """The only text is picked again and again, with different labels."""
    _sampled(strategy, _Texts(1), TWO_LABELS, 2)
    _sampled(strategy, _Texts(1), FOUR_LABELS, 10)


def check_sample_of_identical_texts(strategy: InitSampler) -> None:
    """Texts with the same words count as different texts."""
    _sampled(strategy, _Texts(20, "good news"), FOUR_LABELS, 10)


def check_sample_larger_than_the_texts(strategy: InitSampler) -> None:
    """Every text is picked, some more than once."""
    _sampled(strategy, _Texts(7), FOUR_LABELS, 20)


def check_sample_smaller_than_the_labels(strategy: InitSampler) -> None:
    """There are more labels than texts to pick, so some labels are left out."""
    _sampled(strategy, _Texts(50), [f"label {i}" for i in range(30)], 2)


def check_same_rng_same_sample(strategy: InitSampler) -> None:
    """All random numbers come from `rng`."""
    (rows, names), (rows_again, names_again) = (_sampled(strategy, _Texts(50), FOUR_LABELS, 10) for _ in range(2))
    same = np.array_equal(rows, rows_again) and names == names_again
    expect(same, "the same rng gives different samples; take all random numbers from rng")


CHECKS = (
    check_sample_of_many_texts,
    check_sample_with_two_labels,
    check_sample_of_one_text,
    check_sample_of_identical_texts,
    check_sample_larger_than_the_texts,
    check_sample_smaller_than_the_labels,
    check_same_rng_same_sample,
)


class _Texts(Sequence[str]):
    """Texts that can be read only by position or slice, like those that come from the database."""

    def __init__(self, n_texts: int, text: str | None = None) -> None:
        self._texts = [f"{CORPUS[i % len(CORPUS)]} {i}" if text is None else text for i in range(n_texts)]

    def __len__(self) -> int:
        return len(self._texts)

    @overload
    def __getitem__(self, position: int) -> str: ...
    @overload
    def __getitem__(self, position: slice) -> list[str]: ...
    def __getitem__(self, position: int | slice) -> str | list[str]:
        return self._texts[position if isinstance(position, slice) else operator.index(position)]


def _sampled(
    strategy: InitSampler, texts: Sequence[str], labels: Sequence[str], size: int, seed: int = 0
) -> tuple[Codes, list[str]]:
    found, names = strategy.sample(texts, labels, size, np.random.default_rng(seed))
    rows = np.asarray(found)
    expect(rows.ndim == 1 and rows.dtype.kind in "iu", f"positions must be integers, not {found!r}")
    expect(len(rows) == len(names) == size, f"{len(rows)} positions and {len(names)} labels instead of {size} of each")
    inside = bool(((rows >= 0) & (rows < len(texts))).all())
    expect(inside, f"positions must be from 0 to {len(texts) - 1}; they are from {rows.min()} to {rows.max()}")
    different, possible = len({*rows.tolist()}), min(size, len(texts))
    expect(different == possible, f"only {different} different texts were picked; {possible} are possible")
    expect({*names} <= {*labels}, f"some labels are not among the given ones: {sorted({*names} - {*labels})}")
    expect(len({*names}) >= 2, f"there is only one label, {names[0]!r}; at least two are needed")
    return rows, list(names)
