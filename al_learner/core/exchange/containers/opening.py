"""Opens a file or standard input, and finds out by its content what it is."""

from __future__ import annotations

import gzip
import io
import shutil
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from al_learner.core.errors import DataError
from al_learner.core.exchange.containers.csv_files import read_csv
from al_learner.core.exchange.containers.encodings import open_text
from al_learner.core.exchange.containers.excel import read_excel
from al_learner.core.exchange.containers.json_files import read_json
from al_learner.core.exchange.containers.parquet import read_parquet
from al_learner.core.exchange.containers.records import Progress, Records, Rows

STANDARD_INPUT = Path("-")

GZIP, ZIP, PARQUET, OLE = b"\x1f\x8b", (b"PK\3\4", b"PK\5\6"), b"PAR1", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""How files begin; OLE is Excel before 2007."""

EXCEL_MEMBER = "[Content_Types].xml"

MAX_UNZIPPED_BYTES = 2**30
"""What is zipped may not expand to more. A few kilobytes can expand to gigabytes, and a line is held in memory."""

MAX_MEMBERS = 1_000
"""Of a zip file."""


@contextmanager
def opened(
    path: Path, *, delimiter: str | None = None, encoding: str | None = None, progress: Progress = lambda _: None
) -> Iterator[list[Records]]:
    """Open a file and yield its records; a zip file may have several members with records.

    Parameters
    ----------
    path : Path
        ``-`` is standard input.
    delimiter, encoding : str, optional
        By default the content says.
    progress : callable
        Called with the number of bytes that were read so far.

    Raises
    ------
    DataError
        Names the file, the place and the reason, also while the records are read.
    """
    name = "standard input" if path == STANDARD_INPUT else str(path)
    with ExitStack() as stack:
        with _as_data_errors(name):
            raw = stack.enter_context(_spooled_input() if path == STANDARD_INPUT else path.open("rb"))
            told = _Told(raw, progress)
            parts = _parts(name, raw, stack, delimiter=delimiter, encoding=encoding)
            for part in parts:
                part.rows = _watched(name, part.rows, told)
        yield parts


class _Told:
    """Tells how far a file was read, whenever that has changed."""

    def __init__(self, raw: BinaryIO, progress: Progress) -> None:
        self._raw, self._progress, self._last = raw, progress, 0

    def __call__(self) -> None:
        if (position := self._raw.tell()) > self._last:
            self._last = position
            self._progress(position)


def _watched(name: str, rows: Rows, told: Callable[[], None]) -> Rows:
    with _as_data_errors(name):
        for row in rows:
            yield row
            told()
        told()


@contextmanager
def _as_data_errors(name: str) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except (OSError, EOFError, zlib.error, LZMAError, zipfile.BadZipFile, RuntimeError, ValueError) as exc:
        # zipfile raises the last two for what it does not know, such as encryption, and for wrong positions
        raise DataError(f"{name}: {exc.strerror if isinstance(exc, OSError) and exc.strerror else exc}") from exc


@contextmanager
def _spooled_input() -> Iterator[BinaryIO]:
    """Yield all of standard input as a file, because formats are recognised and read in two passes."""
    with tempfile.TemporaryFile() as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
        file.seek(0)
        yield cast(BinaryIO, file)


def _parts(name: str, raw: BinaryIO, stack: ExitStack, *, delimiter: str | None, encoding: str | None) -> list[Records]:
    head = _head(raw)
    if head.startswith(GZIP):
        unzipped = _limited(name, cast(BinaryIO, gzip.GzipFile(fileobj=raw)))
        return [_one(name, unzipped, stack, delimiter=delimiter, encoding=encoding)]
    if not head.startswith(ZIP):
        return [_one(name, raw, stack, delimiter=delimiter, encoding=encoding)]
    archive = stack.enter_context(zipfile.ZipFile(raw))
    if EXCEL_MEMBER in archive.namelist():
        _check_size(name, archive)
        _check_is_not_given(f"{name} is Excel", delimiter=delimiter, encoding=encoding)
        return [read_excel(name, raw)]
    parts = []
    for member in _members(name, archive):
        unzipped = _limited(name, cast(BinaryIO, archive.open(member)))
        part = _one(f"{name}, {member}", unzipped, stack, delimiter=delimiter, encoding=encoding)
        part.member = PurePosixPath(member).stem
        parts.append(part)
    return parts


def _one(name: str, file: BinaryIO, stack: ExitStack, *, delimiter: str | None, encoding: str | None) -> Records:
    head = _head(file)
    if head.startswith(PARQUET):
        _check_is_not_given(f"{name} is Parquet", delimiter=delimiter, encoding=encoding)
        return read_parquet(name, file)
    if head.startswith(OLE):
        raise DataError(f"{name}: Excel before 2007 (.xls): save it as .xlsx or as CSV")
    if head.startswith((GZIP, *ZIP)):
        raise DataError(f"{name}: zipped twice; unpack it once")
    text, found = open_text(name, file, encoding)
    stack.callback(text.detach)  # or it would close the file as soon as its last line was read
    start = ""
    while not start and (line := text.readline(2**16)):
        start = line.lstrip("\ufeff \t\r\n")
    text.seek(0)
    if start.startswith(("{", "[")) and delimiter is None:
        return read_json(name, text, found)
    return read_csv(name, text, found, delimiter)


def _check_is_not_given(what: str, **options: str | None) -> None:
    if given := [name for name, value in options.items() if value is not None]:
        raise DataError(
            f"{what}, which has no {given[0]}: leave out --{given[0]}, in Python {given[0]}={options[given[0]]!r}"
        )


def _head(file: BinaryIO) -> bytes:
    head = file.read(len(OLE))
    file.seek(0)
    return head


def _members(name: str, archive: zipfile.ZipFile) -> list[str]:
    """Return the files of a zip file, without folders and what macOS adds."""
    named = (info for info in archive.infolist() if info.filename)  # a damaged archive has names without a character
    infos = [info for info in named if not info.is_dir() and not _is_hidden(info.filename)]
    if not infos:
        raise DataError(f"{name}: the zip file contains no file")
    if len(infos) > MAX_MEMBERS:
        raise DataError(f"{name}: the zip file contains {len(infos):,} files; at most {MAX_MEMBERS:,} are read")
    _check_size(name, archive)
    return sorted(info.filename for info in infos)


def _is_hidden(member: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) and part != ".." for part in PurePosixPath(member).parts)


def _check_size(name: str, archive: zipfile.ZipFile) -> None:
    """Refuse an archive that says itself that it is too large; it cannot expand to more than it says."""
    if sum(info.file_size for info in archive.infolist()) > MAX_UNZIPPED_BYTES:
        raise DataError(_too_large(name))


def _too_large(name: str) -> str:
    return f"{name}: zipped, it expands to more than {MAX_UNZIPPED_BYTES:,} bytes; unpack it, or split it"


def _limited(name: str, file: BinaryIO) -> BinaryIO:
    return cast(BinaryIO, io.BufferedReader(_Limited(name, file)))


class _Limited(io.RawIOBase):
    """A zipped file that may not expand to more than `MAX_UNZIPPED_BYTES`."""

    def __init__(self, name: str, file: BinaryIO) -> None:
        self._name, self._file = name, file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast(bytearray, buffer)).cast("B")
        content = self._file.read(len(view))
        if self._file.tell() > MAX_UNZIPPED_BYTES:
            raise DataError(_too_large(self._name))
        view[: len(content)] = content
        return len(content)
