"""A file that gets its name when it is complete."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from al_learner.core.errors import DataError


@contextmanager
def replacing(path: Path, *, force: bool = False) -> Iterator[BinaryIO]:
    """Open a file beside `path`, which is renamed to `path` when everything is written. Else it is removed.

    So a full disk or a process that is killed leaves no half file under the name, and an older file is kept.

    Parameters
    ----------
    path : Path
        If it ends with ``.gz``, the file is gzipped.
    force : bool
        Replace an existing file.

    Raises
    ------
    DataError
        The file exists already, is not a regular file, or cannot be written.
    """
    if path.exists():
        if not path.is_file():
            raise DataError(f"{path}: not a regular file; write to standard output, which is -, and redirect it")
        if not force:
            raise DataError(f"{path} exists already; --force overwrites it")
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as raw:
            if path.suffix.lower() == ".gz":
                with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as zipped:
                    yield cast(BinaryIO, zipped)
            else:
                yield raw
            raw.flush()
            os.fsync(raw.fileno())  # some file systems say only now that the disk is full
        beside.replace(path)
    except OSError as exc:
        raise DataError(f"{path}: cannot be written: {exc.strerror or exc}") from exc
    finally:
        beside.unlink(missing_ok=True)
