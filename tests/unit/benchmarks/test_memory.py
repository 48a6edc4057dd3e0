"""The memory of a process and its children, as the benchmarks measure it."""

import subprocess
import sys

import pytest

from benchmarks.process import Memory
from tests.support.waiting import wait_until

MIB = 2**20
SIZE = 64

FAMILY = """
import mmap, os, sys
if sys.argv[1] == "file":
    with open(sys.argv[2], "r+b") as file:
        held = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    sum(held[::mmap.PAGESIZE])
pid = os.fork()
if sys.argv[1] == "file":
    sum(held[::mmap.PAGESIZE])
else:
    held = b"x" * int(sys.argv[2])
if pid == 0:
    os.write(1, b"x")
    sys.stdin.read()
    os._exit(0)
os.write(1, b"x")
sys.stdin.read()
"""


@pytest.fixture
def measured():
    """Return a function that starts a process and its child, and measures both."""
    started = []

    def measure(*arguments):
        family = subprocess.Popen(
            [sys.executable, "-c", FAMILY, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        started.append(family)
        for _ in range(2):  # both are ready
            assert family.stdout.read(1) == b"x"
        memory = Memory(family.pid)
        memory.restart()
        return memory

    yield measure
    for family in started:
        family.stdin.close()
        family.stdout.close()
        family.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells shared pages apart")
def test_a_file_that_two_processes_have_mapped_counts_once(measured, tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"x" * SIZE * MIB)

    memory = measured("file", str(file))

    assert SIZE < memory.peak_mib < 1.8 * SIZE
    assert memory.resident_peak_mib > 2 * SIZE


def test_what_each_process_has_for_itself_counts_for_each(measured):
    assert measured("bytes", str(SIZE * MIB)).peak_mib > 2 * SIZE


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says which threads can run")
def test_a_process_that_waits_for_a_processor_is_not_idle():
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        assert wait_until(Memory(busy.pid).wants_processor, "the process to run")
        busy.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says which threads can run")
def test_a_process_that_waits_for_something_else_is_idle(measured):
    memory = measured("bytes", "1")
    wait_until(lambda: not memory.wants_processor(), "the processes to read their input")
