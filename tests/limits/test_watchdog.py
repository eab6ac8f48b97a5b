"""What may not go on is ended, whatever of it hangs: at most a second after its cap."""

import asyncio

import pytest

from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain.errors import CallError, EndReason
from calls.domain.items import Role
from tests.limits.rig import until, watching

pytestmark = pytest.mark.asyncio

CAP_MS = 150
LATEST_MS = 1_000
"""So long after its cap nothing of a call may be left."""


def hangs_nowhere(rig, call):
    """It ends by itself."""


def hangs_in_the_voice_lane(rig, call):
    call.voice.listen = rig.never()
    call.runner.post(ev.SpeechStarted())
    call.runner.post(ev.MicAudio(pcm=bytes(640)))


def hangs_in_the_voice_lane_and_will_not_be_cancelled(rig, call):
    call.voice.listen = rig.never(stubborn=True)
    call.runner.post(ev.SpeechStarted())
    call.runner.post(ev.MicAudio(pcm=bytes(640)))


def waits_for_a_transcript(rig, call):
    call.voice.commit = rig.never()
    call.runner.post(ev.TalkStarted())
    call.runner.post(ev.TalkStopped())


def cannot_leave_the_voice_session(rig, call):
    call.voice.__class__ = type("Stuck", (type(call.voice),), {"__aexit__": rig.never()})


def will_not_leave_the_voice_session(rig, call):
    stuck = rig.never(stubborn=True)
    call.voice.__class__ = type("Stuck", (type(call.voice),), {"__aexit__": stuck})


def has_a_client_that_takes_nothing(rig, call):
    call.client.gate = rig.never()
    call.runner.post(ev.TextTyped(text="Hello"))


def cannot_store(rig, call):
    call.records.open.clear()
    call.runner.post(ev.TextTyped(text="Hello"))


def has_a_recording_that_does_not_close(rig, call):
    close, hang = call.recording.close, rig.never()

    async def slow(end_ms):
        await close(end_ms)
        await asyncio.wait_for(hang(), 0.3)

    call.recording.close = slow


HANGS = [
    hangs_nowhere,
    hangs_in_the_voice_lane,
    hangs_in_the_voice_lane_and_will_not_be_cancelled,
    waits_for_a_transcript,
    cannot_leave_the_voice_session,
    will_not_leave_the_voice_session,
    cannot_store,
]


@pytest.mark.parametrize("hang", HANGS)
async def test_a_call_is_over_a_second_after_its_longest_time(hang):
    async with watching() as rig:
        call = await rig.begin(cap_ms=CAP_MS)
        hang(rig, call)
        lasted_ms = await rig.over(call, 3_000)
        assert CAP_MS <= lasted_ms <= CAP_MS + LATEST_MS
        assert (call.client.end_reason, call.client.close_code) == ("max_length", 1000)
        assert call.records.reason is EndReason.MAX_LENGTH
        assert CAP_MS <= call.records.duration_ms <= CAP_MS + LATEST_MS
        assert (call.records.finishes, call.recording.closes) == (1, 1)
        with pytest.raises(CallError):
            call.runner.attach(call.client)


@pytest.mark.parametrize("hang", HANGS)
async def test_a_call_is_over_a_second_after_its_money_is_used_up(hang):
    async with watching() as rig:
        call = await rig.begin(cap_micros=100, micros=60)
        hang(rig, call)
        call.reports()
        await asyncio.sleep(0.12)
        assert len(rig.registry) == 1, "there is some left"
        used_up_ms = call.runner.now_ms()
        call.reports()
        lasted_ms = await rig.over(call, 3_000)
        assert lasted_ms <= used_up_ms + LATEST_MS
        assert (call.client.end_reason, call.records.reason) == ("budget", EndReason.BUDGET)
        assert call.records.finishes == 1


async def test_a_client_that_takes_nothing_is_let_go_as_well():
    async with watching() as rig:
        call = await rig.begin(cap_ms=CAP_MS)
        has_a_client_that_takes_nothing(rig, call)
        lasted_ms = await rig.over(call, 3_000)
        assert lasted_ms <= CAP_MS + LATEST_MS
        assert call.client.close_code == 1000
        assert call.records.reason is EndReason.MAX_LENGTH


async def test_a_recording_that_is_slow_to_close_keeps_no_client():
    async with watching() as rig:
        call = await rig.begin(cap_ms=CAP_MS)
        call.recording.close = rig.never()
        await until(lambda: call.client.close_code is not None)
        assert call.runner.now_ms() <= CAP_MS + LATEST_MS
        assert call.client.end_reason == "max_length"
        rig.blocked[0].set()
        await rig.over(call, 1_000)
        assert call.records.reason is EndReason.MAX_LENGTH


async def test_what_waited_for_the_record_is_stored_when_a_call_is_cut():
    async with watching() as rig:
        call = await rig.begin(cap_ms=CAP_MS)
        go = asyncio.Event()
        store = call.records.store_turn

        async def slow(turn):
            await go.wait()
            await store(turn)

        call.records.store_turn = slow
        call.voice.commit = rig.never()
        for text in ("One", "Two", "Three"):
            call.runner.post(ev.TextTyped(text=text))
        asyncio.get_running_loop().call_later(0.9, go.set)
        await rig.over(call, 3_000)
        said = [item.text for item in call.records.items.values() if item.role is Role.USER]
        assert said == ["One", "Two", "Three"]


async def test_a_call_below_its_caps_is_let_alone():
    async with watching() as rig:
        call = await rig.begin(cap_ms=60_000, cap_micros=1_000, micros=999)
        call.reports()
        free = await rig.begin(name="c2", micros=10**9)
        free.reports()
        await asyncio.sleep(0.2)
        assert len(rig.registry) == 2
        assert call.client.close_code is None


async def test_the_client_is_told_once():
    async with watching() as rig:
        call = await rig.begin(cap_ms=CAP_MS)
        call.recording.close = rig.never()
        await until(lambda: call.client.close_code is not None)
        assert len(call.client.of(do.EndCall)) == 1


async def test_a_call_that_was_hung_up_keeps_that_reason():
    async with watching() as rig:
        call = await rig.begin(cap_ms=60_000)
        call.recording.close = rig.never()
        call.runner.post(ev.HungUp())
        rig.dog.end(call.live, EndReason.STAFF_ENDED, patience_ms=0)
        await asyncio.sleep(0.3)
        rig.blocked[0].set()
        await rig.over(call, 1_000)
        assert call.records.reason is EndReason.CALLER_HUNG_UP


async def test_one_call_that_cannot_be_watched_does_not_matter_to_the_others():
    async with watching() as rig:
        broken = await rig.begin(cap_ms=CAP_MS, name="c0")
        broken.live.cap_ms = "nonsense"
        call = await rig.begin(cap_ms=CAP_MS, name="c1")
        await until(lambda: call.client.close_code is not None)
        assert broken.client.close_code is None
        broken.live.cap_ms = None


async def test_a_place_is_free_once_a_call_is_cut_though_its_task_lives_on():
    async with watching() as rig:
        call = await rig.begin(cap_ms=CAP_MS)
        will_not_leave_the_voice_session(rig, call)
        await rig.over(call, 3_000)
        assert len(rig.registry) == 0
        assert rig.registry.get("c1") is None
        await asyncio.wait_for(rig.registry.drain(deadline_ms=1_000), 2)
