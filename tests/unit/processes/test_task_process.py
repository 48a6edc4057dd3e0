"""A process that does tasks: what it returns and raises, and that nothing keeps its parent waiting for ever."""

import ctypes
import os
import platform
import re
import signal
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.connection import Connection
from operator import mul
from pathlib import Path

import psutil
import pytest

from al_learner.core.errors import DataError, TrainerError
from al_learner.core.processes.task_process import TaskProcess
from tests.support.waiting import DEADLINE_S, wait_until

on_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these functions")

TIMEOUT_S = 0.3
"""Only for processes that do nothing any more."""

LARGE = b"x" * 10_000_000
"""Far more than a pipe holds."""


def refuse(what):
    raise DataError(f"{what} is refused")


def stop_itself():
    os.kill(os.getpid(), signal.SIGSTOP)


def spin_in_c():
    re.match("(a+)+$", "a" * 60 + "b")


def fragment(mib):
    """Allocate memory in small blocks and free all but the last, which keeps the C library from returning the rest."""
    blocks = [bytes(2**15) for _ in range(mib * 2**5)]
    some_tasks.last_block = blocks[-1]


def n_heaps(file):
    """Return from how many heaps glibc has allocated, after several threads have allocated at the same time."""
    everyone = threading.Barrier(4)

    def allocate():
        everyone.wait()
        return [bytes(2**15) for _ in range(1_000)]

    with ThreadPoolExecutor(4) as pool:
        for thread in [pool.submit(allocate) for _ in range(4)]:
            thread.result()
    libc = ctypes.CDLL(None)
    libc.fopen.restype = ctypes.c_void_p
    stream = ctypes.c_void_p(libc.fopen(os.fsencode(file), b"w"))
    libc.malloc_info(0, stream)
    libc.fclose(stream)
    return Path(file).read_text().count("<heap ")


def some_tasks():
    return {
        "pid": os.getpid,
        "niceness": partial(os.nice, 0),
        "length": len,
        "touch": Path.touch,
        "exists": Path.exists,
        "refuse": refuse,
        "fail": partial(int, "one"),
        "fragment": fragment,
        "heaps": n_heaps,
        "repeat": partial(mul, b"x"),
        "exit": partial(os._exit, 3),
        "stop": stop_itself,
        "spin": spin_in_c,
    }


def half_answers():
    """Let this process stop in the middle of every answer."""

    def send_half(self, answer):
        os.write(self.fileno(), struct.pack("!i", len(answer)) + bytes(answer[: len(answer) // 2]))
        stop_itself()

    Connection._send_bytes = send_half
    return {"pid": os.getpid}


@pytest.fixture
def make():
    """Return a function that makes a process, which is killed at the end."""
    made = []

    def one(tasks=some_tasks, **options):
        made.append(TaskProcess(tasks, work="testing", **{"timeout_s": DEADLINE_S, **options}))
        return made[-1]

    yield one
    for process in made:
        process.close()


def test_it_is_started_when_needed_and_kept(make):
    process = make()
    assert process.pid is None

    pid = process.ask("pid")

    assert pid not in (None, os.getpid())
    assert (process.pid, process.ask("pid")) == (pid, pid)


def test_it_can_have_a_low_priority(make):
    assert make(niceness=19).ask("niceness") == 19


def test_what_a_task_raises_is_raised(make):
    process = make()
    with pytest.raises(DataError, match="this is refused"):
        process.ask("refuse", "this")
    with pytest.raises(TrainerError, match="ValueError: invalid literal"):
        process.ask("fail")


def test_what_it_is_told_comes_first_and_says_nothing(make, tmp_path):
    process = make()
    process.tell("touch", tmp_path / "first")

    assert process.ask("exists", tmp_path / "first")
    assert process.ask("length", "abc") == 3


@pytest.mark.parametrize(
    ("task", "is_replaced"),
    [(("fail",), False), (("exit",), True), (("repeat", 10**15), True)],
    ids=["error", "end", "memory"],
)
def test_what_it_is_told_may_fail(make, task, is_replaced):
    process = make()
    pid = process.ask("pid")
    process.tell(*task)

    assert process.ask("length", "abc") == 3
    assert (process.pid != pid) == is_replaced


def test_after_a_lack_of_memory_the_next_task_gets_a_new_process_however_soon_it_comes(make):
    process = make()
    pid = process.ask("pid")
    with pytest.raises(TrainerError, match="AL_LEARNER_TRAIN_MEMORY_MIB"):
        process.ask("repeat", 10**15)

    assert process.ask("pid") != pid


def test_a_process_is_replaced_that_takes_too_long_since_it_was_told(make):
    process = make()
    pid = process.ask("pid")
    process.tell("stop")
    answer, since = process._told
    process._told = answer, since - DEADLINE_S

    assert process.ask("pid") != pid


def test_a_crash_costs_one_task(make):
    process = make()
    with pytest.raises(TrainerError, match="the testing process ended by itself, with exit code 3"):
        process.ask("exit")
    assert process.ask("length", "abc") == 3


def test_a_process_that_was_killed_between_tasks_is_replaced(make):
    process = make()
    first = psutil.Process(process.ask("pid"))
    first.kill()
    # Its main thread may have ended before the others; only then can the parent know.
    wait_until(lambda: first.status() == psutil.STATUS_ZOMBIE and first.num_threads() == 1, "the end of the process")
    assert process.ask("pid") != first.pid


@pytest.mark.parametrize("task", ["stop", "spin"])
def test_a_task_that_never_ends_is_killed(make, task):
    process = make()
    process.ask("pid")
    process._timeout_s = TIMEOUT_S
    with pytest.raises(TrainerError, match=f"testing took longer than {TIMEOUT_S} s and was killed"):
        process.ask(task)
    assert process.pid is None


def test_a_process_that_does_not_take_its_task_is_killed(make):
    process = make()
    psutil.Process(process.ask("pid")).suspend()
    process._timeout_s = TIMEOUT_S
    with pytest.raises(TrainerError, match="took longer"):
        process.ask("length", LARGE)
    process._timeout_s = DEADLINE_S
    assert process.ask("length", LARGE) == len(LARGE)


def test_a_process_that_stops_in_the_middle_of_its_answer_is_killed(make):
    process = make(half_answers)
    process.start()
    process._timeout_s = 5  # its start counts too
    with pytest.raises(TrainerError, match="took longer"):
        process.ask("pid")
    assert process.pid is None


def test_what_the_tick_raises_ends_the_wait_and_the_process(make):
    def tick():
        raise KeyboardInterrupt

    process = make(tick=tick)
    with pytest.raises(KeyboardInterrupt):
        process.ask("spin")
    assert process.pid is None


def test_a_task_that_cannot_be_sent_is_raised(make):
    process = make()
    with pytest.raises((TypeError, AttributeError), match="pickle"):
        process.ask("length", lambda: None)
    assert process.ask("length", "abc") == 3


def resident_mib(process):
    return psutil.Process(process.pid).memory_info().rss / 2**20


@on_glibc
def test_its_threads_allocate_from_one_heap(make, tmp_path):
    assert make().ask("heaps", tmp_path / "info.xml") == 1


@on_glibc
def test_what_a_task_has_freed_is_returned_to_the_operating_system(make):
    process = make()
    process.ask("pid")
    before = resident_mib(process)

    process.ask("fragment", 200)

    wait_until(lambda: resident_mib(process) < before + 50, "the memory of the task to be returned")


def test_neither_a_task_nor_its_answer_stays_in_memory(make):
    process = make()
    process.ask("pid")
    before = resident_mib(process)

    process.ask("length", b"x" * 100 * 2**20)
    process.ask("repeat", 100 * 2**20)

    wait_until(lambda: resident_mib(process) < before + 50, "the memory of the task to be returned")
