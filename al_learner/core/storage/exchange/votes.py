"""Appends votes to texts that are there, as the API does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from al_learner.core.errors import DataError
from al_learner.core.storage.database import Database, chunked
from al_learner.core.storage.exchange import external_ids
from al_learner.core.storage.exchange.annotated_texts import AnnotatedText, Vote
from al_learner.core.storage.labelforward_tables import CHUNK, MAX_TEXT_ID
from al_learner.core.storage.schema import al_external_ids, text_data


def append_votes(database: Database, connection: sa.Connection, texts: Sequence[AnnotatedText]) -> int:
    """Append the votes on texts that are found by text_id, or else by external id. Return how many votes.

    Raises
    ------
    DataError
        A text is not there.
    """
    names = [text.external_id for text in texts if text.text_id is None]
    has_ids = bool(names) and al_external_ids.name in database.columns(connection)
    found = external_ids.text_ids(connection, names) if has_ids else {}
    given: dict[int, list[AnnotatedText]] = {}
    for text in texts:
        text_id = found.get(text.external_id) if text.text_id is None else text.text_id
        if text_id is None:
            raise DataError(
                f"{text.where}: no text has the external id {text.external_id!r}: load the texts with their ids first, "
                "or texts and votes at once with `al-learner load project`; if it is a text_id, say so with "
                "--column text_id=NAME"
            )
        given.setdefault(text_id, []).append(text)
    for ids in chunked(sorted(given), CHUNK):
        rows = _locked(database, connection, [text_id for text_id in ids if text_id <= MAX_TEXT_ID])
        if missing := [text_id for text_id in ids if text_id not in rows]:
            raise DataError(f"{given[missing[0]][0].where}: text_id {missing[0]} is not in table text_data")
        for text_id in ids:
            _check_wording(given[text_id], rows[text_id].text_data)
            votes = [vote for text in given[text_id] for vote in text.votes]
            _write(connection, text_id, [*_pairs(rows[text_id]), *((vote.label, vote.annotator) for vote in votes)])
    return sum(len(text.votes) for text in texts)


def _check_wording(texts: Iterable[AnnotatedText], stored: str) -> None:
    """Make sure that votes are not given to another text that has the same id here. White space may differ."""
    for text in texts:
        if text.text and text.text.split() != stored.split():
            raise DataError(
                f"{text.where}: the text with the id {text.external_id or text.text_id!r} is another one in table "
                "text_data, so its votes are not loaded: it comes from another project, or was changed"
            )


def update_texts(database: Database, connection: sa.Connection, texts: Mapping[int, AnnotatedText]) -> int:
    """Give texts that are there another wording and newer votes. Return how many votes were written.

    An annotator's votes on a text are replaced. Votes of annotators who are not named are appended, as far as the text
    does not have as many such votes with the same label. Other votes stay.
    """
    n = 0
    for ids in chunked(sorted(texts), CHUNK):
        for text_id, row in _locked(database, connection, ids).items():
            given, before = texts[text_id], _pairs(row)
            after = _updated(before, given.votes)
            n += sum((Counter(after) - Counter(before)).values())
            if after != before:
                _write(connection, text_id, after)
            if row.text_data != given.text:
                values = {"text_data": given.text}
                connection.execute(text_data.update().where(text_data.c.text_id == text_id).values(values))
    return n


def _locked(database: Database, connection: sa.Connection, ids: Sequence[int]) -> dict[int, Any]:
    """Return rows of text_data by id, locked."""
    query = sa.select(text_data.c.text_id, text_data.c.text_data, text_data.c.labels, text_data.c.users)
    query = query.where(database.among(text_data.c.text_id, ids)).order_by(text_data.c.text_id)
    return {row[0]: row for row in connection.execute(query.with_for_update())}


def _pairs(row: Any) -> list[tuple[Any, Any]]:
    """Return the entries of labels and users; a label without a user gets "", or later users would slip onto it."""
    names, users = row.labels or [], row.users or []
    return list(zip(names, [*users, *[""] * (len(names) - len(users))], strict=False))


def _updated(before: Sequence[tuple[Any, Any]], votes: Sequence[Vote]) -> list[tuple[Any, Any]]:
    given = {vote.annotator: vote.label for vote in votes if vote.annotator}
    new, after = dict(given), []
    for label, user in before:
        if user not in given:
            after.append((label, user))
        elif new.get(user) == label:
            after.append((label, user))
            del new[user]
    after += ((label, user) for user, label in new.items())
    nameless = Counter(vote.label for vote in votes if not vote.annotator)
    nameless -= Counter(label for label, user in before if not user)
    return [*after, *((label, "") for label in nameless.elements())]


def _write(connection: sa.Connection, text_id: int, votes: Sequence[tuple[Any, Any]]) -> None:
    values = {"labels": [label for label, _ in votes], "users": [user for _, user in votes]}
    connection.execute(text_data.update().where(text_data.c.text_id == text_id).values(values))
