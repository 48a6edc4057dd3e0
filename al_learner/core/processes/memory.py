"""The memory of this process: how much it may have, and how it returns what is free. glibc keeps a lot by default."""

from __future__ import annotations

import ctypes
import resource
from contextlib import suppress
from pathlib import Path
from typing import Any

M_ARENA_MAX = -8
"""The option of glibc's mallopt that sets the number of heaps."""


def limit_memory(mib: int) -> None:
    """Limit the memory of this process (RLIMIT_DATA). Call it after the imports, which need more for a moment."""
    resource.setrlimit(resource.RLIMIT_DATA, (mib * 2**20, resource.RLIM_INFINITY))


def use_one_heap() -> None:
    """Let all threads of this process allocate from one heap. Call it before the first thread is started.

    By default glibc gives a heap to each of the first threads, and keeps what was freed in them.
    """
    _glibc("mallopt", M_ARENA_MAX, 1)


def return_free_memory() -> None:
    """Return free memory to the operating system. It takes some milliseconds.

    By default glibc keeps free memory that lies between used blocks.
    """
    _glibc("malloc_trim", 0)


def own_bytes(pid: int | None) -> int:
    """Return how much memory a process shares with no other, which is free when it ends.

    0 if it has ended, or where the system has no folder /proc.
    """
    with suppress(OSError):
        if pid is not None:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
            return sum(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Private_"))
    return 0


def _glibc(name: str, *arguments: Any) -> None:
    """Call a function of the C library, if it has it. Others than glibc do not."""
    function = getattr(ctypes.CDLL(None), name, None)
    if function is not None:
        function(*arguments)
