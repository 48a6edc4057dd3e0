"""What init samplers promise."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
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
    """There are more labels than texts to pick, so some labels may be left out."""
    _sampled(strategy, _Texts(50), [f"label {i}" for i in range(30)], 2)


def check_same_rng_same_sample(strategy: InitSampler) -> None:
    """All random numbers come from `rng`."""
    first, again = (_sampled(strategy, _Texts(50), FOUR_LABELS, 10) for _ in range(2))
    expect(first == again, "the same rng gives different samples; take all random numbers from rng")


def check_same_rng_same_prior(strategy: InitSampler) -> None:
    """All random numbers of the prior come from `rng` too."""
    first, again = (_prior(strategy, _Texts(50), dict.fromkeys(FOUR_LABELS, "")) for _ in range(2))
    expect(first == again, "the same rng gives different priors; take all random numbers from rng")


def check_prior_of_few_texts(strategy: InitSampler) -> None:
    """There may be fewer texts than labels, or only one."""
    for n_texts in (1, 2, 7):
        _prior(strategy, _Texts(n_texts), dict.fromkeys(FOUR_LABELS, ""))


def check_prior_of_identical_texts(strategy: InitSampler) -> None:
    """No text is picked twice, also if many have the same words."""
    _prior(strategy, _Texts(20, "good news"), dict.fromkeys(FOUR_LABELS, ""))


def check_prior_of_texts_without_words(strategy: InitSampler) -> None:
    """Texts may have no words at all."""
    _prior(strategy, _Texts(20, "!"), dict.fromkeys(FOUR_LABELS, ""))


def check_prior_of_described_labels(strategy: InitSampler) -> None:
    """Some labels have a description. Names and descriptions may say nothing, or the same."""
    described = {"0": "good news", "1": "bad weather", "news": "", "News": "", "ignored": "!", "שלום": "שלום"}
    for seed in range(5):
        _prior(strategy, _Texts(50), described, seed)
    _prior(strategy, _Texts(50), {"0": "", "1": ""})


CHECKS = (
    check_sample_of_many_texts,
    check_sample_with_two_labels,
    check_sample_of_one_text,
    check_sample_of_identical_texts,
    check_sample_larger_than_the_texts,
    check_sample_smaller_than_the_labels,
    check_same_rng_same_sample,
    check_same_rng_same_prior,
    check_prior_of_few_texts,
    check_prior_of_identical_texts,
    check_prior_of_texts_without_words,
    check_prior_of_described_labels,
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
) -> tuple[list[int], list[str]]:
    found, given = strategy.sample(texts, labels, size, np.random.default_rng(seed))
    rows, names = _checked(found, given, len(texts), labels)
    expect(len(rows) >= size, f"only {len(rows)} texts were picked instead of {size} or more")
    different, possible = len({*rows}), min(len(rows), len(texts))
    expect(different == possible, f"only {different} different texts were picked; {possible} are possible")
    return rows, names


def _prior(
    strategy: InitSampler, texts: Sequence[str], labels: Mapping[str, str], seed: int = 0
) -> tuple[list[int], list[str]] | None:
    prior = strategy.prior(texts, labels, np.random.default_rng(seed))
    if prior is None:
        return None
    rows, names = _checked(*prior, len(texts), labels)
    expect(len({*rows}) == len(rows), f"the prior has {len(rows)} texts, but only {len({*rows})} different ones")
    return rows, names


def _checked(found: Codes, given: Sequence[str], n_texts: int, labels: Iterable[str]) -> tuple[list[int], list[str]]:
    rows, names = np.asarray(found), list(given)
    expect(rows.ndim == 1 and rows.dtype.kind in "iu", f"positions must be integers, not {found!r}")
    expect(len(rows) == len(names), f"{len(rows)} positions and {len(names)} labels")
    outside = rows[(rows < 0) | (rows >= n_texts)].tolist()
    expect(not outside, f"positions must be from 0 to {n_texts - 1}, not {outside}")
    expect({*names} <= {*labels}, f"some labels are not among the given ones: {sorted({*names} - {*labels})}")
    expect(len({*names}) >= 2, f"at least two different labels are needed, not only {sorted({*names})}")
    return rows.tolist(), names
