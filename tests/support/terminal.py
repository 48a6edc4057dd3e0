"""A command on a terminal of some width."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence

CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def on_terminal(command: Sequence[str], *, columns: int, environment: Mapping[str, str] | None = None) -> list[str]:
    """Run a command whose standard output is a terminal. Return the lines that it prints there."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    env = {**os.environ, "TERM": "xterm", "NO_COLOR": "1", **(environment or {})}
    env.pop("COLUMNS", None)
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.PIPE, env=env) as process:
        os.close(theirs)
        printed = b""
        try:
            while part := os.read(ours, 65_536):
                printed += part
        except OSError:  # Linux: nobody has the other side any more
            pass
        error = process.stderr.read().decode() if process.stderr else ""
    os.close(ours)
    assert process.returncode == 0, error
    return CONTROL.sub("", printed.decode().replace("\r\n", "\n")).split("\n")
