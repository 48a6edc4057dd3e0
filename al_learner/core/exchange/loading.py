"""Loads texts, labels, prelabelled texts, votes and whole projects into LabelForward's tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import Any

from al_learner.core.errors import MigrationError, SettingsError
from al_learner.core.exchange.fields import Field, Row, checked_row
from al_learner.core.exchange.reading import described, merged, same_id
from al_learner.core.exchange.sources import Options, Source, open_source
from al_learner.core.storage.exchange.annotated_texts import AnnotatedText, OnDuplicate
from al_learner.core.storage.exchange.labels import LabelSet, check_labels
from al_learner.core.storage.migrations.upgrade import upgrade_runs
from al_learner.core.storage.records import MAX_LABEL_LENGTH
from al_learner.core.storage.storage import Storage

BYTES_PER_CHARACTER = 4
"""Bytes per character in the predictor's fixed-width array of all texts."""

DENSE_LIMIT_BYTES = 10**9

N_SHOWN = 5
"""So many rows are shown as they were understood."""

_CHANGED = (
    "votes of annotators who had given the text another label: {n:,}; both labels count, unless they are loaded with "
    "--replace, in Python with replace=True"
)


@dataclass(frozen=True)
class Loaded:
    """What was loaded, or would be loaded by a dry run.

    Attributes
    ----------
    rows : int
        Texts, labels, prelabelled texts or votes; of a project the texts.
    warnings : tuple of str
    source : str
        What the source was taken for, such as ``Label Studio export (JSON)``.
    votes, annotators, labels : int
        The votes of a project, how many different annotators they name, and the labels that were appended.
    updated, skipped : int
        Texts whose external id was there already: replaced, or left out.
    there, descriptions : int
        Votes, or labels, that were there already and were not loaded again; and stored descriptions of labels.
    left_out : dict of str to int
        What is no vote, and how often: ``{"skipped": 12, "drafts": 3}``.
    first : tuple of dict
        The first rows as they were understood.
    """

    rows: int
    warnings: tuple[str, ...] = ()
    source: str = ""
    votes: int = 0
    annotators: int = 0
    labels: int = 0
    updated: int = 0
    skipped: int = 0
    there: int = 0
    descriptions: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    first: tuple[Mapping[str, Any], ...] = ()

    def said_of_left_out(self) -> str:
        """Return what was left out in words: ``; 12 skipped, 3 drafts left out``. Empty if nothing was."""
        return f"; {what} left out" if (what := described(self.left_out)) else ""


class LoadingMethods:
    """The methods of `Project` that load data.

    A source is a path or the name of a file, ``-`` for standard input, a DataFrame, a Hugging Face dataset, a list of
    dicts, or rows. The export of an annotation tool is recognised by its content. Options are those of `Options`.
    """

    _storage: Storage

    def load_texts(self, source: Any, *, on_duplicate: str = "error", **options: Any) -> Loaded:
        """Append texts from a file or from memory; all or none. Missing tables of LabelForward are created.

        Parameters
        ----------
        source
            Rows are texts. Of a table, the columns with the names that are found in files.
        on_duplicate : {"error", "skip", "update"}
            What is done with a text whose external id is there already; see `OnDuplicate`.
        **options
            See `Options`.

        Raises
        ------
        DataError
            Names the file, the first wrong line and the reason. A file without rows, and what is none of the above,
            such as a dict, is an error too.
        MigrationError
            There is no table for external ids yet, and this user may not create it.
        """
        policy, asked = _policy(on_duplicate), Options(**options)
        with open_source(source, "texts", asked, needs_votes=False) as opened:
            texts = opened.texts(("text", "id"))
            longest = 0

            def measured(texts: Iterable[AnnotatedText]) -> Iterator[AnnotatedText]:
                nonlocal longest
                for text in texts:
                    longest = max(longest, len(text.text))
                    yield text

            has_ids = opened.export is not None or asked.id_column is not None or "external_id" in opened.names
            if not (has_ids or asked.dry_run):
                first = list(islice(texts, 1))  # an error comes before a database is created
                rows = self._storage.loads.load_texts(text.text for text in measured(chain(first, texts)))
                return Loaded(rows, self._too_long(longest), opened.kind)
            each = _each_once(texts, policy) if opened.export is None and has_ids else texts
            every = list(measured(merged(each, opened.reading, policy) if has_ids else each))
            loaded = self._load_annotated(every, opened, asked, policy)
        return _with_warnings(loaded, self._too_long(longest) if not asked.dry_run else ())

    def load_labels(self, source: Any, *, new_labels: bool = False, **options: Any) -> Loaded:
        """Append label names, each once; rows are names, or pairs of name and description; like `load_texts`.

        A label that is there already is not appended again. A description replaces an older one. Of a column of class
        labels, and of the export of a tool, the label set is taken.

        Parameters
        ----------
        new_labels : bool
            Append labels with a description that are not in table labels. If that has rows, such labels are an error
            otherwise: the description may be of another label, whose name is misspelt.

        Raises
        ------
        DataError
            As of `load_texts`; or a description is of a label that is not there.
        MigrationError
            There is no table for the descriptions yet, and this user may not create it.
        """
        asked = Options(**options)
        with open_source(source, "labels", asked, needs_votes=True) as opened:
            names, rows = _labels(opened)
        known = self._storage.loads.known_labels()
        check_labels(known, LabelSet({name: row.where for name, row in rows.items()}, may_be_new=new_labels))
        descriptions = {name: row["description"] for name, row in rows.items()}
        shown = tuple({"label": name, "description": descriptions.get(name, "")} for name in names[:N_SHOWN])
        if asked.dry_run:
            n_new = sum(name not in known for name in names)
        else:
            if descriptions:
                self._storage.database.may_create = True
                upgrade_runs(self._storage.database)
            n_new = self._storage.loads.load_labels(names, descriptions)
        return Loaded(n_new, (), opened.kind, there=len(names) - n_new, descriptions=len(descriptions), first=shown)

    def load_init_data(self, source: Any, *, new_labels: bool = False, **options: Any) -> Loaded:
        """Append prelabelled texts; rows are pairs of text and label; like `load_texts`.

        Of a tool's export, each text with votes gets the label that most of its votes are for, or of several such
        labels the first one.

        Parameters
        ----------
        new_labels : bool
            Append labels that are not in table labels. If that has rows, such labels are an error otherwise.
        """
        asked = Options(**options)
        with open_source(source, "pairs of text and label", asked, needs_votes=True) as opened:
            opened.reading.known_labels = self._storage.loads.known_labels()
            texts = opened.texts(("text", "label"))
            every = [text for text in (merged(texts, opened.reading) if opened.export else texts) if text.votes]
            rows = [(text.text, Counter(vote.label for vote in text.votes).most_common(1)[0][0]) for text in every]
            known = _label_set(every, may_be_new=new_labels)
            if asked.dry_run:
                check_labels(self._storage.loads.known_labels(), known)
                n = len(rows)
            else:
                n = self._storage.loads.load_init_data(rows, known)
            return _loaded(opened, every, rows=n)

    def load_votes(self, source: Any, *, replace: bool = False, new_labels: bool = False, **options: Any) -> Loaded:
        """Append votes; rows are tuples of text_id, label and, if known, annotator; like `load_texts`.

        Texts are named by ``text_id``, or by the external id that they were loaded with. Of several votes of one
        annotator on a text, the last one counts. An annotator's vote for the same label that is there already is not
        appended again; a vote without an annotator always is.

        Parameters
        ----------
        replace : bool
            An annotator's vote on a text replaces the earlier ones. Otherwise both count if the labels differ, as in
            the app. Of votes without an annotator, those are appended that the text does not have yet.
        new_labels : bool
            As for `load_init_data`.
        """
        asked = Options(**options)
        with open_source(source, "(text_id, label, user)", asked, needs_votes=True) as opened:
            opened.reading.known_labels = self._storage.loads.known_labels()
            by_id = asked.id_column is not None or ("external_id" in opened.names and "text_id" not in opened.names)
            fields: tuple[Field, ...] = ("id", "label", "user") if by_id else ("text_id", "label", "user")
            texts = opened.texts(fields, ("user",), max_label_length=MAX_LABEL_LENGTH)
            every = [text for text in merged(texts, opened.reading) if text.votes]
            known = _label_set(every, may_be_new=new_labels)
            if asked.dry_run:
                check_labels(self._storage.loads.known_labels(), known)
                done = self._storage.loads.would_load_votes(every, replace=replace)
            else:
                done = self._storage.loads.load_votes(every, known, replace=replace)
            loaded = _loaded(opened, every, rows=done.votes, votes=done.votes, there=done.there)
        return _with_warnings(loaded, [_CHANGED.format(n=done.changed)] if done.changed else ())

    def load_project(
        self, source: Any, *, on_duplicate: str = "error", new_labels: bool = False, **options: Any
    ) -> Loaded:
        """Append texts with their ids, the votes on them with annotators, and the label set, in one transaction.

        Rows are tuples of text and, if known, label and annotator. Of a table, ``text``, ``label``, ``user`` and
        ``external_id`` or ``id``: a row for each vote, or without a label. Rows with the same id are one text; without
        ids, rows with the same text.

        Parameters
        ----------
        on_duplicate : {"error", "skip", "update"}
            What is done with a text whose external id is there already; see `OnDuplicate`.
        new_labels : bool
            As for `load_init_data`. An empty table labels gets the label set.
        """
        policy, asked = _policy(on_duplicate), Options(**options)
        with open_source(source, "(text, label, user)", asked, needs_votes=True) as opened:
            opened.reading.known_labels = self._storage.loads.known_labels()
            if asked.id_column is None and "external_id" not in opened.names and "id" in opened.names:
                opened.reading.id_column = "id" if opened.export is None else None
            fields: tuple[Field, ...] = ("text", "label", "user", "id")
            if opened.export is None and opened.has_text_ids:
                fields += ("text_id",)  # of two texts with the same wording
            texts = opened.texts(fields, fields[1:], max_label_length=MAX_LABEL_LENGTH)
            every = list(merged(texts, opened.reading, policy))
            known = _label_set(every, opened.reading.labels, may_be_new=new_labels, may_be_first=True)
            return self._load_annotated(every, opened, asked, policy, known)

    def _load_annotated(
        self,
        texts: Sequence[AnnotatedText],
        opened: Source,
        asked: Options,
        policy: OnDuplicate,
        known: LabelSet | None = None,
    ) -> Loaded:
        """Load texts that were read, or check them if this is a dry run."""
        loads = self._storage.loads
        if asked.dry_run:
            n_new = len(check_labels(loads.known_labels(), known)) if known else 0
            done = loads.would_load(texts, policy)
            return _loaded(opened, texts, rows=done.texts, labels=n_new, updated=done.updated, skipped=done.skipped)
        has_ids = any(text.external_id for text in texts)
        notes = self._prepare_ids(is_asked_for=asked.id_column is not None) if has_ids else ()
        done = loads.load_annotated(texts, labels=known, on_duplicate=policy, with_ids=has_ids and not notes)
        numbers = {"votes": done.votes, "labels": done.labels, "updated": done.updated, "skipped": done.skipped}
        return _with_warnings(_loaded(opened, texts, rows=done.texts, **numbers), notes)

    def _prepare_ids(self, *, is_asked_for: bool) -> tuple[str, ...]:
        """Make sure that external ids can be stored. Return a warning if they cannot, and nobody asked for them."""
        self._storage.database.may_create = True
        try:
            upgrade_runs(self._storage.database)
        except MigrationError as exc:
            if is_asked_for:
                raise
            return (f"the ids of the texts are not stored: {exc}",)
        return ()

    def _too_long(self, longest: int) -> tuple[str, ...]:
        """Return a warning if the longest text makes the predictor's array of all texts too large."""
        dense_gib = self._storage.tables.n_texts() * longest * BYTES_PER_CHARACTER / 2**30
        warning = (
            f"the longest text has {longest:,} characters; the predictor makes an array of all texts that is as wide "
            f"as the longest, so it needs {dense_gib:.1f} GiB: shorten the text, or give the predictor more memory"
        )
        return (warning,) if dense_gib * 2**30 > DENSE_LIMIT_BYTES else ()


def _policy(name: str) -> OnDuplicate:
    try:
        return OnDuplicate(name)
    except ValueError:
        raise SettingsError([f"on_duplicate is {name!r}; allowed: {', '.join(OnDuplicate)}"]) from None


def _labels(opened: Source) -> tuple[list[str], dict[str, Row]]:
    """Return the labels of a source, each once, and the rows that describe some."""
    if opened.export is not None:
        every = list(opened.texts(()))
        votes = (vote.label for text in every for vote in text.votes)
        return list(dict.fromkeys([*_checked(opened.reading.labels), *votes])), {}
    rows = list(opened.rows(("label", "description"), max_label_length=MAX_LABEL_LENGTH))
    if opened.is_file and not rows and not opened.reading.labels:
        raise opened.no_rows()
    names = list(dict.fromkeys([*_checked(opened.reading.labels), *(row["label"] for row in rows)]))
    return names, {row["label"]: row for row in rows if row["description"].strip()}


def _checked(labels: Mapping[str, str]) -> dict[str, str]:
    """Return a label set, each label with its place, if each can be a vote."""
    return {checked_row(where, {"label": label}, MAX_LABEL_LENGTH)["label"]: where for label, where in labels.items()}


def _each_once(texts: Iterable[AnnotatedText], policy: OnDuplicate) -> Iterator[AnnotatedText]:
    """Yield the rows of a table in which each text has one row."""
    first: dict[str, AnnotatedText] = {}
    for text in texts:
        before = first.setdefault(text.external_id, text) if text.external_id else text
        if before is not text and policy is OnDuplicate.ERROR:
            raise same_id(before, text)
        yield text


def _label_set(
    texts: Iterable[AnnotatedText],
    more: Mapping[str, str] | None = None,
    *,
    may_be_new: bool,
    may_be_first: bool = False,
) -> LabelSet:
    places = _checked(more or {})
    for text in texts:
        for vote in text.votes:
            places.setdefault(vote.label, vote.where or text.where)
    return LabelSet(places, may_be_new=may_be_new, may_be_first=may_be_first)


def _loaded(opened: Source, texts: Sequence[AnnotatedText], **numbers: Any) -> Loaded:
    annotators = {vote.annotator for text in texts for vote in text.votes} - {""}
    values = {"votes": sum(len(text.votes) for text in texts), "annotators": len(annotators)} | numbers
    left_out = {what: n for what, n in opened.reading.left_out.items() if n}
    first = tuple(map(_shown, texts[:N_SHOWN]))
    return Loaded(warnings=tuple(opened.reading.notes), source=opened.kind, left_out=left_out, first=first, **values)


def _shown(text: AnnotatedText) -> dict[str, Any]:
    given = {"text": text.text, "id": text.external_id or (text.text_id if text.text_id is not None else "")}
    return {**given, "votes": [{"label": vote.label, "annotator": vote.annotator} for vote in text.votes]}


def _with_warnings(loaded: Loaded, warnings: Iterable[str]) -> Loaded:
    return replace(loaded, warnings=(*loaded.warnings, *warnings))
