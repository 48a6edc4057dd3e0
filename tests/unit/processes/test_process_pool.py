"""Processes that are kept between tasks: which one does a task, and which one ends when memory is short."""

from __future__ import annotations

import os

import psutil
import pytest

from al_learner.core.processes.process_pool import Kind, ProcessPool
from tests.support.waiting import wait_until

LIMIT = {"bytes": None}


def tasks(name="one"):
    return {"pid": os.getpid, "name": lambda: name, "nice": lambda: os.nice(0)}


def nothing(_process=None):
    """Do nothing while waiting, or before there is work."""


@pytest.fixture
def pool():
    made = ProcessPool(lambda: LIMIT["bytes"])
    yield made
    made.close()


@pytest.fixture
def short_memory(monkeypatch):
    monkeypatch.setitem(LIMIT, "bytes", 1)


def test_tasks_of_a_kind_are_done_by_one_process_and_others_by_others(pool):
    one, other = Kind(tasks), Kind(tasks, ("other",))

    assert pool.ask(one, nothing, "pid") == pool.ask(Kind(tasks), nothing, "pid") != pool.ask(other, nothing, "pid")
    assert pool.ask(other, nothing, "name") == "other"


@pytest.mark.usefixtures("short_memory")
def test_the_process_that_was_used_longest_ago_ends_when_memory_is_short(pool):
    first, second = Kind(tasks), Kind(tasks, ("other",))
    pid = pool.ask(first, nothing, "pid")
    assert psutil.pid_exists(pid)
    newer = pool.ask(second, nothing, "pid")

    assert not psutil.pid_exists(pid)
    assert pool.ask(second, nothing, "pid") == newer  # the last one stays
    assert pool.ask(first, nothing, "pid") != pid


def test_a_kind_that_is_not_needed_any_more_ends(pool):
    pid = pool.ask(Kind(tasks), nothing, "pid")
    pool.forget(Kind(tasks))
    assert not psutil.pid_exists(pid)


@pytest.fixture
def children():
    """Return what returns the children of this process that were started since."""
    before = {child.pid for child in psutil.Process().children()}
    return lambda: [child for child in psutil.Process().children() if child.pid not in before]


def test_a_process_is_started_in_advance_and_the_next_one_after_it(children):
    pool = ProcessPool(lambda: None, nothing)
    wait_until(lambda: not pool._spares._ready.empty(), "a process to be started")
    (spare,) = children()

    assert pool.ask(Kind(tasks, ("other",), niceness=3), nothing, "pid") == spare.pid
    assert pool.ask(Kind(tasks, ("other",), niceness=3), nothing, "nice") == 3
    assert pool.ask(Kind(tasks, ("other",), niceness=3), nothing, "name") == "other"
    wait_until(lambda: len(children()) == 2, "the next one to be started")
    pool.close()
    assert children() == []


def test_a_process_that_ended_before_it_had_work_costs_nothing(children):
    pool = ProcessPool(lambda: None, nothing)
    wait_until(lambda: not pool._spares._ready.empty(), "a process to be started")
    (spare,) = children()
    spare.kill()
    spare.wait()
    assert pool.ask(Kind(tasks), nothing, "name") == "one"
    pool.close()
