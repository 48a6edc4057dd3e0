"""Appends votes to texts that are there, as the API does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from al_learner.core.errors import DataError
from al_learner.core.storage.database import Database, chunked
from al_learner.core.storage.exchange import external_ids
from al_learner.core.storage.exchange.annotated_texts import AnnotatedText, Vote
from al_learner.core.storage.labelforward_tables import CHUNK, MAX_TEXT_ID
from al_learner.core.storage.schema import al_external_ids, text_data


@dataclass
class AppendedVotes:
    """What a load of votes wrote, in numbers of votes.

    Attributes
    ----------
    votes : int
        Votes that were written.
    there : int
        Votes that were there already.
    changed : int
        Written votes of annotators whose vote for another label is still there.
    """

    votes: int = 0
    there: int = 0
    changed: int = 0


def append_votes(
    database: Database,
    connection: sa.Connection,
    texts: Sequence[AnnotatedText],
    *,
    replace: bool = False,
    dry_run: bool = False,
) -> AppendedVotes:
    """Append the votes on texts that are found by text_id, or else by external id.

    A vote of an annotator with a name is appended once. Votes without a name are always appended.

    Parameters
    ----------
    replace : bool
        Treat votes as `update_texts` does: an annotator's votes on a text are replaced.
    dry_run : bool
        Write nothing.

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
            has_id = f"no text has the external id {text.external_id!r}" if text.external_id else "there is no id"
            raise DataError(
                f"{text.where}: {has_id}: load the texts with their ids first, or texts and votes at once with "
                "`al-learner load project`; if there is a text_id, name it with --column text_id=NAME"
            )
        given.setdefault(text_id, []).append(text)
    done = AppendedVotes()
    for ids in chunked(sorted(given), CHUNK):
        possible = [text_id for text_id in ids if text_id <= MAX_TEXT_ID]
        rows = _read(database, connection, possible, lock=not dry_run)
        if missing := [text_id for text_id in ids if text_id not in rows]:
            raise DataError(f"{given[missing[0]][0].where}: text_id {missing[0]} is not in table text_data")
        for text_id in ids:
            _check_wording(given[text_id], rows[text_id].text_data)
            votes = [vote for text in given[text_id] for vote in text.votes]
            before = _pairs(rows[text_id])
            after = _updated(before, votes) if replace else [*before, *_new(before, votes)]
            n_new = sum((Counter(after) - Counter(before)).values())
            done.votes += n_new
            done.there += len(votes) - n_new
            if not replace:
                done.changed += len({user for _, user in before if user} & {user for _, user in after[len(before) :]})
            if after != before and not dry_run:
                _write(connection, text_id, after)
    return done


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
        for text_id, row in _read(database, connection, ids, lock=True).items():
            given, before = texts[text_id], _pairs(row)
            after = _updated(before, given.votes)
            n += sum((Counter(after) - Counter(before)).values())
            if after != before:
                _write(connection, text_id, after)
            if row.text_data != given.text:
                values = {"text_data": given.text}
                connection.execute(text_data.update().where(text_data.c.text_id == text_id).values(values))
    return n


def _read(database: Database, connection: sa.Connection, ids: Sequence[int], *, lock: bool) -> dict[int, Any]:
    """Return rows of text_data by id."""
    query = sa.select(text_data.c.text_id, text_data.c.text_data, text_data.c.labels, text_data.c.users)
    query = query.where(database.among(text_data.c.text_id, ids)).order_by(text_data.c.text_id)
    return {row[0]: row for row in connection.execute(query.with_for_update() if lock else query)}


def _pairs(row: Any) -> list[tuple[Any, Any]]:
    """Return the entries of labels and users; a label without a user gets "", or later users would slip onto it."""
    names, users = row.labels or [], row.users or []
    return list(zip(names, [*users, *[""] * (len(names) - len(users))], strict=False))


def _new(before: Sequence[tuple[Any, Any]], votes: Sequence[Vote]) -> list[tuple[str, str]]:
    """Return the votes that are not there yet; one without a name never is."""
    pairs = [(vote.label, vote.annotator) for vote in votes]
    return [pair for pair in pairs if not pair[1] or pair not in before]


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
