"""What is loaded: a file, standard input or something in memory, taken for what its content says."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from al_learner.core.errors import DataError
from al_learner.core.exchange.containers.memory import is_dataset, is_frame, read_dataset, read_dicts, read_frame
from al_learner.core.exchange.containers.opening import STANDARD_INPUT, opened
from al_learner.core.exchange.containers.records import Records
from al_learner.core.exchange.fields import OPTIONAL, Field, Row, name_of, paths
from al_learner.core.exchange.reading import ExportFormat, Reading
from al_learner.core.exchange.recognition import read_export, recognised
from al_learner.core.exchange.rows import table_rows, tuple_rows
from al_learner.core.storage.exchange.annotated_texts import AnnotatedText, Vote

NAME_LENGTH = 100
"""An error shows so many characters of a text that was given as the name of a file."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a source is read.

    Attributes
    ----------
    columns : mapping of str to str
        The column of each field that has another name, or a path such as ``fields.text``.
    id_column : str, optional
        The column of the ids that the texts have elsewhere. By default ``external_id``, or where the tool has it.
    delimiter, encoding : str, optional
        Of CSV. By default the content says.
    question : str, optional
        Which question of a tool's project has the labels, if there are several.
    assume_submitted : bool
        Argilla's nested records do not say which responses are submitted: all of them are votes.
    dry_run : bool
        Write nothing.
    progress : callable
        Called with the number of bytes of a file that were read so far.
    """

    columns: Mapping[str, str] | None = None
    id_column: str | None = None
    delimiter: str | None = None
    encoding: str | None = None
    question: str | None = None
    assume_submitted: bool = False
    dry_run: bool = False
    progress: Callable[[int], object] = lambda _: None


@dataclass
class Source:
    """An open source.

    Attributes
    ----------
    kind : str
        What it was taken for.
    reading : Reading
        What was found beside texts and votes, once they were read.
    export : ExportFormat or None
        The tool's format; None: a table, or tuples.
    parts : list of Records
        Empty for tuples.
    items : iterable
        The tuples.
    is_file : bool
        A file without rows is an error.
    """

    kind: str
    reading: Reading
    export: ExportFormat | None = None
    parts: list[Records] = field(default_factory=list)
    items: Iterable[Any] = ()
    is_file: bool = False

    @property
    def names(self) -> set[str]:
        """The columns of a table."""
        return {name for part in self.parts for record in part.peek() for name in paths(record)}

    @property
    def has_text_ids(self) -> bool:
        """Whether a table has the numbers that texts have in another project, in a column ``text_id``."""
        first = [record.get("text_id") for part in self.parts for record in part.peek()]
        return bool(first) and all(name_of(number).isdecimal() for number in first)

    def texts(
        self, fields: Sequence[Field], optional: Iterable[Field] = OPTIONAL, **limits: Any
    ) -> Iterator[AnnotatedText]:
        """Yield what was read as texts with votes; a row of a table, or a tuple, is a text with at most one vote.

        Parameters
        ----------
        fields : sequence of str
            The columns of a table that are read.
        optional : iterable of str
            Those that may be missing.
        **limits
            ``max_label_length``: a longer label of a table is an error. Labels of tools are votes, so none has more
            than fits into text_data.major_label.
        """
        if self.export is not None:
            texts = read_export(self.parts, self.export, self.reading)
        else:
            texts = map(_text, self.rows(fields, optional, **limits))
        return self._not_empty(texts)

    def rows(self, fields: Sequence[Field], optional: Iterable[Field] = OPTIONAL, **limits: Any) -> Iterator[Row]:
        """Yield the fields of a table's rows, or of tuples."""
        if not self.parts:
            yield from tuple_rows(self.items, [name for name in fields if name != "id"], optional=optional, **limits)
        for part in self.parts:
            id_column = {} if self.reading.id_column is None else {"id": self.reading.id_column}
            found: dict[str, Any] = {"columns": {**self.reading.columns, **id_column}, "optional": optional, **limits}
            found |= {"left_out": self.reading.left_out, "labels": self.reading.labels}
            yield from table_rows(part, fields, **found)

    def _not_empty(self, texts: Iterable[AnnotatedText]) -> Iterator[AnnotatedText]:
        is_empty = True
        for text in texts:
            is_empty = False
            yield text
        if is_empty and self.is_file:
            raise self.no_rows()

    def no_rows(self) -> DataError:
        """Return the error that there is nothing to load."""
        return DataError(f"{self.parts[0].source}: the file has no rows, so there is nothing to load")


def _text(row: Row) -> AnnotatedText:
    number = row.get("text_id")
    votes = (Vote(row["label"], row.get("user", ""), None, row.where),) if row.get("label") else ()
    text_id = None if number is None else int(number)
    return AnnotatedText(row.get("text", ""), row.where, row.get("id", ""), text_id, votes)


@contextmanager
def open_source(source: Any, what: str, options: Options, *, needs_votes: bool) -> Iterator[Source]:
    """Open a file or something in memory.

    Parameters
    ----------
    source : Any
        A path, the name of a file, ``-``, a DataFrame, a Hugging Face dataset, or rows: tuples or dicts.
    what : str
        What rows are, for errors.
    needs_votes : bool
        False: only the texts are needed, whatever the answers are.

    Raises
    ------
    DataError
        It is none of these, or cannot be read. Most errors are raised while it is read.
    """
    reading = Reading(
        columns=options.columns or {},
        id_column=options.id_column,
        question=options.question,
        assume_submitted=options.assume_submitted,
        needs_votes=needs_votes,
    )
    if isinstance(source, str | Path):
        if str(source) != str(STANDARD_INPUT) and not os.path.exists(source):  # noqa: PTH110 - False for what no file can be named
            raise DataError(f"{str(source)[:NAME_LENGTH]}: No such file; a text itself goes into a list")
        how = {"delimiter": options.delimiter, "encoding": options.encoding, "progress": options.progress}
        with opened(Path(source), **how) as parts:  # type: ignore[arg-type]  # of several types
            yield _of_records(parts, reading, is_file=True)
        return
    found: Records | Iterator[Any]
    if is_frame(source):
        found = read_frame(source)
    elif is_dataset(source):
        found = read_dataset(source)
    else:
        if isinstance(source, Mapping | bytes) or not isinstance(source, Iterable):
            raise DataError(
                f"a {type(source).__name__} cannot be loaded: give a file, a list of {what}, a DataFrame, a list of "
                "dicts, or a Hugging Face dataset (of a DatasetDict, one of its splits)"
            )
        found = read_dicts(source)
    if isinstance(found, Records):
        yield _of_records([found], reading)
    else:
        yield Source("rows in memory", reading, items=found)


def _of_records(parts: list[Records], reading: Reading, *, is_file: bool = False) -> Source:
    export = recognised(parts)
    if reading.question is not None and not (export and export.has_questions):
        what = export.name if export else f"a table ({parts[0].kind})"
        instead = "leave --question out" if export else "say which column has the labels with --column label=NAME"
        raise DataError(
            f"{parts[0].source}: in {what} no question has a name, so none is {reading.question!r}; {instead}"
        )
    kind = parts[0].kind if len(parts) == 1 else f"zip of {len(parts):,} files, {parts[0].kind}"
    if export is not None:
        kind = export.name if export.name.endswith(")") else f"{export.name} ({kind})"
    return Source(kind, reading, export, parts, is_file=is_file)
