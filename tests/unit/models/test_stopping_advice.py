import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from al_learner.core.models.stopping_advice import BATCHES, advise

TRUTH = dict.fromkeys(range(100), "x")


def scored(clf_id, n_right, n_changed=0, sample=100):
    """Return a score: of a hundred texts so many right; of a fixed sample so many predicted otherwise."""
    codes = [1 if number < n_changed else number % 2 * 2 for number in range(sample)]
    return clf_id, {
        "basis": "votes",
        "labels": ["w", "x", "y"],
        "predictions": {"ids": [*range(100)], "labels": [1] * n_right + [0] * (100 - n_right)},
        "sample": {"ids": [*range(1, sample + 1)], "labels": codes},
    }


@pytest.mark.parametrize("n", range(BATCHES + 1))
def test_a_few_batches_are_too_little_for_advice(n):
    advice = advise([scored(number, 50) for number in range(n)], TRUTH)

    assert advice.words == f"not enough data: 6 scored batches of votes are needed; there are {n}"
    assert (advice.gain, advice.kappa) == (None, None)


def test_nothing_gained_and_nothing_changed_advises_that_more_changes_little():
    advice = advise([scored(number, 50) for number in range(9)], TRUTH)

    assert (advice.gain, advice.kappa, advice.size, advice.sample_size) == (0, 1, 100, 100)
    assert (
        "the last 5 batches changed accuracy by +0.0 points (95%: -1.9 to +1.9), measured on the 100 texts with votes"
        in advice.words
    )
    assert "on 100 fixed texts agree with kappa 1.000. " in advice.words
    assert advice.words.endswith("more votes of this kind will probably change little. You decide whether to stop.")


def test_predictions_that_still_change_advise_to_go_on():
    advice = advise([scored(number, 50, n_changed=20 * (number % 2)) for number in range(9)], TRUTH)

    labels = [np.array(scored(0, 0, n_changed)[1]["sample"]["labels"]) for n_changed in (0, 20)]
    assert advice.kappa == pytest.approx(cohen_kappa_score(*labels))
    assert advice.words.endswith(
        "Predictions still change, so more votes will probably change the classifier. You decide whether to stop."
    )


def test_accuracy_that_grew_under_stable_predictions_is_said():
    advice = advise([scored(number, 80 if number == 0 else 50) for number in range(9)], TRUTH)

    assert advice.gain == pytest.approx(0.3)
    assert "but accuracy still grew: more votes may help. You decide whether to stop." in advice.words


def test_a_gain_across_a_change_of_the_prior_says_so():
    (newest, score), *older = [scored(9 - number, 50) for number in range(9)]

    advice = advise([(newest, {**score, "prior_id": 2}), *older], TRUTH)

    assert "; their priors are different: classifier 4 has no prior, classifier 9 has prior 2. Pre" in advice.words
    assert "priors" not in advise([(newest, score), *older], TRUTH).words


def test_the_gain_is_over_five_batches_and_the_agreement_over_three():
    newest_first = [scored(0, 60)] + [scored(n, 10, n_changed=50 * (n > 3)) for n in range(1, 5)] + [scored(5, 55)]

    advice = advise([*newest_first, scored(6, 0)], TRUTH)

    assert advice.gain == pytest.approx(0.05)
    assert advice.kappa == 1


def test_scores_without_a_common_text_say_so():
    advice = advise([scored(number, 50) for number in range(6)], {})

    assert advice.words.startswith("not enough data: classifiers 5 and 0 have no hold-out text in common")
