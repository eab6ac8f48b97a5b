"""Who holds the event loop is said while it is held."""

import asyncio
import logging
import sys
import threading

import pytest

from calls.engine.clock import MonotonicClock
from calls.wiring.stalls import HELD_MS, StallWatch
from tests.doubles.clock import FakeClock

pytestmark = pytest.mark.asyncio


def places(caplog):
    return [record.where for record in caplog.records if "event loop is held" in record.message]


async def test_a_loop_that_is_held_is_named_while_it_is(caplog):
    """The loop is let go only once it was said."""
    said = threading.Event()

    class Listening(logging.Handler):
        def emit(self, record):
            said.set()

    handler = Listening()
    logging.getLogger("calls.wiring.stalls").addHandler(handler)

    def hold_everything():
        assert said.wait(20)

    try:
        with StallWatch(MonotonicClock(), held_ms=30, look_ms=5).watching():
            hold_everything()
    finally:
        logging.getLogger("calls.wiring.stalls").removeHandler(handler)
    (place,) = places(caplog)
    assert "hold_everything (test_stalls.py:" in place


async def test_once_for_each_time_it_is_held(caplog):
    clock = FakeClock()
    watch = StallWatch(clock)
    for _ in range(2):
        watch.alive()
        for _ in range(8):
            await clock.advance(HELD_MS // 4)
            watch.look(sys._getframe())
    assert len(places(caplog)) == 2


async def test_a_loop_that_runs_is_left_alone(caplog):
    clock = FakeClock()
    watch = StallWatch(clock)
    for _ in range(20):
        await clock.advance(HELD_MS // 2)
        watch.alive()
        watch.look(sys._getframe())
    assert places(caplog) == []


async def test_no_thread_is_left():
    before = threading.active_count()
    with StallWatch(MonotonicClock()).watching():
        await asyncio.sleep(0)
        assert threading.active_count() == before + 1
    assert threading.active_count() == before
