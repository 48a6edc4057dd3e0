"""What sources of word vectors promise."""

from __future__ import annotations

import re

import numpy as np

from al_learner.core.interfaces import WordVectors
from al_learner.core.testing.expect import expect


def check_at_most_one_parameter(strategy: WordVectors) -> None:
    """A setting names a source ``NAME`` or ``NAME:VALUE``."""
    names = list(type(strategy).model_fields)
    expect(len(names) <= 1, f"it has the parameters {', '.join(names)}; NAME:VALUE has room for only one")


def check_it_says_where_it_comes_from(strategy: WordVectors) -> None:
    """`al-learner plugins show` prints languages, licence and provenance. Only a parameter may decide the first two."""
    languages, licence, provenance = strategy.languages, strategy.licence, strategy.provenance
    is_tuple_of_codes = isinstance(languages, tuple) and all(re.fullmatch("[a-z]{2}", str(code)) for code in languages)
    expect(is_tuple_of_codes, f"languages must be a tuple of ISO 639-1 codes like ('en',), not {languages!r}")
    has_parameter = bool(type(strategy).model_fields)
    expect(bool(languages) or has_parameter, "languages is empty; that is allowed only if a parameter decides")
    spdx = isinstance(licence, str) and re.fullmatch(r"[A-Za-z0-9.+() -]+", licence)
    expect(bool(spdx), f"licence must be an SPDX identifier like 'MIT', not {licence!r}")
    expect(licence != "NOASSERTION" or has_parameter, "licence is NOASSERTION; only a parameter may decide that")
    expect(isinstance(provenance, str) and bool(provenance.strip()), f"provenance must be a sentence: {provenance!r}")


def check_vectors(strategy: WordVectors) -> None:
    """Finite float32 vectors of one width, one for each word, also for a thousand words and for none."""
    for words in (_WORDS, _WORDS[:1], [f"{word}{i}" for word in _WORDS for i in range(1_000 // len(_WORDS))]):
        strategy.lookup(words)


def check_unusual_words(strategy: WordVectors) -> None:
    """Words that no source knows: empty, blank, punctuation, emoji, control characters, very long ones."""
    strategy.lookup(_UNUSUAL)
    for word in _UNUSUAL:
        strategy.lookup([word])


def check_same_words_same_vectors(strategy: WordVectors) -> None:
    """A word has the same vector whenever it is looked up, also twice in one call, and after a release of memory."""
    first = strategy.lookup(_WORDS)
    strategy.release()
    second = strategy.lookup([*_WORDS, *_WORDS])
    for again in (second[: len(_WORDS)], second[len(_WORDS) :]):
        expect(_near(first, again), "the same words have other vectors the second time")


def check_a_vector_does_not_depend_on_other_words(strategy: WordVectors) -> None:
    """The words of a corpus are looked up together, those of a label's name alone. Rounding may differ."""
    words = [*_WORDS, *_UNUSUAL]
    together = strategy.lookup(words)
    strategy.release()  # so that nothing is kept from before
    reordered = strategy.lookup(words[::-1])[::-1]
    expect(_near(together, reordered), "the same words in another order have other vectors")
    strategy.release()
    for vector, word in zip(together, words, strict=True):
        expect(_near(vector, strategy.lookup([word])[0]), f"{word[:20]!r} alone has another vector than among others")


def check_known(strategy: WordVectors) -> None:
    """``known`` is one truth value for each word, also for words that no source knows, and for none."""
    for words in ([], _WORDS, [word.encode(errors="replace").decode() for word in _UNUSUAL]):
        known = strategy.known(words)
        is_mask = isinstance(known, np.ndarray) and known.dtype == bool and known.shape == (len(words),)
        expect(is_mask, f"known must return a bool array of shape ({len(words)},), not {known!r:.100}")


def check_digest(strategy: WordVectors) -> None:
    """The digest is recorded with runs that use the source, to tell whether two installations have the same vectors."""
    digest = strategy.digest()
    is_sha256 = isinstance(digest, str) and re.fullmatch("[0-9a-f]{64}", digest)
    expect(bool(is_sha256), f"digest must return the 64 hexadecimal digits of a SHA-256, not {digest!r}")
    expect(strategy.model_copy(deep=True).digest() == digest, "digest returns something else the second time")


CHECKS = (
    check_at_most_one_parameter,
    check_it_says_where_it_comes_from,
    check_vectors,
    check_unusual_words,
    check_same_words_same_vectors,
    check_a_vector_does_not_depend_on_other_words,
    check_known,
    check_digest,
)


_WORDS = ("good", "Weather", "compiler", "ice cream", "știri", "Straße", "שלום", "日本", "x86", "3.14")

_UNUSUAL = ("", " ", "\n", "?!", "xyzzyqqq", "🎉👩‍👩‍👧", "cafe\u0301", "\x00", "\ud800", "a" * 10_000, "good " * 2_000)


def _near(a: np.ndarray, b: np.ndarray) -> bool:
    """Return whether vectors are equal but for rounding."""
    return bool(np.allclose(a, b, rtol=1e-3, atol=1e-4 * float(np.abs(a).max(initial=0))))
