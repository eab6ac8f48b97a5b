"""Whole calls, from the first message to the last, in a time that the test moves."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain.errors import CallError, EndReason, ErrorCode
from calls.domain.items import ItemStatus, Role, Source
from calls.engine import runner as runner_module
from calls.engine.intake import PRE_ROLL_MS
from calls.engine.playout import LEAD_MS
from calls.ports.client import AudioEnd, AudioFrame
from calls.ports.errors import ProviderError, ProviderFault
from calls.ports.tools import CallInfo, ToolSpec
from tests.doubles.voice import UseTool, Wait, Words
from tests.engine.bench import call, caller_milliseconds, policy

pytestmark = pytest.mark.asyncio


def heard(client, response_id):
    """Which milliseconds of a response came out of the loudspeaker, in order."""
    return [beat.ms for beat in client.loudspeaker.heard if beat.response_id == response_id]


def last_item(bench, role):
    items = [item for item in bench.records.items.values() if item.role is role]
    return items[-1]


# One turn


async def test_the_greeting_is_said_heard_and_on_the_record():
    async with call(policy(first_message="Hello there.")) as bench:
        client = await bench.attach()
        await bench.clock.advance(1_000)
        assert heard(client, 1) == list(range(400))
        assert client.phases() == ["thinking", "speaking", "listening"]
        item = bench.records.items[1]
        assert (item.text, item.unheard, item.status) == (
            "Hello there.",
            "",
            ItemStatus.COMPLETE,
        )
        assert (item.source, item.ended_ms - item.started_ms) == (Source.FIXED, 400)
        assert [end.length_ms for end in client.of(AudioEnd)] == [400]


async def test_a_spoken_turn_from_the_first_syllable_to_the_answer():
    async with call() as bench:
        client = await bench.attach()
        bench.voice.hears.append("What time is it?")
        bench.voice.answers.append([Words("It is four.", 1_000), Words(" Anything else?", 500)])
        await bench.microphone.is_silent(1_000)
        await bench.microphone.speaks(800)
        await bench.microphone.is_silent(3_000)
        assert bench.voice.whats() == ["commit", "respond"]
        # The beginning, and nothing twice.
        said = caller_milliseconds(bench.voice.utterances[0])
        assert [ms for ms in said if ms >= 0] == list(range(800))
        assert heard(client, 1) == list(range(1_500))
        assert client.phases() == ["listening", "hearing", "thinking", "speaking", "listening"]
        words = [(item.role, item.text) for item in bench.records.items.values()]
        assert words == [
            (Role.USER, "What time is it?"),
            (Role.AGENT, "It is four. Anything else?"),
        ]


async def test_the_answer_comes_after_the_deadline_counted_from_the_last_speech():
    async with call(policy(endpoint_silence_ms=700)) as bench:
        client = await bench.attach()
        await bench.microphone.is_silent(320)
        await bench.microphone.speaks(640)
        spoken_until_ms = bench.runner.now_ms()
        await bench.microphone.is_silent(2_000)
        (turn,) = bench.records.turns.values()
        assert turn.timings.committed_ms == pytest.approx(spoken_until_ms + 700, abs=40)
        assert sum(turn.timings.stages().values()) == turn.timings.latency_ms
        sent = client.of(do.SendTurn)[-1].turn
        assert sent.timings.stages()["endpointing"] == pytest.approx(700, abs=40)


async def test_typed_words_are_stored_before_they_are_shown():
    async with call() as bench:
        client = await bench.attach()
        bench.records.open.clear()
        bench.runner.post(ev.TextTyped(text="Hello"))
        await bench.clock.advance(2_000)
        assert client.of(do.SendItem) == []
        assert heard(client, 1) == list(range(400)), "a slow record does not touch the sound"
        bench.records.open.set()
        await bench.clock.settle()
        shown = [(sent.item.role, sent.item.status) for sent in client.of(do.SendItem)]
        assert shown == [(Role.USER, ItemStatus.COMPLETE), (Role.AGENT, ItemStatus.COMPLETE)]


async def test_no_item_is_shown_in_a_state_that_is_not_stored():
    async with call(policy(first_message="Hello.")) as bench:
        client = await bench.attach()
        await bench.clock.advance(2_000)
        for sent in client.of(do.SendItem):
            assert sent.item.revision <= bench.records.items[sent.item.item_id].revision
        revisions = [sent.item.revision for sent in client.of(do.SendItem)]
        assert revisions == sorted(revisions)


# Barge-in


async def interrupted(bench, client):
    """Have the agent speak for long and the caller break in after a second of it."""
    bench.voice.answers.append([Words("One two three four five six.", 6_000)])
    bench.runner.post(ev.TextTyped(text="Count"))
    await bench.clock.advance(20)
    await bench.microphone.is_silent(1_000)
    await bench.microphone.speaks(400)


async def test_an_interruption_silences_the_client_before_anything_else():
    async with call() as bench:
        client = await bench.attach()
        await interrupted(bench, client)
        at = client.messages.index(do.ClearAudio(1))
        before = client.messages[at - 1]
        assert not isinstance(before, do.SendPhase) or before.phase is not do.Phase.HEARING
        after = [m for m in client.messages[at + 1 :] if isinstance(m, do.SendPhase)]
        assert after[0] == do.SendPhase(do.Phase.HEARING)
        frames = [m for m in client.messages[at:] if isinstance(m, AudioFrame | AudioEnd)]
        assert frames == []
        assert "cancel" in bench.voice.whats()


async def test_what_was_heard_of_an_interrupted_answer_is_what_the_client_says():
    async with call() as bench:
        client = await bench.attach()
        await interrupted(bench, client)
        await bench.clock.advance(500)
        item = last_item(bench, Role.AGENT)
        heard_ms = client.loudspeaker.played_ms(1)
        assert item.status is ItemStatus.INTERRUPTED
        assert item.text + item.unheard == "One two three four five six."
        assert item.text == "One"
        assert item.ended_ms - item.started_ms == heard_ms
        (turn,) = [turn for turn in bench.records.turns.values() if turn.response_id == 1]
        assert (turn.interrupted, turn.heard_ms) == (True, heard_ms)


async def test_frames_that_wait_for_the_wire_are_overtaken_by_an_interruption():
    async with call() as bench:
        client = await bench.attach()
        gate = asyncio.Event()

        async def until_told(message):
            if isinstance(message, AudioFrame):
                await gate.wait()

        client.gate = until_told
        bench.voice.answers.append([Words("One two three.", 300)])
        bench.runner.post(ev.TextTyped(text="Count"))
        await bench.clock.advance(200)
        assert client.of(AudioFrame) == []
        bench.runner.post(ev.SpeechStarted())
        gate.set()
        await bench.clock.advance(500)
        at = client.messages.index(do.ClearAudio(1))
        # One frame was on its way already.
        assert [type(m) for m in client.messages[:at]].count(AudioFrame) <= 1
        assert client.of(AudioEnd) == []
        assert not [m for m in client.messages[at:] if isinstance(m, AudioFrame | AudioEnd)]


async def test_an_interruption_by_typing_needs_no_microphone():
    async with call(policy(first_message="Hello and welcome to this call.")) as bench:
        client = await bench.attach()
        await bench.clock.advance(150)
        bench.runner.post(ev.TextTyped(text="Stop"))
        await bench.clock.advance(1_000)
        assert bench.records.items[1].status is ItemStatus.INTERRUPTED
        assert len(heard(client, 1)) < 200
        assert heard(client, 2) == list(range(400))


async def test_the_next_sentence_right_after_the_last_one_keeps_its_beginning():
    """The detector's tail must not swallow what belongs to the next utterance."""
    async with call(policy(endpoint_silence_ms=300)) as bench:
        await bench.attach()
        bench.voice.hears.extend(["First.", "Second."])
        await bench.microphone.speaks(600)
        await bench.microphone.is_silent(1_000)
        assert len(bench.voice.utterances) == 1
        await bench.microphone.speaks(600)
        await bench.microphone.is_silent(1_000)
        said = caller_milliseconds(bench.voice.utterances[1])
        assert [ms for ms in said if ms >= 0] == list(range(600, 1_200))


async def test_who_speaks_over_words_that_may_not_be_interrupted_is_heard_after_them():
    def talkative(bench):
        bench.voice.spoken_ms_per_text["Hello."] = 1_000

    uninterruptible = policy(first_message="Hello.", interruptible=False)
    async with call(uninterruptible, prepare=talkative) as bench:
        client = await bench.attach()
        bench.voice.hears.append("At last.")
        await bench.microphone.is_silent(300)
        await bench.microphone.speaks(2_000)
        await bench.microphone.is_silent(1_500)
        assert heard(client, 1) == list(range(1_000)), "nobody interrupted it"
        said = [ms for ms in caller_milliseconds(bench.voice.utterances[0]) if ms >= 0]
        assert said == list(range(said[0], 2_000))
        assert said[0] == pytest.approx(1_000 - 300 - PRE_ROLL_MS, abs=60)
        assert bench.records.items[2].text == "At last."


# Tools


class Booking:
    spec = ToolSpec("book", "Books.")
    timeout_ms = 5_000

    def __init__(self):
        self.go = asyncio.Event()
        self.ran_with = []

    async def run(self, call: CallInfo, arguments: Mapping[str, Any]) -> str:
        self.ran_with.append((call.call_id, arguments))
        await self.go.wait()
        return json.dumps({"booked": True})


async def test_a_tool_runs_while_the_agent_speaks_and_its_result_is_answered():
    tool = Booking()
    async with call(tools=(tool,)) as bench:
        client = await bench.attach()
        bench.voice.answers.append(
            [Words("One moment.", 300), UseTool("book", '{"day": "Monday"}')]
        )
        bench.voice.answers.append([Words(" It is booked.", 300)])
        bench.runner.post(ev.TextTyped(text="Book Monday"))
        await bench.clock.advance(1_000)
        assert tool.ran_with == [("c1", {"day": "Monday"})]
        tool.go.set()
        await bench.clock.advance(1_000)
        assert [(sent.running, sent.failed) for sent in client.of(do.SendTool)] == [
            (True, False),
            (False, False),
        ]
        assert heard(client, 1) == list(range(600))
        asked = [asked for asked in bench.voice.asked if asked.what == "respond"]
        assert [item.role for item in asked[1].items] == [Role.USER, Role.AGENT, Role.TOOL]
        assert asked[1].items[2].text == '{"booked": true}'
        assert last_item(bench, Role.AGENT).text == "One moment. It is booked."


async def test_a_tool_that_takes_long_costs_the_client_nothing():
    """The client has played everything and has nothing to report meanwhile."""
    tool = Booking()
    async with call(tools=(tool,)) as bench:
        client = await bench.attach()
        bench.voice.answers.append([Words("One moment.", 303), UseTool("book")])
        bench.voice.answers.append([Words(" It is booked.", 3_000)])
        bench.runner.post(ev.TextTyped(text="Book Monday"))
        await bench.clock.advance(15_000)
        tool.go.set()
        await bench.clock.settle()
        assert max(client.sound(1)) < 303 + LEAD_MS, "paced as before"
        await bench.clock.advance(4_000)
        assert bench.client() is client
        assert heard(client, 1) == list(range(3_303))


async def test_a_tool_that_hangs_does_not_keep_an_ended_call():
    tool = Booking()
    async with call(tools=(tool,)) as bench:
        await bench.attach()
        bench.voice.answers.append([UseTool("book")])
        bench.runner.post(ev.TextTyped(text="Book Monday"))
        await bench.clock.advance(100)
        bench.hang_up()
        await bench.clock.advance(3_100)
        assert await bench.ended() is EndReason.CALLER_HUNG_UP
        assert last_item(bench, Role.TOOL).status is ItemStatus.FAILED


# Endings


async def test_the_caller_hangs_up():
    async with call(policy(first_message="Hello.")) as bench:
        client = await bench.attach()
        await bench.clock.advance(100)
        bench.hang_up()
        await bench.clock.advance(500)
        assert await bench.ended() is EndReason.CALLER_HUNG_UP
        assert (client.end_reason, client.close_code) == ("caller_hung_up", 1000)
        assert (bench.records.reason, bench.records.finishes) == (EndReason.CALLER_HUNG_UP, 1)
        assert bench.recording.end_ms == bench.records.duration_ms
        assert bench.voice.left


async def test_the_agent_ends_once_its_goodbye_was_heard():
    async with call() as bench:
        client = await bench.attach()
        directed = ev.ResponseDirected(response_id=0, direction=ev.Direction.END_CALL)
        bench.voice.answers.append([Words("Goodbye.", 1_000), directed])
        bench.runner.post(ev.TextTyped(text="Bye"))
        await bench.clock.advance(900)
        assert client.end_reason is None
        await bench.clock.advance(400)
        assert await bench.ended() is EndReason.AGENT_ENDED
        assert heard(client, 1) == list(range(1_000))


async def test_silence_is_asked_about_twice_and_then_ends_the_call():
    quiet = policy(idle_ms=5_000, idle_prompts=2, idle_text="Still there?")
    async with call(quiet) as bench:
        client = await bench.attach()
        await bench.clock.advance(17_000)
        assert await bench.ended() is EndReason.SILENCE
        assert [asked.text for asked in bench.voice.asked] == ["Still there?"] * 2
        assert client.end_reason == "silence"


async def test_the_longest_call_ends_with_words():
    async with call(policy(max_call_ms=10_000, max_length_text="Time is up.")) as bench:
        client = await bench.attach()
        await bench.clock.advance(10_700)
        assert await bench.ended() is EndReason.MAX_LENGTH
        assert heard(client, 1) == list(range(400))


async def test_the_last_words_are_understood_and_stored_before_the_end():
    async with call() as bench:
        client = await bench.attach()
        bench.voice.hears.append("One last thing.")
        await bench.microphone.speaks(500)
        bench.hang_up()
        await bench.clock.advance(100)
        assert await bench.ended() is EndReason.CALLER_HUNG_UP
        assert bench.records.items[1].text == "One last thing."
        shown = [sent.item.text for sent in client.of(do.SendItem)]
        assert shown == ["One last thing."]


async def test_a_record_that_hangs_does_not_keep_a_call_for_ever(monkeypatch):
    monkeypatch.setattr(runner_module, "FLUSH_MS", 20)
    async with call() as bench:
        client = await bench.attach()
        bench.records.open.clear()
        bench.runner.post(ev.TextTyped(text="Hello"))
        await bench.clock.advance(100)
        bench.hang_up()
        await bench.clock.advance(3_100)
        await asyncio.wait([bench.running], timeout=2)
        assert await bench.ended() is EndReason.CALLER_HUNG_UP
        assert client.close_code == 1000
        assert bench.records.finishes == 1


async def some_passes(*_):
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.parametrize("slow", ["client", "records"])
async def test_the_end_waits_for_whoever_takes_a_moment(slow):
    async with call(policy(first_message="Hello.")) as bench:
        client = await bench.attach()
        await bench.clock.advance(100)
        if slow == "client":
            client.gate = some_passes
        else:
            bench.records.open.wait = some_passes
        bench.hang_up()
        await bench.clock.advance(100)
        assert await bench.ended() is EndReason.CALLER_HUNG_UP
        assert client.end_reason == "caller_hung_up"
        assert len(bench.records.turns) == 1
        assert client.of(do.SendItem)[-1].item.status is ItemStatus.INTERRUPTED


# Failures


REFUSED = ProviderError(ProviderFault.REFUSED, "No key.", provider="x", stage=ev.Stage.VOICE)


async def test_a_voice_session_that_cannot_begin_ends_the_call():
    def refuse(bench):
        bench.voice.refuses = REFUSED

    async with call(prepare=refuse) as bench:
        assert await bench.ended() is EndReason.PROVIDER_FAILED
        assert bench.records.reason is EndReason.PROVIDER_FAILED
        with pytest.raises(CallError) as refused:
            await bench.attach()
        assert refused.value.code is ErrorCode.INTERNAL


async def test_nobody_comes_into_a_call_that_is_over():
    async with call() as bench:
        client = await bench.attach()
        bench.hang_up()
        await bench.ended()
        with pytest.raises(CallError) as refused:
            await bench.come_back(client)
        assert refused.value.code is ErrorCode.ENDED


async def test_a_voice_session_that_gives_up_ends_the_call():
    async with call() as bench:
        client = await bench.attach()
        bench.voice.emit(REFUSED)
        assert await bench.ended() is EndReason.PROVIDER_FAILED
        assert client.errors() == ["internal"]
        assert (client.end_reason, client.close_code) == ("provider_failed", 1000)
        assert bench.records.reason is EndReason.PROVIDER_FAILED


async def test_what_was_said_until_the_voice_gave_up_is_on_the_record():
    async with call() as bench:
        client = await bench.attach()
        bench.voice.answers.append([Words("One two three four.", 4_000)])
        bench.runner.post(ev.TextTyped(text="Count"))
        await bench.clock.advance(2_100)
        bench.voice.emit(REFUSED)
        await bench.clock.advance(500)
        assert await bench.ended() is EndReason.PROVIDER_FAILED
        item = last_item(bench, Role.AGENT)
        assert (item.text, item.status) == ("One two", ItemStatus.INTERRUPTED)
        assert client.end_reason == "provider_failed"


async def test_a_defect_in_the_voice_lane_closes_the_record_with_an_error():
    async with call() as bench:
        client = await bench.attach()

        async def broken(pcm):
            raise ZeroDivisionError

        bench.voice.listen = broken
        await bench.microphone.speaks(200)
        assert await bench.ended() is EndReason.ERROR
        assert (bench.records.reason, bench.records.finishes) == (EndReason.ERROR, 1)
        assert (client.end_reason, client.close_code) == ("error", 1000)
        assert bench.recording.closes == 1


async def test_a_defect_in_the_records_lane_closes_the_record_with_an_error():
    async with call() as bench:
        await bench.attach()
        bench.records.fails_with = ZeroDivisionError()
        bench.runner.post(ev.TextTyped(text="Hello"))
        assert await bench.ended() is EndReason.ERROR
        assert bench.records.finishes == 1


async def test_a_defect_in_a_decision_is_not_the_fault_of_whoever_posted():
    async with call() as bench:
        client = await bench.attach()

        class Unknown(ev.Event):
            pass

        bench.runner.post(Unknown())
        assert await bench.ended() is EndReason.ERROR
        assert (client.end_reason, client.close_code) == ("error", 1000)
        assert bench.records.reason is EndReason.ERROR


async def test_a_recording_that_breaks_its_promise_does_not_leave_the_record_open():
    async with call() as bench:
        await bench.attach()

        async def broken(end_ms):
            raise OSError("the disk is on fire")

        bench.recording.close = broken
        bench.hang_up()
        await bench.clock.settle()
        with pytest.raises(OSError, match="fire"):
            await bench.ended()
        assert bench.records.finishes == 1


async def test_a_call_that_is_cut_off_from_outside_closes_its_record():
    async with call() as bench:
        await bench.attach()
        bench.running.cancel()
        await bench.clock.settle()
        assert bench.running.cancelled()
        assert bench.records.finishes == 1
        assert bench.voice.left


async def test_not_even_impatience_leaves_the_record_open():
    async with call() as bench:
        await bench.attach()
        go, finish = asyncio.Event(), bench.records.finish

        async def slow(reason, *, duration_ms):
            await go.wait()
            await finish(reason, duration_ms=duration_ms)

        bench.records.finish = slow
        for _ in range(3):
            bench.running.cancel()
            await bench.clock.settle()
        go.set()
        await bench.clock.settle()
        assert bench.records.finishes == 1


async def test_a_failed_answer_is_apologised_for_and_the_call_goes_on():
    async with call() as bench:
        client = await bench.attach()
        failed = ev.VoiceFailed(stage=ev.Stage.LLM, message="The model failed.", response_id=0)
        bench.voice.answers.append([failed, Wait()])
        bench.runner.post(ev.TextTyped(text="Hello"))
        await bench.clock.advance(1_000)
        assert client.errors() == ["llm_failed"]
        assert bench.voice.whats() == ["respond", "say"]
        assert heard(client, 1) == list(range(400))
        assert not bench.running.done()


async def test_a_voice_session_that_takes_nothing_loses_the_oldest_sound_and_no_order(monkeypatch):
    monkeypatch.setattr(runner_module, "VOICE_JOBS", 10)
    async with call() as bench:
        await bench.attach()
        gate = asyncio.Event()
        listen = bench.voice.listen

        async def slow(pcm):
            await gate.wait()
            await listen(pcm)

        bench.voice.listen = slow
        bench.voice.hears.append("Late.")
        await bench.microphone.speaks(1_600)
        await bench.microphone.is_silent(960)
        gate.set()
        await bench.clock.settle()
        assert bench.voice.whats() == ["commit", "respond"]
        said = [ms for ms in caller_milliseconds(bench.voice.utterances[0]) if ms >= 0]
        assert said == sorted(said), "in order"
        assert bench.runner.dropped_audio > 0
        forwarded = [effect.pcm for effect in bench.effects if isinstance(effect, do.ForwardAudio)]
        kept = bench.voice.utterances[0]
        # The one in hand, and what the lane holds beside the commit.
        assert kept == b"".join([forwarded[0], *forwarded[-9:]])
        assert bench.runner.dropped_audio == len(forwarded) - 10
