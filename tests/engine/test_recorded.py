"""Both sides of the recording, as the call lays them out by the client's reports."""

import pytest

from calls.domain import events as ev
from calls.domain.audio import AGENT
from tests.doubles.voice import Words, milliseconds
from tests.engine.bench import call, policy

pytestmark = pytest.mark.asyncio


def agent_side(bench):
    """What the agent's side holds, millisecond by millisecond; silence is -1."""
    return milliseconds(bench.recording.laid_out("agent"))


def placed(bench):
    """Where in the call each millisecond of response 1 lies in the recording."""
    return {number: at for at, number in enumerate(agent_side(bench)) if number >= 0}


def beats(bench, client):
    """Where in the call each millisecond of response 1 came out of the loudspeaker."""
    began_ms = bench.clock.now_ms() - bench.runner.now_ms()
    return {beat.ms: beat.at_ms - began_ms for beat in client.loudspeaker.heard}


async def answered(bench, audio_ms):
    bench.voice.answers.append([Words("An answer of some length, in many words.", audio_ms)])
    bench.runner.post(ev.TextTyped(text="Go on"))


async def test_the_agent_lies_where_it_was_heard():
    async with call() as bench:
        client = await bench.attach(jitter_ms=150)
        await bench.clock.advance(1_000)
        await answered(bench, 2_000)
        await bench.clock.advance(3_000)
        heard, recorded = beats(bench, client), placed(bench)
        assert sorted(recorded) == list(range(2_000))
        assert max(abs(heard[ms] - recorded[ms]) for ms in heard) <= 10


async def test_of_an_interrupted_answer_only_what_was_heard_is_kept():
    async with call() as bench:
        client = await bench.attach(jitter_ms=80)
        await answered(bench, 5_000)
        await bench.clock.advance(1_330)
        bench.runner.post(ev.SpeechStarted())
        await bench.clock.advance(1_000)
        heard, recorded = beats(bench, client), placed(bench)
        assert sorted(recorded) == sorted(heard)
        assert 1_100 < len(heard) < 1_400
        assert max(abs(heard[ms] - recorded[ms]) for ms in heard) <= 10


async def test_a_client_that_does_not_answer_a_clear_shifts_nothing():
    async with call() as bench:
        client = await bench.attach()
        await answered(bench, 5_000)
        await bench.clock.advance(1_330)
        client.silent = True
        bench.runner.post(ev.SpeechStarted())
        await bench.clock.advance(1_000)
        heard, recorded = beats(bench, client), placed(bench)
        assert len(recorded) == pytest.approx(len(heard), abs=20)
        both = heard.keys() & recorded.keys()
        assert max(abs(heard[ms] - recorded[ms]) for ms in both) <= 10


async def test_a_pause_of_the_client_is_a_pause_of_the_recording():
    async with call() as bench:
        client = await bench.attach()
        await answered(bench, 3_000)
        await bench.clock.advance(1_010)
        client.loudspeaker.stalled = True
        await bench.clock.advance(2_000)
        client.loudspeaker.stalled = False
        await bench.clock.advance(3_000)
        heard, recorded = beats(bench, client), placed(bench)
        assert sorted(recorded) == list(range(3_000))
        late = [ms for ms in heard if ms > 1_300]
        assert max(abs(heard[ms] - recorded[ms]) for ms in late) <= 200


async def test_what_was_heard_before_a_drop_lies_before_it_and_the_rest_after():
    async with call() as bench:
        client = await bench.attach()
        await answered(bench, 3_000)
        await bench.clock.advance(1_130)
        client.drop()
        await bench.clock.advance(5_000)
        back = await bench.come_back(client)
        await bench.clock.advance(3_000)
        heard, recorded = beats(bench, back), placed(bench)
        assert sorted(recorded) == list(range(3_000))
        assert max(abs(heard[ms] - recorded[ms]) for ms in heard) <= 10


async def test_a_client_that_cannot_report_is_recorded_by_the_clock():
    async with call() as bench:
        await bench.attach(reports_playback=False)
        await bench.clock.advance(500)
        await answered(bench, 1_000)
        await bench.clock.advance(2_000)
        recorded = placed(bench)
        assert sorted(recorded) == list(range(1_000))
        assert recorded[0] == pytest.approx(500, abs=5)
        assert recorded[999] == pytest.approx(1_499, abs=5)


async def test_both_sides_share_one_clock_and_end_with_the_call():
    async with call(policy(endpoint_silence_ms=400)) as bench:
        client = await bench.attach()
        bench.voice.hears.append("Hello")
        bench.voice.answers.append([Words("Yes.", 600)])
        await bench.microphone.is_silent(1_000)
        await bench.microphone.speaks(800)
        await bench.microphone.is_silent(2_000)
        bench.runner.post(ev.HungUp())
        await bench.clock.settle()
        caller = bench.recording.laid_out("caller")
        assert caller.index(b"\x01\x00") // 32 == 1_000
        heard, recorded = beats(bench, client), placed(bench)
        assert abs(heard[0] - recorded[0]) <= 10
        assert recorded[0] >= 1_800 + 400 - 50
        assert bench.recording.end_ms == bench.runner.now_ms()
        assert AGENT.ms(bench.recording.laid_out("agent")) <= bench.recording.end_ms
