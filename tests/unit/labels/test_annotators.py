import json
from dataclasses import asdict

import numpy as np
import pytest

from al_learner.core.errors import PluginError
from al_learner.core.interfaces import LabelAggregator
from al_learner.core.labels import annotators
from al_learner.core.labels.annotators import Agreement, agreement, with_excerpts
from al_learner.core.labels.votes import VotedText
from al_learner.core.registry import strategy

MAJORITY = strategy("label_aggregator", "majority")


def voted(text_id: int, *votes: tuple[str | None, str]) -> VotedText:
    return VotedText(text_id, [label for _, label in votes], [user for user, _ in votes], None, taught=False)


def agreed(
    rows: list[VotedText], aggregator: LabelAggregator = MAJORITY, *, min_label_count: int = 1, n_disputed: int = 10
) -> Agreement:
    return agreement(rows, aggregator, min_label_count=min_label_count, max_label_length=50, n_disputed=n_disputed)


def test_agreement_is_the_share_of_votes_for_the_aggregated_label_on_texts_with_another_voter():
    found = agreed(
        [
            voted(1, ("ann", "a"), ("ben", "a"), ("cleo", "b")),
            voted(2, ("ann", "a"), ("ben", "b"), ("cleo", "b")),
            voted(3, ("ann", "b"), ("ann", "b")),
            voted(4, ("dora", "b")),
        ]
    )

    shown = {a.name: (a.votes, a.shared, a.agreement) for a in found.annotators}
    assert shown == {"ann": (4, 2, 0.5), "ben": (2, 2, 1.0), "cleo": (2, 2, 0.5), "dora": (1, 0, None)}
    assert [a.name for a in found.annotators] == ["ann", "ben", "cleo", "dora"]


def test_every_anonymous_vote_is_somebody_elses():
    found = agreed([voted(1, (None, "a"), ("", "a")), voted(2, (None, "b")), voted(3, ("ann", "a"), (None, "b"))])

    shown = {a.name: (a.votes, a.shared, a.agreement, a.accuracy) for a in found.annotators}
    assert shown[None] == (4, 3, pytest.approx(2 / 3), None)
    assert shown["ann"][:3] == (1, 1, 1.0)


def test_texts_below_the_needed_votes_count_as_votes_and_not_as_agreement():
    found = agreed(
        [voted(1, ("ann", "a"), ("ben", "a")), voted(2, *([("ann", "b")] * 2), ("ben", "b")), voted(3, ("cleo", "c"))],
        min_label_count=3,
    )

    shown = {a.name: (a.votes, a.shared, a.agreement) for a in found.annotators}
    assert shown == {"ann": (3, 2, 1.0), "ben": (2, 1, 1.0), "cleo": (1, 0, None)}
    assert found.disputed == ()


def test_the_texts_with_the_most_even_votes_come_first_and_then_those_with_the_most_votes():
    found = agreed(
        [
            voted(1, ("ann", "a"), ("ben", "a"), ("cleo", "b")),
            voted(2, ("ann", "a"), ("ben", "b")),
            voted(3, ("ann", "b"), ("ben", "b")),
            voted(4, ("ann", "b"), ("ben", "a"), ("cleo", "b"), ("dora", "a")),
            voted(5, ("ann", "a"), ("ben", "b"), ("cleo", "c")),
        ],
        n_disputed=3,
    )

    assert [text.text_id for text in found.disputed] == [5, 4, 2]
    assert found.n_disputed == 4
    assert [text.entropy for text in found.disputed] == pytest.approx([np.log2(3), 1, 1])
    assert (found.disputed[1].votes, found.disputed[1].label) == ({"b": 2, "a": 2}, "b")


def test_an_aggregator_that_estimates_no_accuracies_is_helped_out_and_named():
    rows = [voted(n, ("ann", "ab"[n % 2]), ("ben", "ab"[n % 2]), ("cleo", "ab"[n % 3 % 2])) for n in range(30)]

    found = agreed(rows)

    accuracy = {a.name: a.accuracy for a in found.annotators}
    assert (found.estimated_by, found.problem) == ("dawid-skene", None)
    assert accuracy["ann"] == accuracy["ben"] > 0.9 > accuracy["cleo"]
    assert agreed(rows, strategy("label_aggregator", "dawid-skene")).annotators == found.annotators


def test_without_anybody_to_estimate_them_it_says_what_to_install(monkeypatch):
    def missing(kind, name):
        raise PluginError(f"{kind} {name!r} cannot be loaded")

    monkeypatch.setattr(annotators, "strategy", missing)

    found = agreed([voted(1, ("ann", "a"), ("ben", "a"))])

    assert (found.estimated_by, found.problem) == (None, "label_aggregator 'dawid-skene' cannot be loaded")
    assert [a.accuracy for a in found.annotators] == [None, None]


class Estimating(type(MAJORITY)):
    value: object = None

    def accuracies(self, votes):  # noqa: ARG002 - whatever they are
        return 1 / 0 if self.value is None else self.value


@pytest.mark.parametrize("value", [None, [1.0], [[1.0, 0.5]], [0.5, 1.5], [-0.1, 0.5], ["a", "b"]])
def test_an_estimate_that_is_none_is_named(value):
    with pytest.raises(PluginError, match="label_aggregator Estimating"):
        agreed([voted(1, ("ann", "a"), ("ben", "a"))], Estimating(value=value))


class Undecided(type(MAJORITY)):
    def accuracies(self, votes):  # noqa: ARG002 - whatever they are
        return np.array([np.nan, 0.25])


def test_an_unknown_accuracy_is_none_so_that_json_can_have_it():
    found = agreed([voted(1, ("ann", "a"), ("ben", "a"))], Undecided())

    assert [a.accuracy for a in found.annotators] == [None, 0.25]
    json.dumps(asdict(found), allow_nan=False)


def test_a_project_without_votes_has_no_annotators():
    found = agreed([VotedText(1, None, None, "a", taught=True)])

    assert (found.annotators, found.disputed, found.n_disputed) == ((), (), 0)


def test_an_excerpt_is_one_short_line_that_a_terminal_can_show():
    found = agreed([voted(n, ("ann", "a"), ("ben", "b")) for n in (1, 2, 3)])

    shown = with_excerpts(found, {1: " a\tfew\n words\x1b[2J", 2: "word " * 1_000_000})

    first, second, third = (text.excerpt for text in shown.disputed)
    assert first == "a few words\N{REPLACEMENT CHARACTER}[2J"
    assert (len(second), second[-1]) == (60, "…")
    assert third == ""
