"""Appends texts, labels, prelabelled texts and votes; each load is one transaction: all or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa

from al_learner.core.errors import DataError, SchemaError
from al_learner.core.storage.database import Database, chunked
from al_learner.core.storage.exchange import external_ids
from al_learner.core.storage.exchange.annotated_texts import AnnotatedText, OnDuplicate
from al_learner.core.storage.exchange.labels import LabelSet, append_labels, known_labels
from al_learner.core.storage.exchange.votes import AppendedVotes, append_votes, update_texts
from al_learner.core.storage.labelforward_tables import CHUNK
from al_learner.core.storage.schema import al_labels, init_data, labelforward, labels, text_data

T = TypeVar("T")


@dataclass
class Appended:
    """What a load of texts wrote, in numbers of rows."""

    texts: int = 0
    votes: int = 0
    labels: int = 0
    updated: int = 0
    skipped: int = 0


class Loads:
    """What `al-learner load` writes. LabelForward's tables are created if there is none of them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def known_labels(self) -> frozenset[str]:
        """Return the labels in table labels; none if there is no database or no such table yet."""
        if not self._database.is_postgresql and not self._database.path.exists():
            return frozenset()
        try:
            with self._database.reading() as connection:
                return known_labels(connection)
        except SchemaError:
            return frozenset()

    def load_texts(self, texts: Iterable[str]) -> int:
        """Append texts that nobody has voted on yet; they are read as they are sent. Return how many."""
        return self._load(lambda to: _append(to, text_data, (_blank(text) for text in texts)))

    def load_annotated(
        self,
        texts: Sequence[AnnotatedText],
        *,
        labels: LabelSet | None = None,
        on_duplicate: OnDuplicate = OnDuplicate.ERROR,
        with_ids: bool = True,
    ) -> Appended:
        """Append texts with the votes on them, their external ids, and the label set.

        Parameters
        ----------
        texts : sequence of AnnotatedText
            Each external id at most once.
        labels : LabelSet, optional
            None: no label is checked or appended.
        on_duplicate : OnDuplicate
            What is done with a text whose external id is there.
        with_ids : bool
            Store external ids. Table al_external_ids must be there.

        Raises
        ------
        DataError
            An external id is there, or a label is unknown.
        """

        def append(connection: sa.Connection) -> Appended:
            done = Appended()
            if with_ids:
                external_ids.forget_deleted_texts(connection)
            for chunk in chunked(texts, CHUNK):
                ids = [text.external_id for text in chunk if text.external_id] if with_ids else []
                there = external_ids.text_ids(connection, ids)
                old = {there[text.external_id]: text for text in chunk if text.external_id in there}
                new = [text for text in chunk if text.external_id not in there]
                if old and on_duplicate is OnDuplicate.ERROR:
                    _refuse(old)
                if on_duplicate is OnDuplicate.UPDATE:
                    done.updated += len(old)
                    done.votes += update_texts(self._database, connection, old)
                done.skipped += len(old) if on_duplicate is OnDuplicate.SKIP else 0
                _append_new(connection, new, with_ids=with_ids)
                done.texts += len(new)
                done.votes += sum(len(text.votes) for text in new)
            done.labels = append_labels(connection, labels) if labels else 0
            return done

        return self._load(append, is_repeatable=True)

    def would_load(self, texts: Sequence[AnnotatedText], on_duplicate: OnDuplicate) -> Appended:
        """Return what `load_annotated` would write now, as far as external ids decide it; raises like it."""
        there = external_ids.known(self._database, [text.external_id for text in texts if text.external_id])
        old = {there[text.external_id]: text for text in texts if text.external_id in there}
        if old and on_duplicate is OnDuplicate.ERROR:
            _refuse(old)
        is_update = on_duplicate is OnDuplicate.UPDATE
        new = len(texts) - len(old)
        return Appended(new, updated=len(old) if is_update else 0, skipped=0 if is_update else len(old))

    def load_labels(self, names: Iterable[str], descriptions: Mapping[str, str] | None = None) -> int:
        """Append label names that are not there yet, and store descriptions of some; all or none.

        Return how many names were appended. A description replaces an older one.
        """

        def append(connection: sa.Connection) -> int:
            there = {*connection.scalars(sa.select(labels.c.label))}
            n_new = _append(connection, labels, ({"label": name} for name in names if name not in there))
            if not descriptions:
                return n_new
            connection.execute(al_labels.delete().where(al_labels.c.label.in_([*descriptions])))
            _append(
                connection, al_labels, ({"label": name, "description": descriptions[name]} for name in descriptions)
            )
            return n_new

        return self._load(append)

    def load_init_data(self, rows: Sequence[tuple[str, str]], known: LabelSet) -> int:
        """Append prelabelled texts, pairs of text and label; all or none. Return how many.

        Raises
        ------
        DataError
            A label is unknown.
        """

        def append(connection: sa.Connection) -> int:
            append_labels(connection, known)
            return _append(connection, init_data, ({"text_data": text, "label": label} for text, label in rows))

        return self._load(append, is_repeatable=True)

    def load_votes(self, texts: Sequence[AnnotatedText], known: LabelSet, *, replace: bool = False) -> AppendedVotes:
        """Append the votes on texts that are there; see `append_votes`. All or none.

        Raises
        ------
        DataError
            A text is not there, or a label is unknown.
        """

        def append(connection: sa.Connection) -> AppendedVotes:
            append_labels(connection, known)
            return append_votes(self._database, connection, texts, replace=replace)

        return self._database.write(append)

    def would_load_votes(self, texts: Sequence[AnnotatedText], *, replace: bool = False) -> AppendedVotes:
        """Return what `load_votes` would write now; raises like it if a text is not there."""
        with self._database.reading() as connection:
            return append_votes(self._database, connection, texts, replace=replace, dry_run=True)

    def _load(self, work: Callable[[sa.Connection], T], *, is_repeatable: bool = False) -> T:
        """Do `work` in a transaction, in which LabelForward's tables are created if there is none of them."""

        def load(connection: sa.Connection) -> T:
            if not {*labelforward.tables} & {*self._database.columns(connection)}:
                labelforward.create_all(connection)
            return work(connection)

        self._database.may_create = True
        return self._database.write(load) if is_repeatable else self._database.write_once(load)


def _refuse(there: Mapping[int, AnnotatedText]) -> None:
    text_id, text = next(iter(there.items()))
    more = f", and {len(there) - 1:,} more are there too" if len(there) > 1 else ""
    raise DataError(
        f"{text.where}: the external id {text.external_id!r} is there already, as that of text {text_id}{more}: leave "
        "such texts out with --on-duplicate skip, or replace them with --on-duplicate update"
    )


def _append_new(connection: sa.Connection, texts: Sequence[AnnotatedText], *, with_ids: bool) -> None:
    rows = [
        _blank(text.text)
        | {"labels": [vote.label for vote in text.votes], "users": [vote.annotator for vote in text.votes]}
        for text in texts
    ]
    if not rows:
        return
    if not (with_ids and any(text.external_id for text in texts)):
        connection.execute(text_data.insert(), rows)
        return
    inserted = text_data.insert().returning(text_data.c.text_id, sort_by_parameter_order=True)
    text_ids = connection.scalars(inserted, rows).all()
    named = {text_id: text.external_id for text_id, text in zip(text_ids, texts, strict=True) if text.external_id}
    external_ids.store(connection, named)


def _blank(text: str) -> dict[str, Any]:
    return {"text_data": text, "labeled": False, "selected": False, "taught": False, "labels": [], "users": []}


def _append(connection: sa.Connection, table: sa.Table, rows: Iterable[Mapping[str, Any]]) -> int:
    n = 0
    for chunk in chunked(rows, CHUNK):
        connection.execute(table.insert(), chunk)
        n += len(chunk)
    return n
