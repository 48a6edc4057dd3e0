"""What vectorizers promise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from al_learner.core.interfaces import CountsWords, Vectorizer
from al_learner.core.testing.expect import CHANCE, CORPUS, as_read, expect, seeded

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


def check_same_corpus_same_features(strategy: Vectorizer) -> None:
    """The same corpus gives the same features. Random numbers depend on the parameter `random_state`."""
    first, second = (_features(seeded(strategy).fit(CORPUS), CORPUS) for _ in range(2))
    expect(_equal(first, second), CHANCE)


def check_corpus_is_read_once(strategy: Vectorizer) -> None:
    """The corpus comes as a generator, because it may be larger than the memory."""
    listed = _features(seeded(strategy).fit(CORPUS), CORPUS)
    generated = _features(seeded(strategy).fit(text for text in CORPUS), CORPUS)
    expect(_equal(listed, generated), "a generator of texts gives other features than a list of the same texts")


def check_parts_make_no_difference(strategy: Vectorizer) -> None:
    """Where the corpus can be counted in parts, these give the same features as the whole corpus."""
    if not (isinstance(strategy, CountsWords) and strategy.in_parts()):
        return
    vectorizer = seeded(strategy)
    half = len(CORPUS) // 2
    counts = vectorizer.count(iter(CORPUS[:half])) + vectorizer.count(iter(CORPUS[half:]))
    sample = [CORPUS[position] for position in vectorizer.sampled_positions(len(CORPUS))]
    in_parts = _features(vectorizer.fit_counts(counts, len(CORPUS), sample), CORPUS)
    whole = _features(vectorizer.fit(CORPUS), CORPUS)
    expect(_equal(in_parts, whole), "a corpus that is counted in two parts gives other features than in one")


def check_unusual_texts(strategy: Vectorizer) -> None:
    """Empty texts, unknown words, emoji, right-to-left scripts, very long words and texts."""
    known = _features(strategy.fit(CORPUS), _UNUSUAL)
    expect(known.shape[1] > 0, "there is no feature: the rows have no column")
    _features(strategy.fit([*CORPUS, *_UNUSUAL]), _UNUSUAL)


def check_texts_are_not_changed(strategy: Vectorizer) -> None:
    """The lists of the caller stay as they are."""
    texts = list(CORPUS)
    transformer = strategy.fit(texts)
    expect(texts == [*CORPUS], "fit changes the list of texts")
    _features(transformer, texts)
    expect(texts == [*CORPUS], "transform changes the list of texts")


def check_a_row_does_not_depend_on_others(strategy: Vectorizer) -> None:
    """Training transforms some texts at a time, and the predictor all texts at once. Both get the same features."""
    transformer, texts = strategy.fit(CORPUS), [*CORPUS, *_UNUSUAL]
    together = _features(transformer, texts)
    expect(_equal(together, _features(transformer, texts)), "the same texts have other features the second time")
    for row, text in enumerate(texts):
        alone = _features(transformer, [text])
        expect(_equal(alone, together[row]), f"{text[:20]!r} alone has other features than among other texts")


def check_stored_vectorizer_is_the_same(strategy: Vectorizer) -> None:
    """A program that has only the required packages gets the same features."""
    transformer, texts = strategy.fit(CORPUS), [*CORPUS, *_UNUSUAL]
    read = as_read(transformer, strategy)
    same = _equal(_features(read, texts), _features(transformer, texts))
    expect(same, "the stored vectorizer gives other features than the fitted one")


def check_groups_of_columns(strategy: Vectorizer) -> None:
    """Each column is in exactly one group. A classifier weighs the groups, or leaves them out.

    The settings need only the names, and ask for them with 0 columns.
    """
    from al_learner.core.training.fitting import groups_of  # heavy: scikit-learn

    n_features = _features(strategy.fit(CORPUS), CORPUS).shape[1]
    groups, named = groups_of(strategy, n_features), sorted(groups_of(strategy, 0))
    expect(sorted(groups) == named, f"for 0 columns groups has the names {named}, and else {sorted(groups)}")
    n_groups = np.zeros(n_features, int)
    for columns in groups.values():
        n_groups[columns] += 1
    of_no_group, of_several = int((n_groups == 0).sum()), int((n_groups > 1).sum())
    expect(
        not (of_no_group or of_several),
        f"each of the {n_features} columns must be in one group; {of_no_group} are in none, {of_several} in several",
    )
    beyond = [f"{name}: {columns}" for name, columns in groups.items() if (columns.stop or 0) > n_features]
    expect(not beyond, f"groups end after the last of the {n_features} columns: {', '.join(beyond)}")


CHECKS = (
    check_same_corpus_same_features,
    check_corpus_is_read_once,
    check_parts_make_no_difference,
    check_unusual_texts,
    check_texts_are_not_changed,
    check_a_row_does_not_depend_on_others,
    check_stored_vectorizer_is_the_same,
    check_groups_of_columns,
)


_UNUSUAL = (
    "",
    " \n",
    "?!",
    "xyzzy",
    "🎉👩‍👩‍👧",
    "שלום עולם",
    "مرحبا بالعالم",
    "cafe\u0301",
    "a" * 10_000,
    "good " * 2_000,
)


def _features(transformer: Any, texts: Sequence[str]) -> csr_matrix:
    from al_learner.core.training.fitting import transform  # heavy: scikit-learn

    X = transform(transformer, texts)
    expect(bool(np.isfinite(X.data).all()), "some features are NaN or infinite")
    return X


def _equal(a: csr_matrix, b: csr_matrix) -> bool:
    return bool(a.shape == b.shape and (a != b).nnz == 0)
