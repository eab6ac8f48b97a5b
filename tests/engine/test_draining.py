"""The end of all calls of a process: who may finish, who is cut, who hurries."""

import asyncio

import pytest
import pytest_asyncio

from calls.domain.errors import CallError, EndReason, ErrorCode
from calls.domain.events import TextTyped
from calls.engine.registry import Registry
from tests.engine.bench import Call, policy

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def registry():
    calls = Registry(max_calls=5)
    yield calls
    await calls.close()


async def talking(registry):
    """A call whose agent speaks, and its client."""
    bench = Call(policy(), ())
    await registry.start(bench.live)
    await bench.clock.settle()
    client = await bench.attach()
    bench.runner.post(TextTyped(text="Hello?"))
    await bench.clock.advance(100)
    assert client.phases()[-1] == "speaking"
    return bench, client


async def test_a_turn_that_goes_on_is_heard_before_the_call_ends(registry):
    bench, client = await talking(registry)
    drained = asyncio.get_running_loop().create_task(registry.drain(deadline_ms=20_000))
    await bench.clock.settle()
    assert client.end_reason is None
    await bench.clock.advance(5_000)
    await asyncio.wait_for(drained, 2)
    assert (client.end_reason, client.close_code) == ("restarted", 4512)
    assert [item.status for item in bench.records.items.values()] == ["complete"] * 2
    assert bench.records.reason is EndReason.RESTARTED


async def test_a_turn_that_lasts_beyond_the_deadline_is_cut(registry):
    bench, client = await talking(registry)
    drained = asyncio.get_running_loop().create_task(registry.drain(deadline_ms=1))
    await asyncio.wait_for(drained, 5)
    assert client.end_reason == "restarted"
    assert [item.status for item in bench.records.items.values()][-1] == "interrupted"


async def test_who_hurries_cuts_and_still_stores(registry):
    bench, client = await talking(registry)
    drained = asyncio.get_running_loop().create_task(registry.drain(deadline_ms=20_000))
    await bench.clock.settle()
    drained.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(drained, 5)
    assert (client.end_reason, client.close_code) == ("restarted", 4512)
    assert bench.records.reason is EndReason.RESTARTED


async def test_a_call_that_was_on_its_way_does_not_begin_any_more(registry):
    with registry.place():
        await registry.drain(deadline_ms=1)
        bench = Call(policy(), ())
        await registry.start(bench.live)
    await bench.clock.settle()
    with pytest.raises(CallError) as refused:
        await bench.attach()
    assert refused.value.code is ErrorCode.DRAINING
    assert bench.records.reason is EndReason.RESTARTED
