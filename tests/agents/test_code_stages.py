"""An agent's methods as the services of a cascade: whatever they give, and however they fail."""

import asyncio
import io
import logging
import threading
import time
import wave

import numpy as np
import pytest

from calls.agents import Commands, LiveCall, Message, ToolCall, VoiceAgent
from calls.agents.workers import Workers, workers
from calls.audio.wav import header
from calls.domain.audio import AGENT
from calls.domain.events import Direction, Stage
from calls.domain.items import Item, ItemStatus, Role
from calls.ports.errors import ProviderError, ProviderFault
from calls.ports.speech import Directed, Noted, Prompt, Services, TextDelta, ToolCallRequested
from calls.ports.tools import ToolSpec
from calls.providers.code import code_services
from calls.providers.code.ears import CodeSpeechToText
from calls.providers.code.mind import CodeLanguageModel
from calls.providers.code.mouth import CodeTextToSpeech
from calls.providers.code.sound import SoundReader
from tests.doubles.speech import ScriptedModel, ScriptedRecogniser, ScriptedVoice

SKIP = Directed(Direction.SKIP_ANSWER)
END = Directed(Direction.END_CALL)
CANCEL = Directed(Direction.CANCEL_LAST_USER)
PROMPT = Prompt("Be kind.", (), (ToolSpec("book", "Book."),), "en")


@pytest.fixture
def made(info):
    """Make an agent of a class with these methods, in a call."""

    def make(**members):
        agent = type("Made", (VoiceAgent,), members)()
        agent.call = LiveCall(info, asyncio.get_running_loop())
        return agent

    return make


async def answers(agent, prompt=PROMPT):
    async with CodeLanguageModel(agent).answer(prompt) as parts:
        return [part async for part in parts]


# Answers


def _streamed(self, conversation):
    yield "Good "
    yield "bye."
    yield Commands(end_call=True)


async def _streamed_async(self, conversation):
    yield "Good "
    yield Message("assistant", "bye.", {"mood": "warm"})


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("answer", "given"),
    [
        (lambda self, conversation: "Hello", [TextDelta("Hello")]),
        (lambda self, conversation: None, []),
        (_streamed, [TextDelta("Good "), TextDelta("bye."), END]),
        (
            _streamed_async,
            [TextDelta("Good "), Noted({"mood": "warm"}), TextDelta("bye.")],
        ),
        (
            lambda self, c: Message("assistant", "Bye.", {"a": 1}, Commands(end_call=True)),
            [Noted({"a": 1}), TextDelta("Bye."), END],
        ),
        (
            lambda self, c: Message(
                "assistant", "x", commands=Commands(skip_answer=True, cancel_last_user_message=True)
            ),
            [CANCEL, SKIP],
        ),
        (
            lambda self, c: Message(
                "assistant", "x", commands=Commands(skip_answer=True, end_call=True)
            ),
            [END],
        ),
        (lambda self, c: iter([Commands(skip_answer=True), "never said"]), [SKIP]),
    ],
)
async def test_what_an_answer_may_be(made, answer, given):
    assert await answers(made(generate_answer=answer)) == given


@pytest.mark.asyncio
async def test_the_conversation_has_the_prompt_first_and_what_was_heard(made):
    seen = []
    agent = made(generate_answer=lambda self, conversation: seen.extend(conversation))
    items = (
        Item(
            1, Role.AGENT, "It is", 1, ItemStatus.INTERRUPTED, unheard=" four.", metadata={"a": 1}
        ),
        Item(2, Role.USER, "What?", 2),
        Item(3, Role.TOOL, "4", 2, tool_call_id="t1", tool_name="add", arguments="{}"),
    )
    await answers(agent, Prompt("Be kind.", items, (), "en"))
    assert seen == [
        Message("system", "Be kind."),
        Message("assistant", "It is", {"a": 1}, unheard=" four."),
        Message("user", "What?"),
        Message(
            "tool", "4", {"tool_call_id": "t1", "name": "add", "arguments": "{}", "failed": False}
        ),
    ]
    assert seen[2].as_dict() == {"role": "user", "content": "What?"}
    seen.clear()
    await answers(agent, Prompt("", (), (), "en"))
    assert seen == []


@pytest.mark.asyncio
async def test_an_answer_may_ask_for_a_tool_as_long_as_there_are_tools(made):
    agent = made(generate_answer=lambda self, conversation: ToolCall("book", {"day": "monday"}))
    [asked] = await answers(agent)
    assert isinstance(asked, ToolCallRequested)
    assert (asked.name, asked.arguments) == ("book", '{"day": "monday"}')
    with pytest.raises(ProviderError, match="no tool can be used"):
        await answers(agent, Prompt("", (), (), "en"))


def _fails(self, conversation):
    raise LookupError("what the caller said")


def _fails_late(self, conversation):
    yield "One."
    raise LookupError("what the caller said")


async def _fails_on_the_loop(self, conversation):
    raise SystemExit("what the caller said")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (_fails, ProviderFault.CRASHED, "The agent's generate_answer failed (LookupError)."),
        (_fails_late, ProviderFault.CRASHED, "The agent's generate_answer failed (LookupError)."),
        (
            _fails_on_the_loop,
            ProviderFault.CRASHED,
            "The agent's generate_answer failed (SystemExit).",
        ),
        (
            lambda self, c: 7,
            ProviderFault.INVALID,
            "The agent's generate_answer gave int, which is no answer.",
        ),
        (
            lambda self, c: Message("user", "x"),
            ProviderFault.INVALID,
            "The agent's generate_answer gave a message of role user.",
        ),
        (
            lambda self, c: Message("assistant", "x", {"a": object()}),
            ProviderFault.INVALID,
            "The agent's generate_answer gave data that do not survive JSON.",
        ),
    ],
)
async def test_a_failing_answer_is_a_providers_failure(made, caplog, answer, kind, message):
    with pytest.raises(ProviderError) as caught:
        await answers(made(generate_answer=answer))
    assert (caught.value.kind, caught.value.stage) == (kind, Stage.LLM)
    assert caught.value.message == message
    assert "what the caller said" not in caplog.text
    if kind is ProviderFault.CRASHED:
        assert "test_code_stages.py:" in caplog.text


@pytest.mark.asyncio
async def test_an_agent_without_a_free_thread_is_busy(made, monkeypatch):
    go = threading.Event()
    pool = Workers(threads=1, waiting=0)
    monkeypatch.setattr("calls.agents.calling.workers", lambda: pool)
    pool.submit(lambda: go.wait(5))
    with pytest.raises(ProviderError) as caught:
        await answers(made(generate_answer=lambda self, c: "x"))
    go.set()
    assert (caught.value.kind, caught.value.retryable) == (ProviderFault.BUSY, True)


# Speech to text


async def understood(agent, *chunks, context=""):
    async with CodeSpeechToText(agent).utterance(language="en", context=context) as transcriber:
        for chunk in chunks:
            await transcriber.feed(chunk)
        assert [text async for text in transcriber.partials()] == []
        return await transcriber.finish()


@pytest.mark.asyncio
async def test_speech_arrives_as_a_wav_file_with_what_was_said_before(made):
    heard = []

    def speech_to_text(self, audio, previous_message):
        heard.append((audio, previous_message))
        return "  Hello there. "

    agent = made(speech_to_text=speech_to_text)
    assert await understood(agent, b"\1\0" * 320, b"\2\0" * 320, context="Hi.") == "Hello there."
    assert await understood(agent) == "Hello there."
    with wave.open(io.BytesIO(heard[0][0])) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (16_000, 1, 2)
        assert sound.readframes(1_000) == b"\1\0" * 320 + b"\2\0" * 320
    assert [previous for _, previous in heard] == ["Hi.", None]


@pytest.mark.asyncio
async def test_nothing_understood_may_be_none(made):
    async def speech_to_text(self, audio, previous_message):
        return None

    assert await understood(made(speech_to_text=speech_to_text), b"\0\0") == ""


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("result", "kind"), [(7, ProviderFault.INVALID), (None, ProviderFault.CRASHED)]
)
async def test_failing_ears_are_a_providers_failure(made, result, kind):
    def speech_to_text(self, audio, previous_message):
        if result is None:
            raise OSError
        return result

    with pytest.raises(ProviderError) as caught:
        await understood(made(speech_to_text=speech_to_text))
    assert (caught.value.kind, caught.value.stage) == (kind, Stage.STT)


# Text to speech


def tone(samples, rate_hz=24_000, channels=1):
    at = np.arange(samples) / rate_hz
    one = (np.sin(2 * np.pi * 440 * at) * 8_000).astype("<i2")
    return np.repeat(one, channels).tobytes()


def wav(rate_hz, channels, pcm, data_bytes=-1):
    return header(rate_hz, channels, len(pcm) if data_bytes == -1 else data_bytes) + pcm


async def spoken(agent):
    async with CodeTextToSpeech(agent).speak("Hi.", language="en", voice="", speed=1.0) as sound:
        return [chunk.pcm async for chunk in sound]


async def _async_chunks(self, text):
    for chunk in (b"\1\0\2", b"\0", bytearray(b"\3\0"), memoryview(b"\4\0\5")):
        yield chunk


@pytest.mark.asyncio
async def test_chunks_may_break_a_sample_and_an_incomplete_last_one_is_dropped(made):
    assert b"".join(await spoken(made(text_to_speech=_async_chunks))) == b"\1\0\2\0\3\0\4\0"


@pytest.mark.asyncio
async def test_a_long_sound_is_given_out_in_pieces(made):
    whole = tone(AGENT.samples(2_500))
    pieces = await spoken(made(text_to_speech=lambda self, text: whole))
    assert b"".join(pieces) == whole
    assert max(map(len, pieces)) == AGENT.bytes(1_000)


@pytest.mark.parametrize("chunk_bytes", [1, 7, 44, 1_000, 100_000])
@pytest.mark.parametrize(
    ("rate_hz", "channels"), [(24_000, 1), (16_000, 1), (44_100, 2), (48_000, 2), (8_000, 1)]
)
def test_wav_files_of_any_rate_are_converted(chunk_bytes, rate_hz, channels):
    file = wav(rate_hz, channels, tone(rate_hz // 10, rate_hz, channels))
    reader = SoundReader()
    chunks = (file[at : at + chunk_bytes] for at in range(0, len(file), chunk_bytes))
    pcm = b"".join(map(reader.feed, chunks)) + reader.flush()
    sound = np.frombuffer(pcm, "<i2").astype(float)
    assert abs(len(sound) - 2_400) <= 1
    wanted = np.frombuffer(tone(2_400), "<i2").astype(float)
    difference = sound[200:2_200] - wanted[200:2_200]
    assert np.sqrt((difference**2).mean()) < 200


@pytest.mark.asyncio
async def test_a_wav_file_may_come_in_one_piece_or_in_chunks(made):
    file = wav(16_000, 1, tone(16_000, 16_000))
    whole = b"".join(await spoken(made(text_to_speech=lambda self, text: file)))

    async def text_to_speech(self, text):
        yield file[:20]
        yield file[20:]

    assert b"".join(await spoken(made(text_to_speech=text_to_speech))) == whole
    assert AGENT.ms(whole) == 1_000


@pytest.mark.parametrize("data_bytes", [None, 0])
def test_a_wav_file_may_leave_its_length_open(data_bytes):
    reader = SoundReader()
    pcm = tone(100)
    assert reader.feed(wav(24_000, 1, pcm, data_bytes)) + reader.flush() == pcm


def test_what_follows_the_samples_of_a_wav_file_is_no_sound():
    reader = SoundReader()
    pcm = tone(100)
    given = reader.feed(wav(24_000, 1, pcm)[:80]) + reader.feed(wav(24_000, 1, pcm)[80:])
    assert given + reader.feed(b"LIST\4\0\0\0junk") + reader.flush() == pcm


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("sound", "fault"),
    [
        ("text", "str, which is no sound"),
        (b"ID3\4" + bytes(50), "sound that cannot be played: MP3 is not PCM"),
        (b"OggS" + bytes(50), "sound that cannot be played: Ogg is not PCM"),
        (wav(24_000, 1, b"")[:30], "sound that cannot be played: not a WAV file"),
        (wav(96_000, 1, tone(10)), "cannot resample from 96000"),
        (
            wav(24_000, 1, tone(10))[:34] + b"\x18\0" + wav(24_000, 1, tone(10))[36:],
            "not 16-bit PCM",
        ),
    ],
)
async def test_unusable_sound_is_a_providers_failure(made, sound, fault):
    with pytest.raises(ProviderError, match="text_to_speech gave") as caught:
        await spoken(made(text_to_speech=lambda self, text: sound))
    assert (caught.value.kind, caught.value.stage) == (ProviderFault.INVALID, Stage.TTS)
    assert fault in caught.value.message


@pytest.mark.asyncio
async def test_a_failing_mouth_has_said_what_it_had(made):
    def text_to_speech(self, text):
        yield b"\1\0" * 10
        raise OSError

    mouth = CodeTextToSpeech(made(text_to_speech=text_to_speech))
    async with mouth.speak("x", language="", voice="", speed=1) as sound:
        assert (await anext(sound)).pcm == b"\1\0" * 10
        with pytest.raises(ProviderError, match="OSError"):
            await anext(sound)


# Which services


@pytest.fixture
def fallback():
    return Services(ScriptedRecogniser(), ScriptedModel(), ScriptedVoice())


@pytest.mark.asyncio
async def test_what_is_not_overridden_is_as_configured(made, fallback):
    assert code_services(made(), fallback) == fallback
    own = code_services(made(generate_answer=lambda self, c: ""), fallback)
    assert (own.llm.name, own.stt, own.tts) == ("code", fallback.stt, fallback.tts)
    agent = made()
    agent.text_to_speech = lambda text: b""
    assert code_services(agent, fallback).tts.name == "code"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("disabled", "configured", "speaks"),
    [
        (None, True, True),
        (None, False, False),
        (True, True, False),
        (False, False, True),
        (False, True, True),
    ],
)
async def test_a_voice_is_left_out_when_code_or_settings_say_so(
    made, fallback, disabled, configured, speaks
):
    agent = made(text_to_speech=lambda self, text: b"", disable_tts=disabled)
    given = Services(fallback.stt, fallback.llm, fallback.tts if configured else None)
    assert (code_services(agent, given).tts is not None) is speaks


@pytest.mark.asyncio
async def test_the_last_utterance_is_kept_for_debugging(made, fallback, tmp_path, settings):
    settings.CALLS = settings.CALLS | {"DEBUG_DIR": tmp_path / "debug"}
    fallback.stt.scripts.extend([["one"], ["two"]])
    agent = made(debug_save_speech=True)
    stt = code_services(agent, fallback).stt
    assert stt.name == "scripted-stt"
    for pcm in (b"\1\0" * 10, b"\2\0" * 10):
        async with stt.utterance(language="de", context="Hi.") as transcriber:
            await transcriber.feed(pcm)
            await transcriber.finish()
    await _quiet()
    file = tmp_path / "debug" / "call-1.wav"
    assert await asyncio.to_thread(file.read_bytes) == wav(16_000, 1, b"\2\0" * 10)
    assert [(u.language, u.context, u.left) for u in fallback.stt.utterances] == [
        ("de", "Hi.", True)
    ] * 2
    for place, mode in ((file.parent, 0o700), (file, 0o600)):
        assert (await asyncio.to_thread(place.stat)).st_mode & 0o777 == mode


@pytest.mark.asyncio
async def test_an_utterance_that_cannot_be_kept_disturbs_nobody(
    made, fallback, tmp_path, settings, caplog
):
    await asyncio.to_thread((tmp_path / "debug").write_text, "a file where a folder should be")
    settings.CALLS = settings.CALLS | {"DEBUG_DIR": tmp_path / "debug"}
    fallback.stt.scripts.append(["one"])
    stt = code_services(made(debug_save_speech=True), fallback).stt
    async with stt.utterance(language="en") as transcriber:
        assert await transcriber.finish() == "one"
    with caplog.at_level(logging.WARNING):
        await _quiet()
    assert "could not be kept: FileExistsError" in caplog.text


async def _quiet():
    """Wait until no thread has anything left to do."""
    while workers()._unfinished:
        await asyncio.to_thread(time.sleep, 0.001)
