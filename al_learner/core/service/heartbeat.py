"""The heartbeat: a file whose age tells that the worker is alive.

The default folder is in ``/tmp``, where everybody can make files and links. So it is used only if it belongs to this
user, and no link is followed.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from pathlib import Path

FOLDER = Path(f"/tmp/al-learner-{os.geteuid()}")  # noqa: S108 - it is checked


def beat(configured: Path | None) -> None:
    """Renew the heartbeat.

    Parameters
    ----------
    configured : Path or None
        The file; None: `FOLDER` and the file ``heartbeat`` in it are made.

    Raises
    ------
    OSError
        The file cannot be written, it is a link, or others may write to `FOLDER`.
    """
    if configured is None:
        FOLDER.mkdir(mode=0o700, exist_ok=True)
    no_link_no_wait = os.O_NOFOLLOW | os.O_NONBLOCK
    descriptor = os.open(_file(configured), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | no_link_no_wait, 0o600)
    try:
        os.utime(descriptor)
    finally:
        os.close(descriptor)


def seconds_since_beat(configured: Path | None) -> float:
    """Return the age of the heartbeat in seconds; `configured` as for `beat`.

    Raises
    ------
    FileNotFoundError
        There is no heartbeat.
    OSError
        The file is a link, or others may write to `FOLDER`.
    """
    file = _file(configured)
    found = file.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(file))
    return time.time() - found.st_mtime


def _file(configured: Path | None) -> Path:
    if configured is not None:
        return configured
    found = FOLDER.lstat()
    others_may_write = bool(found.st_mode & (stat.S_IWGRP | stat.S_IWOTH))
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or others_may_write:
        raise PermissionError(
            errno.EPERM, "not a folder that this user alone may write to; set AL_LEARNER_HEARTBEAT_FILE", str(FOLDER)
        )
    return FOLDER / "heartbeat"
