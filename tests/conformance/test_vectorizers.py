"""Vectorizers: every installed one is sound, and ``check_plugin`` sees it when one is not."""

import itertools

import numpy as np
import pytest
from pydantic import Field
from scipy.sparse import coo_matrix, csr_matrix
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from al_learner import Vectorizer, check_plugin, strategy
from al_learner.core.interfaces import CountsWords
from al_learner.core.registry import names
from al_learner.core.testing import vectorizers
from al_learner.core.training.fitting import transform
from al_learner.plugins.vectorizers.count import Count
from tests.support.broken import Broken, assert_fails

PARAMETERS = [
    ("count", {"binary": True, "lowercase": False}),
    ("count", {"ngram_range": (1, 2), "max_features": 5}),
    ("hashing", {"n_features": 16, "norm": None}),
    ("hashing", {"ngram_range": (2, 3), "binary": True, "norm": "l1"}),
    ("lsa", {"words": False, "n_dims": 3, "random_state": None}),
    ("lsa", {"min_df": 2, "max_df": 0.5, "sublinear_tf": False}),
    ("tfidf", {"ngram_range": (1, 2), "min_df": 2, "max_df": 0.5}),
    ("tfidf", {"sublinear_tf": True, "norm": None}),
    ("words-and-meaning", {"words": False, "n_dims": 3, "weight": 2.0}),
    ("words-and-meaning", {"max_features": 5, "lowercase": False}),
]

BROKEN = Broken()


@pytest.mark.parametrize("name", names("vectorizer"))
def test_an_installed_vectorizer_keeps_the_promises_of_its_interface(name):
    check_plugin(strategy("vectorizer", name))


@pytest.mark.parametrize(("name", "params"), PARAMETERS)
def test_it_keeps_them_with_other_parameters_than_the_defaults(name, params):
    check_plugin(strategy("vectorizer", name, **params))


@pytest.mark.parametrize("name", names("vectorizer"))
def test_the_core_gets_no_row_for_no_text_from_any_vectorizer(name):
    transformer = strategy("vectorizer", name).fit(["a good day", "a bad day"])
    n_columns = transform(transformer, ["a day"]).shape[1]
    assert transform(transformer, []).shape == (0, n_columns)


class BrokenVectorizer(Vectorizer):
    how: str = Field(default="", description="What is wrong with it.")

    def fit(self, texts):
        return BROKEN.faults[self.how](texts)


class BrokenGroups(Vectorizer):
    how: str = Field(default="", description="What is wrong with it.")

    def fit(self, texts):
        return Count().fit(texts)

    def groups(self, n_features):
        return BROKEN.faults[self.how](n_features)


@BROKEN.fails(BrokenGroups, "check_groups_of_columns", "must be in one group; 1 are in none, 0 in several")
def a_column_of_no_group(n_features):
    return {"words": slice(0, n_features - 1)}


@BROKEN.fails(BrokenGroups, "check_groups_of_columns", "must be in one group; 0 are in none, 1 in several")
def a_column_of_two_groups(n_features):
    return {"words": slice(0, n_features - 1), "meaning": slice(n_features - 2, n_features)}


@BROKEN.fails(BrokenGroups, "check_groups_of_columns", "groups end after the last of the")
def a_group_that_is_too_long(n_features):
    return {"words": slice(0, n_features + 1)}


@BROKEN.fails(BrokenGroups, "check_groups_of_columns", "ZeroDivisionError")
def needs_a_column(n_features):
    return {"words": slice(0, n_features, n_features // n_features)}


@BROKEN.fails(BrokenGroups, "check_groups_of_columns", "for 0 columns groups has the names [], and else ['words']")
def names_no_group_without_columns(n_features):
    return {"words": slice(0, n_features)} if n_features else {}


@BROKEN.fails(BrokenGroups, "check_groups_of_columns", "groups must be slices, not words: [0, 1]")
def a_list_of_columns(_n_features):
    return {"words": [0, 1]}


class Twist:
    """Sound features, and then a function of the texts and them."""

    def __init__(self, texts, function):
        self._transformer = Count().fit(texts)
        self._function = function

    def transform(self, texts):
        return self._function(texts, self._transformer.transform(texts))


@BROKEN.fails(BrokenVectorizer, "check_same_corpus_same_features", "random numbers must depend only on a parameter")
def columns_in_random_order(texts):
    vectorizer = Count().fit(texts)
    order = np.random.default_rng().permutation(len(vectorizer.vocabulary_)).tolist()
    vectorizer.vocabulary_ = {word: order[column] for word, column in vectorizer.vocabulary_.items()}
    return vectorizer


@BROKEN.fails(BrokenVectorizer, "check_same_corpus_same_features", "must return a float32 CSR matrix")
def whole_numbers(texts):
    return CountVectorizer().fit(texts)


@BROKEN.fails(BrokenVectorizer, "check_same_corpus_same_features", "must return a float32 CSR matrix")
def another_sparse_format(texts):
    return Twist(texts, lambda _, X: coo_matrix(X))


@BROKEN.fails(BrokenVectorizer, "check_same_corpus_same_features", "must return a float32 CSR matrix with 36 rows")
def a_row_too_few(texts):
    return Twist(texts, lambda _, X: X[1:])


@BROKEN.fails(BrokenVectorizer, "check_corpus_is_read_once", "TypeError")
def needs_the_length_of_the_corpus(texts):
    return Count(max_features=len(texts)).fit(texts)


@BROKEN.fails(BrokenVectorizer, "check_corpus_is_read_once", "other features than a list")
def reads_a_text_in_advance(texts):
    next(iter(texts))
    return TfidfVectorizer(dtype=np.float32).fit(texts)


class BrokenCounts(CountsWords):
    how: str = Field(default="", description="What is wrong with it.")

    def count(self, texts):
        return Count().count(texts)

    def fit_counts(self, counts, n_texts, sample):
        return BROKEN.faults[self.how](counts, n_texts, sample)

    def fit(self, texts):
        return Count().fit(texts)


@BROKEN.fails(BrokenCounts, "check_parts_make_no_difference", "in two parts gives other features than in one")
def leaves_out_words_of_both_parts(counts, n_texts, sample):
    return Count().fit_counts({word: n for word, n in counts.items() if n == 1}, n_texts, sample)


@BROKEN.fails(BrokenVectorizer, "check_unusual_texts", "IndexError")
def needs_a_word(texts):
    return Twist(texts, lambda texts, X: (X, [text.split()[0] for text in texts])[0])


@BROKEN.fails(BrokenVectorizer, "check_unusual_texts", "NaN or infinite")
def empty_texts_become_nan(texts):
    return Twist(
        texts, lambda texts, X: X + csr_matrix(np.array([[0 if t else np.nan] * X.shape[1] for t in texts]), dtype="f4")
    )


@BROKEN.fails(BrokenVectorizer, "check_unusual_texts", "no column")
def no_column(texts):
    return Twist(texts, lambda _, X: X[:, :0])


@BROKEN.fails(BrokenVectorizer, "check_texts_are_not_changed", "fit changes the list")
def sorts_the_corpus(texts):
    listed = list(texts)
    if isinstance(texts, list):
        texts.sort()
    return Count().fit(listed)


@BROKEN.fails(BrokenVectorizer, "check_texts_are_not_changed", "transform changes the list")
def sorts_the_texts(texts):
    return Twist(texts, lambda texts, X: (X, texts.sort() if isinstance(texts, list) else None)[0])


@BROKEN.fails(BrokenVectorizer, "check_a_row_does_not_depend_on_others", "the second time")
def every_call_counts(texts):
    calls = itertools.count(1)
    return Twist(texts, lambda _, X: X * np.float32(next(calls)))


@BROKEN.fails(
    BrokenVectorizer, "check_a_row_does_not_depend_on_others", "alone has other features than among other texts"
)
def scales_by_the_largest_of_all_rows(texts):
    return Twist(texts, lambda _, X: (X / max(X.max(), 1)).astype(np.float32))


@BROKEN.fails(BrokenVectorizer, "check_stored_vectorizer_is_the_same", "cannot be pickled")
def splits_by_a_function_without_a_name(texts):
    return CountVectorizer(dtype=np.float32, tokenizer=lambda text: text.split(), token_pattern=None).fit(texts)


@BROKEN.fails(BrokenVectorizer, "check_stored_vectorizer_is_the_same", "return plain scikit-learn objects")
def splits_by_a_function_of_our_own(texts):
    return CountVectorizer(dtype=np.float32, tokenizer=_words, token_pattern=None).fit(texts)


def _words(text):
    return text.split()


class ForgetsToCount(CountVectorizer):
    """Stored as a plain scikit-learn object, but not the same one."""

    def __reduce__(self):
        plain = CountVectorizer()
        vars(plain).update(vars(self), binary=True)
        return plain.__reduce__()


@BROKEN.fails(BrokenVectorizer, "check_stored_vectorizer_is_the_same", "gives other features")
def forgets_a_parameter_when_it_is_stored(texts):
    return ForgetsToCount(dtype=np.float32).fit(texts)


@BROKEN.each()
def test_a_broken_vectorizer_fails_the_check_of_what_it_breaks(broken, check, reason):
    assert_fails(broken, check, reason)


def test_every_check_of_vectorizers_can_fail():
    assert BROKEN.not_failed(vectorizers.CHECKS) == set()
