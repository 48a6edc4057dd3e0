"""Slots that threads share: in order, and given up while others wait."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from al_learner.core.processes.slots import Slots
from tests.support.waiting import DEADLINE_S, wait_until


def nothing() -> None:
    """Do nothing while waiting."""


@pytest.mark.parametrize("n", [1, 2])
def test_only_so_many_are_held_and_the_others_get_them_in_order(n):
    slots, got, may_end = Slots(n, slice_s=3600), [], threading.Event()

    def hold(number):
        with slots.held(nothing):
            got.append(number)
            assert may_end.wait(DEADLINE_S)

    with ThreadPoolExecutor(6) as pool:
        for number in range(6):
            pool.submit(hold, number)
            wait_until(lambda n=number: len(got) + len(slots._waiting) == n + 1, "the thread to hold or wait")
        assert got == [*range(n)]
        may_end.set()
    assert sorted(got) == [*range(6)]
    assert n > 1 or got == [*range(6)]  # with two, threads may tell it in another order


def test_a_slice_is_over_only_while_another_one_waits():
    slots = Slots(1, slice_s=0)
    with slots.held(nothing) as slot, ThreadPoolExecutor(1) as pool:
        assert not slot.is_over
        other = pool.submit(lambda: slots.held(nothing).__enter__())
        wait_until(lambda: slot.is_over, "the other one to wait")
        slot.give_back()
        assert not slot.is_over
        held_by_other = other.result(DEADLINE_S)
        held_by_other.give_back()
        slot.take(nothing)
        assert not slot.is_over


def test_a_long_slice_is_not_over():
    slots = Slots(1, slice_s=3600)
    with slots.held(nothing) as slot, ThreadPoolExecutor(1) as pool:
        other = pool.submit(lambda: slots.held(nothing).__enter__())
        wait_until(lambda: slots._waiting, "the other one to wait")
        assert not slot.is_over
        slot.give_back()
        other.result(DEADLINE_S)


def test_who_gives_up_waiting_leaves_the_queue():
    class Stopped(BaseException):
        pass

    def stop():
        raise Stopped

    slots = Slots(1, slice_s=0)
    with slots.held(nothing) as slot:
        with pytest.raises(Stopped), slots.held(stop):
            pass
        assert not slot.is_over
    with slots.held(nothing):
        pass
