import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from al_learner.core.interfaces import (
    Classifier,
    InitSampler,
    LabelAggregator,
    LinearStart,
    Vectorizer,
    Votes,
)
from al_learner.core.registry import Spec, strategy


@pytest.mark.parametrize("interface", [Vectorizer, Classifier, InitSampler, LabelAggregator])
def test_an_interface_asks_for_its_method(interface):
    class Empty(interface):
        pass

    with pytest.raises(TypeError, match="abstract method"):
        Empty()


def test_a_strategy_never_changes():
    with pytest.raises(ValidationError, match="frozen"):
        strategy("classifier", "logreg").C = 2


def test_a_classifier_that_cannot_start_from_a_model_trains_anew():
    class Plain(Classifier):
        def fit(self, X, y):
            return X, y

    start = LinearStart(np.zeros((1, 1)), np.zeros(1))

    assert Plain().fit_from("X", "y", start) == ("X", "y")


@pytest.mark.parametrize("value", [(1, 1), (1, 3), [2, 2]])
def test_a_range_of_words_is(value):
    assert strategy("vectorizer", "count", ngram_range=value).ngram_range == tuple(value)


@pytest.mark.parametrize("value", [(2, 1), (0, 1), (1,), (1, 2, 3), 2, "1-2"])
def test_no_range_of_words_is(value):
    with pytest.raises(ValueError, match="ngram_range"):
        type(strategy("vectorizer", "count"))(ngram_range=value)


@pytest.mark.parametrize("value", [1, 7, 1.0, 0.25, 0.0])
def test_a_document_frequency_stays_a_number_or_a_share_when_it_is_recorded(value):
    spec = Spec.of("vectorizer", strategy("vectorizer", "count", min_df=value))

    read_back = Spec(spec.name, json.loads(json.dumps(spec.params))).make("vectorizer")

    assert read_back.min_df == value
    assert type(read_back.min_df) is type(value)


@pytest.mark.parametrize("value", [-1, 1.5, -0.1, "often", None])
def test_no_document_frequency_is(value):
    with pytest.raises(ValueError, match="min_df"):
        type(strategy("vectorizer", "count"))(min_df=value)


@given(n_texts=st.integers(1, 50), size=st.integers(1, 200), seed=st.integers(0, 99))
def test_a_pick_uses_each_text_once_more_only_when_all_were_used(n_texts, size, seed):
    picked = strategy("init_sampler", "uniform").pick(n_texts, size, np.random.default_rng(seed))

    uses = np.bincount(picked, minlength=n_texts)
    assert (len(picked), len(uses)) == (size, n_texts)
    assert uses.max() - uses.min() <= 1


@given(st.lists(st.lists(st.integers(-1, 3), min_size=1, max_size=5), max_size=5))
def test_a_vote_is_shared_if_somebody_else_voted_too_and_nobody_named_is_always_somebody_else(voters):
    voted = [(text, annotator) for text, annotators in enumerate(voters) for annotator in annotators]
    text, annotator = (np.array([vote[n] for vote in voted], np.intp) for n in range(2))
    votes = Votes(text, annotator, np.zeros_like(text), ("a",), np.full(len(voters), -1))

    assert votes.is_shared.tolist() == [
        len(voters[text]) > (voters[text].count(annotator) if annotator >= 0 else 1) for text, annotator in voted
    ]
