import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from al_learner.core.registry import strategy

TEXTS = ["One two two", "two three", "", "one two three two four"]

OTHER_THAN_DEFAULT = {
    "count": {
        "lowercase": False,
        "ngram_range": (1, 2),
        "min_df": 2,
        "max_df": 0.5,
        "max_features": 3,
        "binary": True,
    },
    "tfidf": {
        "lowercase": False,
        "ngram_range": (1, 2),
        "min_df": 2,
        "max_df": 0.5,
        "max_features": 3,
        "sublinear_tf": True,
        "norm": None,
    },
    "hashing": {"n_features": 2**6, "lowercase": False, "ngram_range": (2, 2), "binary": True, "norm": "l1"},
}

VECTORIZERS = sorted(OTHER_THAN_DEFAULT)


@pytest.mark.parametrize("name", VECTORIZERS)
def test_every_parameter_reaches_what_is_trained(name):
    params = OTHER_THAN_DEFAULT[name]
    vectorizer = strategy("vectorizer", name, **params)
    defaults = strategy("vectorizer", name).model_dump()

    assert params.keys() == defaults.keys()
    assert not params.items() & defaults.items()
    assert params.items() <= vectorizer.fit(TEXTS * 2).get_params().items()


@pytest.mark.parametrize("name", VECTORIZERS)
def test_features_are_never_negative_float32_rows(name):
    X = strategy("vectorizer", name).fit(iter(TEXTS)).transform(TEXTS)

    assert (X.format, X.dtype, X.shape[0]) == ("csr", np.float32, len(TEXTS))
    assert X.min() == 0
    assert X.getnnz(axis=1).tolist() == [2, 2, 0, 4]


def test_count_counts():
    X = strategy("vectorizer", "count").fit(TEXTS).transform(["two TWO one unheard-of"])

    assert sorted(X.data) == [1, 2]


def test_tfidf_weighs_a_rare_word_more():
    transformer = strategy("vectorizer", "tfidf").fit(TEXTS)

    weights = transformer.transform(["two four"]).toarray()[0]

    assert weights[transformer.vocabulary_["four"]] > weights[transformer.vocabulary_["two"]] > 0


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"lowercase": False},
        {"ngram_range": (1, 2), "min_df": 2},
        {"max_df": 0.5},
        {"min_df": 0.2, "max_df": 4},
        {"max_features": 2},
        {"max_features": 3, "ngram_range": (2, 3)},
    ],
)
@pytest.mark.parametrize(("name", "theirs"), [("count", CountVectorizer), ("tfidf", TfidfVectorizer)])
def test_what_is_counted_gives_the_features_that_scikit_learn_computes(name, theirs, params):
    corpus = [*TEXTS, "Two, too: zwei!", "ONE and one and two", "three_four 5 six", "of each: one"]

    ours = strategy("vectorizer", name, **params).fit(iter(corpus))
    expected = theirs(**params, dtype=np.float32).fit(corpus)

    assert ours.vocabulary_ == expected.vocabulary_
    np.testing.assert_array_equal(ours.transform(corpus).toarray(), expected.transform(corpus).toarray())


def test_hashing_never_reads_the_corpus():
    def corpus():
        raise AssertionError("the corpus was read")
        yield

    assert strategy("vectorizer", "hashing").fit(corpus()).transform(["a word"]).nnz == 1
