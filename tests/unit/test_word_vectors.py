import numpy as np
import pytest

from al_learner.core.errors import PluginError, SettingsError
from al_learner.core.interfaces import WordVectors, release_word_vectors


class Given(WordVectors):
    """Returns what `found` makes of the number of words."""

    @staticmethod
    def found(n_words):
        return np.ones((n_words, 3), np.float32)

    def vectors(self, words):
        return self.found(len(words))

    def digest(self):
        return "0" * 64


@pytest.mark.parametrize("words", [[], ["a"], ["a", "b", "a"]])
def test_right_vectors_come_back_as_they_are(words):
    assert np.array_equal(Given().lookup(words), np.ones((len(words), 3)))


def test_a_source_gets_short_words_that_utf_8_can_encode():
    class Lengths(Given):
        def vectors(self, words):
            return np.array([[len(word), len(word.encode())] for word in words], np.float32).reshape(len(words), 2)

    assert Lengths().lookup(["ș", "\ud83d!", "a" * 10_000]).tolist() == [[1, 2], [2, 2], [1_000, 1_000]]


def with_nan(n_words):
    array = np.zeros((n_words, 3), np.float32)
    array[1:2, 2] = np.nan
    return array


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (lambda n: np.ones((n, 3)), r"float32 vectors of shape \(0, n_dims\), not float64 of shape \(0, 3\)"),
        (lambda n: np.ones((n + 1, 3), np.float32), r"shape \(0, n_dims\), not float32 of shape \(1, 3\)"),
        (lambda n: np.ones((min(n, 1), 3), np.float32), r"shape \(2, n_dims\), not float32 of shape \(1, 3\)"),
        (lambda n: np.ones(n, np.float32), r"not float32 of shape \(0,\)"),
        (lambda n: np.ones((n, 0), np.float32), r"not float32 of shape \(0, 0\)"),
        (lambda n: [[1.0]] * n, r"not list of shape \(\)"),
        (lambda n: np.ones((n, 3 + n), np.float32), "vectors of 5 numbers, and of 3 in another call"),
        (with_nan, "NaN or infinity for 'second'"),
        (lambda n: 1 / n, "failed: ZeroDivisionError: division by zero"),
    ],
)
def test_wrong_vectors_are_one_error_that_names_the_source(monkeypatch, found, message):
    monkeypatch.setattr(Given, "found", staticmethod(found))

    with pytest.raises(PluginError, match=rf"^word_vector Given\(\) .*{message}"):
        Given().lookup(["first", "second"])


def test_a_missing_package_stays_an_error_of_the_settings(monkeypatch):
    def missing(_):
        raise SettingsError(["install it"])

    monkeypatch.setattr(Given, "found", staticmethod(missing))

    with pytest.raises(SettingsError, match="install it"):
        Given().lookup(["word"])


def test_only_sources_that_were_used_are_released_and_only_once():
    released = []

    class Keeping(Given):
        name: str

        def release(self):
            released.append(self.name)

    for name in ("first", "second", "first"):
        Keeping(name=name).lookup(["word"])
    Keeping(name="unused")
    release_word_vectors()
    release_word_vectors()

    assert sorted(released) == ["first", "second"]


def test_a_source_that_cannot_be_released_is_an_error_that_names_it():
    class Broken(Given):
        def release(self):
            raise ValueError("no")

    Broken().lookup(["word"])

    with pytest.raises(PluginError, match=r"^word_vector Broken\(\) failed: ValueError: no$"):
        release_word_vectors()
    release_word_vectors()
