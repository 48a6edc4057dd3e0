"""Word vectors: every installed source is sound, and ``check_plugin`` sees it when one is not."""

from typing import ClassVar

import numpy as np
import pytest
from pydantic import Field

from al_learner import WordVectors, check_plugin, strategy
from al_learner.core.registry import names
from al_learner.core.testing import word_vectors
from tests.support.broken import Broken, assert_fails
from tests.support.word_vectors import cache_model, save_model

WITH_A_VALUE = ("model2vec", "model2vec-hub")

BROKEN = Broken()


@pytest.mark.parametrize("name", [name for name in names("word_vector") if name not in WITH_A_VALUE])
def test_an_installed_source_keeps_the_promises_of_word_vectors(name):
    check_plugin(strategy("word_vector", name))


def test_a_model_of_a_folder_keeps_the_promises_of_word_vectors(tmp_path):
    check_plugin(strategy("word_vector", "model2vec", folder=str(save_model(tmp_path))))


def test_a_model_of_the_hub_keeps_the_promises_of_word_vectors(tmp_path, monkeypatch):
    from huggingface_hub import constants  # heavy

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    cache_model(tmp_path, "minishlab/small")

    check_plugin(strategy("word_vector", "model2vec-hub", name="minishlab/small"))


class Letters(WordVectors):
    """How often the letters from a to z occur."""

    languages: ClassVar = ("en",)
    licence: ClassVar = "MIT"
    provenance: ClassVar = "Counted."

    def vectors(self, words):
        counts = [[word.count(chr(letter)) for letter in range(97, 123)] for word in words]
        return np.asarray(counts, np.float32).reshape(len(words), 26)

    def digest(self):
        return "0123456789abcdef" * 4


class BrokenWords(Letters):
    how: str = Field(description="What is wrong with it.")

    def vectors(self, words):
        return BROKEN.faults[self.how](words, super().vectors(words))


class TwoParameters(Letters):
    folder: str = Field(default="", description="Folder.")
    n_dims: int = Field(default=26, description="Numbers of a vector.")


class FromNowhere(Letters):
    provenance: ClassVar = " "


class WithoutLicence(Letters):
    licence: ClassVar = ""


class NobodyDecidesItsLicence(Letters):
    licence: ClassVar = "NOASSERTION"


class OfAllLanguages(Letters):
    languages: ClassVar = ()


class NamesItsLanguage(Letters):
    languages: ClassVar = ("English",)


class ShortDigest(Letters):
    def digest(self):
        return "0123456789abcdef"


class RandomDigest(Letters):
    def digest(self):
        return np.random.default_rng().bytes(32).hex()


class KnowsWithoutCounting(Letters):
    def known(self, words):
        return [bool(word) for word in words]


BROKEN += [
    (KnowsWithoutCounting(), "check_known", "known must return a bool array of shape (0,), not []"),
    (TwoParameters(), "check_at_most_one_parameter", "parameters folder, n_dims"),
    (FromNowhere(), "check_it_says_where_it_comes_from", "provenance must be a sentence"),
    (WithoutLicence(), "check_it_says_where_it_comes_from", "licence must be an SPDX identifier"),
    (NobodyDecidesItsLicence(), "check_it_says_where_it_comes_from", "licence is NOASSERTION"),
    (OfAllLanguages(), "check_it_says_where_it_comes_from", "languages is empty"),
    (NamesItsLanguage(), "check_it_says_where_it_comes_from", "ISO 639-1 codes like ('en',), not ('English',)"),
    (ShortDigest(), "check_digest", "the 64 hexadecimal digits of a SHA-256, not '0123456789abcdef'"),
    (RandomDigest(), "check_digest", "something else the second time"),
]


def test_letters_are_sound_word_vectors():
    check_plugin(Letters())


@BROKEN.fails(BrokenWords, "check_vectors", "not float64 of shape (0, 26)")
def double_precision(_words, found):
    return found.astype(np.float64)


@BROKEN.fails(BrokenWords, "check_vectors", "vectors of 26 numbers, and of 1 in another call")
def another_width_without_words(words, found):
    return found if words else np.zeros((0, 1), np.float32)


@BROKEN.fails(BrokenWords, "check_vectors", "NaN or infinity for '")
def unit_length_also_of_nothing(_words, found):
    with np.errstate(invalid="ignore"):
        return found / np.linalg.norm(found, axis=1, keepdims=True)


@BROKEN.fails(BrokenWords, "check_unusual_words", "IndexError")
def needs_a_first_letter(words, found):
    return found * np.asarray([[word[0] != "#"] for word in words], np.float32).reshape(-1, 1)


@BROKEN.fails(BrokenWords, "check_same_words_same_vectors", "other vectors the second time")
def noise(_words, found):
    return found + np.random.default_rng().random(found.shape, np.float32)


@BROKEN.fails(BrokenWords, "check_a_vector_does_not_depend_on_other_words", "in another order have other vectors")
def smoothed_over_neighbours(words, found):
    return np.cumsum(found, axis=0) if len(words) > 20 else found


@BROKEN.fails(
    BrokenWords, "check_a_vector_does_not_depend_on_other_words", "alone has another vector than among others"
)
def centred(words, found):
    return found - found.mean(axis=0) if len({*words}) > 1 else found


@BROKEN.each()
def test_a_broken_source_fails_the_check_of_what_it_breaks(broken, check, reason):
    assert_fails(broken, check, reason)


def test_every_check_of_word_vectors_can_fail():
    assert BROKEN.not_failed(word_vectors.CHECKS) == set()
