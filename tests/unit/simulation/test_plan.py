"""Whether a corpus is large enough for a plan, and what is held out."""

from hypothesis import given
from hypothesis import strategies as st

from al_learner.core.simulation.plan import MAX_HELD_OUT, Plan, n_held_out, n_pool
from al_learner.core.simulation.simulated_annotators import Noise


@given(st.integers(2, 100_000), st.one_of(st.none(), st.integers(2, 100_000)))
def test_every_text_that_is_taken_is_held_out_or_can_be_voted_on(n_texts, max_texts):
    taken = min(n_texts, max_texts or n_texts)
    assert n_held_out(taken) + n_pool(n_texts, max_texts) == taken
    assert 1 <= n_held_out(taken) <= MAX_HELD_OUT


def test_a_plan_that_fits_the_corpus_has_no_problems():
    assert Plan(rounds=8, batch_size=10).problems(100) == []
    assert len(Plan(rounds=9, batch_size=10).problems(100)) == 1
    assert len(Plan(rounds=8, batch_size=10, max_texts=90).problems(100)) == 1


def test_everything_that_is_wrong_with_a_plan_is_reported_at_once():
    plan = Plan(rounds=0, batch_size=0, votes=2, seed=-1, noise=Noise("careless", 0.5))
    said = "\n".join(plan.problems(100))
    for named in (
        "rounds = 0",
        "batch_size = 0",
        "seed = -1",
        "votes = 2: must be at most 1",
        "careless:0.5",
    ):
        assert named in said
