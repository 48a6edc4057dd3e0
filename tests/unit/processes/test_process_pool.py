"""Processes that are kept between tasks: which one does a task, and which one ends when memory is short."""

from __future__ import annotations

import os

import psutil
import pytest

from al_learner.core.processes.process_pool import Kind, ProcessPool

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
