"""Sockets come and go, stall and are replaced; the call goes on."""

import asyncio

import pytest

from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain.errors import EndReason
from calls.domain.items import ItemStatus, Role
from calls.engine import line as line_module
from calls.engine.playout import (
    HIGH_WATER_MS,
    LEAD_MS,
    LOW_WATER_MS,
    SILENT_MS,
)
from calls.ports.client import AudioEnd, AudioFrame, Pace
from tests.doubles.voice import Wait, Words
from tests.engine.bench import call, caller_milliseconds, policy

pytestmark = pytest.mark.asyncio


def heard(client, response_id=1):
    return [beat.ms for beat in client.loudspeaker.heard if beat.response_id == response_id]


async def speaking(bench, *, audio_ms=5_000, text="A long answer to a short question."):
    bench.voice.answers.append([Words(text, audio_ms)])
    bench.runner.post(ev.TextTyped(text="Go on"))
    await bench.clock.settle()


# Pacing


@pytest.mark.parametrize("jitter_ms", [0, 80])
async def test_no_more_is_ever_sent_than_the_client_may_hold(jitter_ms):
    async with call() as bench:
        client = await bench.attach(jitter_ms=jitter_ms)
        await speaking(bench)
        await bench.clock.advance(6_000)
        assert heard(client) == list(range(5_000))
        assert client.ahead_of_ear_ms <= LEAD_MS + jitter_ms + 10
        assert client.ahead_of_report_ms <= 2 * LEAD_MS
        assert client.sound(1) == list(range(5_000)), "no millisecond twice on the wire"
        assert max(len(frame.pcm) for frame in client.of(AudioFrame)) <= 48 * Pace().frame_ms


async def test_the_sound_never_runs_dry_while_the_client_reports_five_times_a_second():
    async with call() as bench:
        client = await bench.attach(jitter_ms=80)
        await speaking(bench)
        await bench.clock.advance(6_000)
        times = [beat.at_ms for beat in client.loudspeaker.heard]
        assert times == list(range(times[0], times[0] + 5_000))


async def test_a_client_that_plays_late_is_waited_for():
    """A suspended page holds what it has; nothing piles up before it."""
    async with call() as bench:
        client = await bench.attach()
        await speaking(bench)
        await bench.clock.advance(500)
        client.loudspeaker.stalled = True
        await bench.clock.advance(3_000)
        assert max(client.sound(1)) < 500 + 2 * LEAD_MS
        client.loudspeaker.stalled = False
        await bench.clock.advance(6_000)
        assert heard(client) == list(range(5_000))


async def test_a_client_that_says_nothing_while_sound_is_due_has_gone():
    async with call(policy(resume_ms=30_000)) as bench:
        client = await bench.attach()
        await speaking(bench)
        await bench.clock.advance(1_000)
        client.loudspeaker.stalled = True
        await bench.clock.advance(SILENT_MS - 1_000)
        assert client.close_code is None
        await bench.clock.advance(1_500)
        assert client.close_code == 4408
        assert not bench.running.done(), "the call waits for it"
        back = await bench.come_back(client)
        back.loudspeaker.stalled = False
        await bench.clock.advance(5_000)
        assert heard(back) == list(range(5_000))


async def test_a_client_that_cannot_report_is_paced_by_the_clock():
    async with call() as bench:
        client = await bench.attach(reports_playback=False)
        await speaking(bench, audio_ms=2_000)
        await bench.clock.advance(1_000)
        assert 1_000 <= max(client.sound(1)) <= 1_000 + LEAD_MS
        assert bench.records.items[2].status is ItemStatus.IN_PROGRESS
        await bench.clock.advance(1_400)
        item = bench.records.items[2]
        assert (item.status, item.ended_ms - item.started_ms) == (ItemStatus.COMPLETE, 2_000)
        assert client.phases()[-1] == "listening"


async def test_an_interrupted_client_that_cannot_report_has_heard_what_time_allowed():
    async with call() as bench:
        client = await bench.attach(reports_playback=False)
        await speaking(bench, audio_ms=5_000, text="One two three four five")
        await bench.clock.advance(2_000)
        bench.runner.post(ev.SpeechStarted())
        await bench.clock.settle()
        turn = next(turn for turn in bench.records.turns.values() if turn.response_id == 1)
        assert turn.heard_ms == pytest.approx(2_000, abs=Pace().frame_ms)
        assert bench.records.items[2].text == "One two"
        assert do.ClearAudio(1) in client.messages


async def test_a_long_answer_holds_the_voice_back_and_lets_it_go_on():
    async with call() as bench:
        client = await bench.attach()
        await speaking(bench, audio_ms=HIGH_WATER_MS + 4_000)
        assert bench.voice.holds == [True]
        await bench.clock.advance(HIGH_WATER_MS - LOW_WATER_MS + 4_000 - 500)
        assert bench.voice.holds == [True]
        await bench.clock.advance(1_000)
        assert bench.voice.holds == [True, False]
        bench.hang_up()
        await bench.clock.settle()
        assert client.end_reason == "caller_hung_up"


async def test_an_interruption_lets_a_held_voice_go_on():
    async with call() as bench:
        await bench.attach()
        await speaking(bench, audio_ms=HIGH_WATER_MS + 4_000)
        bench.runner.post(ev.SpeechStarted())
        assert bench.voice.holds == [True, False]


async def test_an_answer_is_heard_to_its_end_exactly_once():
    async with call() as bench:
        client = await bench.attach()
        gate = Wait()
        bench.voice.answers.append([Words("First.", 500), gate])
        bench.runner.post(ev.TextTyped(text="Go on"))
        await bench.clock.advance(3_000)
        assert client.of(AudioEnd) == [], "more may come"
        gate.go.set()
        await bench.clock.advance(1_000)
        assert client.of(AudioEnd) == [AudioEnd(1, 500)]
        settled = [e for e in bench.effects if isinstance(e, do.SettleHeard)]
        assert settled == [do.SettleHeard(1, 500)]


async def test_an_answer_without_sound_ends_as_well():
    async with call() as bench:
        client = await bench.attach()
        bench.voice.answers.append([])
        bench.runner.post(ev.TextTyped(text="Go on"))
        await bench.clock.advance(100)
        assert client.of(AudioEnd) == [AudioEnd(1, 0)]
        assert client.phases()[-1] == "listening"


# Drop and resume


@pytest.mark.parametrize("away_ms", [0, 700, 20_000])
async def test_after_a_drop_the_agent_goes_on_where_the_ear_was(away_ms):
    async with call() as bench:
        client = await bench.attach(jitter_ms=80)
        await speaking(bench)
        await bench.clock.advance(1_730)
        client.drop()
        await bench.clock.advance(away_ms)
        played_ms = client.loudspeaker.played_ms(1)
        back = await bench.come_back(client)
        assert back.of(AudioFrame)[0].start_ms == played_ms
        await bench.clock.advance(6_000)
        assert heard(back) == list(range(5_000)), "nothing twice, nothing lost"
        assert back.sound(1) == list(range(played_ms, 5_000))
        item = bench.records.items[2]
        assert (item.status, item.unheard) == (ItemStatus.COMPLETE, "")


async def test_a_client_that_lost_the_end_of_an_answer_is_told_it_again():
    async with call() as bench:
        client = await bench.attach()
        await speaking(bench, audio_ms=300)
        await bench.clock.advance(150)
        assert client.of(AudioEnd) == [AudioEnd(1, 300)]
        client.drop()
        back = await bench.come_back(client)
        await bench.clock.advance(500)
        assert back.of(AudioEnd) == [AudioEnd(1, 300)]
        assert heard(back) == list(range(300))


async def test_an_answer_that_came_while_the_client_was_away_is_said_on_its_return():
    async with call() as bench:
        client = await bench.attach()
        gate = Wait()
        bench.voice.answers.append([gate, Words("Welcome back.", 800)])
        bench.runner.post(ev.TextTyped(text="Go on"))
        await bench.clock.advance(100)
        client.drop()
        gate.go.set()
        await bench.clock.advance(5_000)
        back = await bench.come_back(client)
        await bench.clock.advance(1_000)
        assert heard(back) == list(range(800))
        assert back.phases() == ["thinking", "speaking", "listening"]
        turn = next(turn for turn in bench.records.turns.values() if turn.response_id == 1)
        assert turn.timings.first_sent_ms is not None


async def test_who_comes_back_is_shown_all_there_is_before_any_sound():
    async with call() as bench:
        client = await bench.attach()
        bench.runner.post(ev.TextTyped(text="Hello"))
        await bench.clock.advance(1_000)
        await speaking(bench)
        await bench.clock.advance(1_000)
        client.drop()
        back = await bench.come_back(client)
        await bench.clock.settle()
        kinds = [type(message) for message in back.messages]
        shown = [message.item.item_id for message in back.of(do.SendItem)]
        assert shown == [1, 2, 3, 4]
        first_sound = kinds.index(AudioFrame)
        assert set(kinds[:first_sound]) == {do.SendItem, do.SendResponseText}
        assert back.phases() == ["speaking"]


async def test_a_conversation_longer_than_the_lane_comes_back_whole(monkeypatch):
    async with call() as bench:
        client = await bench.attach()
        for number in range(20):
            bench.runner.post(ev.TextTyped(text=f"Line {number}"))
            await bench.clock.settle()
        client.drop()
        monkeypatch.setattr(line_module, "CLIENT_JOBS", 8)
        back = await bench.come_back(client)
        await bench.clock.settle()
        assert len({sent.item.item_id for sent in back.of(do.SendItem)}) >= 20
        assert bench.client() is back


async def test_nobody_comes_back():
    async with call(policy(resume_ms=10_000)) as bench:
        client = await bench.attach()
        client.drop()
        await bench.clock.advance(9_900)
        assert not bench.running.done()
        await bench.clock.advance(200)
        assert await bench.ended() is EndReason.ABANDONED


async def test_half_an_utterance_survives_a_drop():
    """The page keeps the microphone's last seconds and sends them again, some of them twice."""
    async with call() as bench:
        client = await bench.attach()
        bench.voice.hears.append("Both halves.")
        await bench.microphone.is_silent(500)
        await bench.microphone.speaks(600)
        client.drop()
        assert bench.intake.position == bench.microphone.position
        await bench.clock.advance(2_000)
        back = await bench.come_back(client)
        bench.microphone.resend(200)
        await bench.microphone.speaks(600)
        await bench.microphone.is_silent(2_000)
        said = [ms for ms in caller_milliseconds(bench.voice.utterances[0]) if ms >= 0]
        assert said == list(range(1_200))
        assert back.of(do.SendTranscript)[-1].text == "Both halves."


async def test_a_call_that_ends_while_its_client_is_away_is_stored():
    async with call() as bench:
        client = await bench.attach()
        await speaking(bench)
        await bench.clock.advance(1_000)
        client.drop()
        bench.runner.post(ev.EndAsked(reason=EndReason.STAFF_ENDED))
        await bench.clock.advance(500)
        assert await bench.ended() is EndReason.STAFF_ENDED
        item = bench.records.items[2]
        assert (item.role, item.status) == (Role.AGENT, ItemStatus.INTERRUPTED)
        assert client.loudspeaker.played_ms(1) == item.ended_ms - item.started_ms


# Taken over


async def test_a_second_socket_takes_the_call_over():
    async with call() as bench:
        first = await bench.attach()
        await speaking(bench)
        await bench.clock.advance(1_000)
        second = await bench.attach()
        assert first.errors() == ["taken_over"]
        assert first.close_code == 4409
        count = len(first.messages)
        await bench.clock.advance(6_000)
        assert len(first.messages) == count
        assert second.of(AudioFrame)[0].start_ms <= first.loudspeaker.played_ms(1)
        first.drop()
        assert bench.client() is second, "the first one's end changes nothing"


async def test_a_client_that_takes_nothing_holds_nobody_up(monkeypatch):
    async with call() as bench:
        monkeypatch.setattr(line_module, "LAST_WORD_MS", 1)
        first = await bench.attach()
        first.gate = lambda _message: asyncio.Event().wait()
        await speaking(bench)
        await bench.clock.advance(300)
        assert first.of(AudioFrame) == []
        second = await bench.attach()
        await bench.clock.advance(6_000)
        assert heard(second) == list(range(5_000))
        assert first.close_code == 4409


async def test_a_client_that_comes_and_goes_leaves_nothing_behind():
    async with call() as bench:
        client = await bench.attach()
        tasks = len(asyncio.all_tasks())
        for _ in range(5):
            client.drop()
            client = await bench.come_back(client)
        assert len(asyncio.all_tasks()) == tasks


async def test_a_client_that_takes_nothing_is_let_go_before_its_lane_grows(monkeypatch):
    monkeypatch.setattr(line_module, "CLIENT_JOBS", 20)
    async with call(policy(resume_ms=5_000)) as bench:
        client = await bench.attach()
        client.gate = lambda _message: asyncio.Event().wait()
        for _ in range(30):
            bench.runner.post(ev.SpeechStarted())
            bench.runner.post(ev.TalkStopped())
            await bench.clock.settle()
        assert bench.client() is None
        assert client.close_code == 4408
        await bench.clock.advance(9_000)
        assert await bench.ended() is EndReason.ABANDONED
