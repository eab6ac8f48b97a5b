"""The offline engines as speech services, with the real engines behind them."""

import asyncio
import os
import re
import signal
import wave
from pathlib import Path

import pytest
import pytest_asyncio

from calls.audio.level import peak, rms
from calls.domain.audio import AGENT, CALLER
from calls.domain.events import Stage
from calls.engine.clock import MonotonicClock
from calls.ports.errors import ProviderError, ProviderFault
from calls.providers.embedded.speech import EmbeddedSpeech, voices
from calls.providers.embedded.utterance import SpeechSpan

pytestmark = pytest.mark.asyncio

CALLERS = Path(__file__).parents[1] / "fixtures" / "callers"
FRAME_BYTES = CALLER.bytes(20)
QUIET = bytes(CALLER.bytes(600))


@pytest_asyncio.fixture
async def speech():
    engines = EmbeddedSpeech.with_workers(1, MonotonicClock())
    try:
        yield engines
    finally:
        await engines.close()


async def spoken(speech, text, *, language="en", voice="", speed=1.0):
    async with speech.tts.speak(text, language=language, voice=voice, speed=speed) as chunks:
        return [chunk async for chunk in chunks]


def caller(name):
    """Somebody who says what the fixture of that name says, `audio.CALLER`."""
    with wave.open(str(CALLERS / f"{name}.wav")) as wav:
        assert wav.getframerate() == CALLER.rate_hz
        return wav.readframes(wav.getnframes())


def frames(pcm):
    return [pcm[at : at + FRAME_BYTES] for at in range(0, len(pcm), FRAME_BYTES)]


async def understood(speech, pcm):
    async with speech.stt.utterance(language="en") as transcriber:
        for frame in frames(pcm):
            await transcriber.feed(frame)
        return await transcriber.finish()


async def test_speech_comes_in_chunks_at_a_good_level(speech):
    chunks = await spoken(speech, "It is four. Is that all?")
    pcm = b"".join(chunk.pcm for chunk in chunks)
    assert 1_500 < AGENT.ms(pcm) < 3_500
    assert max(AGENT.ms(chunk.pcm) for chunk in chunks) <= 62
    assert 0.3 < peak(pcm) <= 1.0
    assert rms(pcm) > 0.03


async def test_thirty_calls_may_begin_to_speak_at_once(speech):
    await speech.tts_pool.warm()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(spoken(speech, "Hello. Who is there?")) for _ in range(30)]
    for task in tasks:
        assert AGENT.ms(b"".join(chunk.pcm for chunk in task.result())) > 800


async def test_every_word_is_marked_once_it_was_said(speech):
    text = "It is four, Dr. Smith: $29.50 at 10:30 for the well-known café."
    chunks = await spoken(speech, text)
    marks = [mark for chunk in chunks for mark in chunk.marks]
    said = [text[: mark.end_char] for mark in marks]
    assert set(said) <= {text[: word.end()] for word in re.finditer(r"\S+", text)}
    assert said[-1] == text
    # The voice runs some small words together with the next one.
    assert len(said) >= len(text.split()) - 2
    length_ms = AGENT.ms(b"".join(chunk.pcm for chunk in chunks))
    times = [mark.at_ms for mark in marks]
    assert times == sorted(set(times))
    assert length_ms - 5 <= times[-1] <= length_ms + 5


async def test_a_mark_stands_where_its_word_ends(speech):
    """The words up to the mark alone last as long as the mark says."""
    text = "Monday to Friday from nine to five."
    marks = [mark for chunk in await spoken(speech, text) for mark in chunk.marks]
    to_friday = next(mark for mark in marks if text[: mark.end_char] == "Monday to Friday")
    alone = await spoken(speech, "Monday to Friday")
    alone_ms = AGENT.ms(b"".join(chunk.pcm for chunk in alone))
    assert to_friday.at_ms == pytest.approx(alone_ms, rel=0.35)


async def test_speed_and_language_are_heard(speech):
    normal = b"".join(c.pcm for c in await spoken(speech, "One two three four five six."))
    fast = b"".join(c.pcm for c in await spoken(speech, "One two three four five six.", speed=1.5))
    german = b"".join(
        c.pcm for c in await spoken(speech, "One two three four five six.", language="de-AT")
    )
    assert len(fast) < 0.8 * len(normal)
    assert german != normal


async def test_a_voice_that_does_not_exist_is_replaced(speech):
    assert await spoken(speech, "Hello.", voice="no such voice")


@pytest.mark.parametrize(
    ("language", "voice", "tried"),
    [
        ("en", "", ["en-us+klatt4"]),
        ("en-GB", "", ["en-us+klatt4"]),
        ("en", "en-us+f2", ["en-us+f2", "en-us+klatt4"]),
        ("de", "", ["de+klatt4", "en-us+klatt4"]),
        ("pt-BR", "", ["pt-br+klatt4", "pt+klatt4", "en-us+klatt4"]),
        ("zh_Hant", "anna", ["anna", "zh-hant+klatt4", "zh+klatt4", "en-us+klatt4"]),
    ],
)
async def test_which_voices_are_tried(language, voice, tried):
    assert voices(language, voice) == tried


async def test_a_text_without_words_is_silence(speech):
    assert rms(b"".join(chunk.pcm for chunk in await spoken(speech, " "))) == 0


async def test_a_text_beyond_all_measure_is_refused(speech):
    with pytest.raises(ProviderError) as refused:
        await spoken(speech, "a" * 2_001)
    assert (refused.value.kind, refused.value.stage) == (ProviderFault.REFUSED, Stage.TTS)


UNDERSTOOD = [
    ("hours", "what are your opening hours"),
    ("appointment", "i would like to make an appointment"),
    ("monday", "on monday at three o'clock"),
    ("name", "my name is john smith"),
    ("yes", "yes please"),
    ("goodbye", "thank you goodbye"),
]


@pytest.mark.parametrize("quiet", [b"", QUIET], ids=["cut close", "in quiet"])
async def test_what_is_said_is_understood(speech, quiet):
    heard = [await understood(speech, quiet + caller(name) + quiet) for name, _ in UNDERSTOOD]
    assert heard == [text for _, text in UNDERSTOOD]


async def test_one_utterance_does_not_influence_the_next(speech):
    hard = b"".join(c.pcm for c in await spoken(speech, "One two three four five six seven."))
    first = await understood(speech, hard)
    for name, text in UNDERSTOOD:
        assert await understood(speech, caller(name)) == text
        assert await understood(speech, hard) == first


@pytest.mark.parametrize("pcm", [b"", bytes(CALLER.bytes(90)), QUIET])
async def test_silence_is_nothing_understood(speech, pcm):
    assert await understood(speech, pcm) == ""


async def test_sound_at_full_scale_is_no_trouble(speech):
    square = b"\xff\x7f" * 40 + b"\x00\x80" * 40
    assert await understood(speech, square * 200) == await understood(speech, square * 200)


async def test_a_pause_is_used_and_the_whole_is_still_understood(speech):
    """While the caller pauses what was said is already worked on; going on discards that."""
    await speech.stt_pool.warm()
    async with speech.stt.utterance(language="en") as transcriber:
        for frame in frames(QUIET + caller("yes") + QUIET):
            await transcriber.feed(frame)
        assert speech.stt_pool.status.busy == 1
        for frame in frames(caller("monday") + QUIET):
            await transcriber.feed(frame)
        assert await transcriber.finish() == "yes please on monday at three o'clock"


async def test_the_text_is_there_before_the_call_is_sure_of_the_end(speech):
    await speech.stt_pool.warm()
    async with speech.stt.utterance(language="en") as transcriber:
        for frame in frames(QUIET + caller("hours") + QUIET):
            await transcriber.feed(frame)
        async with asyncio.timeout(10):
            while speech.stt_pool.status.busy:  # noqa: ASYNC110 - another process sets no event
                await asyncio.sleep(0.001)
        os.kill(speech.stt_pool.pids[0], signal.SIGKILL)
        assert await transcriber.finish() == "what are your opening hours"


async def test_leaving_in_a_pause_frees_the_worker(speech):
    await speech.stt_pool.warm()
    async with speech.stt.utterance(language="en") as transcriber:
        for frame in frames(caller("hours") + QUIET):
            await transcriber.feed(frame)
    assert await understood(speech, caller("yes")) == "yes please"
    assert speech.stt_pool.status.deaths == 0


async def test_only_a_minute_of_an_utterance_is_heard(speech):
    async with speech.stt.utterance(language="en") as transcriber:
        for _ in range(61):
            await transcriber.feed(bytes(CALLER.bytes(1_000)))
        assert len(transcriber._pcm) == CALLER.bytes(60_000)


def levels(*parts):
    """Frames of a tone: pairs of milliseconds and amplitude."""
    for ms, amplitude in parts:
        sample = int(amplitude * 32_767).to_bytes(2, "little", signed=True)
        yield from [sample * CALLER.samples(20)] * (ms // 20)


@pytest.mark.parametrize(
    ("parts", "end_ms"),
    [
        pytest.param([(400, 0.3), (600, 0)], 480, id="speech, then nothing"),
        pytest.param([(400, 0.3), (600, 0.003)], 480, id="speech, then a room"),
        pytest.param([(400, 0.01), (600, 0.0001)], 480, id="a quiet speaker"),
        pytest.param([(20, 0.9), (400, 0.02), (600, 0)], 520, id="a click, then speech"),
        pytest.param([(1000, 0.05)], 1000, id="no end yet"),
        pytest.param([(1000, 0)], 0, id="nothing at all"),
    ],
)
async def test_the_end_of_speech_is_seen_in_the_level(parts, end_ms):
    speech, size = SpeechSpan(), 0
    for frame in levels(*parts):
        size += len(frame)
        speech.take(frame, size)
    assert abs(CALLER.ms_of(speech.end_bytes) - end_ms) <= 100
