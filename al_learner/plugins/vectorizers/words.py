"""What the vectorizers with a vocabulary share: in how many texts each word occurs, and which words are kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from al_learner.core.errors import DataError


def analyzer(vectorizer: Any) -> Callable[[str], Iterable[str]]:
    """Return what splits a text into words, or runs of words, as a CountVectorizer of scikit-learn does it.

    scikit-learn notes the address of an object there. It is removed, so that the vectorizer has the same pickle in
    every process.
    """
    analyze: Callable[[str], Iterable[str]] = vectorizer.build_analyzer()
    vars(vectorizer).pop("_stop_words_id", None)
    return analyze


def texts_with(analyze: Callable[[str], Iterable[str]], texts: Iterable[str]) -> Counter[str]:
    """Return in how many texts each word occurs."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update({*analyze(text)})
    return counts


def vocabulary(
    n_texts_with: Mapping[str, int], n_texts: int, *, min_df: float, max_df: float, max_features: int | None = None
) -> dict[str, int]:
    """Return the column of each word that is kept, in alphabetical order.

    Parameters
    ----------
    n_texts_with : mapping of str to int
        In how many of `n_texts` texts each word occurs.
    min_df, max_df : int or float
        Words in fewer or in more texts are dropped: numbers of texts, or shares of all.
    max_features : int, optional
        Of the others only this number is kept, those in the most texts.

    Raises
    ------
    DataError
        No word is left.
    """
    if not n_texts_with:
        raise DataError("no text has a word that the vectorizer can use")
    fewest, most = (df if isinstance(df, int) else df * n_texts for df in (min_df, max_df))
    kept = [word for word, n in n_texts_with.items() if fewest <= n <= most]
    if not kept:
        raise DataError(
            f"min_df={min_df} and max_df={max_df} drop all {len(n_texts_with):,} words of the {n_texts:,} texts: lower "
            "min_df or raise max_df"
        )
    if max_features is not None:
        kept = sorted(kept, key=lambda word: (-n_texts_with[word], word))[:max_features]
    return {word: column for column, word in enumerate(sorted(kept))}
