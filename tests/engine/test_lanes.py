"""Ordered work behind a bound."""

import asyncio

import pytest

from calls.engine.lanes import Lane

pytestmark = pytest.mark.asyncio


class Bench:
    def __init__(self, limit=3, overflow=lambda _lane, _job: None):
        self.done = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.lane = Lane(self._work, limit=limit, overflow=overflow)

    async def _work(self, job):
        await self.gate.wait()
        if isinstance(job, Exception):
            raise job
        self.done.append(job)

    def begin(self):
        return asyncio.get_running_loop().create_task(self.lane.drain())


async def settle():
    for _ in range(10):
        await asyncio.sleep(0)


async def test_jobs_are_done_in_order_one_at_a_time():
    bench = Bench(limit=100)
    task = bench.begin()
    for job in range(50):
        bench.lane.put(job)
    await bench.lane.idle()
    bench.lane.put(50)
    await bench.lane.idle()
    assert bench.done == list(range(51))
    task.cancel()


async def test_a_full_lane_asks_what_to_do_and_force_does_not():
    refused = []
    bench = Bench(limit=2, overflow=lambda lane, job: refused.append((len(lane), job)))
    for job in range(4):
        bench.lane.put(job)
    bench.lane.force(9)
    task = bench.begin()
    await bench.lane.idle()
    assert refused == [(2, 2), (2, 3)]
    assert bench.done == [0, 1, 9]
    task.cancel()


async def test_waiting_jobs_can_be_taken_back_oldest_first():
    bench = Bench(limit=100)
    for job in range(10):
        bench.lane.put(job)
    assert bench.lane.remove(lambda job: job % 2 == 0, most=2) == 2
    assert bench.lane.remove(lambda job: job > 7) == 2
    task = bench.begin()
    await bench.lane.idle()
    assert bench.done == [1, 3, 4, 5, 6, 7]
    task.cancel()


async def test_the_job_in_hand_counts_as_not_done():
    bench = Bench()
    bench.gate.clear()
    task = bench.begin()
    bench.lane.put(1)
    await settle()
    assert len(bench.lane) == 0
    idle = asyncio.get_running_loop().create_task(bench.lane.idle())
    await settle()
    assert not idle.done()
    bench.gate.set()
    await settle()
    assert idle.done()
    task.cancel()


async def test_an_empty_lane_is_idle_even_before_it_is_drained():
    await asyncio.wait_for(Bench().lane.idle(), 1)


async def test_what_work_raises_ends_the_lane():
    bench = Bench()
    bench.lane.put(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await bench.lane.drain()
