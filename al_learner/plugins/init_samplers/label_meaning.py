"""Texts whose meaning is nearest to that of a label."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, compress, cycle, islice, pairwise
from typing import Any
from unicodedata import category
from unicodedata import normalize as normal_form

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from al_learner.core.interfaces import IGNORED, Codes, InitSampler, UsesWordVectors

MAX_CHARACTERS = 3_000
"""Only so many characters of a text are read: its beginning shows what it is about."""

N_COMMON = 10
"""So many principal components of the word vectors are removed. They hold what all words have in common."""

DESCRIPTION_WEIGHT = 0.5
"""The weight of a label's description. That of its name is 1."""

LEAST = 10
"""Each label gets so many texts, if so many are nearest to it."""

Meaning = tuple[tuple[str, ...], tuple[str, ...]]
"""The words of a label's name, and those of its description."""

Floats = NDArray[np.floating[Any]]


class LabelMeaning(UsesWordVectors, InitSampler):
    """Texts whose words mean about the same as the words of a label get that label.

    The meaning of a text is the mean of its words' vectors, weighted by TF-IDF. That of a label is the mean over the
    words of its name, and with half the weight over those of its description. From all word vectors, divided by their
    length, their mean and their first principal components are subtracted [1]_. The similarity of a text and a label is
    the cosine between their meanings, plus that between their TF-IDF rows, minus the label's mean over the texts. Of
    the texts that are most similar to a label, it gets the half with the largest margin to the second label.

    A name says nothing if no word is left of it without digits, single letters and words that neither the source knows
    nor a text contains. Such a label, and `ignored`, get no texts. If that leaves fewer than two labels, ``prior``
    returns None. Where it takes no text to know that, none is read.

    References
    ----------
    .. [1] Mu, Viswanath (2018). All-but-the-top: simple and effective postprocessing for word representations. ICLR.
       arXiv:1702.01417
    """

    max_texts: int = Field(
        default=12_500, ge=2, description="Largest number of texts that are compared; they are drawn at random."
    )
    max_words: int = Field(
        default=7_000, ge=1, description="Of the words of these texts so many, the most frequent, are looked up."
    )
    texts_per_label: int = Field(default=60, ge=1, description="Largest number of texts that a label gets.")
    chosen_texts: int = Field(
        default=1_500,
        ge=1,
        description=f"Largest number of texts that all labels get together; with more labels than fit, {LEAST} each.",
    )

    def sample(
        self, texts: Sequence[str], labels: Sequence[str], size: int, rng: np.random.Generator
    ) -> tuple[Codes, list[str]]:
        rows, names = self.prior(texts, dict.fromkeys(labels, ""), rng) or (np.empty(0, np.intp), [])
        missing = max(0, size - len(rows))
        others = rng.permutation(np.setdiff1d(np.arange(len(texts)), rows))
        rows = np.concatenate([rows, np.resize(np.concatenate([others, rows]), missing)])
        return rows.astype(np.intp), [*names, *self.deal(labels, missing, rng)]

    def prior(
        self, texts: Sequence[str], labels: Mapping[str, str], rng: np.random.Generator
    ) -> tuple[Codes, list[str]] | None:
        called: dict[Meaning, list[str]] = defaultdict(list)
        for label, description in labels.items():
            meaning = _words(_parted(label)), _words(description)
            if label != IGNORED and any(meaning):
                called[meaning].append(label)
        meanings = self._with_a_known_word([*called]) if len(called) > 1 else []
        if len(meanings) < 2:
            return None
        positions: list[int] = []

        def beginnings() -> Iterator[str]:
            for position, text in self.scan(texts, self.max_texts, rng):
                positions.append(position)
                yield text[:MAX_CHARACTERS]

        similarity = self._similarity(beginnings(), meanings)
        comparable, known = np.flatnonzero(similarity.any(axis=1)), np.flatnonzero(similarity.any(axis=0)).tolist()
        if len(known) < 2:
            return None
        most = min(self.texts_per_label, max(LEAST, self.chosen_texts // len(known)))
        chosen = _surest(similarity[comparable][:, known], most)
        if sum(len(rows) > 0 for rows in chosen) < 2:
            return None
        same = [called[meanings[column]] for column in known]  # labels with the same words take turns
        names = [islice(cycle(alike), len(rows)) for alike, rows in zip(same, chosen, strict=True)]
        return np.array(positions, np.intp)[comparable][np.concatenate(chosen)], [*chain(*names)]

    def _with_a_known_word(self, meanings: Sequence[Meaning]) -> list[Meaning]:
        words = sorted({*chain(*chain(*meanings))})
        known = {word for word, vector in zip(words, self.word_vectors.lookup(words), strict=True) if vector.any()}
        return [meaning for meaning in meanings if not known.isdisjoint(chain(*meaning))]

    def _similarity(self, texts: Iterable[str], labels: Sequence[Meaning]) -> Floats:
        """Return how similar each text (row) and each label are: all zeros for a label whose words say nothing."""
        from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer  # heavy, as all of these
        from sklearn.preprocessing import normalize
        from threadpoolctl import threadpool_limits

        source, label_words = self.word_vectors, sorted({*chain(*chain(*labels))})
        known = [*compress(label_words, source.known(label_words))]
        unknown, found = {*label_words} - {*known}, set[str]()
        pattern = re.compile(rf"\b(?:{'|'.join(unknown)})\b")

        def searched() -> Iterator[str]:
            for text in texts:
                found.update(pattern.findall(text.lower()))
                yield text

        counter = CountVectorizer(max_features=self.max_words, dtype=np.float32)
        try:
            counts = counter.fit_transform(searched() if unknown else texts)
        except ValueError as exc:
            if "empty vocabulary" not in str(exc):
                raise
            return np.zeros((0, len(labels)))  # no text has a word
        tfidf = TfidfTransformer(sublinear_tf=True).fit(counts)
        X = tfidf.transform(counts)
        text_words = counter.get_feature_names_out()
        says_something = np.isin(label_words, [*known, *found])
        of_labels = source.lookup(label_words) * says_something[:, None]
        vectors = np.concatenate([source.lookup(text_words), of_labels])
        with threadpool_limits(limits=1):  # on so little data several threads are slower
            vectors = _postprocessed(vectors, np.bincount(counts.indices, minlength=len(text_words)))
            text_meanings = normalize(X @ vectors[: len(text_words)])
            label_meanings: Any = 0
            label_rows: Any = 0
            for part, weight in enumerate((1, DESCRIPTION_WEIGHT)):
                parts = [words[part] for words in labels]
                occurrences = np.array([[words.count(word) for word in label_words] for words in parts], np.float32)
                label_meanings += weight * normalize(occurrences @ vectors[len(text_words) :])
                label_rows += weight * tfidf.transform(counter.transform(map(" ".join, parts)))
            label_meanings, label_rows = normalize(label_meanings), normalize(label_rows)
            similarity = text_meanings @ label_meanings.T + (X @ label_rows.T).toarray()
        return np.asarray(similarity * label_meanings.any(axis=1))


def _parted(name: str) -> str:
    """Separate words that only a capital letter separates, as in camelCase."""
    return "".join(f" {b}" if a.islower() and b.isupper() else b for a, b in pairwise(f" {name}"))


def _words(text: str) -> tuple[str, ...]:
    """Return the words, in lower case and sorted: letters with their marks, no digits.

    A word has two letters or more, but in scripts without upper and lower case, such as Chinese, it may have one.
    """
    letters = "".join(c if category(c)[0] in "LM" else " " for c in normal_form("NFKC", text))
    return tuple(sorted(word.lower() for word in letters.split() if len(word) > 1 or category(word) == "Lo"))


def _postprocessed(vectors: NDArray[np.float32], n_texts_with: NDArray[np.intp]) -> Floats:
    """Divide vectors by their length, then subtract their mean and their first principal components.

    Parameters
    ----------
    vectors : ndarray of shape (n_words, n_dims)
        All zeros for unknown words; these stay zero.
    n_texts_with : ndarray of shape (n_text_words,)
        In how many texts each of the first words occurs: its weight in the mean and the components.
    """
    from sklearn.preprocessing import normalize

    known = np.asarray(vectors.any(axis=1))
    n_words, n_dims = len(n_texts_with), vectors.shape[1]
    weights = n_texts_with * known[:n_words]
    vectors = normalize(vectors)
    vectors[known] -= weights @ vectors[:n_words] / max(weights.sum(), 1)
    # Of few words the components are the words themselves.
    n_common = min(N_COMMON, np.count_nonzero(weights) // 100, n_dims // 10)
    weighted = vectors[:n_words] * np.sqrt(weights)[:, None]
    _, directions = np.linalg.eigh(weighted.T @ weighted)  # in ascending order of the variance
    common = directions[:, n_dims - n_common :]
    return np.asarray(vectors - vectors @ common @ common.T, np.float32)


def _surest(similarity: Floats, most: int) -> list[Codes]:
    """Return for each column rows where it is the largest: those with the largest margin to the second-largest."""
    similarity = similarity - similarity.mean(axis=0)
    nearest = similarity.argmax(axis=1)
    second, first = np.partition(similarity, -2, axis=1)[:, -2:].T
    chosen = []
    for label in range(similarity.shape[1]):
        rows = np.flatnonzero(nearest == label)
        in_order = rows[np.argsort((second - first)[rows], kind="stable")]
        chosen.append(in_order[: min(max(len(rows) // 2, LEAST), most)])
    return chosen
