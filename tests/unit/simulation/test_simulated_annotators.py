"""Who votes in a simulation, and how often they err."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from al_learner.core.errors import SettingsError
from al_learner.core.simulation.plan import Plan
from al_learner.core.simulation.simulated_annotators import Noise, vote

N_LABELS = 5


def truth(n: int) -> np.ndarray:
    return np.arange(n) % N_LABELS


def votes(n: int, plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(plan.seed)
    return vote(truth(n), N_LABELS, annotators=plan.annotators, votes=plan.votes, noise=plan.noise, rng=rng)


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


def test_without_noise_all_votes_are_right():
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
