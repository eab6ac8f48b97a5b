"""The machine's clock, and the timers that run by any clock."""

import asyncio

import pytest

from calls.engine.clock import MonotonicClock
from calls.engine.timers import Timers
from tests.doubles.clock import FakeClock

pytestmark = pytest.mark.asyncio


async def test_the_clock_goes_forward_and_calls_back():
    clock = MonotonicClock()
    began_ms = clock.now_ms()
    called = asyncio.Event()
    forget = clock.call_at(began_ms, pytest.fail)
    clock.call_at(began_ms - 1_000, called.set)
    forget()
    await asyncio.wait_for(called.wait(), 1)
    await clock.sleep(1)
    await clock.sleep(-5)
    assert began_ms < clock.now_ms() < began_ms + 1_000


@pytest.fixture
def clock():
    return FakeClock(0)


@pytest.fixture
def fired():
    return []


@pytest.fixture
def timers(clock, fired):
    return Timers(clock, fired=lambda name: fired.append((clock.now_ms(), name)))


async def test_timers_fire_once_each_in_their_time(clock, timers, fired):
    timers.start("late", 200)
    timers.start("soon", 100)
    await clock.advance(1_000)
    assert fired == [(100, "soon"), (200, "late")]


async def test_a_timer_of_the_same_name_takes_the_place_of_the_first(clock, timers, fired):
    timers.start("end", 100)
    timers.start("end", 300)
    await clock.advance(1_000)
    assert fired == [(300, "end")]


async def test_a_cancelled_timer_does_not_fire_and_may_be_cancelled_again(clock, timers, fired):
    timers.start("end", 100)
    timers.start("idle", 100)
    timers.cancel("end")
    timers.cancel("end")
    timers.cancel("never")
    await clock.advance(1_000)
    assert fired == [(100, "idle")]


async def test_a_timer_may_start_itself_again(clock, fired):
    def again(name):
        fired.append(clock.now_ms())
        if len(fired) < 3:
            timers.start(name, clock.now_ms() + 100)

    timers = Timers(clock, fired=again)
    timers.start("tick", 100)
    await clock.advance(1_000)
    assert fired == [100, 200, 300]


async def test_all_timers_go_at_once(clock, timers, fired):
    for name in ("a", "b", "c"):
        timers.start(name, 100)
    timers.cancel_all()
    await clock.advance(1_000)
    assert fired == []
