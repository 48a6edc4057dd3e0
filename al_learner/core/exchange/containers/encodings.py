"""Finds out in which encoding a file is, and opens it as text."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from typing import BinaryIO

from al_learner.core.errors import DataError

BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark is its beginning
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

CANDIDATES = [
    "cp1252", "iso8859_15", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "koi8_r",
    "cp932", "euc_jp", "gb18030", "big5", "cp949",
]  # fmt: skip
"""The encodings that are recognised beside UTF-8, 16 and 32. Of equally good ones, the first is taken."""

ALIKE, AS_COHERENT = 0.02, 0.1
"""Two encodings are equally good if chaos and coherence that charset-normalizer finds differ by at most this."""

BLOCK = 2**20

SAMPLE_BYTES = 2**16
"""So many bytes of lines that are not ASCII show what encoding they are in."""


def open_text(name: str, file: BinaryIO, encoding: str | None = None) -> tuple[io.TextIOWrapper, str]:
    """Open a file as text whose lines end with a newline. Return it, and its encoding in words.

    Raises
    ------
    DataError
        It is in another encoding than `encoding`, or in none that is recognised.
    """
    found = encoding or _marked(file) or "utf-8"
    shown = "UTF-8" if found in ("utf-8", "utf-8-sig") else found
    if (wrong := _first_wrong_line(name, file, found)) is not None:
        guessed = _guessed(file) if encoding is None and found == "utf-8" else None
        if guessed is None:
            number, reason = wrong
            raise DataError(
                f"{name}, line {number}: not {shown}: {reason}; say which encoding it is in with --encoding NAME, such "
                "as cp1252, in Python with encoding=NAME"
            )
        found, shown = guessed, f"{guessed} (guessed)"
    file.seek(0)
    return io.TextIOWrapper(file, encoding=found, newline="\n"), shown


def _marked(file: BinaryIO) -> str | None:
    """Return the encoding that a byte order mark says."""
    head = file.read(4)
    file.seek(0)
    return next((encoding for mark, encoding in BYTE_ORDER_MARKS if head.startswith(mark)), None)


def _guessed(file: BinaryIO) -> str | None:
    """Return the encoding in which the lines that are not ASCII look most like a language."""
    from charset_normalizer import from_bytes  # heavy, and needed for few files

    sample = bytearray()
    file.seek(0)
    for line in _lines(file):
        if not line.isascii():
            sample += line
        if len(sample) > SAMPLE_BYTES:
            break
    matches = [
        (match, names)
        for match in from_bytes(bytes(sample), cp_isolation=CANDIDATES)
        if (names := {match.encoding, *match.could_be_from_charset} & {*CANDIDATES})
    ]
    if not matches:
        return None
    least = min(match.chaos for match, _ in matches) + ALIKE
    most = max(match.coherence for match, _ in matches if match.chaos <= least) - AS_COHERENT
    good = [names for match, names in matches if match.chaos <= least and match.coherence >= most]
    guess = min((name for names in good for name in names), key=CANDIDATES.index)
    return guess if _first_wrong_line("", file, guess) is None else None


def _lines(file: BinaryIO) -> Iterator[bytes]:
    while line := file.readline(BLOCK):
        yield line


def _first_wrong_line(name: str, file: BinaryIO, encoding: str) -> tuple[int, str] | None:
    """Return the number of the first line that is not in an encoding, and why; None if there is none."""
    try:
        decoder = codecs.getincrementaldecoder(encoding)()
        "".encode(encoding)  # "".encode refuses what is no encoding of text, such as rot13
    except (LookupError, TypeError, ValueError) as exc:
        raise DataError(
            f"{name}: there is no encoding {encoding!r}; write one such as utf-8, cp1252 or utf-16"
        ) from exc
    file.seek(0)
    n_lines = 1
    while True:
        block = file.read(BLOCK)
        try:
            decoded = decoder.decode(block, final=not block)
        except UnicodeDecodeError as exc:
            return n_lines + exc.object[: exc.start].count(b"\n"), exc.reason
        except UnicodeError as exc:  # UTF-16 without its mark
            return n_lines, str(exc)
        if not block:
            return None
        n_lines += decoded.count("\n")
