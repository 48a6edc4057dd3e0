"""What Dask workers answer that somebody else controls: functions in the place of `dask_tasks.do`."""

from __future__ import annotations

import threading

MODULE = "tests.support.cluster_faults"


def garbage(_task: bytes, *_given: object) -> tuple[str, bytes]:
    return "tcp://127.0.0.1:1", b"\x93\x01garbage"


def no_pair(_task: bytes, *_given: object) -> object:
    return 3


def no_bytes(_task: bytes, *_given: object) -> tuple[str, object]:
    return "tcp://127.0.0.1:1", {"clf": 1}


def raising(_task: bytes, *_given: object) -> tuple[str, bytes]:
    raise OSError("no space left")


def never(_task: bytes, *_given: object) -> tuple[str, bytes]:
    threading.Event().wait()
    raise AssertionError
