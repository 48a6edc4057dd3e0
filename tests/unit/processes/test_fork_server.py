"""Processes that are forked from one which has imported what they need."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from al_learner.core.errors import TrainerError
from al_learner.core.processes.fork_server import ForkServer
from al_learner.core.processes.process_pool import Kind, ProcessPool
from tests.support.waiting import wait_until

PREPARED = []


def prepare():
    PREPARED.append(os.getpid())


def fail():
    raise RuntimeError("cannot be imported")


def tasks(name="one"):
    return {
        "pid": os.getpid, "name": lambda: name, "prepared": lambda: PREPARED, "nice": lambda: os.nice(0),
        "exit": lambda: sys.exit(3), "kill": lambda: os.kill(os.getpid(), signal.SIGKILL), "wait": signal.pause,
        "fds": lambda: [fd.name for fd in Path("/proc/self/fd").iterdir()],
    }  # fmt: skip


def nothing(_process=None):
    """Do nothing while waiting."""


@pytest.fixture
def descendants():
    """Return the descendants of this process that were started since."""
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    return lambda: [child for child in psutil.Process().children(recursive=True) if child.pid not in before]


@pytest.fixture
def pool(descendants):  # noqa: ARG001 - counts from before
    made = ProcessPool(lambda: None, prepare)
    yield made
    made.close()


def test_every_process_is_a_fork_of_one_that_is_prepared(pool):
    one, other = (Kind(tasks, (name,), niceness=3) for name in ("one", "other"))
    assert pool.ask(one, nothing, "pid") != pool.ask(other, nothing, "pid")
    assert [pool.ask(kind, nothing, "name") for kind in (one, other)] == ["one", "other"]
    assert pool.ask(other, nothing, "nice") == 3

    (prepared,) = pool.ask(one, nothing, "prepared")
    assert pool.ask(other, nothing, "prepared") == [prepared]
    parents = {psutil.Process(pool.ask(kind, nothing, "pid")).ppid() for kind in (one, other)}
    assert parents == {prepared}


def test_a_fork_keeps_no_descriptor_of_others(pool):
    first = pool.ask(Kind(tasks, ("first",)), nothing, "fds")
    for number in range(5):
        pool.ask(Kind(tasks, (f"{number}",)), nothing, "name")
    assert len(pool.ask(Kind(tasks, ("last",)), nothing, "fds")) == len(first)


@pytest.mark.parametrize(
    ("task", "how"), [("exit", "ended by itself, with exit code 3"), ("kill", "was killed by SIGKILL")]
)
def test_the_error_says_how_a_fork_ended(pool, task, how):
    with pytest.raises(TrainerError, match=how):
        pool.ask(Kind(tasks), nothing, task)
    assert pool.ask(Kind(tasks), nothing, "name") == "one"


def test_a_fork_is_killed_when_a_task_takes_too_long(pool, descendants):
    with pytest.raises(TrainerError, match=r"took longer than 0\.1 s and was killed"):
        pool.ask(Kind(tasks, timeout_s=0.1), nothing, "wait")
    wait_until(lambda: len(descendants()) == 1, "only the server to be left")


def test_a_server_that_was_killed_is_started_again_and_its_forks_end(pool, descendants):
    pid = pool.ask(Kind(tasks, ("first",)), nothing, "pid")
    server = psutil.Process(pid).ppid()
    os.kill(server, signal.SIGKILL)
    wait_until(lambda: not psutil.pid_exists(pid), "the fork to end with its server")

    assert pool.ask(Kind(tasks, ("first",)), nothing, "name") == "first"
    assert pool.ask(Kind(tasks, ("second",)), nothing, "name") == "second"
    assert server not in {child.pid for child in descendants()}


def test_a_server_that_cannot_be_prepared_is_an_error(capfd):
    pool = ProcessPool(lambda: None, fail)
    with pytest.raises(TrainerError, match="the process that starts training processes ended by itself"):
        pool.ask(Kind(tasks), nothing, "name")
    pool.close()
    assert "RuntimeError: cannot be imported" in capfd.readouterr().err


def test_everything_ends_with_the_pool(descendants):
    pool = ProcessPool(lambda: None, prepare)
    pool.ask(Kind(tasks), nothing, "name")
    pool.close()
    wait_until(lambda: descendants() == [], "all processes to end")


PARENT = """
import signal
from al_learner.core.processes.process_pool import Kind, ProcessPool
from tests.unit.processes.test_fork_server import nothing, prepare, tasks

pool = ProcessPool(lambda: None, prepare)
print(pool.ask(Kind(tasks), nothing, "pid"), pool.ask(Kind(tasks), nothing, "prepared")[0], flush=True)
signal.pause()
"""


def test_everything_ends_with_a_parent_that_is_killed():
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert all(psutil.pid_exists(pid) for pid in pids)
        parent.kill()
    wait_until(lambda: not any(psutil.pid_exists(pid) for pid in pids), "fork and server to end")


def test_a_terminal_that_sends_ctrl_c_to_all_ends_no_fork(pool):
    pid = pool.ask(Kind(tasks), nothing, "pid")
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(pid, number)
        os.kill(psutil.Process(pid).ppid(), number)
    assert pool.ask(Kind(tasks), nothing, "pid") == pid
    assert pool.ask(Kind(tasks, ("other",)), nothing, "name") == "other"


def test_forks_are_started_by_several_threads(pool):
    with ThreadPoolExecutor(8) as threads:
        names = [f"{number}" for number in range(24)]
        found = threads.map(lambda name: pool.ask(Kind(tasks, (name,)), nothing, "name"), names)
        assert list(found) == names


def test_a_fork_that_has_ended_is_not_sent_a_signal():
    server = ForkServer(prepare)
    child = server.child(_end, name="test")
    assert child.join(10) == 0
    child.send_signal(signal.SIGKILL)
    assert not child.is_alive
    child.kill()
    server.close()


def _end(_pipe):
    """Do nothing."""


def test_several_threads_may_wait_for_the_end_of_a_fork():
    server = ForkServer(prepare)
    child = server.child(_end, name="test")
    with ThreadPoolExecutor(8) as threads:
        assert [*threads.map(lambda _: child.join(10), range(8))] == [0] * 8
    child.kill()
    server.close()
