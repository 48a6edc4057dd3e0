from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from al_learner.core.lifecycle.backoff import blocked
from al_learner.core.lifecycle.decide import Facts, decide, may_init, may_update
from al_learner.core.storage.records import Run

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)

AT_REST = Facts(
    new_samples=0,
    batch_size=10,
    classes=2,
    has_classifier=True,
    is_loaded=True,
    can_start_from_init_data=True,
    can_start_at_random=True,
)
EMPTY = replace(
    AT_REST,
    classes=0,
    has_classifier=False,
    is_loaded=False,
    can_start_from_init_data=False,
    can_start_at_random=False,
)
BLOCKED = {"blocked": "the last run failed"}


@pytest.mark.parametrize(
    ("facts", "due", "reason"),
    [
        pytest.param(AT_REST, None, "0 new samples; 10 more are needed", id="nothing voted"),
        pytest.param(replace(AT_REST, new_samples=9), None, "1 more are needed", id="a vote short"),
        pytest.param(replace(AT_REST, new_samples=10), "update", "10 new samples", id="a batch"),
        pytest.param(replace(AT_REST, new_samples=10, classes=1), None, "there is one", id="a batch of one label"),
        pytest.param(EMPTY, None, "data may still be loading", id="nothing loaded"),
        pytest.param(replace(EMPTY, is_loaded=True), None, "it needs two classes", id="nothing to start from"),
        pytest.param(
            replace(EMPTY, is_loaded=True, can_start_from_init_data=True, can_start_at_random=True),
            "init",
            "init_data has two classes",
            id="prelabelled data before chance",
        ),
        pytest.param(
            replace(EMPTY, is_loaded=True, can_start_at_random=True),
            "init",
            "the init sampler",
            id="two labels and a text",
        ),
        pytest.param(replace(EMPTY, can_start_from_init_data=True), None, "still be loading", id="half loaded"),
        pytest.param(
            replace(AT_REST, has_classifier=False, new_samples=10), "update", "10 new", id="update goes before init"
        ),
        pytest.param(
            replace(AT_REST, new_samples=10, announcement_pending=True, is_unscored=True),
            "update",
            "",
            id="training goes first",
        ),
        pytest.param(replace(AT_REST, announcement_pending=True, is_unscored=True), "announce", "", id="score waits"),
        pytest.param(
            replace(AT_REST, new_samples=10, announcement_pending=True, is_unscored=True, holds=True),
            "score",
            "has no score",
            id="under a gate that holds, the score goes first",
        ),
        pytest.param(
            replace(AT_REST, is_unscored=True, holds=True, **BLOCKED), "score", "", id="held or not is never blocked"
        ),
        pytest.param(replace(AT_REST, new_samples=10, holds=True), "update", "", id="scored, so training goes on"),
        pytest.param(
            replace(AT_REST, announcement_pending=True, holds=True), "announce", "", id="scored, so it is announced"
        ),
        pytest.param(replace(AT_REST, is_unscored=True, is_choice_due=True), "score", "", id="choosing waits"),
        pytest.param(replace(AT_REST, is_choice_due=True), "choose", "", id="choosing is due last"),
        pytest.param(replace(AT_REST, new_samples=10, is_choice_due=True), "update", "", id="training does not wait"),
        pytest.param(replace(AT_REST, new_samples=10, **BLOCKED), None, "the last run failed", id="blocked update"),
        pytest.param(replace(AT_REST, has_classifier=False, **BLOCKED), None, "last run failed", id="blocked init"),
        pytest.param(replace(AT_REST, **BLOCKED), None, "10 more are needed", id="blocked, but nothing is due anyway"),
        pytest.param(
            replace(AT_REST, new_samples=10, announcement_pending=True, **BLOCKED), "announce", "", id="announced"
        ),
        pytest.param(replace(AT_REST, new_samples=10, is_unscored=True, **BLOCKED), "score", "", id="scored"),
    ],
)
def test_the_most_urgent_thing_is_due(facts, due, reason):
    decided, why = decide(facts)

    assert decided == due
    assert reason in why


@given(st.builds(Facts, new_samples=st.integers(0, 30), batch_size=st.integers(1, 30), classes=st.integers(0, 4)))
def test_no_decision_breaks_a_rule_whatever_the_facts_are(facts):
    due, why = decide(facts)

    assert why
    if due in ("update", "init"):
        assert facts.blocked is None
    if due == "update":
        assert facts.new_samples >= facts.batch_size
        assert facts.classes > 1
    if due == "init":
        assert facts.is_loaded
        assert not facts.has_classifier
    if due is None:
        assert not facts.announcement_pending
        assert not facts.is_unscored
        assert not facts.is_choice_due
        assert facts.blocked is not None or not may_update(facts)[0]


@pytest.mark.parametrize(
    ("facts", "allowed"),
    [
        pytest.param(AT_REST, True, id="no new sample"),
        pytest.param(replace(AT_REST, classes=1), False, id="one class"),
    ],
)
def test_force_ignores_the_batch_size_and_nothing_else(facts, allowed):
    assert may_update(facts, forced=True)[0] is allowed


def test_a_first_classifier_may_be_trained_again_by_hand():
    assert may_init(AT_REST)[0]


def a_run(status: str, *, state: str = "same", ended: datetime | None = NOW) -> Run:
    fields = dict.fromkeys(Run.__dataclass_fields__)
    return Run(**{**fields, "status": status, "state": state, "finished": ended, "error": "out of luck"})


@pytest.mark.parametrize(
    ("status", "in_a_row", "pause_s"),
    [
        ("failed", 1, 30),
        ("failed", 2, 60),
        ("failed", 3, 120),
        ("failed", 7, 1920),
        ("failed", 8, 3600),
        ("failed", 50, 3600),
        ("died", 2, 5),
        ("died", 3, 10),
        ("died", 11, 2560),
        ("died", 12, 3600),
        ("died", 50, 3600),
    ],
)
def test_the_pause_doubles_with_every_bad_run_up_to_an_hour(status, in_a_row, pause_s):
    runs = [a_run(status)] * in_a_row + [a_run("succeeded")]

    reason = blocked(runs, "same", NOW + timedelta(seconds=pause_s - 1))

    assert "out of luck" in reason
    assert (f"{in_a_row} times in a row" in reason) == (in_a_row > 1)
    assert f"{NOW + timedelta(seconds=pause_s):%H:%M:%S}" in reason
    assert blocked(runs, "same", NOW + timedelta(seconds=pause_s)) is None


@pytest.mark.parametrize(
    "runs",
    [
        pytest.param([], id="no run yet"),
        pytest.param([a_run("died")], id="the first that died"),
        pytest.param([a_run("failed", state="other")], id="something changed since"),
        pytest.param([a_run("abandoned"), a_run("failed")], id="a shutdown is no failure"),
        pytest.param([a_run("succeeded"), a_run("failed")], id="success"),
        pytest.param([a_run("failed", ended=None)], id="never ended"),
    ],
)
def test_nothing_is_blocked_after(runs):
    assert blocked(runs, "same", NOW) is None


@pytest.mark.parametrize(
    "older",
    [
        pytest.param(a_run("succeeded"), id="a success"),
        pytest.param(a_run("abandoned"), id="a shutdown"),
        pytest.param(a_run("failed", state="other"), id="a failure on another state"),
    ],
)
def test_counting_bad_runs_stops_at(older):
    runs = [a_run("failed"), older, a_run("failed")]

    assert blocked(runs, "same", NOW) is not None
    assert blocked(runs, "same", NOW + timedelta(seconds=30)) is None


def test_a_clock_that_was_set_back_does_not_make_the_pause_longer():
    assert blocked([a_run("failed")], "same", NOW - timedelta(hours=5)) is None


def test_a_superseded_worker_does_nothing():
    facts = replace(AT_REST, new_samples=10, announcement_pending=True, is_unscored=True, superseded="by another")

    assert decide(facts) == (None, "by another")
