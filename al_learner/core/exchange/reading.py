"""Reads annotated texts: what the caller asks for, what is left out, and what the readers of all tools share."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from al_learner.core.errors import DataError, did_you_mean
from al_learner.core.exchange.containers.records import Records
from al_learner.core.exchange.fields import (
    COLUMNS,
    Field,
    checked_row,
    checked_value,
    is_empty,
    listed,
    name_of,
    paths,
    value_at,
)
from al_learner.core.storage.exchange.annotated_texts import AnnotatedText, OnDuplicate, Vote
from al_learner.core.storage.records import MAX_LABEL_LENGTH

IDS = ("external_id", "id")
"""The names under which the data of a record may have the id of the text."""

MEDIA = ("image", "img", "audio", "video", "pdf", "html")
"""Names of data that is no text."""

SINGULAR = {
    "drafts": "draft",
    "predictions": "prediction",
    "repeated votes": "repeated vote",
    "other answers": "other answer",
}


@dataclass
class Reading:
    """What is asked for, and what was found beside texts and votes.

    Attributes
    ----------
    columns : mapping of str to str
        The column of fields that have other names.
    id_column : str or None
        The column of external ids; None: where the tool has it.
    question : str or None
        Which question of a tool's project has the labels.
    assume_submitted : bool
        Responses that have no status are votes.
    needs_votes : bool
        False: only the texts are needed.
    known_labels : frozenset of str
        The labels in table labels.
    left_out : Counter
        What is no vote, in words, and how often.
    labels : dict of str to str
        The label set, as far as the source says more than the votes do; each with its place.
    notes : list of str
        What the user should know of how the source was understood.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    id_column: str | None = None
    question: str | None = None
    assume_submitted: bool = False
    needs_votes: bool = True
    known_labels: frozenset[str] = frozenset()
    left_out: Counter[str] = field(default_factory=Counter)
    labels: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ExportFormat:
    """An export format of an annotation tool.

    Attributes
    ----------
    name : str
        Such as ``Label Studio export (JSON)``.
    recognises : callable
        Whether some records are of this format.
    read : callable
        Yields the texts of all records. Raises DataError for what is no single-label text classification.
    has_questions : bool
        Whether a project of the tool can have several questions, with names.
    """

    name: str
    recognises: Callable[[Sequence[Mapping[str, Any]]], bool]
    read: Callable[[Records, Reading], Iterable[AnnotatedText]]
    has_questions: bool


def described(left_out: Mapping[str, int]) -> str:
    """Return what was left out in words, such as ``12 skipped, 3 drafts``; what annotators did comes first."""
    counts = sorted(((what, n) for what, n in left_out.items() if n), key=lambda count: (count[0] in SINGULAR, count))
    return ", ".join(f"{n:,} {SINGULAR.get(what, what) if n == 1 else what}" for what, n in counts)


def annotated(
    where: str,
    record: Mapping[str, Any],
    reading: Reading,
    *,
    data: Sequence[tuple[str, Any]],
    own_id: Any = None,
    votes: Iterable[Vote] = (),
) -> AnnotatedText:
    """Return the text of a tool's record, with its ids.

    Parameters
    ----------
    data : sequence of (str, mapping)
        The parts of the record in which text and ids may be, each with its path, the text's first.
    own_id : Any
        The tool's id of the record. It is the external id if neither the caller nor the data says another.

    Raises
    ------
    DataError
        There is no text, or a value is not allowed.
    """
    parts = [(path, part) for path, part in data if isinstance(part, Mapping)]
    text = checked_value(where, "text", _text(where, record, reading, parts))
    text_id = _text_id(where, record, reading, parts)
    if reading.id_column is not None:
        external_id = _in_parts(record, reading.id_column, parts)
        if is_empty(external_id):
            raise DataError(f"{where}: no id in {reading.id_column!r}; the record has {listed(paths(record))}")
    else:
        names = [name for name in IDS if not is_empty(_in_parts({}, name, parts))]
        external_id = _in_parts({}, names[0], parts) if names else None if text_id is not None else own_id
    return AnnotatedText(text, where, checked_value(where, "id", external_id), text_id, tuple(votes))


def _text_id(where: str, record: Mapping[str, Any], reading: Reading, parts: Sequence[tuple[str, Any]]) -> int | None:
    """Return the text_id that an export of al_learner gave the text, or that is in the column that the caller says."""
    if "text_id" in reading.columns:
        return int(checked_value(where, "text_id", _in_parts(record, reading.columns["text_id"], parts)))
    found = _in_parts({}, "text_id", parts)
    is_number = not isinstance(found, bool) and (
        isinstance(found, int) or (isinstance(found, str) and found.isdecimal())
    )
    return int(checked_value(where, "text_id", found)) if is_number else None


def _text(where: str, record: Mapping[str, Any], reading: Reading, parts: Sequence[tuple[str, Any]]) -> Any:
    if "text" in reading.columns:
        if (found := _in_parts(record, reading.columns["text"], parts)) is not None:
            return found
        names = [*paths(record), *(name for _, part in parts for name in part)]
        wanted = reading.columns["text"]
        raise DataError(f"{where}: no {wanted!r}{did_you_mean(wanted, names)}; the record has {listed(paths(record))}")
    path, first = parts[0] if parts else ("", {})
    name = next((name for name in COLUMNS["text"] if name in first), None)
    if name is not None:
        return first[name]
    if media := next((name for name in MEDIA if name in first), None):
        raise DataError(
            f"{where}: this is about {media!r} and has no text; only single-label classification of texts can be loaded"
        )
    prefix = f"{path}." if path else ""
    raise DataError(
        f"{where}: no text under {' or '.join(map(repr, COLUMNS['text']))}; there is {listed(first)}: say which one it "
        f"is with --column text={prefix}NAME, in Python with columns={{'text': '{prefix}NAME'}}"
    )


def _in_parts(record: Mapping[str, Any], name: str, parts: Sequence[tuple[str, Any]]) -> Any:
    """Return a value by its name in one of the parts, or by its path in the record."""
    for _, part in parts:
        if not is_empty(found := value_at(part, name)):
            return found
    return value_at(record, name)


def vote(where: str, label: Any, annotator: Any = None, time: Any = None) -> Vote:
    """Return a vote if label and annotator are allowed.

    Raises
    ------
    DataError
        Names the place and the value.
    """
    values: dict[Field, Any] = {"label": label, "user": annotator}
    row = checked_row(where, values, MAX_LABEL_LENGTH)
    return Vote(row["label"], row["user"], _seconds(time), where)


def _seconds(time: Any) -> float | None:
    """Return a time as seconds since 1970; None if it cannot be read."""
    if isinstance(time, str):
        try:
            moment = datetime.fromisoformat(time)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            return None
    if isinstance(time, int | float) and not isinstance(time, bool) and abs(time) < 10**18 and math.isfinite(time):
        return float(time)
    return None


def only_question(where: str, found: Iterable[str], reading: Reading) -> str:
    """Return which question has the labels: the one that the caller says, or the only one.

    Raises
    ------
    DataError
        There are several, or not the one that was asked for.
    """
    names = list(dict.fromkeys(found))
    if reading.question is not None:
        if reading.question not in names:
            raise DataError(
                f"{where}: there is no question {reading.question!r}{did_you_mean(reading.question, names)}; "
                f"there is {listed(names) or 'none'}"
            )
        return reading.question
    if len(names) > 1:
        raise DataError(
            f"{where}: there are several questions: {listed(names)}. Say which one has the labels with --question "
            "NAME, in Python with question=NAME"
        )
    return names[0] if names else ""


def one_choice(where: str, values: Any) -> Any:
    """Return the only value of a list; None if it is empty.

    Raises
    ------
    DataError
        There are several values, or the value is no label.
    """
    if not isinstance(values, list | tuple):
        return values
    if len(values) > 1:
        chosen = listed(map(name_of, values))
        raise DataError(
            f"{where}: several choices on one text: {chosen}. Only single-label classification can be loaded"
        )
    if values and isinstance(values[0], list | tuple | dict):
        raise DataError(f"{where}: this is no label but a part of a text; only labels of whole texts can be loaded")
    return values[0] if values else None


def merged(
    texts: Iterable[AnnotatedText], reading: Reading, on_duplicate: OnDuplicate = OnDuplicate.ERROR
) -> Iterator[AnnotatedText]:
    """Yield each text once, with all of its votes; of several votes of one annotator, the last.

    Texts are the same if their external ids are, or their text_ids. Without ids, if the texts are.

    Raises
    ------
    DataError
        Two different texts have the same id, and `on_duplicate` does not say which one counts.
    """
    groups: dict[tuple[Any, ...], list[AnnotatedText]] = {}
    for text in texts:
        if text.external_id:
            key: tuple[Any, ...] = ("id", text.external_id)
        else:
            key = ("text_id", text.text_id) if text.text_id is not None else ("text", text.text)
        groups.setdefault(key, []).append(text)
    for group in groups.values():
        chosen = group[-1] if on_duplicate is OnDuplicate.UPDATE else group[0]
        other = next((text for text in group if text.text != chosen.text), None)
        if other is not None and on_duplicate is OnDuplicate.ERROR:
            raise same_id(group[0], other)
        votes = _one_each([vote for text in group for vote in text.votes])
        if repeated := sum(len(text.votes) for text in group) - len(votes):
            reading.left_out["repeated votes"] += repeated
        yield replace(chosen, votes=tuple(votes))


def same_id(first: AnnotatedText, other: AnnotatedText) -> DataError:
    """Return the error that two texts of a source have the same id."""
    return DataError(
        f"{other.where}: the id {first.external_id or first.text_id!r} is that of {first.where} too: take the first "
        "text with --on-duplicate skip, or the last one with --on-duplicate update; or name the column with --id"
    )


def _one_each(votes: Sequence[Vote]) -> list[Vote]:
    """Return the votes in the order of their times, if all have one; of each named annotator only the last."""
    ordered = list(votes)
    if all(vote.time is not None for vote in votes):
        ordered.sort(key=lambda vote: vote.time or 0)
    last = {vote.annotator: number for number, vote in enumerate(ordered)}
    return [vote for number, vote in enumerate(ordered) if not vote.annotator or last[vote.annotator] == number]
