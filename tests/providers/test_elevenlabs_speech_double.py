"""The stand-in for ElevenLabs' sockets enforces their rules, and speaks as the SDK understands.

The SDK's own helper for sockets cannot be asked: it speaks TLS only, and not to several contexts.
"""

import asyncio
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from elevenlabs.types.audio_output_multi import AudioOutputMulti
from elevenlabs.types.final_output_multi import FinalOutputMulti

from calls.domain.audio import AGENT
from calls.providers.elevenlabs.address import ElevenLabs
from calls.sockets import SocketError, json_socket
from tests.doubles.providers.base import serving
from tests.doubles.providers.elevenlabs_tts import RACHEL, ElevenLabsSpeechDouble

SENTENCE = "One, two, three and then four. "


@pytest_asyncio.fixture
async def double():
    double = ElevenLabsSpeechDouble()
    async with serving(double):
        yield double


@asynccontextmanager
async def socket(double, kind="multi-stream-input", **query):
    address = ElevenLabs("test-key", double.origin)
    asked = {"model_id": "eleven_flash_v2_5", "output_format": "pcm_24000", **query}
    url = address.ws_url(f"/v1/text-to-speech/{RACHEL}/{kind}", asked)
    async with json_socket(url, headers=address.headers) as opened:
        yield opened


async def end_of(opened):
    """What came, and how it ended."""
    came = []
    async with asyncio.timeout(5):
        try:
            async for message in opened.messages():
                came.append(message)  # noqa: PERF401 - it ends with an exception
        except SocketError as error:
            return came, (error.code, error.reason)
    raise AssertionError("it did not end")


async def broken(double, *messages, **query):
    async with socket(double, **query) as opened:
        for message in messages:
            await opened.send(message)
        came, end = await end_of(opened)
    assert came[-1]["code"] == end[0] == 1008
    assert came[-1]["error"] == end[1]
    return end[1]


@pytest.mark.asyncio
async def test_a_sixth_context_ends_the_socket(double):
    double.rules.gate.clear()
    sentences = [{"text": SENTENCE, "context_id": f"c{n}", "flush": True} for n in range(6)]

    assert await broken(double, *sentences) == "max_active_conversations"
    assert double.sockets[0].most_open == 5


@pytest.mark.asyncio
async def test_settings_may_only_come_first(double):
    settings = {"text": " ", "context_id": "a", "voice_settings": {"speed": 1.0}}

    assert await broken(double, settings, settings) == "invalid_request"
    assert await broken(double, {"text": "", "context_id": "a"}, settings) == "invalid_request"


@pytest.mark.asyncio
async def test_a_schedule_has_bounds_and_so_has_speed(double):
    short = {"text": " ", "context_id": "a", "generation_config": {"chunk_length_schedule": [10]}}
    fast = {"text": " ", "context_id": "a", "voice_settings": {"speed": 1.3}}

    assert await broken(double, short) == "invalid_request"
    assert await broken(double, fast) == "invalid_request"


@pytest.mark.asyncio
@pytest.mark.parametrize("model", ["eleven_v3", "eleven_v4"])
async def test_newer_models_are_not_had_on_sockets(double, model):
    assert await broken(double, model_id=model) == "invalid_request"


@pytest.mark.asyncio
async def test_silence_ends_the_socket(double):
    double.rules.inactivity_s = 0.02

    assert await broken(double) == "input_timeout_exceeded"


@pytest.mark.asyncio
async def test_a_keep_alive_opens_no_context(double):
    async with socket(double) as opened:
        for _ in range(7):
            await opened.send({"text": ""})
        await opened.send({"text": "", "context_id": "a"})
        await opened.send({"close_socket": True})

    assert (double.sockets[0].opened, double.sockets[0].keep_alives) == ([], 8)


@pytest.mark.asyncio
async def test_texts_run_into_each_other_and_the_sdk_understands_what_comes(double):
    async with socket(double) as opened:
        await opened.send({"text": " ", "context_id": "a"})
        await opened.send({"text": "Good", "context_id": "a"})
        await opened.send({"text": "bye.", "context_id": "a"})
        await opened.send({"context_id": "a", "close_context": True})
        await opened.send({"close_socket": True})
        came, end = await end_of(opened)

    *sound, final = came
    assert end == (1000, "")
    chunks = [AudioOutputMulti(**message) for message in sound]
    assert "".join(char for chunk in chunks for char in chunk.alignment.chars) == "Goodbye."
    assert {chunk.context_id for chunk in chunks} == {"a"}
    assert FinalOutputMulti(**final).context_id == "a"
    assert final["isFinal"] is True


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({}, {"flush": True}),
        ({"auto_mode": True}, {}),
        ({}, {"text": SENTENCE * 5}),
        ({}, {"text": SENTENCE * 2, "try_trigger_generation": True}),
    ],
)
async def test_what_makes_it_speak_before_the_end(double, query, told):
    async with socket(double, **query) as opened:
        await opened.send({"text": " ", "context_id": "a"})
        await opened.send({"text": SENTENCE, "context_id": "a", **told})
        assert (await anext(opened.messages()))["contextId"] == "a"


@pytest.mark.asyncio
async def test_without_that_it_waits_for_more(double):
    async with socket(double) as opened:
        await opened.send({"text": SENTENCE, "context_id": "a"})
        await opened.send({"text": SENTENCE * 3, "context_id": "b"})
        await opened.send({"text": "Now.", "context_id": "c", "flush": True})
        assert (await anext(opened.messages()))["contextId"] == "c"


@pytest.mark.asyncio
async def test_a_single_utterance_ends_with_its_socket(double):
    async with socket(double, "stream-input") as opened:
        await opened.send({"text": " ", "voice_settings": {"speed": 1.0}})
        await opened.send({"text": SENTENCE})
        await opened.send({"text": ""})
        came, end = await end_of(opened)

    assert end == (1000, "")
    assert came[-1] == {"audio": None, "isFinal": True}
    heard = "".join(char for message in came[:-1] for char in message["alignment"]["chars"])
    assert heard == SENTENCE
    assert double.sockets == []


@pytest.mark.asyncio
async def test_real_speech_may_stand_in_for_the_tone(double):
    double.synthesize = lambda text: b"\x01\x00" * AGENT.samples(len(text))

    assert await double.sound("Ten chars.") == b"\x01\x00" * 240


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"language_code": "xx"}, 400),
        ({"output_format": "mp3_44100_128"}, 400),
        ({"inactivity_timeout": 181}, 422),
    ],
)
async def test_a_handshake_that_asks_for_what_there_is_not_is_refused(double, query, status):
    with pytest.raises(SocketError) as caught:
        async with socket(double, **query):
            pass

    assert caught.value.status == status
