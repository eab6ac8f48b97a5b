"""Which voice speaks a text, when another one does, and what is told of it."""

import asyncio
import random

import pytest

from calls.domain.audio import AGENT
from calls.domain.events import Stage
from calls.domain.items import Mark
from calls.ports.errors import ProviderError, ProviderFault
from calls.ports.speech import SpokenAudio
from calls.providers.choice.breaker import BreakerState
from calls.providers.choice.text_to_speech import ChosenVoice, Voiced
from tests.doubles.choice import Desk, trouble
from tests.doubles.speech import MS_PER_CHAR, Pause, Scoped, ScriptedVoice, Stall, Tells, obey

pytestmark = pytest.mark.asyncio

TEXT = "It is four."


class ScriptedSound(ScriptedVoice):
    """Each text takes the next script: chunks, failures, pauses. Without one it is spoken."""

    def __init__(self):
        super().__init__()
        self.scripts = []

    async def _sound(self, text):
        if not self.scripts:
            async for chunk in super()._sound(text):
                yield chunk
            return
        for step in self.scripts.pop(0):
            await obey(step)
            if isinstance(step, SpokenAudio):
                yield step


class ScopedVoice(Scoped, ScriptedSound):
    pass


class Voices(Desk):
    def __init__(self, voices=("anna", "bert", ""), kinds=(ScriptedSound,) * 3):
        super().__init__()
        self.tts = [kind() for kind in kinds]
        for letter, tts in zip("abc", self.tts, strict=False):
            tts.name = f"{letter}:fast"
        candidates = [Voiced(tts, voice) for tts, voice in zip(self.tts, voices, strict=False)]
        self.chosen = ChosenVoice(candidates, **self.shared)

    async def speak(self, text=TEXT, voice="given"):
        spoken = self.chosen.speak(text, language="en", voice=voice, speed=1.1)
        async with spoken as chunks:
            return [chunk async for chunk in chunks]

    @property
    def spoken(self):
        return [len(tts.spoken) for tts in self.tts]

    @property
    def all_left(self):
        return all(voiced.left for tts in self.tts for voiced in tts.spoken)


def chunk(letter, ms=20):
    return SpokenAudio(letter.encode() * AGENT.bytes(ms))


async def test_the_first_voice_speaks():
    desk = Voices()
    chunks = await desk.told(desk.speak())
    assert sum(AGENT.ms(made.pcm) for made in chunks) == len(TEXT) * MS_PER_CHAR
    assert chunks[-1].marks == (Mark(len(TEXT), len(TEXT) * MS_PER_CHAR),)
    assert desk.spoken == [1, 0, 0]
    (voiced,) = desk.tts[0].spoken
    assert (voiced.text, voiced.language, voiced.speed) == (TEXT, "en", 1.1)
    (told,) = desk.reports
    assert (told.stage, told.provider, told.model) == (Stage.TTS, "a", "fast")
    assert told.usage == {"characters": len(TEXT), "spoken_ms": len(TEXT) * MS_PER_CHAR}
    assert not told.estimated


@pytest.mark.parametrize(
    ("voices", "spoken_with"),
    [
        (("anna", "bert", "cleo"), ["anna", "bert", "cleo"]),
        (("", "bert", ""), ["given", "bert", ""]),
    ],
)
async def test_each_candidate_speaks_with_its_own_voice(voices, spoken_with):
    desk = Voices(voices)
    for tts in desk.tts:
        tts.before["four"] = trouble()
    with pytest.raises(ProviderError):
        await desk.speak()
    assert [tts.spoken[0].voice for tts in desk.tts] == spoken_with


async def test_a_failure_before_any_sound_changes_the_voice():
    desk = Voices()
    desk.tts[0].scripts.append([trouble()])
    desk.tts[1].scripts.append([chunk("b")])
    assert await desk.told(desk.speak()) == [chunk("b")]
    assert desk.outcomes == [("a:fast", "unavailable"), ("b:fast", "ok")]
    assert desk.chosen.name == "b:fast"
    assert desk.reports[0].usage == {}


async def test_after_the_first_sound_the_voice_never_changes():
    desk = Voices()
    failure = trouble(ProviderFault.TRUNCATED, retryable=True)
    desk.tts[0].scripts.append([chunk("a"), failure])
    received = []

    async def speak():
        async with desk.chosen.speak(TEXT, language="en", voice="", speed=1.0) as chunks:
            async for made in chunks:
                received.append(made)  # noqa: PERF401 - kept when the next one fails

    with pytest.raises(ProviderError) as caught:
        await speak()
    assert caught.value is failure
    assert received == [chunk("a")]
    assert desk.spoken == [1, 0, 0]
    assert desk.all_left


async def test_a_text_without_sound_has_failed_and_is_tried_again():
    desk = Voices()
    desk.tts[0].scripts += [[], [SpokenAudio(b"")]]
    desk.tts[1].scripts.append([chunk("b")])
    assert await desk.told(desk.speak()) == [chunk("b")]
    assert desk.outcomes == [("a:fast", "truncated"), ("a:fast", "truncated"), ("b:fast", "ok")]


async def test_no_sound_from_anybody_is_a_failure():
    desk = Voices(kinds=(ScriptedSound,))
    desk.tts[0].scripts += [[], []]
    with pytest.raises(ProviderError) as caught:
        await desk.speak()
    assert (caught.value.kind, caught.value.stage) == (ProviderFault.TRUNCATED, Stage.TTS)


async def test_marks_that_come_before_the_sound_go_with_it_or_not_at_all():
    desk = Voices()
    of_a, of_b = SpokenAudio(b"", (Mark(2, 10),)), SpokenAudio(b"", (Mark(3, 30),))
    desk.tts[0].scripts.append([of_a, trouble()])
    desk.tts[1].scripts.append([of_b, chunk("b"), of_b])
    assert await desk.speak() == [of_b, chunk("b"), of_b]


async def test_marks_alone_do_not_hold_off_the_limit_for_the_first_sound():
    desk = Voices()
    pauses = [Pause(), Pause()]
    mark = SpokenAudio(b"", (Mark(2, 10),))
    desk.tts[0].scripts.append([pauses[0], mark, pauses[1], mark, Stall()])
    desk.tts[1].scripts.append([chunk("b")])
    async with desk.doing(desk.speak()) as task:
        for pause in pauses:
            await desk.clock.advance(1_400)
            pause.go.set()
        await desk.clock.advance(199)
        assert desk.spoken == [1, 0, 0]
        await desk.clock.advance(1)
        assert await task == [chunk("b")]
    assert desk.outcomes[0] == ("a:fast", "timeout")


async def test_all_candidates_together_have_so_much_time():
    desk = Voices()
    for tts in desk.tts:
        tts.before["four"] = Stall()
    async with desk.doing(desk.speak()) as task:
        await desk.clock.advance(4_999)
        assert not task.done()
        await desk.clock.advance(1)
        assert task.result().message == "The voice took too long."
    assert [told.duration_ms for told in desk.reports] == [3_000, 2_000]


async def test_silence_within_a_text_fails_it():
    desk = Voices()
    desk.tts[0].scripts.append([chunk("a"), Stall()])
    async with desk.doing(desk.speak()) as task:
        await desk.clock.advance(2_999)
        assert not task.done()
        await desk.clock.advance(1)
        assert task.result().kind is ProviderFault.TIMEOUT
    assert desk.spoken == [1, 0, 0]


async def test_what_the_provider_counted_goes_before_what_we_know():
    desk = Voices()
    noted = {"characters": 9, "character_cost": 18}
    desk.tts[0].scripts.append([Tells("faster", "req-1", noted), chunk("a", 40)])
    await desk.told(desk.speak())
    (told,) = desk.reports
    assert told.usage == {"characters": 9, "character_cost": 18, "spoken_ms": 40}
    assert (told.model, told.request_id) == ("faster", "req-1")


async def test_a_cancelled_text_is_told_of_with_what_was_spoken():
    desk = Voices()
    desk.tts[0].scripts.append([chunk("a", 60), Stall()])
    async with desk.doing(desk.speak()) as task:
        await desk.clock.advance(300)
        task.cancel()
        await desk.clock.settle()
        (told,) = desk.reports
    assert (told.outcome, told.duration_ms) == ("cancelled", 300)
    assert told.usage == {"characters": len(TEXT), "spoken_ms": 60}
    assert desk.all_left


async def test_with_two_texts_at_once_the_name_is_that_of_the_sound_just_passed_on():
    desk = Voices()
    pause = Pause()
    desk.tts[0].scripts += [[chunk("a"), pause, chunk("a")], [trouble()]]
    desk.tts[1].scripts.append([chunk("b")])
    names = []

    async def speak(text):
        async with desk.chosen.speak(text, language="en", voice="", speed=1.0) as chunks:
            async for _ in chunks:
                names.append((text, desk.chosen.name))  # noqa: PERF401 - two at once

    async with desk.doing(speak("one")) as one:
        await desk.told(speak("two"))
        pause.go.set()
        await one
    assert names == [("one", "a:fast"), ("two", "b:fast"), ("one", "a:fast")]


async def test_voices_that_belong_to_a_call_are_entered_once_each():
    desk = Voices(kinds=(ScopedVoice,))
    (tts,) = desk.tts
    chosen = ChosenVoice([Voiced(tts, "one"), Voiced(tts, "two")], **desk.shared)
    async with chosen:
        chosen.warm()
    assert (tts.entered, tts.warmed, tts.exited) == (1, 1, 1)


STEPS = [
    lambda: trouble(retryable=True),
    lambda: trouble(ProviderFault.QUOTA),
    lambda: trouble(ProviderFault.BUSY, retryable=True, retry_after_ms=200),
    lambda: ValueError("a mistake"),
    Stall,
    lambda: SpokenAudio(b"", (Mark(1, 1),)),
]


@pytest.mark.parametrize("seed", range(40))
async def test_whatever_fails_a_text_has_one_voice_and_every_request_is_told_of(seed):
    chance = random.Random(seed)
    desk = Voices()
    for letter, tts in zip("abc", desk.tts, strict=True):
        for _ in range(40):
            steps = [chunk(letter)] * chance.randint(0, 2) + [chance.choice(STEPS)()]
            chance.shuffle(steps)
            tts.scripts.append(steps)
    for _ in range(12):
        received = []

        async def speak(received=received):
            async with desk.chosen.speak(TEXT, language="en", voice="", speed=1.0) as chunks:
                async for made in chunks:
                    received.append(made.pcm[:1])

        async with desk.doing(speak()) as task:
            if chance.random() < 0.3:
                await desk.clock.advance(chance.randint(0, 4_000))
                task.cancel()
            await desk.clock.advance(12_000)
            assert task.done()
        assert len(set(received) - {b""}) <= 1
        assert len(desk.reports) == sum(desk.spoken)
        assert desk.all_left
    assert {task for task in asyncio.all_tasks() if task is not asyncio.current_task()} == set()
    assert desk.breakers.state("nobody:else") is BreakerState.CLOSED


async def test_a_voice_that_does_not_exist_says_nothing_of_the_others():
    desk = Desk()

    async def spoken(voice, *scripts):
        tts = ScriptedSound()
        tts.name, tts.scripts = "a:flash", list(scripts)
        chosen = ChosenVoice([Voiced(tts, voice)], **desk.shared)
        async with chosen.speak(TEXT, language="en", voice="", speed=1.0) as chunks:
            return [chunk async for chunk in chunks]

    with pytest.raises(ProviderError):
        await spoken("Nobody", [trouble(ProviderFault.NOT_FOUND)])
    assert await spoken("Rachel")
    with pytest.raises(ProviderError, match="No provider is available"):
        await spoken("Nobody")
