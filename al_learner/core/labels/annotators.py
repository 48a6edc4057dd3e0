"""How annotators agree: with the aggregated labels, and with each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from al_learner.core.errors import PluginError
from al_learner.core.interfaces import Codes, LabelAggregator
from al_learner.core.labels.aggregation import accuracies, winners
from al_learner.core.labels.votes import Counted, VotedText, count
from al_learner.core.registry import Spec, strategy

ESTIMATOR = "dawid-skene"
"""The label aggregator that estimates accuracies where the configured one does not."""


TIES = "If labels have as many votes each, the stored one of them wins, or else the one that was voted first."
"""What a person must know who reads the votes of disputed texts."""

EXCERPT_LENGTH = 60
"""Characters of a text that are shown."""


@dataclass(frozen=True)
class Annotator:
    """One annotator, or all anonymous ones together.

    Attributes
    ----------
    name : str or None
        None: all anonymous votes together.
    votes : int
        Their votes, on all texts.
    shared : int
        Votes on countable texts on which somebody else voted too. The next two are computed on these.
    agreement : float or None
        Share of the shared votes that are for the text's aggregated label.
    accuracy : float or None
        Estimated share of the shared votes that are right.
    """

    name: str | None
    votes: int
    shared: int
    agreement: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Disputed:
    """A countable text with votes for different labels.

    Attributes
    ----------
    votes : mapping of str to int
        Label to number of votes, the most first.
    label : str
        The label that they aggregate to.
    entropy : float
        Of the votes, in bits: 0 if all are for one label, 1 for two labels with as many votes each.
    excerpt : str
        The beginning of the text, in one line.
    """

    text_id: int
    votes: Mapping[str, int]
    label: str
    entropy: float
    excerpt: str = ""


@dataclass(frozen=True)
class Agreement:
    """How annotators agree.

    Attributes
    ----------
    annotators : tuple of Annotator
        The one with most votes first.
    disputed : tuple of Disputed
        The texts with most disagreement: by entropy, then by number of votes.
    n_disputed : int
        Number of all disputed texts.
    estimated_by : str or None
        The label aggregator that estimated the accuracies.
    problem : str or None
        Why none did.
    """

    annotators: tuple[Annotator, ...]
    disputed: tuple[Disputed, ...]
    n_disputed: int
    estimated_by: str | None
    problem: str | None


def agreement(
    rows: Sequence[VotedText],
    aggregator: LabelAggregator,
    *,
    min_label_count: int,
    max_label_length: int,
    n_disputed: int,
) -> Agreement:
    """Compare the votes with the aggregated labels and with each other; name up to `n_disputed` texts."""
    everything = count(rows, min_label_count=1, max_label_length=max_label_length)
    counted = count(rows, min_label_count=min_label_count, max_label_length=max_label_length)
    won = winners(aggregator, counted.votes)
    shares, estimated_by, problem = _estimated(aggregator, counted)
    annotators = _annotators(everything, counted, won, shares)
    disputed = sorted(_disputed(counted, won), key=lambda d: (-d.entropy, -sum(d.votes.values()), d.text_id))
    return Agreement(tuple(annotators), tuple(disputed[:n_disputed]), len(disputed), estimated_by, problem)


def with_excerpts(found: Agreement, texts: Mapping[int, str]) -> Agreement:
    """Add the beginnings of the disputed texts, given by id."""
    disputed = (replace(text, excerpt=excerpt(texts.get(text.text_id, ""))) for text in found.disputed)
    return replace(found, disputed=tuple(disputed))


def excerpt(text: str, length: int = EXCERPT_LENGTH) -> str:
    """Return the beginning of a text in one line, at most `length` characters, for a table."""
    words = " ".join(text[: 10 * length].split())
    printable = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in words)
    return printable if len(printable) <= length else printable[: length - 1] + "…"


def _estimated(
    aggregator: LabelAggregator, counted: Counted
) -> tuple[NDArray[np.float64] | None, str | None, str | None]:
    """Return accuracies and who estimated them, or why nobody could."""
    if (shares := accuracies(aggregator, counted.votes)) is not None:
        return shares, Spec.of("label_aggregator", aggregator).name, None
    try:
        estimator = strategy("label_aggregator", ESTIMATOR)
    except PluginError as exc:
        return None, None, str(exc.__cause__ or exc)
    assert isinstance(estimator, LabelAggregator)  # noqa: S101 - the registry saw to it
    return accuracies(estimator, counted.votes), ESTIMATOR, None


def _annotators(
    everything: Counted, counted: Counted, won: Codes, shares: NDArray[np.float64] | None
) -> list[Annotator]:
    """Return every annotator; in arrays by code, the last place is for anonymous votes."""
    votes, n = counted.votes, len(counted.annotators)
    shared = np.bincount(votes.annotator[votes.is_shared] % (n + 1), minlength=n + 1)
    agreed = np.bincount(votes.annotator[votes.is_shared & (votes.label == won[votes.text])] % (n + 1), minlength=n + 1)
    code = {name: number for number, name in enumerate(counted.annotators)} | {None: n}
    found = []
    for name, n_votes in Counter(_voters(everything)).items():
        at = code.get(name)
        n_shared = 0 if at is None else int(shared[at])
        share = None if shares is None or name is None or not n_shared else float(shares[at])
        found.append(
            Annotator(
                name,
                n_votes,
                n_shared,
                float(agreed[at]) / n_shared if n_shared else None,
                None if share is None or np.isnan(share) else share,
            )
        )
    return sorted(found, key=lambda annotator: (-annotator.votes, annotator.name or ""))


def _voters(counted: Counted) -> Iterable[str | None]:
    return (None if code < 0 else counted.annotators[code] for code in counted.votes.annotator)


def _disputed(counted: Counted, won: Codes) -> Iterable[Disputed]:
    votes, names = counted.votes, counted.votes.label_names
    ballots = np.split(votes.label, np.flatnonzero(np.diff(votes.text)) + 1)
    for text_id, ballot, winner in zip(counted.text_ids.tolist(), ballots, won, strict=True) if len(won) else ():
        found = Counter(ballot.tolist())
        if len(found) > 1:
            p = np.array([*found.values()]) / len(ballot)
            in_order = {names[code]: n for code, n in found.most_common()}
            yield Disputed(text_id, in_order, names[winner], float(-(p * np.log2(p)).sum()))
