"""How a simulated project is played: noise, votes, and which texts are asked about."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from al_learner.core.errors import SettingsError
from al_learner.core.simulation.plan import MAX_HELD_OUT, Plan, n_held_out, n_pool
from al_learner.core.simulation.query_strategies import pick
from al_learner.core.simulation.simulated_annotators import Noise, vote

N_LABELS = 5


def truth(n: int) -> np.ndarray:
    return np.arange(n) % N_LABELS


def votes(n: int, plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(plan.seed)
    return vote(truth(n), N_LABELS, annotators=plan.annotators, votes=plan.votes, noise=plan.noise, rng=rng)


class Unsure:
    """A classifier whose probabilities are the features."""

    classes_ = np.array(["a", "b", "c"])

    def predict_proba(self, X):
        return X


@pytest.mark.parametrize(
    "noise", [Noise("uniform", 0.1), Noise("careless", 0.5), Noise("uniform", 0), Noise("careless", 1)]
)
def test_noise_is_read_as_it_is_written(noise):
    assert Noise.of(str(noise)) == noise


@pytest.mark.parametrize(
    "written", ["", "0.1", "uniform", "uniform:", "uniform:2", "uniform:-1", "lazy:0.5", "careless:nan"]
)
def test_other_noise_is_refused_with_what_would_do(written):
    with pytest.raises(SettingsError, match="write uniform:RATE or careless:RATE"):
        Noise.of(written)


def test_without_noise_everybody_tells_the_truth():
    _, voted = votes(100, Plan(rounds=1, batch_size=1, annotators=3, votes=3))
    assert (voted == truth(100)[:, None]).all()


def test_uniform_noise_is_as_frequent_as_its_rate_and_the_same_for_all():
    plan = Plan(rounds=1, batch_size=1, annotators=3, votes=3, noise=Noise("uniform", 0.3))
    voters, voted = votes(20_000, plan)
    is_wrong = voted != truth(20_000)[:, None]
    assert [is_wrong[voters == who].mean() for who in range(3)] == pytest.approx([0.3] * 3, abs=0.015)


def test_a_wrong_label_is_any_of_the_others():
    plan = Plan(rounds=1, batch_size=1, noise=Noise("uniform", 1))
    _, voted = votes(20_000, plan)
    shares = np.bincount(voted[truth(20_000) == 2, 0], minlength=N_LABELS) / (truth(20_000) == 2).sum()
    assert shares == pytest.approx([0.25, 0.25, 0, 0.25, 0.25], abs=0.03)


def test_of_careless_noise_only_one_annotator_is_guilty():
    plan = Plan(rounds=1, batch_size=1, annotators=4, votes=2, noise=Noise("careless", 0.5))
    voters, voted = votes(20_000, plan)
    is_wrong = voted != truth(20_000)[:, None]
    assert {*voters[is_wrong].tolist()} == {0}
    assert is_wrong[voters == 0].mean() == pytest.approx(0.5, abs=0.02)


@given(st.integers(1, 6), st.data())
def test_nobody_votes_twice_on_a_text_and_everybody_votes(annotators, data):
    plan = Plan(rounds=1, batch_size=1, annotators=annotators, votes=data.draw(st.integers(1, annotators)))
    voters, voted = votes(200, plan)
    assert voters.shape == voted.shape == (200, plan.votes)
    assert all(len({*row}) == plan.votes for row in voters.tolist())
    assert {*voters.ravel().tolist()} == {*range(annotators)}


def test_the_least_confident_texts_have_the_lowest_top_probability():
    X = np.array([[0.9, 0.1, 0.0], [0.5, 0.5, 0.0], [0.45, 0.3, 0.25], [0.6, 0.4, 0.0]])
    assert pick("least-confidence", 2, Unsure(), X, np.random.default_rng(0)).tolist() == [2, 1]


def test_the_smallest_margin_is_between_the_two_top_probabilities():
    X = np.array([[0.9, 0.1, 0.0], [0.5, 0.5, 0.0], [0.45, 0.3, 0.25], [0.6, 0.4, 0.0]])
    assert pick("margin", 2, Unsure(), X, np.random.default_rng(0)).tolist() == [1, 2]


def test_among_equals_the_first_texts_are_asked_about():
    X = np.full((10, 3), 1 / 3)
    assert pick("least-confidence", 3, Unsure(), X, np.random.default_rng(0)).tolist() == [0, 1, 2]


def test_a_random_query_picks_different_texts_and_the_same_with_the_same_seed():
    X = np.zeros((10, 3))
    first, again = (pick("random", 5, Unsure(), X, np.random.default_rng(1)) for _ in range(2))
    assert first.tolist() == again.tolist()
    assert len({*first.tolist()}) == 5


@given(st.integers(2, 100_000), st.one_of(st.none(), st.integers(2, 100_000)))
def test_every_text_that_is_taken_is_held_out_or_can_be_voted_on(n_texts, max_texts):
    taken = min(n_texts, max_texts or n_texts)
    assert n_held_out(taken) + n_pool(n_texts, max_texts) == taken
    assert 1 <= n_held_out(taken) <= MAX_HELD_OUT


def test_a_plan_that_fits_the_corpus_has_no_problems():
    assert Plan(rounds=8, batch_size=10).problems(100) == []
    assert len(Plan(rounds=9, batch_size=10).problems(100)) == 1
    assert len(Plan(rounds=8, batch_size=10, max_texts=90).problems(100)) == 1


def test_everything_that_is_wrong_with_a_plan_is_told_at_once():
    plan = Plan(rounds=0, batch_size=0, query="best", votes=2, seed=-1, noise=Noise("careless", 0.5))
    said = "\n".join(plan.problems(100))
    for named in ("rounds = 0", "batch_size = 0", "seed = -1", "query 'best'", "votes = 2: at most 1", "careless:0.5"):
        assert named in said
