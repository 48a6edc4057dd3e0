from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import Field

from al_learner.core.errors import PluginError
from al_learner.core.interfaces import Codes, LabelAggregator, Votes
from al_learner.core.labels.new_samples import AggregatedLabels, aggregate_votes
from al_learner.core.labels.votes import VotedText
from al_learner.core.registry import strategy

LONGEST = 3
MAJORITY = strategy("label_aggregator", "majority")

ENTRIES = st.sampled_from(["a", "b", "A", " a", "abc", None, "", "long", "longer"])
TEXTS = st.lists(
    st.builds(
        VotedText,
        text_id=st.integers(1, 2**31 - 1),
        labels=st.none() | st.lists(ENTRIES, max_size=6),
        users=st.none() | st.lists(st.sampled_from(["ann", "ben", "", None]), max_size=8),
        major_label=st.sampled_from([None, "a", "b", "A", "old"]),
        taught=st.booleans(),
    ),
    unique_by=lambda row: row.text_id,
    max_size=8,
)


def aggregated(
    rows: list[VotedText], aggregator: LabelAggregator = MAJORITY, *, min_label_count: int = 1
) -> AggregatedLabels:
    return aggregate_votes(iter(rows), aggregator, min_label_count=min_label_count, max_label_length=LONGEST)


def voted(*labels: str | None, text_id: int = 1, major_label: str | None = None, taught: bool = False) -> VotedText:
    return VotedText(text_id, list(labels), ["ann"] * len(labels), major_label, taught)


def model(rows: list[VotedText], min_label_count: int) -> tuple[dict[int, str], set[int], int, int]:
    """Labels, new samples, votes and countable texts, as literally as design, section 2, says it."""
    labels, new, n_votes, n_countable = {}, set(), 0, 0
    for row in rows:
        votes = [entry for entry in row.labels or [] if entry and len(entry) <= LONGEST]
        n_votes += len(votes)
        if len(votes) >= min_label_count:
            n_countable += 1
            tied = [vote for vote in votes if votes.count(vote) == max(map(votes.count, votes))]
            labels[row.text_id] = row.major_label if row.major_label in tied else tied[0]
            if not row.taught or row.major_label != labels[row.text_id]:
                new.add(row.text_id)
        elif row.major_label is not None:
            labels[row.text_id] = row.major_label
    return labels, new, n_votes, n_countable


@given(TEXTS, st.integers(1, 4))
@example([], 1)
@example([voted("b", "a", major_label="a", taught=True), voted("b", "a", text_id=2)], 2)
def test_votes_are_aggregated_as_the_glossary_says(rows, min_label_count):
    labels, new, n_votes, n_countable = model(rows, min_label_count)

    result = aggregated(rows, min_label_count=min_label_count)

    assert dict(zip(result.text_ids.tolist(), result.labels.tolist(), strict=True)) == labels
    assert set(result.text_ids[result.is_new].tolist()) == new
    assert (result.n_votes, result.n_countable, result.n_new) == (n_votes, n_countable, len(new))
    assert set(result.too_long) == {entry for row in rows for entry in row.labels or [] if len(entry or "") > LONGEST}


@given(st.data(), TEXTS, st.integers(1, 3))
def test_the_order_in_which_texts_are_read_does_not_matter(data, rows, min_label_count):
    there = aggregated(rows, min_label_count=min_label_count)
    back = aggregated(data.draw(st.permutations(rows)), min_label_count=min_label_count)

    assert back.text_ids.tolist() == there.text_ids.tolist() == sorted(there.text_ids)
    assert back.labels.tolist() == there.labels.tolist()
    assert back.is_new.tolist() == there.is_new.tolist()
    assert (back.n_votes, back.n_countable) == (there.n_votes, there.n_countable)


def test_a_text_that_falls_below_the_minimum_keeps_its_label_and_is_not_new():
    result = aggregated([voted("b", major_label="a", taught=True), voted("b", text_id=2)], min_label_count=2)

    assert (result.text_ids.tolist(), result.labels.tolist(), result.n_new) == ([1], ["a"], 0)


class Recorder(LabelAggregator):
    seen: list[Any] = Field(default_factory=list)

    def aggregate(self, votes: Votes) -> Codes:
        self.seen.append(votes)
        return np.zeros(len(votes.stored), np.intp)


def test_an_aggregator_is_given_only_countable_texts_as_codes_in_voting_order():
    recorder = Recorder()
    aggregated(
        [
            VotedText(7, ["b", None, "a", "b"], ["ann", "ben", ""], "c", taught=False),
            VotedText(8, ["a"], ["ann"], None, taught=False),
            VotedText(9, ["a", "c"], ["ben", "ann", "cleo"], None, taught=False),
        ],
        recorder,
        min_label_count=2,
    )

    [votes] = recorder.seen
    assert votes.text.tolist() == [0, 0, 0, 1, 1]
    assert [votes.label_names[code] for code in votes.label] == ["b", "a", "b", "a", "c"]
    ann, _, _, ben, _ = annotators = votes.annotator.tolist()
    assert annotators == [ann, -1, -1, ben, ann]
    assert ann != ben
    assert min(ann, ben) >= 0
    assert votes.stored.tolist() == [votes.label_names.index("c"), -1]
    assert {array.dtype for array in (votes.text, votes.label, votes.annotator, votes.stored)} == {np.dtype(np.intp)}


class Returning(LabelAggregator):
    value: object = None

    def aggregate(self, votes: Votes) -> Codes:  # noqa: ARG002 - whatever they are
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(ZeroDivisionError("by zero"), id="raises"),
        pytest.param(None, id="nothing"),
        pytest.param(np.array([0]), id="one code too few"),
        pytest.param(np.array([[0], [0]]), id="two dimensions"),
        pytest.param(np.array([0, 2]), id="a code that no label has"),
        pytest.param(np.array([0, -1]), id="no label"),
        pytest.param(np.array([0.0, 1.0]), id="floats"),
        pytest.param(np.array(["a", "b"]), id="names"),
    ],
)
def test_an_aggregator_that_fails_or_returns_something_else_is_named(value):
    with pytest.raises(PluginError, match="label_aggregator Returning"):
        aggregated([voted("a"), voted("b", text_id=2)], Returning(value=value))


def test_an_aggregator_may_return_a_list_of_codes_of_any_integer_type():
    rows = [voted("a"), voted("b", text_id=2)]

    assert aggregated(rows, Returning(value=[1, 0])).labels.tolist() == ["b", "a"]
    assert aggregated(rows, Returning(value=np.array([1, 0], np.uint8))).labels.tolist() == ["b", "a"]


def test_an_aggregator_is_not_asked_when_nothing_can_be_counted():
    result = aggregated([voted("a", major_label="b")], Returning(value=RuntimeError("asked")), min_label_count=2)

    assert result.labels.tolist() == ["b"]
    assert aggregated([], Returning(value=RuntimeError("asked"))).text_ids.dtype == np.int64


@pytest.mark.parametrize(("length", "n_votes"), [(50, 1), (51, 0)])
def test_what_major_label_cannot_hold_is_no_vote_but_is_reported(length, n_votes):
    row = VotedText(1, ["x" * length], ["ann"], None, taught=False)

    result = aggregate_votes([row], MAJORITY, min_label_count=1, max_label_length=50)

    assert result.n_votes == n_votes
    assert len(result.too_long) == 1 - n_votes
