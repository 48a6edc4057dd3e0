"""Which words speak for a label: exact for linear models, and refused for others."""

from __future__ import annotations

import numpy as np
import pytest

from al_learner import Learner
from al_learner.core.errors import DataError
from al_learner.core.registry import Spec
from tests.support.corpora import COMMON, WORDS, small

LINEAR = ["logreg", "logreg(C=30, naive_bayes=0.3)", "complement-nb", "sgd", 'sgd(loss="modified_huber")']


def fitted(classifier, vectorizer="tfidf", *, labels=None):
    texts, y = small()
    rows = [row for row, label in enumerate(y) if labels is None or label in labels]
    learner = Learner(classifier=Spec.read("classifier", classifier).make("classifier"), vectorizer=vectorizer)
    return learner.fit([texts[row] for row in rows], [y[row] for row in rows])


def own_scores(learner, text):
    """Return the scores that the model computes itself, less their mean."""
    if not hasattr(learner, "decision_function"):
        scores = np.log(learner.predict_proba([text])[0])
        return scores - scores.mean()
    scores = np.asarray(learner.decision_function([text]), float)[0]
    return np.array([-scores / 2, scores / 2]) if scores.ndim == 0 else scores - scores.mean()


@pytest.mark.parametrize("classifier", LINEAR)
@pytest.mark.parametrize("labels", [None, ("fruit", "tool")], ids=["three labels", "two labels"])
@pytest.mark.parametrize("vectorizer", ["tfidf", "lsa"])
def test_the_effects_add_up_to_the_score_of_the_model(classifier, labels, vectorizer):
    learner = fitted(classifier, vectorizer, labels=labels)
    text = "the red hammer and an apple"
    for row, label in enumerate(learner.classes_):
        found = learner.explain(text, label=label)
        assert found.score == pytest.approx(own_scores(learner, text)[row], abs=1e-3)
        assert found.score == pytest.approx(found.start + sum(value for _, value in found.effects), abs=1e-6)
        assert found.probability == pytest.approx(learner.predict_proba([text])[0, row])


def test_the_predicted_label_is_explained_by_its_words_the_strongest_first():
    found = fitted("logreg").explain("hammer hammer on the nail")
    assert found.label == "tool"
    assert {effect.name for effect in found.side(1)[:2]} == {"hammer", "nail"}
    assert [abs(value) for _, value in found.effects] == sorted((abs(v) for _, v in found.effects), reverse=True)
    assert found.side(1) + found.side(-1) != []
    assert str(found).startswith("tool: ")


def test_a_word_of_another_label_speaks_against_it():
    found = fitted("logreg").explain("a hammer", label="fruit")
    assert found.side(-1)[0].name == "hammer"
    assert "against it: hammer -" in str(found)


def test_all_columns_of_meaning_are_one_effect():
    found = fitted("logreg", "lsa").explain("the hammer")
    assert [effect.name for effect in found.effects].count("meaning") == 1


def test_a_text_without_a_known_word_has_the_score_of_the_label_itself():
    found = fitted("logreg").explain("zzz")
    assert found.effects == ()
    assert found.score == found.start


def test_the_words_of_a_label_speak_most_for_it():
    top = fitted("logreg").top_features(4)
    for label, words in WORDS.items():
        assert {effect.name for effect in top[label]} == {*words.split()}
        assert not {effect.name for effect in top[label]} & {*COMMON}


@pytest.mark.parametrize(
    ("classifier", "vectorizer", "reason"),
    [
        ("lightgbm", "tfidf", "LGBMClassifier cannot be explained: it is not a linear model"),
        ("logreg", "hashing", "the vectorizer has no names for its columns, as hashing has none"),
    ],
)
def test_what_cannot_be_explained_says_why(classifier, vectorizer, reason):
    with pytest.raises(DataError, match=reason):
        fitted(classifier, vectorizer).explain("the hammer")


def test_a_label_that_the_classifier_does_not_know_is_refused():
    with pytest.raises(DataError, match=r"'fruits' \(did you mean 'fruit'\?\); it knows bird, fruit, tool"):
        fitted("logreg").explain("the hammer", label="fruits")


def test_a_model_that_computes_its_scores_otherwise_is_refused():
    learner = fitted("logreg")
    learner.pipeline_[-1].decision_function = lambda X: np.zeros((X.shape[0], 3))
    with pytest.raises(DataError, match="not a linear model"):
        learner.explain("the hammer")
