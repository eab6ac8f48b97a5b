"""The live calls of a process."""

import asyncio

import pytest

from calls.domain.errors import CallError, EndReason, ErrorCode
from calls.engine.registry import Registry
from tests.engine.bench import Call, policy

pytestmark = pytest.mark.asyncio


@pytest.fixture
def registry():
    return Registry(max_calls=2)


async def begin(registry, **kwargs):
    """A call of the registry, with its client."""
    bench = Call(policy(**kwargs), ())
    await registry.start(bench.live)
    await bench.clock.settle()
    client = await bench.attach()
    return bench, client


async def test_a_call_runs_beyond_whoever_began_it_and_leaves_when_it_ends(registry):
    bench, client = await asyncio.get_running_loop().create_task(begin(registry))
    assert list(registry) == [bench.live]
    assert registry.get("c1") is bench.live
    bench.hang_up()
    await bench.clock.settle()
    assert len(registry) == 0
    assert client.close_code == 1000
    assert bench.detector.detections[0].closed
    await registry.close()


async def test_no_more_calls_than_places(registry):
    await begin(registry)
    with registry.place(), pytest.raises(CallError) as refused, registry.place():
        pass
    assert refused.value.code is ErrorCode.BUSY
    with registry.place():
        pass  # the place came back
    await registry.close()


async def test_a_place_that_was_not_used_is_free_again(registry):
    for _ in range(5):
        with pytest.raises(ZeroDivisionError), registry.place():
            raise ZeroDivisionError
    with registry.place(), registry.place():
        pass


async def test_only_the_latest_secret_opens_a_call(registry):
    bench, _ = await begin(registry)
    first = bench.live.new_secret()
    second = bench.live.new_secret()
    assert registry.find("c1", second) is bench.live
    for call_id, secret in [("c1", first), ("c1", ""), ("c2", second), ("c1", "\ud800")]:
        with pytest.raises(CallError) as refused:
            registry.find(call_id, secret)
        assert refused.value.code is ErrorCode.ENDED
    assert second not in repr(bench.live)
    await registry.close()


async def test_a_call_that_never_gave_a_secret_is_opened_by_none(registry):
    await begin(registry)
    with pytest.raises(CallError):
        registry.find("c1", "")
    await registry.close()


async def test_a_call_that_is_over_is_found_by_nobody(registry):
    bench, _ = await begin(registry)
    secret = bench.live.new_secret()
    bench.records.finish = hold = Hold()
    bench.hang_up()
    await bench.clock.settle()
    assert len(registry) == 1, "it is still being put away"
    with pytest.raises(CallError):
        registry.find("c1", secret)
    hold.go.set()
    await bench.clock.settle()
    assert len(registry) == 0
    await registry.close()


class Hold:
    """A `finish` that waits for the test."""

    def __init__(self):
        self.go = asyncio.Event()

    async def __call__(self, reason, *, duration_ms):
        await self.go.wait()


async def test_a_drain_ends_the_calls_well_and_lets_none_in(registry):
    bench, client = await begin(registry)
    await registry.drain(deadline_ms=2_000)
    assert len(registry) == 0
    assert (client.end_reason, client.close_code) == ("restarted", 4512)
    assert bench.records.reason is EndReason.RESTARTED
    with pytest.raises(CallError) as refused, registry.place():
        pass
    assert refused.value.code is ErrorCode.DRAINING
    await registry.close()


async def test_a_drain_meets_a_call_that_is_just_beginning(registry):
    bench = Call(policy(), ())
    await registry.start(bench.live)
    drained = asyncio.get_running_loop().create_task(registry.drain(deadline_ms=5_000))
    await bench.clock.settle()
    with pytest.raises(CallError) as refused:
        await bench.attach()
    assert refused.value.code is ErrorCode.DRAINING
    await asyncio.wait_for(drained, 2)
    assert bench.records.reason is EndReason.RESTARTED
    await registry.close()


async def test_what_does_not_drain_is_cut_and_its_record_closed(registry):
    bench, _ = await begin(registry)
    bench.voice.hears.clear()
    bench.voice.commit = Never()
    await bench.microphone.speaks(500)
    await registry.drain(deadline_ms=50, rest_ms=50)
    assert len(registry) == 1
    await registry.close()
    assert len(registry) == 0
    assert bench.records.finishes == 1


class Never:
    async def __call__(self):
        await asyncio.Event().wait()


async def test_one_call_that_cannot_be_closed_does_not_end_the_others(registry):
    bench, _ = await begin(registry)

    async def broken(reason, *, duration_ms):
        raise ZeroDivisionError

    bench.records.finish = broken
    bench.hang_up()
    await bench.clock.settle()
    assert len(registry) == 0
    other, client = await begin(registry)
    await other.clock.advance(100)
    assert client.close_code is None
    await registry.close()


async def test_kept_work_runs_once_beside_the_calls_and_may_fail(registry):
    begun = []

    async def work():
        begun.append(1)
        raise ZeroDivisionError

    for _ in range(3):
        await registry.keep_once("work", work)
    await begin(registry)
    assert begun == [1]
    assert len(registry) == 1
    await registry.close()


async def test_a_closed_registry_has_ended_everything_and_closing_twice_is_the_same(registry):
    ended = asyncio.Event()

    async def work():
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    await registry.keep_once("work", work)
    bench, _ = await begin(registry)
    await registry.close()
    await registry.close()
    assert ended.is_set()
    assert bench.records.finishes == 1
