"""What a realtime session does beyond the promises of all sessions, over a real socket."""

import asyncio

import pytest
import pytest_asyncio

from calls.domain.audio import AGENT, CALLER
from calls.domain.events import (
    ResponseAudio,
    ResponseDone,
    ResponseText,
    SpeechStarted,
    SpeechStopped,
    Stage,
    TalkStopped,
    ToolRequested,
    TranscriptFinal,
    VoiceFailed,
)
from calls.domain.items import Item, ItemStatus, Role, Source
from calls.ports.errors import ProviderError, ProviderFault
from tests.doubles.providers.base import Fault
from tests.doubles.providers.openai_realtime import (
    CallsTool,
    Fails,
    Hear,
    Says,
    Stalls,
    Stops,
    session_expired,
)
from tests.doubles.speech import ScriptedVoice
from tests.providers.parity import ASKED, FRAME, in_session, of_kind, over, speak_to
from tests.providers.realtime_rig import conversation, realtime_rig

pytestmark = pytest.mark.asyncio

QUIET = bytes(CALLER.bytes(20))


@pytest_asyncio.fixture
async def rig():
    async with realtime_rig() as rig:
        yield rig


async def eventually(met):
    async with asyncio.timeout(3):
        while not met():  # noqa: ASYNC110 - the other side of a socket sets no event
            await asyncio.sleep(0.005)


def heard(item_id, text):
    return Item(item_id=item_id, role=Role.USER, text=text, turn=item_id, source=Source.VOICE)


def said(item_id, text, response_id, status=ItemStatus.COMPLETE):
    return Item(
        item_id=item_id,
        role=Role.AGENT,
        text=text,
        turn=item_id,
        response_id=response_id,
        status=status,
    )


def asked_for(item_id, event, text):
    return Item(
        item_id=item_id,
        role=Role.TOOL,
        text=text,
        turn=1,
        response_id=event.response_id,
        tool_call_id=event.tool_call_id,
        tool_name=event.name,
        arguments=event.arguments,
    )


def created(rig):
    """Answers that were asked for within conversations."""
    return [
        event["response"]
        for session in rig.double.sessions
        for event in session.received
        if event["type"] == "response.create" and event["response"].get("conversation") != "none"
    ]


def words(events, response_id):
    texts = [e.text for e in of_kind(events, ResponseText) if e.response_id == response_id]
    return "".join(texts)


def length_ms(events, response_id):
    audio = [e.pcm for e in of_kind(events, ResponseAudio) if e.response_id == response_id]
    return AGENT.ms(b"".join(audio))


async def ask_aloud(session, ear, text="what time is it", nth=1):
    await speak_to(session)
    await session.commit()
    await ear.until_kind(TranscriptFinal, nth)


class TestBegunAhead:
    async def test_the_answer_is_begun_before_the_words_are_known(self, rig):
        go = asyncio.Event()
        rig.double.hears.append(Hear("what time is it", after=go))
        rig.will_answer("It is four.")
        async with in_session(rig) as (session, ear):
            await speak_to(session)
            await session.commit()
            await eventually(lambda: rig.double.saw)
            assert await ear.nothing_more() == [] or not of_kind(ear.events, ResponseText)
            go.set()
            await ear.until_kind(TranscriptFinal)
            await session.respond(1, (heard(1, "what time is it"),), tools_allowed=True)
            events = await ear.until(over(1))
        assert words(events, 1) == "It is four."
        assert len(created(rig)) == 1

    async def test_what_was_begun_for_a_noise_is_taken_back(self, rig):
        rig.will_hear("")
        rig.will_answer("Pardon?")
        async with in_session(rig) as (session, ear):
            await ask_aloud(session, ear)
            events = await ear.nothing_more()
            assert conversation(rig.double.sessions[0]) == []
        assert of_kind(events, ResponseText) == []

    @pytest.mark.parametrize("what", ["typed", "no tools", "spoken", "said", "reset"])
    async def test_what_was_begun_is_dropped_when_something_comes_between(self, rig, what):
        rig.will_hear("what time is it")
        rig.will_answer("Begun in vain.")
        items = [heard(1, "what time is it")]
        async with in_session(rig) as (session, ear):
            await ask_aloud(session, ear)
            await rig.settled()
            rig.will_answer("It is four.")
            match what:
                case "typed":
                    items.append(Item(item_id=2, role=Role.USER, text="In Rome", turn=2))
                case "spoken":
                    await speak_to(session, 3)
                    await session.discard()
                case "said":
                    await session.say(7, "One moment.")
                    await ear.until(over(7))
                    known = conversation(rig.double.sessions[0])
                    assert known == [("user", "what time is it")]
                case "reset":
                    await session.reset("Be brief.")
            await session.respond(2, tuple(items), tools_allowed=what != "no tools")
            events = await ear.until(over(2))
            assert "Begun in vain." not in [text for _, text in rig.double.saw[-1][1]]
        assert words(events, 2) == "It is four."
        assert len(created(rig)) == 2

    async def test_tools_of_what_was_begun_wait_until_it_is_wanted(self, rig):
        rig.will_hear("are you open")
        rig.will_ask_for_tool("opening_hours", "{}")
        async with in_session(rig) as (session, ear):
            await ask_aloud(session, ear)
            assert of_kind(await ear.nothing_more(), ToolRequested) == []
            await session.respond(1, (heard(1, "are you open"),), tools_allowed=True)
            events = await ear.until(over(1))
        assert [e.response_id for e in of_kind(events, ToolRequested)] == [1]
        assert len(created(rig)) == 1

    async def test_what_was_begun_has_not_heard_more_than_the_caller(self, rig):
        rig.will_hear("go on")
        rig.will_answer("It is four in the afternoon.")
        async with in_session(rig) as (session, ear):
            await session.respond(1, ASKED, tools_allowed=True)
            await ear.until(over(1))
            await ask_aloud(session, ear, "go on")
            await rig.settled()
            await session.settle(1, 240)
            cut = said(2, "It is", 1, ItemStatus.INTERRUPTED)
            await session.respond(2, (*ASKED, cut, heard(3, "go on")), tools_allowed=True)
            await ear.until(over(2))
        assert len(created(rig)) == 3

    async def test_given_words_that_were_heard_do_not_hinder_it(self, rig):
        rig.will_hear("what time is it")
        async with in_session(rig) as (session, ear):
            await session.say(1, "Welcome to the shop.")
            events = await ear.until(over(1))
            await session.settle(1, length_ms(events, 1))
            await ask_aloud(session, ear)
            items = said(1, "Welcome to the shop.", 1), heard(2, "what time is it")
            await session.respond(2, items, tools_allowed=True)
            await ear.until(over(2))
        assert rig.double.saw[0][1][0] == ("agent", "Welcome to the shop.")
        assert len(created(rig)) == 1

    async def test_nothing_is_begun_while_the_model_lacks_what_was_said(self, rig):
        rig.will_hear("what time is it")
        async with in_session(rig) as (session, ear):
            await session.say(1, "Welcome to the shop.")
            await ear.until(over(1))
            await session.settle(1, 300)
            await ask_aloud(session, ear)
            await rig.settled()
            assert created(rig) == []
            items = said(1, "Welcome", 1, ItemStatus.INTERRUPTED), heard(2, "what time is it")
            await session.respond(2, items, tools_allowed=True)
            await ear.until(over(2))
        assert rig.double.saw[0][1][0] == ("agent", "Welcome [interrupted by the caller]")


class TestInterruption:
    async def answer(self, rig, session, ear):
        rig.will_answer("It is ", "four ", "in the ", "afternoon.")
        await session.respond(1, ASKED, tools_allowed=True)
        events = await ear.until(over(1))
        return length_ms(events, 1)

    async def test_the_other_side_keeps_what_was_heard(self, rig):
        async with in_session(rig) as (session, ear):
            await self.answer(rig, session, ear)
            await session.cancel(1, 500)
            await session.settle(1, 480)
            await rig.settled()
            (other,) = rig.double.sessions
            assert [item.get("audio_ms") for item in other.items] == [None, 480]
            assert "response.cancel" not in other.received_types()

    async def test_what_was_never_heard_was_never_said(self, rig):
        async with in_session(rig) as (session, ear):
            await self.answer(rig, session, ear)
            await session.cancel(1, 0)
            await session.settle(1, 0)
            await rig.settled()
            assert conversation(rig.double.sessions[0]) == [("user", "What time is it?")]

    @pytest.mark.parametrize("beyond_ms", [0, 700])
    async def test_an_answer_heard_to_its_end_stays_whole(self, rig, beyond_ms):
        async with in_session(rig) as (session, ear):
            length = await self.answer(rig, session, ear)
            await session.settle(1, length + beyond_ms)
            await rig.settled()
            (other,) = rig.double.sessions
            assert "conversation.item.truncate" not in other.received_types()
            assert len(other.items) == 2

    async def test_an_answer_in_the_making_is_stopped_and_cut(self, rig):
        rig.double.answers.append(Says("It is ", "four.", held_after=1))
        async with in_session(rig) as (session, ear):
            await session.respond(1, ASKED, tools_allowed=True)
            await ear.until_kind(ResponseAudio)
            await session.cancel(1, 200)
            await session.settle(1, 200)
            await rig.settled()
            (other,) = rig.double.sessions
            assert other.items[-1]["audio_ms"] == 200
            rig.will_answer("Good.")
            cut = said(2, "It", 1, ItemStatus.INTERRUPTED)
            await session.respond(2, (*ASKED, cut), tools_allowed=True)
            events = await ear.until(over(2))
        assert words(events, 2) == "Good."
        errors = [event for event in other.sent if event["type"] == "error"]
        assert errors == []

    async def test_a_new_answer_waits_for_the_end_of_the_old_one(self, rig):
        rig.double.answers.append(Stalls())
        rig.will_answer("Good.")
        async with in_session(rig) as (session, ear):
            await session.respond(1, ASKED, tools_allowed=True)
            await eventually(lambda: rig.double.saw)
            await session.cancel(1, 0)
            await session.respond(2, ASKED, tools_allowed=True)
            events = await ear.until(over(2))
            (other,) = rig.double.sessions
            assert [e for e in other.sent if e["type"] == "error"] == []
        assert words(events, 2) == "Good."

    async def test_the_end_of_the_old_one_is_not_waited_for_for_ever(self, rig):
        rig.double.answers.append(Stalls())
        rig.will_answer("Good.")
        async with in_session(rig) as (session, ear):
            await session.respond(1, ASKED, tools_allowed=True)
            await eventually(lambda: rig.double.saw)
            (other,) = rig.double.sessions
            deaf, other.responses.cancel = other.responses.cancel, lambda _id: None
            await session.cancel(1, 0)
            await session.respond(2, ASKED, tools_allowed=True)
            await rig.settled()
            assert len(created(rig)) == 1
            other.responses.cancel = deaf
            await rig.time_passes(2_000)
            assert words(await ear.until(over(2)), 2) == "Good."

    async def test_an_answer_goes_on_when_another_was_in_the_way(self, rig):
        rig.double.answers.append(Stalls())
        rig.will_answer("Good.")
        async with in_session(rig) as (session, ear):
            await rig.settled()
            rig.double.sessions[0].responses.create({})
            await rig.settled()
            await session.respond(2, ASKED, tools_allowed=True)
            events = await ear.until(over(2))
        assert words(events, 2) == "Good."
        assert of_kind(events, VoiceFailed) == []


class TestTools:
    async def test_two_calls_get_their_results_before_one_answer(self, rig):
        rig.double.answers.append(
            [Says("Let me see. "), CallsTool("opening_hours"), CallsTool("opening_hours")]
        )
        rig.will_answer("From nine.")
        async with in_session(rig) as (session, ear):
            await session.respond(1, ASKED, tools_allowed=True)
            events = await ear.until(over(1))
            first, second = of_kind(events, ToolRequested)
            begun = said(0, "Let me see. ", 1, ItemStatus.IN_PROGRESS)
            results = asked_for(2, first, "9-17"), asked_for(3, second, "10-12")
            await session.respond(1, (*ASKED, begun, *results), tools_allowed=True)
            await ear.until_kind(ResponseDone, 2)
        assert [who for who, _ in rig.double.saw[1][1]] == [
            "user",
            "agent",
            "call",
            "tool",
            "call",
            "tool",
        ]
        assert [text for who, text in rig.double.saw[1][1] if who == "tool"] == ["9-17", "10-12"]
        assert len(created(rig)) == 2

    async def test_a_call_that_was_interrupted_does_not_stay_open(self, rig):
        rig.double.answers.append(CallsTool("opening_hours"))
        rig.will_answer("Right.")
        async with in_session(rig) as (session, ear):
            await session.respond(1, ASKED, tools_allowed=True)
            (call,) = of_kind(await ear.until(over(1)), ToolRequested)
            await session.cancel(1, 0)
            await session.settle(1, 0)
            running = asked_for(2, call, "")
            later = Item(item_id=3, role=Role.USER, text="Never mind", turn=2)
            await session.respond(2, (*ASKED, running, later), tools_allowed=True)
            await ear.until(over(2))
        seen = rig.double.saw[1][1]
        assert [who for who, _ in seen] == ["user", "call", "tool", "user"]

    async def test_of_several_messages_of_one_answer_the_last_is_cut(self, rig):
        rig.double.answers.append([Says("Wait. "), CallsTool("opening_hours")])
        rig.will_answer("From nine to five.")
        async with in_session(rig) as (session, ear):
            await session.respond(1, ASKED, tools_allowed=True)
            events = list(await ear.until(over(1)))
            (call,) = of_kind(events, ToolRequested)
            begun = said(0, "Wait. ", 1, ItemStatus.IN_PROGRESS)
            await session.respond(
                1, (*ASKED, begun, asked_for(2, call, "9-17")), tools_allowed=True
            )
            await ear.until_kind(ResponseDone, 2)
            await session.settle(1, length_ms(events, 1) + 240)
            await rig.settled()
            spoken = [i["audio_ms"] for i in rig.double.sessions[0].items if "audio_ms" in i]
        assert spoken == [length_ms(events, 1), 240]


class TestProvidersEars:
    @pytest.mark.parametrize("detection", ["server_vad", "semantic_vad"])
    async def test_the_provider_says_when_the_caller_speaks(self, rig, detection):
        rig.will_hear("what time is it")
        rig.will_answer("It is four.")
        session = rig.session(turn_detection=detection)
        async with in_session(Prepared(rig, session)) as (session, ear):
            await speak_to(session, 25, QUIET)
            await speak_to(session, 25)
            await ear.until_kind(SpeechStarted)
            await speak_to(session, 40, QUIET)
            await ear.until_kind(TalkStopped)
            await session.commit()
            await ear.until_kind(TranscriptFinal)
            await session.respond(1, (heard(1, "what time is it"),), tools_allowed=True)
            events = await ear.until(over(1))
        kinds = [SpeechStarted, SpeechStopped, TalkStopped, TranscriptFinal]
        assert [type(e) for e in events if type(e) in kinds] == kinds
        assert words(events, 1) == "It is four."
        assert "input_audio_buffer.commit" not in rig.double.sessions[0].received_types()
        assert len(created(rig)) == 1

    async def test_the_end_of_speech_lies_before_its_silence(self, rig):
        session = rig.session(turn_detection="server_vad", vad_silence_ms=500)
        async with in_session(Prepared(rig, session)) as (session, ear):
            await rig.time_passes(3_000)
            session.report_to(lambda *_: None)
            await rig.time_passes(5_000)
            await speak_to(session, 25)
            await speak_to(session, 30, QUIET)
            await ear.until_kind(SpeechStopped)
            (stopped,) = of_kind(ear.events, SpeechStopped)
            (started,) = of_kind(ear.events, SpeechStarted)
        # 1,100 ms of sound were sent in no time: speech ended 600 ms before its end.
        assert abs(stopped.last_speech_ms - 4_400) <= 50
        assert started.first_speech_ms <= stopped.last_speech_ms

    async def test_speech_is_told_with_its_place_in_all_the_sound_of_the_call(self, rig):
        rig.double.hears.extend(["one", "two"])
        session = rig.session(turn_detection="server_vad")
        async with in_session(Prepared(rig, session)) as (session, ear):
            await speak_to(session, 50, QUIET)
            await speak_to(session, 25)
            await speak_to(session, 40, QUIET)
            await ear.until_kind(TalkStopped)
            await session.commit()
            await ear.until_kind(TranscriptFinal)
            rig.double.cut_session(1006)
            await rig.settled()
            await rig.time_passes(500)
            await eventually(lambda: len(rig.double.sessions) == 2)
            await rig.settled()
            await speak_to(session, 50, QUIET)
            await speak_to(session, 25)
            await speak_to(session, 40, QUIET)
            events = await ear.until_kind(SpeechStopped, 2)
        kinds = (SpeechStarted, SpeechStopped)
        places = [event.position_ms for event in events if isinstance(event, kinds)]
        assert places == pytest.approx([1_000, 1_500, 3_300, 3_800], abs=60)

    async def test_a_turn_that_the_call_ends_itself_is_committed(self, rig):
        rig.will_hear("what time")
        session = rig.session(turn_detection="server_vad")
        async with in_session(Prepared(rig, session)) as (session, ear):
            await speak_to(session, 25)
            await ear.until_kind(SpeechStarted)
            await session.commit()
            events = await ear.until_kind(TranscriptFinal)
        assert [e.text for e in of_kind(events, TranscriptFinal)] == ["what time"]

    async def test_a_turn_that_was_not_heeded_is_taken_back(self, rig):
        rig.double.hears.extend(["not for you", "what time is it"])
        session = rig.session(turn_detection="server_vad")
        async with in_session(Prepared(rig, session)) as (session, ear):
            for n in (1, 2):
                await speak_to(session, 25)
                await speak_to(session, 40, QUIET)
                await ear.until_kind(TalkStopped, n)
            await session.commit()
            events = await ear.until_kind(TranscriptFinal)
            await rig.settled()
            (other,) = rig.double.sessions
            assert conversation(other)[0] == ("user", "what time is it")
        assert [e.text for e in of_kind(events, TranscriptFinal)] == ["what time is it"]

    async def test_a_turn_that_is_said_again_is_not_told_again(self, rig):
        rig.double.hears.extend([Hear("lost", after=asyncio.Event()), "what time is it"])
        session = rig.session(turn_detection="server_vad")
        async with in_session(Prepared(rig, session)) as (session, ear):
            await speak_to(session, 25)
            await speak_to(session, 30, QUIET)
            await ear.until_kind(TalkStopped)
            await session.commit()
            await rig.settled()
            rig.double.cut_session(1006)
            await rig.settled()
            await rig.time_passes(500)
            await ear.until_kind(TranscriptFinal)
            events = await ear.nothing_more()
        assert [e.text for e in of_kind(events, TranscriptFinal)] == ["what time is it"]
        for kind in (SpeechStarted, SpeechStopped, TalkStopped):
            assert len(of_kind(events, kind)) == 1

    async def test_speech_goes_on_over_a_loss(self, rig):
        rig.double.hears.append("what time is it")
        session = rig.session(turn_detection="server_vad")
        async with in_session(Prepared(rig, session)) as (session, ear):
            await speak_to(session, 25)
            await ear.until_kind(SpeechStarted)
            rig.double.cut_session(1006)
            await rig.settled()
            await speak_to(session, 25)
            await rig.time_passes(500)
            await speak_to(session, 30, QUIET)
            await ear.until_kind(TalkStopped)
            await session.commit()
            events = await ear.until_kind(TranscriptFinal)
        assert [e.text for e in of_kind(events, TranscriptFinal)] == ["what time is it"]
        assert len(next(iter(rig.double.sessions[-1].appended_pcm.values()))) > AGENT.bytes(1_000)

    async def test_a_turn_that_was_not_heeded_is_not_the_next_one(self, rig):
        rig.double.hears.extend(["not for you", "what time is it"])
        session = rig.session(turn_detection="server_vad")
        async with in_session(Prepared(rig, session)) as (session, ear):
            await speak_to(session, 25)
            await speak_to(session, 30, QUIET)
            await ear.until_kind(TalkStopped)
            await rig.settled()
            await rig.time_passes(2_000)
            await speak_to(session, 25)
            await session.commit()
            events = await ear.until_kind(TranscriptFinal)
        assert [e.text for e in of_kind(events, TranscriptFinal)] == ["what time is it"]


class Prepared:
    """A rig whose session is made already."""

    def __init__(self, rig, session):
        self._rig = rig
        self._session = session

    def session(self):
        return self._session

    async def settled(self):
        await self._rig.settled()


LOSSES = {
    "1000": lambda double: double.cut_session(1000),
    "1001": lambda double: double.cut_session(1001),
    "1011": lambda double: double.cut_session(1011),
    "4000": lambda double: double.cut_session(4000),
    "abort": lambda double: double.cut_session(1006),
    "expired": lambda double: double.cut_session(1001, event=session_expired()),
}


class TestLoss:
    @pytest.mark.parametrize("how", ["1000", "1001", "1011", "4000", "abort", "expired"])
    async def test_an_answer_that_is_lost_fails_and_the_next_knows_everything(self, rig, how):
        rig.double.answers.append(Says("It is ", "four.", held_after=1))
        async with in_session(rig) as (session, ear):
            await session.respond(1, ASKED, tools_allowed=True)
            await ear.until_kind(ResponseAudio)
            LOSSES[how](rig.double)
            events = await ear.until(over(1))
            assert events[-1] == VoiceFailed(
                stage=Stage.VOICE, message=events[-1].message, response_id=1
            )
            await rig.settled()
            await rig.time_passes(500)
            await eventually(lambda: len(rig.double.sessions) == 2)
            await rig.settled()
            rig.will_answer("Once more: four.")
            items = *ASKED, said(2, "It is", 1, ItemStatus.INTERRUPTED)
            await session.respond(2, items, tools_allowed=True)
            events = await ear.until(over(2))
        assert words(events, 2) == "Once more: four."
        told = [("user", "What time is it?"), ("agent", "It is [interrupted by the caller]")]
        assert rig.double.saw[-1][1] == told
        assert rig.double.saw[-1][0] == "Be kind."

    async def test_of_a_lost_answer_nothing_follows_its_cancellation(self, rig):
        rig.double.answers.append(Says("It is ", "four " * 100, "yes.", held_after=2))
        async with in_session(rig) as (session, ear):
            await session.respond(1, ASKED, tools_allowed=True)
            await ear.until_kind(ResponseAudio)
            session.hold(True)
            await rig.settled()
            rig.double.cut_session(1006)
            await rig.settled()
            known = len(ear.events)
            await session.cancel(1, 100)
            session.hold(False)
            assert len(await ear.nothing_more()) == known
            await rig.time_passes(500)
            await eventually(lambda: len(rig.double.sessions) == 2)
            await session.settle(1, 100)
            await rig.settled()
            assert rig.double.sessions[1].received_types() == ["session.update"]

    async def test_garbage_is_a_loss(self, rig):
        rig.double.fail("/realtime", Fault(after=3, ws_garbage="no json"))
        async with in_session(rig) as (session, ear):
            await session.respond(1, ASKED, tools_allowed=True)
            events = await ear.until(over(1))
            assert isinstance(events[-1], VoiceFailed)
            await rig.settled()
            await rig.time_passes(500)
            await eventually(lambda: len(rig.double.sessions) == 2)

    @pytest.mark.parametrize(
        "event",
        [
            {"type": "error", "error": {"code": "response_cancel_not_active", "event_id": None}},
            {"type": "error"},
            {"type": "response.done", "response": None},
            {"type": "of.the.future"},
            {"no": "type"},
        ],
    )
    async def test_an_odd_message_changes_nothing(self, rig, event):
        rig.double.fail("/realtime", Fault(after=4, event=event))
        rig.will_answer("It is four.")
        async with in_session(rig) as (session, ear):
            await session.respond(1, ASKED, tools_allowed=True)
            events = await ear.until(over(1))
        assert words(events, 1) == "It is four."
        assert len(rig.double.sessions) == 1

    async def test_an_answer_that_stalls_fails_in_time(self, rig):
        rig.will_stall()
        rig.will_answer("Better now.")
        async with in_session(rig) as (session, ear):
            await session.respond(1, ASKED, tools_allowed=True)
            await rig.settled()
            await rig.time_passes(10_000)
            events = await ear.until(over(1))
            assert isinstance(events[-1], VoiceFailed)
            await session.respond(2, ASKED, tools_allowed=True)
            events = await ear.until(over(2))
        assert words(events, 2) == "Better now."

    async def test_after_a_stall_nothing_more_is_asked_of_the_silent_connection(self, rig):
        rig.voice = ScriptedVoice()  # until there is another connection
        rig.will_stall()
        rig.will_answer("Better now.")
        reports = []
        async with in_session(rig) as (session, ear):
            session.report_to(lambda report, _: reports.append((report.stage, report.outcome)))
            await session.respond(1, ASKED, tools_allowed=True)
            await rig.settled()
            await rig.time_passes(10_000)
            await ear.until(over(1))
            await session.say(2, "Sorry.")
            await ear.until(over(2))
            await session.respond(3, ASKED, tools_allowed=True)
            events = await ear.until(over(3))
        assert words(events, 3) == "Better now."
        assert reports[0] == (Stage.VOICE, "timeout")
        first, second = (one.received_types() for one in rig.double.sessions)
        assert first.count("response.create") == 1
        assert "response.create" in second

    async def test_what_was_said_during_a_loss_is_not_lost(self, rig):
        rig.will_hear("what time is it")
        async with in_session(rig) as (session, ear):
            await rig.settled()
            await speak_to(session, 5)
            rig.double.cut_session(1006)
            await rig.settled()
            await speak_to(session, 5)
            await session.commit()
            assert of_kind(await ear.nothing_more(), TranscriptFinal) == []
            await rig.time_passes(500)
            events = await ear.until_kind(TranscriptFinal)
        assert [e.text for e in of_kind(events, TranscriptFinal)] == ["what time is it"]
        assert rig.heard_sounds(FRAME * 10)

    async def test_a_turn_that_waits_too_long_for_a_connection_fails(self, rig):
        async with in_session(rig) as (session, ear):
            await rig.settled()
            rig.double.fail("/realtime", *[Fault(status=503)] * 20)
            rig.double.cut_session(1006)
            await rig.settled()
            await speak_to(session)
            await session.commit()
            for _ in range(11):
                await rig.time_passes(1_000)
            events = await ear.until_kind(VoiceFailed)
        assert [e.stage for e in of_kind(events, VoiceFailed)] == [Stage.STT]

    async def test_a_transcript_that_never_comes_is_a_failure(self, rig):
        rig.double.hears.append(Hear("too late", after=asyncio.Event()))
        async with in_session(rig) as (session, ear):
            await speak_to(session)
            await session.commit()
            await rig.settled()
            await rig.time_passes(10_000)
            events = await ear.until_kind(VoiceFailed)
            await rig.settled()
            assert conversation(rig.double.sessions[0]) == []
        assert [e.stage for e in of_kind(events, VoiceFailed)] == [Stage.STT]

    async def test_transcripts_come_out_in_the_order_of_the_turns(self, rig):
        go = asyncio.Event()
        rig.double.hears.extend([Hear("one", after=go), Hear("two")])
        async with in_session(rig) as (session, ear):
            for _ in range(2):
                await speak_to(session)
                await session.commit()
            assert of_kind(await ear.nothing_more(), TranscriptFinal) == []
            go.set()
            events = await ear.until_kind(TranscriptFinal, 2)
        assert [e.text for e in of_kind(events, TranscriptFinal)] == ["one", "two"]

    async def test_a_session_is_replaced_before_it_gets_too_old(self, rig):
        rig.will_answer("It is four.")
        session = rig.session(max_session_ms=60_000)
        async with in_session(Prepared(rig, session)) as (session, ear):
            await session.respond(1, ASKED, tools_allowed=True)
            await ear.until(over(1))
            await speak_to(session, 3)
            await rig.time_passes(60_000)
            await rig.settled()
            assert len(rig.double.sessions) == 1
            await session.discard()
            await rig.time_passes(1_000)
            await eventually(lambda: len(rig.double.sessions) == 2)
            await rig.settled()
            await session.respond(2, (*ASKED, said(2, "It is four.", 1)), tools_allowed=True)
            events = await ear.until(over(2))
        assert of_kind(events, VoiceFailed) == []
        assert rig.double.saw[-1][1] == [("user", "What time is it?"), ("agent", "It is four.")]
        assert not rig.double.sessions[0].open


class TestBeginning:
    @pytest.mark.parametrize(
        ("status", "body", "kind"),
        [
            (401, {"error": {"code": "invalid_api_key"}}, ProviderFault.AUTH),
            (404, {"error": {"code": "model_not_found"}}, ProviderFault.NOT_FOUND),
            (429, {"error": {"code": "insufficient_quota"}}, ProviderFault.QUOTA),
            (400, "no", ProviderFault.REFUSED),
        ],
    )
    async def test_a_session_that_can_never_begin_says_so(self, rig, status, body, kind):
        rig.double.fail("/realtime", Fault(status=status, body=body))
        with pytest.raises(ProviderError) as raised:
            async with rig.session():
                pass
        assert (raised.value.kind, raised.value.stage) == (kind, Stage.VOICE)
        assert rig.double.key not in str(raised.value)

    async def test_settings_that_the_provider_refuses_are_fatal(self, rig):
        with pytest.raises(ProviderError) as raised:
            async with rig.session(voice="nobody"):
                pass
        assert raised.value.kind is ProviderFault.REFUSED

    async def test_with_another_voice_it_begins_and_apologises(self, rig):
        rig.voice = ScriptedVoice()
        rig.double.fail("/realtime", Fault(status=401))
        async with in_session(rig) as (session, ear):
            await session.respond(1, ASKED, tools_allowed=True)
            await ear.until_kind(VoiceFailed)
            await session.say(1, "I am sorry. Please call again.")
            events = await ear.until_kind(ResponseDone)
            await rig.time_passes(20_000)
            assert len(rig.double.asked) == 1
            await speak_to(session)
            await session.commit()
            await ear.until_kind(VoiceFailed, 2)
            assert ear.events[-1].stage is Stage.STT
        assert [e.response_id for e in of_kind(events, VoiceFailed)] == [1]
        assert words(events, 1) == "I am sorry. Please call again."
        assert length_ms(events, 1) > 0

    async def test_it_waits_as_long_as_it_is_told_to(self, rig):
        refusal = Fault(status=429, headers={"retry-after": "3"}, body={})
        rig.double.fail("/realtime", refusal)
        async with in_session(rig) as (session, ear):
            for pause_ms, tries in ((2_999, 1), (1, 2)):
                await rig.time_passes(pause_ms)
                await rig.settled()
                assert len(rig.double.asked) == tries
            await session.say(1, "Welcome.")
            await ear.until(over(1))

    async def test_attempts_to_connect_that_fail_are_told_of(self, rig):
        told = []
        rig.voice = ScriptedVoice()
        rig.double.fail("/realtime", Fault(status=503), Fault(status=401))
        session = rig.session()
        session.report_to(lambda report, response_id: told.append((report, response_id)))
        async with session:
            await rig.settled()
            await rig.time_passes(500)
            await rig.settled()
        assert [(r.stage, r.outcome, response_id) for r, response_id in told] == [
            (Stage.VOICE, "busy", None),
            (Stage.VOICE, "auth", None),
        ]

    async def test_who_speaks_while_there_is_no_connection_waits_less(self, rig):
        async with in_session(rig) as (session, ear):
            await rig.settled()
            rig.double.fail("/realtime", *[Fault(status=503)] * 20)
            rig.double.cut_session(1006)
            await rig.settled()
            await speak_to(session)
            await session.commit()
            await rig.time_passes(3_999)
            assert of_kind(await ear.nothing_more(), VoiceFailed) == []
            await rig.time_passes(1)
            events = await ear.until_kind(VoiceFailed)
        assert [e.stage for e in of_kind(events, VoiceFailed)] == [Stage.STT]

    async def test_a_server_without_keys_is_shown_none(self, rig):
        rig.double.key = ""
        async with in_session(rig) as (session, ear):
            await session.say(1, "Welcome.")
            await ear.until(over(1))
        assert "Authorization" not in rig.double.asked[0].headers

    async def test_a_failure_that_nobody_has_read_is_taken_back(self, rig):
        rig.double.fail("/realtime", Fault(status=503))
        async with in_session(rig) as (session, ear):
            await session.respond(1, ASKED, tools_allowed=True)
            await session.cancel(1, 0)
            assert await ear.nothing_more() == []

    async def test_leaving_waits_for_nothing_that_hangs(self, rig):
        rig.double.fail("/realtime", Fault(after=1, stall=True))
        session = rig.session()
        entering = asyncio.Event()

        async def live():
            entering.set()
            async with session:
                pass

        async with asyncio.TaskGroup() as group:
            task = group.create_task(live())
            await entering.wait()
            await rig.settled()
            task.cancel()
            async with asyncio.timeout(1):
                await asyncio.wait([task])

    async def test_it_tries_again_at_growing_distances(self, rig):
        rig.double.fail("/realtime", *[Fault(status=503)] * 3)
        async with in_session(rig) as (session, ear):
            for pause_ms, tries in ((499, 1), (1, 2), (999, 2), (1, 3), (1_999, 3), (1, 4)):
                await rig.time_passes(pause_ms)
                await rig.settled()
                assert len(rig.double.asked) == tries
            rig.will_answer("It is four.")
            await session.respond(1, ASKED, tools_allowed=True)
            assert words(await ear.until(over(1)), 1) == "It is four."


class TestGivenWords:
    async def test_another_voice_says_what_the_model_cannot(self, rig):
        rig.voice = ScriptedVoice()
        rig.double.readings.append(Fails())
        async with in_session(rig) as (session, ear):
            await session.say(1, "Are you still there?")
            events = await ear.until(over(1))
        assert words(events, 1) == "Are you still there?"
        assert events[-1] == ResponseDone(response_id=1)
        assert {e.provider for e in of_kind(events, ResponseAudio)} == {"scripted-tts"}

    async def test_a_voice_that_stalls_is_replaced(self, rig):
        rig.voice = ScriptedVoice()
        rig.double.readings.append(Stalls())
        async with in_session(rig) as (session, ear):
            await session.say(1, "Are you still there?")
            await rig.settled()
            await rig.time_passes(5_000)
            events = await ear.until(over(1))
        assert words(events, 1) == "Are you still there?"
        assert length_ms(events, 1) > 0

    async def test_without_any_voice_they_are_shown(self, rig):
        rig.double.readings.append(Fails())
        async with in_session(rig) as (session, ear):
            await session.say(1, "Are you still there?")
            events = await ear.until(over(1))
        assert words(events, 1) == "Are you still there?"
        assert (events[-1].stage, events[-1].response_id) == (Stage.TTS, 1)

    async def test_they_are_taken_back_in_either_voice(self, rig):
        rig.double.readings.append(Says("Are you ", "still there?", held_after=1))
        async with in_session(rig) as (session, ear):
            await session.say(1, "Are you still there?")
            await ear.until_kind(ResponseAudio)
            await session.cancel(1, 100)
            known = len(ear.events)
            rig.double.go_on.set()
            assert len(await ear.nothing_more()) == known
            assert "response.cancel" in rig.double.sessions[0].received_types()

    async def test_they_are_taken_back_before_the_model_has_begun(self, rig):
        rig.double.readings.append(Stalls())
        async with in_session(rig) as (session, ear):
            await session.say(1, "Are you still there?")
            await session.cancel(1, 0)
            assert await ear.nothing_more() == []
            assert rig.double.sessions[0].responses.running == {}

    async def test_another_voice_is_held_and_taken_back_like_the_model(self, rig):
        rig.voice = ScriptedVoice()
        rig.double.readings.extend([Fails(), Fails()])
        async with in_session(rig) as (session, ear):
            session.hold(True)
            await session.say(1, "Are you still there?")
            assert await ear.nothing_more() == []
            await session.cancel(1, 0)
            session.hold(False)
            assert await ear.nothing_more() == []
            await session.say(2, "Goodbye.")
            assert words(await ear.until(over(2)), 2) == "Goodbye."

    async def test_the_model_is_told_to_read_and_to_keep_it_out_of_the_conversation(self, rig):
        async with in_session(rig) as (session, ear):
            await session.say(1, "Welcome.")
            await ear.until(over(1))
            (other,) = rig.double.sessions
            assert other.items == []
            (asked,) = [e for e in other.received if e["type"] == "response.create"]
        assert asked["response"]["conversation"] == "none"
        assert asked["response"]["input"][0]["content"][0]["text"] == "Welcome."


class TestReports:
    async def test_every_request_is_reported_with_its_cost(self, rig):
        reports = []
        rig.will_hear("what time is it")
        rig.will_answer("It is four.")
        async with in_session(rig) as (session, ear):
            session.report_to(lambda report, response_id: reports.append((report, response_id)))
            await ask_aloud(session, ear)
            await session.respond(1, (heard(1, "what time is it"),), tools_allowed=True)
            await ear.until(over(1))
            await session.say(2, "Good.")
            await ear.until(over(2))
        told = {report.stage: (report, response_id) for report, response_id in reports}
        assert {stage: response_id for stage, (_, response_id) in told.items()} == {
            Stage.STT: None,
            Stage.VOICE: 1,
            Stage.TTS: 2,
        }
        voice = told[Stage.VOICE][0]
        assert (voice.provider, voice.model, voice.outcome) == ("openai", "gpt-realtime-2.1", "ok")
        assert voice.request_id.startswith("resp_")
        assert voice.usage["output_audio_tokens"] == 660 // 50
        assert voice.usage["spoken_ms"] == 660
        assert told[Stage.STT][0].usage["input_audio_tokens"] > 0
        assert not voice.estimated

    async def test_cancelled_and_lost_answers_are_reported(self, rig):
        reports = []
        rig.double.answers.extend([Says("It is ", "four.", held_after=1)] * 2)
        async with in_session(rig) as (session, ear):
            session.report_to(lambda report, response_id: reports.append((report, response_id)))
            await session.respond(1, ASKED, tools_allowed=True)
            await ear.until_kind(ResponseAudio)
            await session.cancel(1, 100)
            await session.respond(2, ASKED, tools_allowed=True)
            await ear.until(lambda events: length_ms(events, 2) > 0)
            rig.double.cut_session(1006)
            await ear.until(over(2))
        told = [(r.outcome, response_id, r.estimated) for r, response_id in reports]
        assert told == [("cancelled", 1, False), ("unavailable", 2, True)]

    async def test_an_answer_that_cannot_even_be_asked_for_is_reported(self, rig):
        reports = []
        rig.voice = ScriptedVoice()
        rig.double.fail("/realtime", Fault(status=401))
        async with in_session(rig) as (session, ear):
            session.report_to(lambda report, response_id: reports.append((report, response_id)))
            await session.respond(1, ASKED, tools_allowed=True)
            await ear.until_kind(VoiceFailed)
        assert [(r.outcome, response_id) for r, response_id in reports] == [("auth", 1)]


class TestDialects:
    async def test_an_answer_may_take_its_time(self, rig):
        rig.double.chunk_delay_s = 0.005
        rig.will_answer("It is four. ", "Is that all?")
        async with in_session(rig) as (session, ear):
            await session.respond(1, ASKED, tools_allowed=True)
            events = await ear.until(over(1))
        assert words(events, 1) == "It is four. Is that all?"
        assert length_ms(events, 1) == len("It is four. Is that all?") * 60

    async def test_servers_of_the_beta_are_understood(self, rig):
        rig.double.old_names = True
        rig.will_hear("what time is it")
        rig.will_answer("It is four. ", "Is that all?")
        async with in_session(rig) as (session, ear):
            await ask_aloud(session, ear)
            await session.respond(1, (heard(1, "what time is it"),), tools_allowed=True)
            events = await ear.until(over(1))
        assert words(events, 1) == "It is four. Is that all?"
        assert length_ms(events, 1) > 0

    async def test_an_answer_at_its_longest_is_an_answer(self, rig):
        rig.double.answers.append([Says("It is four. "), Stops()])
        async with in_session(rig) as (session, ear):
            await session.respond(1, ASKED, tools_allowed=True)
            events = await ear.until(over(1))
        assert events[-1] == ResponseDone(response_id=1)

    async def test_an_answer_that_may_not_be_given_fails(self, rig):
        rig.double.answers.append(Stops("content_filter"))
        async with in_session(rig) as (session, ear):
            await session.respond(1, ASKED, tools_allowed=True)
            events = await ear.until(over(1))
        assert isinstance(events[-1], VoiceFailed)
