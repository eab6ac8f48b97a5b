"""What every `VoiceSession` promises, as tests over any of them.

A test module makes a subclass of `VoiceSessionPromises` whose fixture `rig` yields a `Rig` for its
kind of session.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

import pytest

from calls.domain.audio import CALLER
from calls.domain.events import (
    Event,
    ResponseAudio,
    ResponseDone,
    ResponseText,
    Stage,
    ToolRequested,
    TranscriptFinal,
    TranscriptPartial,
    VoiceFailed,
)
from calls.domain.items import Item, Role
from calls.domain.wishes import Wishes
from calls.ports.tools import ToolSpec
from calls.ports.voice import SessionChange, VoiceSession

FRAME = b"\x05\x00" * CALLER.samples(20)
PATIENCE_S = 5.0


class Rig(Protocol):
    """A session, and the reins of what stands behind it."""

    def session(self) -> VoiceSession: ...

    def will_hear(self, text: str, *, partials: tuple[str, ...] = ()) -> None:
        """The next utterance is understood so."""
        ...

    def will_not_be_asked(self, text: str) -> None:
        """The next utterance would be understood so, and is taken back before."""
        ...

    def will_not_hear(self) -> None:
        """The next utterance fails."""
        ...

    def will_answer(self, *sentences: str) -> None:
        """The next answer consists of these sentences."""
        ...

    def will_ask_for_tool(self, name: str, arguments: str) -> None: ...

    def will_stall(self) -> None:
        """The next answer never comes, and what makes it does not even let go willingly."""
        ...

    def will_fail(self, stage: Stage) -> None:
        """The next answer fails in that stage."""
        ...

    def heard_sounds(self, *sounds: bytes) -> bool:
        """Whether the latest utterances that reached the other side sounded like these."""
        ...

    def prompts(self) -> list[tuple[str, list[tuple[str, str]], bool]]:
        """What was asked: system prompt, roles and texts, and whether tools were offered."""
        ...

    def offered(self) -> list[list[str]]:
        """The names of the tools that each answer was offered, in alphabetical order."""
        ...

    async def settled(self) -> None:
        """Let everything happen that can happen without time passing."""
        ...

    async def time_passes(self, ms: int) -> None: ...


class Ear:
    """Takes in what a session says, in order."""

    def __init__(self, session: VoiceSession, rig: Rig | None = None) -> None:
        self.session = session
        self._rig = rig
        self.events: list[Event] = []
        self.ended = False
        self._changed = asyncio.Event()

    async def run(self) -> None:
        async for event in self.session.events():
            self.events.append(event)
            self._changed.set()
        self.ended = True
        self._changed.set()

    async def until(self, met: Callable[[list[Event]], bool]) -> list[Event]:
        """All events so far, as soon as they meet that condition."""
        async with asyncio.timeout(PATIENCE_S):
            while not met(self.events):
                self._changed.clear()
                await self._changed.wait()
        return list(self.events)

    async def until_kind(self, kind: type[Event], count: int = 1) -> list[Event]:
        return await self.until(lambda events: len(of_kind(events, kind)) >= count)

    async def nothing_more(self) -> list[Event]:
        """All events, once everything that could still come has come."""
        await (self._rig.settled() if self._rig is not None else settled())
        return list(self.events)


async def settled() -> None:
    """Let everything run that is ready to run."""
    for _ in range(200):
        await asyncio.sleep(0)


def of_kind(events: list[Event], kind: type[Event]) -> list[Event]:
    return [event for event in events if isinstance(event, kind)]


def over(response_id: int) -> Callable[[list[Event]], bool]:
    """Whether the response has had its last event."""
    return lambda events: any(
        isinstance(event, ResponseDone | VoiceFailed) and event.response_id == response_id
        for event in events
    )


@asynccontextmanager
async def in_session(rig: Rig) -> AsyncIterator[tuple[VoiceSession, Ear]]:
    session = rig.session()
    ear = Ear(session, rig)
    async with asyncio.TaskGroup() as group, session:
        group.create_task(ear.run())
        yield session, ear


async def speak_to(session: VoiceSession, frames: int = 10, pcm: bytes = FRAME) -> None:
    for _ in range(frames):
        await session.listen(pcm)


ASKED = (Item(item_id=1, role=Role.USER, text="What time is it?", turn=1),)


@pytest.mark.asyncio
class VoiceSessionPromises:
    async def test_a_commit_is_answered_by_what_was_understood(self, rig):
        rig.will_hear("what time is it")
        async with in_session(rig) as (session, ear):
            await speak_to(session)
            await session.commit()
            await ear.until_kind(TranscriptFinal)
            events = await ear.nothing_more()
        assert [e.text for e in of_kind(events, TranscriptFinal)] == ["what time is it"]
        assert of_kind(events, VoiceFailed) == []
        assert rig.heard_sounds(FRAME * 10)

    async def test_a_commit_without_sound_is_answered_by_nothing_understood(self, rig):
        async with in_session(rig) as (session, ear):
            await session.commit()
            await ear.until_kind(TranscriptFinal)
            events = await ear.nothing_more()
        assert [e.text for e in of_kind(events, TranscriptFinal)] == [""]

    async def test_every_commit_is_answered_once_and_in_order(self, rig):
        for word in ("one", "two", "three"):
            rig.will_hear(word)
        async with in_session(rig) as (session, ear):
            for _ in range(3):
                await speak_to(session)
                await session.commit()
            await ear.until_kind(TranscriptFinal, 3)
            events = await ear.nothing_more()
        assert [e.text for e in of_kind(events, TranscriptFinal)] == ["one", "two", "three"]

    async def test_partials_come_before_the_final(self, rig):
        rig.will_hear("what time is it", partials=("what", "what time"))
        async with in_session(rig) as (session, ear):
            await speak_to(session)
            await rig.settled()
            await session.commit()
            await ear.until_kind(TranscriptFinal)
            events = await ear.nothing_more()
        assert isinstance(events[-1], TranscriptFinal)
        texts = [e.text for e in of_kind(events, TranscriptPartial)]
        assert texts in ([], ["what"], ["what", "what time"])

    async def test_nothing_follows_a_discard(self, rig):
        rig.will_not_be_asked("a cough")
        rig.will_hear("what time is it")
        async with in_session(rig) as (session, ear):
            await speak_to(session, 3)
            await rig.settled()
            await session.discard()
            assert await ear.nothing_more() == []
            await speak_to(session)
            await session.commit()
            await ear.until_kind(TranscriptFinal)
            events = await ear.nothing_more()
        assert [e.text for e in of_kind(events, TranscriptFinal)] == ["what time is it"]
        assert rig.heard_sounds(FRAME * 10)

    async def test_a_failed_utterance_is_one_failure_and_no_more(self, rig):
        rig.will_not_hear()
        rig.will_hear("again")
        async with in_session(rig) as (session, ear):
            await speak_to(session)
            await session.commit()
            await ear.until_kind(VoiceFailed)
            assert of_kind(await ear.nothing_more(), TranscriptFinal) == []
            await speak_to(session)
            await session.commit()
            await ear.until_kind(TranscriptFinal)
            events = await ear.nothing_more()
        assert [e.stage for e in of_kind(events, VoiceFailed)] == [Stage.STT]
        assert [e.text for e in of_kind(events, TranscriptFinal)] == ["again"]

    async def test_an_answer_is_text_before_sound_and_ends_once(self, rig):
        rig.will_answer("It is four. ", "Is that all?")
        async with in_session(rig) as (session, ear):
            await session.respond(3, ASKED, tools_allowed=True)
            await ear.until(over(3))
            events = await ear.nothing_more()
        assert {e.response_id for e in events} == {3}
        assert "".join(e.text for e in of_kind(events, ResponseText)) == "It is four. Is that all?"
        assert isinstance(events[0], ResponseText)
        assert events.index(ResponseDone(response_id=3)) == len(events) - 1

    async def test_sound_is_whole_samples_and_marks_ascend_within_their_text(self, rig):
        rig.will_answer("It is four. ", "Is that all?")
        async with in_session(rig) as (session, ear):
            await session.respond(3, ASKED, tools_allowed=True)
            events = await ear.until(over(3))
        audio = of_kind(events, ResponseAudio)
        assert sum(len(e.pcm) for e in audio) > 0
        assert all(len(e.pcm) % 2 == 0 for e in audio)
        text, last = "", (0, 0)
        for event in events:
            if isinstance(event, ResponseText):
                text, last = event.text, (0, 0)
            for mark in event.marks if isinstance(event, ResponseAudio) else ():
                assert last <= (mark.end_char, mark.at_ms)
                assert mark.end_char <= len(text)
                last = (mark.end_char, mark.at_ms)

    async def test_nothing_of_a_response_follows_its_cancellation(self, rig):
        rig.will_answer(*(f"Sentence number {n}. " for n in range(20)))
        rig.will_answer("Good.")
        async with in_session(rig) as (session, ear):
            await session.respond(3, ASKED, tools_allowed=True)
            await ear.until_kind(ResponseAudio)
            await session.cancel(3, 40)
            known = len(ear.events)
            assert len(await ear.nothing_more()) == known
            await session.respond(4, ASKED, tools_allowed=True)
            await ear.until(over(4))
            events = await ear.nothing_more()
        assert {e.response_id for e in events[known:]} == {4}

    async def test_a_response_is_cancelled_before_its_first_word(self, rig):
        rig.will_answer("It is four.")
        async with in_session(rig) as (session, ear):
            await session.respond(3, ASKED, tools_allowed=True)
            await session.cancel(3, 0)
            assert await ear.nothing_more() == []

    async def test_what_was_said_and_not_yet_read_is_taken_back(self, rig):
        rig.will_answer("It is four.")
        session = rig.session()
        async with session, asyncio.TaskGroup() as group:
            await session.respond(3, ASKED, tools_allowed=True)
            await rig.settled()
            await session.cancel(3, 0)
            ear = Ear(session, rig)
            reading = group.create_task(ear.run())
            assert await ear.nothing_more() == []
            reading.cancel()

    async def test_unknown_and_finished_responses_are_cancelled_in_vain(self, rig):
        rig.will_answer("It is four.")
        async with in_session(rig) as (session, ear):
            await session.cancel(99, 0)
            await session.respond(3, ASKED, tools_allowed=True)
            await ear.until(over(3))
            known = len(ear.events)
            await session.cancel(3, 100)
            await session.cancel(3, 100)
            assert len(await ear.nothing_more()) == known

    async def test_given_words_are_said_as_they_are(self, rig):
        text = "Sorry, I did not get that. Could you say it again?"
        async with in_session(rig) as (session, ear):
            await session.say(5, text)
            await ear.until(over(5))
            events = await ear.nothing_more()
        assert "".join(e.text for e in of_kind(events, ResponseText)) == text
        assert of_kind(events, ResponseAudio)
        assert events[-1] == ResponseDone(response_id=5)
        assert {e.response_id for e in events} == {5}

    async def test_a_tool_is_asked_for_and_its_result_answered_under_the_same_id(self, rig):
        rig.will_ask_for_tool("opening_hours", '{"day": "monday"}')
        rig.will_answer("From nine to five.")
        async with in_session(rig) as (session, ear):
            await session.respond(3, ASKED, tools_allowed=True)
            first = list(await ear.until(over(3)))
            (asked,) = of_kind(first, ToolRequested)
            assert isinstance(asked, ToolRequested)
            assert first[-1] == ResponseDone(response_id=3)
            assert (asked.name, json.loads(asked.arguments)) == ("opening_hours", {"day": "monday"})
            result = Item(
                item_id=2,
                role=Role.TOOL,
                text="9-17",
                turn=1,
                tool_call_id=asked.tool_call_id,
                tool_name=asked.name,
                arguments=asked.arguments,
            )
            await session.respond(3, (*ASKED, result), tools_allowed=False)
            await ear.until_kind(ResponseDone, 2)
            second = (await ear.nothing_more())[len(first) :]
        assert "".join(e.text for e in of_kind(second, ResponseText)) == "From nine to five."
        assert second[-1] == ResponseDone(response_id=3)

    async def test_tools_are_offered_only_while_they_are_allowed(self, rig):
        rig.will_answer("Yes.")
        rig.will_answer("No.")
        async with in_session(rig) as (session, ear):
            await session.respond(1, ASKED, tools_allowed=True)
            await ear.until(over(1))
            await session.respond(2, ASKED, tools_allowed=False)
            await ear.until(over(2))
        assert [offered for _, _, offered in rig.prompts()] == [True, False]

    @pytest.mark.parametrize("stage", [Stage.LLM, Stage.TTS])
    async def test_a_failed_answer_ends_with_its_failure_and_the_session_goes_on(self, rig, stage):
        rig.will_fail(stage)
        rig.will_answer("Better now.")
        async with in_session(rig) as (session, ear):
            await session.respond(3, ASKED, tools_allowed=True)
            await ear.until(over(3))
            failed = (await ear.nothing_more())[-1]
            assert isinstance(failed, VoiceFailed)
            assert failed.response_id == 3
            assert failed.stage in (stage, Stage.VOICE)
            assert not failed.fatal
            assert failed.message
            await session.respond(4, ASKED, tools_allowed=True)
            await ear.until(over(4))
            events = await ear.nothing_more()
        assert events[-1] == ResponseDone(response_id=4)

    async def test_a_held_session_begins_no_further_sentence(self, rig):
        rig.will_answer("It is four. ", "Is that all? ", "Good.")
        async with in_session(rig) as (session, ear):
            session.hold(True)
            await session.respond(3, ASKED, tools_allowed=True)
            assert of_kind(await ear.nothing_more(), ResponseAudio) == []
            session.hold(False)
            await ear.until(over(3))
            events = await ear.nothing_more()
        text = "".join(e.text for e in of_kind(events, ResponseText))
        assert text == "It is four. Is that all? Good."

    async def test_a_held_answer_can_be_cancelled(self, rig):
        rig.will_answer("It is four. ", "Is that all?")
        async with in_session(rig) as (session, ear):
            session.hold(True)
            await session.respond(3, ASKED, tools_allowed=True)
            await rig.settled()
            await session.cancel(3, 0)
            session.hold(False)
            assert of_kind(await ear.nothing_more(), ResponseAudio) == []

    async def test_a_reset_changes_the_system_prompt_of_what_follows(self, rig):
        for _ in range(3):
            rig.will_answer("Yes.")
        async with in_session(rig) as (session, ear):
            await session.respond(1, ASKED, tools_allowed=True)
            await ear.until(over(1))
            await session.reset("Be brief.")
            await session.respond(2, ASKED, tools_allowed=True)
            await ear.until(over(2))
            await session.reset(None)
            await session.respond(3, (), tools_allowed=True)
            await ear.until(over(3))
        first, second, third = rig.prompts()
        assert first[0] != "Be brief."
        assert second[:2] == ("Be brief.", [("user", "What time is it?")])
        assert third[:2] == ("Be brief.", [])

    async def test_an_answer_is_asked_for_with_other_instructions(self, rig):
        rig.will_answer("Yes.")
        rig.will_answer("No.")
        async with in_session(rig) as (session, ear):
            wishes = Wishes(instructions="Whisper.")
            await session.respond(1, ASKED, tools_allowed=True, wishes=wishes)
            await ear.until(over(1))
            await session.respond(2, ASKED, tools_allowed=True)
            await ear.until(over(2))
        first, second = rig.prompts()
        assert first[0] == "Whisper."
        assert second[0] not in ("", "Whisper."), "for that answer alone"

    async def test_an_answer_is_asked_for_as_text_alone(self, rig):
        rig.will_answer("It is four. ", "Is that all?")
        rig.will_answer("Good.")
        async with in_session(rig) as (session, ear):
            wishes = Wishes(text_only=True)
            await session.respond(1, ASKED, tools_allowed=True, wishes=wishes)
            await ear.until(over(1))
            silent = await ear.nothing_more()
            await session.respond(2, ASKED, tools_allowed=True)
            await ear.until(over(2))
            events = await ear.nothing_more()
        text = "".join(e.text for e in of_kind(silent, ResponseText))
        assert text == "It is four. Is that all?"
        assert of_kind(silent, ResponseAudio) == []
        assert silent[-1] == ResponseDone(response_id=1)
        assert {e.response_id for e in of_kind(events, ResponseAudio)} == {2}

    async def test_a_session_becomes_text_alone_and_speaks_again(self, rig):
        rig.will_answer("It is four.")
        rig.will_answer("Good.")
        async with in_session(rig) as (session, ear):
            await session.configure(SessionChange(text_only=True))
            await session.respond(1, ASKED, tools_allowed=True)
            await ear.until(over(1))
            await session.say(2, "One moment, please.")
            await ear.until(over(2))
            silent = await ear.nothing_more()
            await session.configure(SessionChange(text_only=False))
            await session.respond(3, ASKED, tools_allowed=True)
            await ear.until(over(3))
            events = await ear.nothing_more()
        assert "".join(e.text for e in of_kind(silent, ResponseText)) == (
            "It is four.One moment, please."
        )
        assert {e.response_id for e in of_kind(events, ResponseAudio)} == {3}

    async def test_what_a_session_is_changed_to_holds_from_the_next_answer_on(self, rig):
        for _ in range(3):
            rig.will_answer("Yes.")
        weather = ToolSpec("weather", "What it is like outside.")
        async with in_session(rig) as (session, ear):
            await session.respond(1, ASKED, tools_allowed=True)
            await ear.until(over(1))
            await session.configure(SessionChange(system_prompt="Be brief.", tools=(weather,)))
            await session.respond(2, ASKED, tools_allowed=True)
            await ear.until(over(2))
            await session.configure(SessionChange(tools=()))
            await session.respond(3, ASKED, tools_allowed=True)
            await ear.until(over(3))
        first, second, third = rig.prompts()
        assert first[0] != "Be brief."
        assert (second[0], third[0]) == ("Be brief.", "Be brief."), "None keeps what is"
        assert rig.offered() == [["opening_hours"], ["opening_hours", "weather"], ["opening_hours"]]

    async def test_an_answer_gets_the_tools_that_are_wished_for_it(self, rig):
        for _ in range(4):
            rig.will_answer("Yes.")
        clock = {"name": "clock", "description": "Tells the time.", "parameters": {}}
        rounds = (Wishes(tools=(clock,)), Wishes(tools=()), Wishes(tool_choice="none"), Wishes())
        async with in_session(rig) as (session, ear):
            for number, wishes in enumerate(rounds, 1):
                await session.respond(number, ASKED, tools_allowed=True, wishes=wishes)
                await ear.until(over(number))
        assert rig.offered() == [["clock"], [], [], ["opening_hours"]]

    async def test_leaving_takes_no_time_whatever_hangs(self, rig):
        rig.will_stall()
        session = rig.session()
        async with asyncio.TaskGroup() as group:
            ear = Ear(session, rig)
            leave = asyncio.Event()
            left = asyncio.Event()

            async def live() -> None:
                async with session:
                    group.create_task(ear.run())
                    await session.respond(3, ASKED, tools_allowed=True)
                    await speak_to(session)
                    await rig.settled()
                    leave.set()
                left.set()

            group.create_task(live())
            await leave.wait()
            await rig.time_passes(1_000)
            async with asyncio.timeout(1.0):
                await left.wait()
            await rig.settled()
            assert ear.ended

    async def test_leaving_twice_is_leaving(self, rig):
        session = rig.session()
        async with session:
            await session.commit()
        await session.__aexit__(None, None, None)
