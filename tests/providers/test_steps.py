"""How far thinking may run ahead of speaking."""

import asyncio

import pytest

from calls.providers.cascade.thought import (
    HIGH_WATER_CHARS,
    LOW_WATER_CHARS,
    End,
    Piece,
    Steps,
)

pytestmark = pytest.mark.asyncio
CHARS = 500


async def test_the_model_waits_above_the_high_mark_until_below_the_low_one():
    steps = Steps()
    for _ in range(HIGH_WATER_CHARS // CHARS):
        await asyncio.wait_for(steps.put(Piece("x" * CHARS)), 1)
    async with asyncio.TaskGroup() as group:
        one_more = group.create_task(steps.put(Piece("more")))
        while steps.qsize() * CHARS > LOW_WATER_CHARS:
            await asyncio.sleep(0)
            assert not one_more.done()
            await steps.get()
        await asyncio.wait_for(one_more, 1)
    assert [type(await steps.get()) for _ in range(3)] == [Piece] * 3
    assert steps.empty()


async def test_what_is_no_text_weighs_nothing():
    steps = Steps()
    await steps.put(Piece("x" * (HIGH_WATER_CHARS - 1)))
    await asyncio.wait_for(steps.put(End()), 1)
    assert isinstance(await steps.get(), Piece)
    assert await steps.get() == End()
