"""What the cascade does beyond the promises that every voice session makes."""

import asyncio
import gc
import json
from contextlib import asynccontextmanager

import pytest

from calls.domain.audio import AGENT
from calls.domain.events import (
    Direction,
    ResponseAudio,
    ResponseDirected,
    ResponseDone,
    ResponseNoted,
    ResponseText,
    Stage,
    ToolRequested,
    TranscriptFinal,
    TranscriptPartial,
    VoiceFailed,
)
from calls.domain.items import Mark
from calls.ports.errors import ProviderError, ProviderFault
from calls.ports.speech import Directed, Noted, Services, ToolCallRequested
from calls.ports.usage import ServiceReport, report
from calls.ports.voice import VoiceProfile
from calls.providers.cascade.session import Cascade, Manner
from tests.doubles.clock import FakeClock
from tests.doubles.speech import (
    MS_PER_CHAR,
    Partial,
    Pause,
    Scoped,
    ScriptedModel,
    ScriptedRecogniser,
    ScriptedVoice,
    Stall,
)
from tests.providers.parity import ASKED, FRAME, Ear, of_kind, over, settled, speak_to

pytestmark = pytest.mark.asyncio


class Parts:
    """A cascade's services and its clock."""

    def __init__(self):
        self.clock = FakeClock()
        self.stt, self.llm, self.tts = ScriptedRecogniser(), ScriptedModel(), ScriptedVoice()

    async def settled(self):
        await settled()

    def answer(self, *script):
        self.llm.scripts.append(script)

    @asynccontextmanager
    async def session(self, manner=None, *, silent=False):
        cascade = Cascade(
            Services(self.stt, self.llm, None if silent else self.tts),
            manner or Manner(),
            profile=VoiceProfile("stt", "llm", "tts"),
            clock=self.clock,
        )
        ear = Ear(cascade, self)
        async with asyncio.TaskGroup() as group, cascade:
            group.create_task(ear.run())
            yield cascade, ear

    async def answered(self, *script, **options):
        """All events of one answer with this script."""
        self.answer(*script)
        async with self.session(**options) as (cascade, ear):
            await cascade.respond(1, ASKED, tools_allowed=True)
            return await ear.until(over(1))


def texts(events):
    return [event.text for event in of_kind(events, ResponseText)]


def spoken_ms(events):
    return sum(AGENT.ms(event.pcm) for event in of_kind(events, ResponseAudio))


def trouble(kind=ProviderFault.UNAVAILABLE, stage=Stage.LLM):
    return ProviderError(kind, "Not today.", provider="x", stage=stage)


async def test_text_is_shown_in_speakable_pieces_each_before_its_own_sound():
    events = await Parts().answered("It is fo", "ur. Is that", " all? Go", "od.")
    assert texts(events) == ["It is four. ", "Is that all? ", "Good."]
    pieces, sounds = [], []
    for event in events[:-1]:
        if isinstance(event, ResponseText):
            pieces.append(event.text)
            sounds.append(0)
        else:
            sounds[-1] += AGENT.ms(event.pcm)
    assert sounds == [len(piece) * MS_PER_CHAR for piece in pieces]
    assert {e.provider for e in of_kind(events, ResponseText)} == {"scripted-llm"}
    assert {e.provider for e in of_kind(events, ResponseAudio)} == {"scripted-tts"}


async def test_the_first_piece_is_said_before_the_model_is_done():
    parts, more = Parts(), Pause()
    parts.answer("It is four. Is", more, " that all?")
    async with parts.session() as (cascade, ear):
        await cascade.respond(1, ASKED, tools_allowed=True)
        events = await ear.until_kind(ResponseAudio)
        assert texts(events) == ["It is four. "]
        more.go.set()
        assert texts(await ear.until(over(1))) == ["It is four. ", "Is that all?"]


async def test_a_finished_sentence_is_said_when_the_model_falls_silent():
    parts = Parts()
    parts.answer("It is four.", Stall())
    async with parts.session() as (cascade, ear):
        await cascade.respond(1, ASKED, tools_allowed=True)
        await parts.clock.advance(249)
        assert texts(await ear.nothing_more()) == []
        await parts.clock.advance(1)
        assert texts(await ear.nothing_more()) == ["It is four."]


async def test_what_is_shown_is_not_what_is_said_and_marks_count_in_what_is_shown():
    parts = Parts()
    events = await parts.answered("See **this** page 😀 at https://www.example.com/a now.")
    assert texts(events) == ["See **this** page 😀 at https://www.example.com/a now."]
    (voiced,) = parts.tts.spoken
    assert voiced.text == "See this page  at example.com now."
    marks = [mark for event in of_kind(events, ResponseAudio) for mark in event.marks]
    shown = texts(events)[0]
    heard = [shown[: mark.end_char].split()[-1] for mark in marks]
    assert heard[:3] == ["See", "**this**", "page"]
    assert heard[-2:] == ["https://www.example.com/a", "now."]
    assert marks[-1] == Mark(len(shown), len(voiced.text) * MS_PER_CHAR)


async def test_a_piece_with_nothing_to_say_is_shown_without_sound():
    parts = Parts()
    events = await parts.answered("Look: ```\ncode()\n```\nDone.")
    assert "".join(texts(events)) == "Look: ```\ncode()\n```\nDone."
    assert [voiced.text.strip() for voiced in parts.tts.spoken] == ["Look:", "Done."]
    assert isinstance(events[-1], ResponseDone)


async def test_the_next_piece_is_made_while_the_one_before_is_given_out_and_no_more():
    parts = Parts()
    slow = Pause()
    parts.tts.after_first["One"] = slow
    parts.answer("One two. Three four. Five six. ")
    async with parts.session() as (cascade, ear):
        await cascade.respond(1, ASKED, tools_allowed=True)
        await ear.until_kind(ResponseAudio)
        events = await ear.nothing_more()
        assert texts(events) == ["One two. "]
        assert [voiced.text for voiced in parts.tts.spoken] == ["One two. ", "Three four. "]
        slow.go.set()
        assert texts(await ear.until(over(1))) == ["One two. ", "Three four. ", "Five six. "]


async def test_holding_lets_the_piece_that_goes_on_end_and_no_other_begin():
    parts = Parts()
    slow = Pause()
    parts.tts.after_first["One"] = slow
    parts.answer("One two. Three four. Five six. ")
    async with parts.session() as (cascade, ear):
        await cascade.respond(1, ASKED, tools_allowed=True)
        await ear.until_kind(ResponseAudio)
        cascade.hold(True)
        slow.go.set()
        events = await ear.nothing_more()
        assert texts(events) == ["One two. "]
        assert spoken_ms(events) == len("One two. ") * MS_PER_CHAR
        cascade.hold(False)
        events = await ear.until(over(1))
        assert texts(events) == ["One two. ", "Three four. ", "Five six. "]


async def test_an_answer_without_a_voice_is_text_alone_and_is_not_held():
    parts = Parts()
    parts.answer("It is four. Good.")
    async with parts.session(silent=True) as (cascade, ear):
        cascade.hold(True)
        await cascade.respond(1, ASKED, tools_allowed=True)
        events = await ear.until(over(1))
    assert texts(events) == ["It is four. ", "Good."]
    assert of_kind(events, ResponseAudio) == []
    assert events[-1] == ResponseDone(response_id=1)


async def test_orders_and_metadata_come_with_the_answer():
    events = await Parts().answered(
        Noted({"mood": "fine"}), "Goodbye!", Directed(Direction.END_CALL)
    )
    assert texts(events) == ["Goodbye!"]
    (noted,) = of_kind(events, ResponseNoted)
    assert json.loads(noted.metadata) == {"mood": "fine"}
    (directed,) = of_kind(events, ResponseDirected)
    assert directed.direction is Direction.END_CALL
    assert isinstance(events[-1], ResponseDone)


async def test_what_is_said_before_a_tool_call_comes_before_it():
    events = await Parts().answered("Let me look", ToolCallRequested("c1", "clock", "{}"))
    kinds = [type(event) for event in events if not isinstance(event, ResponseAudio)]
    assert kinds == [ResponseText, ToolRequested, ResponseDone]


async def test_metadata_that_is_no_json_fails_the_answer():
    events = await Parts().answered("Well. ", Noted({"x": object()}))
    assert texts(events) == ["Well. "]
    assert (events[-1].stage, events[-1].response_id) == (Stage.LLM, 1)


async def test_a_failing_model_is_heard_out_to_its_last_whole_piece():
    events = await Parts().answered("It is four. Is that all? And then", trouble())
    assert texts(events) == ["It is four. ", "Is that all? "]
    assert spoken_ms(events) == len("It is four. Is that all? ") * MS_PER_CHAR
    assert events[-1] == VoiceFailed(stage=Stage.LLM, message="Not today.", response_id=1)


async def test_after_a_failure_of_the_voice_the_rest_is_shown():
    parts = Parts()
    parts.tts.after_first["Two"] = trouble(stage=Stage.TTS)
    events = await parts.answered("One. Two. Three. Four.")
    assert texts(events) == ["One. ", "Two. ", "Three. ", "Four."]
    of_three = events.index(ResponseText(response_id=1, text="Three. ", provider="scripted-llm"))
    assert of_kind(events[of_three:], ResponseAudio) == []
    assert events[-1] == VoiceFailed(stage=Stage.TTS, message="Not today.", response_id=1)
    assert all(voiced.left for voiced in parts.tts.spoken)


@pytest.mark.parametrize("kind", [ProviderFault.BUSY, ProviderFault.CRASHED])
async def test_busy_is_told_apart(kind):
    events = await Parts().answered(trouble(kind))
    assert events[-1].busy is (kind is ProviderFault.BUSY)


async def test_a_voice_that_makes_no_sound_has_failed():
    parts = Parts()

    async def nothing(_text):
        return
        yield

    parts.tts._sound = nothing
    events = await parts.answered("It is four.")
    assert texts(events) == ["It is four."]
    assert (events[-1].stage, events[-1].message) == (Stage.TTS, "The voice made no sound.")


@pytest.mark.parametrize(
    ("script", "limit_ms"),
    [
        pytest.param([Stall()], 12_000, id="before the first word"),
        pytest.param(["It is", Stall()], 12_000, id="between words"),
    ],
)
async def test_a_model_may_be_silent_for_so_long(script, limit_ms):
    parts = Parts()
    parts.answer(*script)
    async with parts.session() as (cascade, ear):
        await cascade.respond(1, ASKED, tools_allowed=True)
        await parts.clock.advance(limit_ms - 1)
        assert of_kind(await ear.nothing_more(), VoiceFailed) == []
        await parts.clock.advance(1)
        events = await ear.until(over(1))
        assert parts.llm.asked[0].left
    assert events[-1] == VoiceFailed(
        stage=Stage.LLM, message="The language model took too long.", response_id=1
    )


@pytest.mark.parametrize("when", ["before", "after_first"])
async def test_a_voice_may_be_silent_for_so_long(when):
    parts = Parts()
    getattr(parts.tts, when)["four"] = Stall()
    parts.answer("It is four.")
    async with parts.session() as (cascade, ear):
        await cascade.respond(1, ASKED, tools_allowed=True)
        await parts.clock.advance(7_999)
        assert of_kind(await ear.nothing_more(), VoiceFailed) == []
        await parts.clock.advance(1)
        events = await ear.until(over(1))
        assert parts.tts.spoken[0].left
    assert (events[-1].stage, texts(events)) == (Stage.TTS, ["It is four."])


async def test_slow_reading_is_not_held_against_the_provider():
    parts = Parts()
    parts.answer(*[f"Sentence number {n} is here. " for n in range(200)])
    cascade = Cascade(
        Services(parts.stt, parts.llm, parts.tts),
        Manner(),
        profile=VoiceProfile("", "", ""),
        clock=parts.clock,
    )
    ear = Ear(cascade, parts)
    async with asyncio.TaskGroup() as group, cascade:
        await cascade.respond(1, ASKED, tools_allowed=True)
        await parts.clock.advance(60_000)
        group.create_task(ear.run())
        events = await ear.until(over(1))
    assert events[-1] == ResponseDone(response_id=1)
    assert len(texts(events)) == 200


async def test_a_recogniser_has_so_much_time_from_the_commit_on():
    parts = Parts()
    parts.stt.scripts.append([Stall()])
    async with parts.session() as (cascade, ear):
        await speak_to(cascade)
        await parts.clock.advance(60_000)
        await cascade.commit()
        await parts.clock.advance(9_999)
        assert await ear.nothing_more() == []
        await parts.clock.advance(1)
        events = await ear.until_kind(VoiceFailed)
        assert parts.stt.utterances[0].left
    assert events == [VoiceFailed(stage=Stage.STT, message="Speech recognition took too long.")]


async def test_transcripts_keep_the_order_of_the_commits_even_if_the_first_takes_longer():
    parts, slow = Parts(), Pause()
    parts.stt.scripts += [[slow, "one"], [Partial("tw"), "two"]]
    async with parts.session() as (cascade, ear):
        for _ in range(2):
            await speak_to(cascade)
            await settled()
            await cascade.commit()
        await cascade.commit()
        assert await ear.nothing_more() == []
        slow.go.set()
        events = await ear.until_kind(TranscriptFinal, 3)
    assert [e.text for e in of_kind(events, TranscriptFinal)] == ["one", "two", ""]


async def test_partials_are_told_as_they_change():
    parts = Parts()
    parts.stt.scripts.append([Partial("what"), Partial("what"), Partial("what time"), "What time?"])
    async with parts.session() as (cascade, ear):
        await speak_to(cascade)
        await ear.until_kind(TranscriptPartial, 2)
        await cascade.commit()
        events = await ear.until_kind(TranscriptFinal)
    assert [e.text for e in events] == ["what", "what time", "What time?"]
    assert events[-1].provider == "scripted-stt"


async def test_the_recogniser_learns_language_and_last_words():
    parts = Parts()
    async with parts.session(Manner(language="de-DE")) as (cascade, ear):
        await cascade.say(1, "Welche Farbe? ")
        await ear.until(over(1))
        await speak_to(cascade)
        await cascade.commit()
        await ear.until_kind(TranscriptFinal)
    (heard,) = parts.stt.utterances
    assert (heard.language, heard.context) == ("de-DE", "Welche Farbe? ")


async def test_the_voice_is_the_agents():
    parts = Parts()
    manner = Manner(language="fr", voice="anna", speed=1.2)
    await parts.answered("Bonjour.", manner=manner)
    (voiced,) = parts.tts.spoken
    assert (voiced.language, voiced.voice, voiced.speed) == ("fr", "anna", 1.2)


async def test_cancelling_frees_model_and_voice_at_once():
    parts = Parts()
    parts.tts.after_first["four"] = Stall()
    parts.answer("It is four. And", Stall())
    async with parts.session() as (cascade, ear):
        await cascade.respond(1, ASKED, tools_allowed=True)
        await ear.until_kind(ResponseAudio)
        await cascade.cancel(1, 0)
        await settled()
        assert parts.llm.asked[0].left
        assert all(voiced.left for voiced in parts.tts.spoken)


async def test_discarding_frees_the_recogniser_at_once():
    parts = Parts()
    async with parts.session() as (cascade, _):
        await speak_to(cascade)
        await settled()
        await cascade.discard()
        await settled()
        assert parts.stt.utterances[0].left


async def test_a_minute_waits_for_a_recogniser_that_does_not_open_and_then_sound_is_dropped():
    parts, door = Parts(), Pause()
    opens = parts.stt.utterance

    @asynccontextmanager
    async def opens_late(**options):
        await door.go.wait()
        async with opens(**options) as transcriber:
            yield transcriber

    parts.stt.utterance = opens_late
    async with parts.session() as (cascade, ear):
        await speak_to(cascade, 3_500)
        await cascade.commit()
        door.go.set()
        await ear.until_kind(TranscriptFinal)
    assert parts.stt.utterances[0].pcm == FRAME * 3_000


class ChangingVoice(ScriptedVoice):
    """Each text is spoken by another provider; `name` is the one that spoke last."""

    @asynccontextmanager
    async def speak(self, text, **options):
        made_by = f"voice-{len(self.spoken) + 1}"
        async with super().speak(text, **options) as chunks:
            yield self._named(chunks, made_by)

    async def _named(self, chunks, made_by):
        async for chunk in chunks:
            self.name = made_by
            yield chunk


async def test_sound_is_stamped_with_who_made_it_even_if_another_makes_the_next_piece():
    parts, slow = Parts(), Pause()
    parts.tts = ChangingVoice()
    parts.tts.after_first["One"] = slow
    parts.answer("One two. Three four. ")
    async with parts.session() as (cascade, ear):
        await cascade.respond(1, ASKED, tools_allowed=True)
        await ear.until_kind(ResponseAudio)
        await ear.nothing_more()
        assert parts.tts.name == "voice-2"
        slow.go.set()
        events = await ear.until(over(1))
    by_piece = []
    for event in events[:-1]:
        if isinstance(event, ResponseText):
            by_piece.append(set())
        else:
            by_piece[-1].add(event.provider)
    assert by_piece == [{"voice-1"}, {"voice-2"}]


async def test_text_is_stamped_with_who_wrote_it_even_if_it_is_said_later():
    parts = Parts()
    parts.answer("It is four.", Stall())
    async with parts.session() as (cascade, ear):
        await cascade.respond(1, ASKED, tools_allowed=True)
        await settled()
        parts.llm.name = "another"
        await parts.clock.advance(250)
        (shown,) = of_kind(await ear.nothing_more(), ResponseText)
    assert shown.provider == "scripted-llm"


async def test_text_is_stamped_with_the_model_that_answers_at_last():
    class Late(ScriptedModel):
        async def _answers(self, script):
            async for part in super()._answers(script):
                self.name = "second-choice"
                yield part

    parts = Parts()
    parts.llm = Late()
    events = await parts.answered("It is four.")
    assert {event.provider for event in of_kind(events, ResponseText)} == {"second-choice"}


async def test_a_transcript_is_stamped_with_who_heard_it():
    parts, before = Parts(), Pause()
    parts.stt.scripts += [[before, "one"], ["two"]]
    async with parts.session() as (cascade, ear):
        for _ in range(2):
            await speak_to(cascade)
            await settled()
            await cascade.commit()
            await settled()
        parts.stt.name = "another"
        before.go.set()
        events = await ear.until_kind(TranscriptFinal, 2)
    heard = [(event.text, event.provider) for event in of_kind(events, TranscriptFinal)]
    assert heard == [("one", "another"), ("two", "scripted-stt")]


class Reporting:
    """Mixed into a double: every request to it is told of once it is over."""

    stage = Stage.LLM

    def telling(self, opened):
        @asynccontextmanager
        async def told():
            try:
                async with opened as result:
                    yield result
            finally:
                report(ServiceReport(stage=self.stage, provider=self.name, began_ms=0))

        return told()


class ReportingModel(Reporting, ScriptedModel):
    def answer(self, prompt):
        return self.telling(super().answer(prompt))


class ReportingVoice(Reporting, ScriptedVoice):
    stage = Stage.TTS

    def speak(self, text, **options):
        return self.telling(super().speak(text, **options))


class ReportingRecogniser(Reporting, ScriptedRecogniser):
    stage = Stage.STT

    def utterance(self, **options):
        return self.telling(super().utterance(**options))


async def test_reports_carry_the_id_of_the_answer_they_belong_to():
    parts, told = Parts(), []
    parts.stt, parts.llm, parts.tts = ReportingRecogniser(), ReportingModel(), ReportingVoice()
    async with parts.session() as (cascade, ear):
        cascade.report_to(lambda what, response_id: told.append((what.stage, response_id)))
        await speak_to(cascade)
        await cascade.commit()
        await ear.until_kind(TranscriptFinal)
        for response_id in (4, 7):
            parts.answer("One. ", "Two.")
            await cascade.respond(response_id, ASKED, tools_allowed=True)
            await ear.until(over(response_id))
        await cascade.say(9, "Three.")
        await ear.until(over(9))
    of_answers = [(Stage.LLM, 4), (Stage.TTS, 4), (Stage.TTS, 4)]
    of_answers += [(Stage.LLM, 7), (Stage.TTS, 7), (Stage.TTS, 7), (Stage.TTS, 9)]
    assert sorted(told, key=str) == sorted([(Stage.STT, None), *of_answers], key=str)


async def test_what_is_cancelled_is_reported_as_well_and_so_is_what_the_end_cuts_off():
    parts, told = Parts(), []
    parts.stt, parts.llm = ReportingRecogniser(), ReportingModel()
    parts.answer(Stall())
    parts.answer(Stall())
    async with parts.session() as (cascade, _):
        cascade.report_to(lambda what, response_id: told.append((what.stage, response_id)))
        await cascade.respond(1, ASKED, tools_allowed=True)
        await settled()
        await cascade.cancel(1, 0)
        await settled()
        assert told == [(Stage.LLM, 1)]
        await cascade.respond(2, ASKED, tools_allowed=True)
        await speak_to(cascade)
        await settled()
    assert sorted(told[1:], key=str) == [(Stage.LLM, 2), (Stage.STT, None)]


class ScopedRecogniser(Scoped, ScriptedRecogniser):
    pass


class ScopedModel(Scoped, ScriptedModel):
    pass


async def test_services_that_belong_to_the_call_are_entered_warmed_and_left():
    parts = Parts()
    parts.stt, parts.llm = ScopedRecogniser(), ScopedModel()
    async with parts.session():
        for service in (parts.stt, parts.llm):
            assert (service.entered, service.warmed, service.exited) == (1, 1, 0)
    assert (parts.stt.exited, parts.llm.exited) == (1, 1)


async def test_services_are_left_after_their_requests():
    parts = Parts()
    parts.llm = ScopedModel()
    parts.answer(Stall())
    left_first = []

    async def leave(*_exc):
        left_first.append(parts.llm.asked[0].left)

    parts.llm.__class__ = type(
        "Watched", (ScopedModel,), {"__aexit__": lambda _self, *exc: leave()}
    )
    async with parts.session() as (cascade, _):
        await cascade.respond(1, ASKED, tools_allowed=True)
        await settled()
    assert left_first == [True]


async def test_what_is_stopped_before_it_began_never_began():
    parts = Parts()
    async with parts.session() as (cascade, ear):
        await cascade.respond(1, ASKED, tools_allowed=True)
        await cascade.cancel(1, 0)
        await speak_to(cascade, 1)
        await cascade.discard()
        assert await ear.nothing_more() == []
    gc.collect()  # a coroutine that was made and never run complains now
    assert (parts.llm.asked, parts.stt.utterances) == ([], [])
