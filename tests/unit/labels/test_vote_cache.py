from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from al_learner.core.labels.aggregation import winners
from al_learner.core.labels.new_samples import aggregate
from al_learner.core.labels.votes import RANGE, VoteCache, VotedText, votes_of
from al_learner.core.registry import strategy

MAJORITY = strategy("label_aggregator", "majority")
LONGEST = 3

TEXT_IDS = st.sampled_from([1, 2, RANGE - 1, RANGE, 5 * RANGE, 5 * RANGE + 7])
ROWS = st.builds(
    VotedText,
    text_id=TEXT_IDS,
    labels=st.none() | st.lists(st.sampled_from(["a", "b", "c", "long", "", None]), max_size=4),
    users=st.none() | st.lists(st.sampled_from(["ann", "ben", ""]), max_size=4),
    major_label=st.sampled_from([None, "a", "b", "old"]),
    taught=st.booleans(),
)
CHANGES = st.lists(st.tuples(TEXT_IDS, st.none() | ROWS), max_size=4)


class Table:
    """Voted texts, their digests, and which ranges were read."""

    def __init__(self) -> None:
        self.rows: dict[int, VotedText] = {}
        self.read: list[int] = []

    def digests(self) -> dict[int, int]:
        ranges: dict[int, list[Any]] = {}
        for text_id, row in sorted(self.rows.items()):
            ranges.setdefault(text_id // RANGE, []).append(repr(row))
        return {number: hash(tuple(rows)) for number, rows in ranges.items()}

    def voted_texts(self, ranges: Any) -> Any:
        self.read += ranges
        return (row for text_id, row in sorted(self.rows.items()) if text_id // RANGE in ranges)


def found(cache: VoteCache, min_label_count: int) -> Any:
    result = aggregate(cache.count(min_label_count=min_label_count), partial(winners, MAJORITY))
    arrays = {name: getattr(result, name).tolist() for name in ("text_ids", "codes", "is_new", "voted_ids")}
    return replace(result, text_ids=[], codes=[], is_new=[], voted_ids=[], too_long=sorted(result.too_long)), arrays


@given(st.lists(CHANGES, max_size=5), st.integers(1, 3))
def test_what_was_read_in_pieces_is_what_is_read_at_once(batches, min_label_count):
    table, cache = Table(), VoteCache(max_label_length=LONGEST)
    for changes in [[], *batches]:
        before = table.digests()
        for text_id, row in changes:
            table.rows.pop(text_id, None)
            if row is not None:
                table.rows[text_id] = row._replace(text_id=text_id)
        table.read.clear()

        cache.refresh(table.digests(), table.voted_texts)

        after = table.digests()
        assert table.read == sorted(number for number in after if after[number] != before.get(number))
        fresh = VoteCache(max_label_length=LONGEST)
        fresh.refresh(None, lambda _: (row for _, row in sorted(table.rows.items())))
        assert found(cache, min_label_count) == found(fresh, min_label_count)


def test_what_was_read_at_once_can_be_read_in_pieces_later_and_the_other_way_round():
    table, cache = Table(), VoteCache(max_label_length=LONGEST)
    for number, at_once in enumerate([True, False, True, False]):
        table.rows[2 * RANGE + number] = VotedText(2 * RANGE + number, ["a"], ["ann"], None, taught=False)

        cache.refresh(*((None, lambda _: [*table.rows.values()]) if at_once else (table.digests(), table.voted_texts)))

        assert cache.n_texts == number + 1
        assert cache.count(min_label_count=1).text_ids.tolist() == sorted(table.rows)
    table.rows = {RANGE: table.rows[2 * RANGE]._replace(text_id=RANGE)}
    cache.refresh(table.digests(), table.voted_texts)
    assert cache.count(min_label_count=1).text_ids.tolist() == [RANGE]


def test_an_aggregator_sees_no_label_and_no_annotator_that_is_gone():
    table, cache = Table(), VoteCache(max_label_length=LONGEST)
    table.rows = {
        1: VotedText(1, ["a"], ["ann"], None, taught=False),
        2: VotedText(2, ["b"], ["ben"], None, taught=False),
    }
    cache.refresh(table.digests(), table.voted_texts)
    table.rows[1] = VotedText(1, ["c"], ["cleo"], None, taught=False)

    cache.refresh(table.digests(), table.voted_texts)

    counted = cache.count(min_label_count=1)
    assert (sorted(counted.votes.label_names), sorted(counted.annotators)) == (["b", "c"], ["ben", "cleo"])


def test_after_an_error_the_same_ranges_are_read_again():
    table, cache = Table(), VoteCache(max_label_length=LONGEST)
    table.rows = {1: VotedText(1, ["a"], ["ann"], None, taught=False)}

    def fails(_: Any) -> Any:
        raise ConnectionError

    for read in (fails, table.voted_texts):
        try:
            cache.refresh(table.digests(), read)
        except ConnectionError:
            assert read is fails

    assert cache.count(min_label_count=1).n_votes == 1


@given(row=ROWS)
def test_an_export_has_the_votes_that_the_cache_counts(row):
    cache = VoteCache(max_label_length=LONGEST)
    cache.refresh(None, lambda _: [row])
    counted = cache.count(min_label_count=1)
    pairs = zip(counted.votes.label.tolist(), counted.votes.annotator.tolist(), strict=True)

    assert [*votes_of(row.labels, row.users, max_label_length=LONGEST)] == [
        (counted.votes.label_names[label], None if annotator < 0 else counted.annotators[annotator])
        for label, annotator in pairs
    ]
