"""The stand-in for ElevenLabs' ears, by the provider's own SDK."""

import asyncio
import base64
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from elevenlabs.realtime.connection import RealtimeEvents
from elevenlabs.realtime.scribe import AudioFormat, CommitStrategy
from websockets.exceptions import InvalidStatus

from calls.domain.audio import CALLER
from calls.providers.elevenlabs.address import ElevenLabs
from calls.providers.elevenlabs.client import client, clients_close
from tests.doubles.providers.base import serving
from tests.doubles.providers.elevenlabs_stt import ElevenLabsHearingDouble, Hear


def speech(ms, level=9):
    return bytes([level, 0]) * CALLER.samples(ms)


@pytest_asyncio.fixture
async def double():
    double = ElevenLabsHearingDouble()
    async with serving(double):
        yield double
        await clients_close()


async def sdk(double):
    return await client(ElevenLabs(double.key, double.origin))


@asynccontextmanager
async def conversation(double, **options):
    asked = {
        "model_id": "scribe_v2_realtime",
        "audio_format": AudioFormat.PCM_16000,
        "sample_rate": 16000,
    }
    talk = await (await sdk(double)).speech_to_text.realtime.connect({**asked, **options})
    said = asyncio.Queue()
    for event in RealtimeEvents:
        if event not in (RealtimeEvents.ERROR, RealtimeEvents.CLOSE, RealtimeEvents.OPEN):
            talk.on(event, said.put_nowait)
    try:
        yield talk, said
    finally:
        await talk.close()


def chunk(pcm, **more):
    return {"audio_base_64": base64.b64encode(pcm).decode(), **more}


@pytest.mark.asyncio
async def test_the_sdk_talks_to_the_stand_in(double):
    double.hears.append("two words")
    async with conversation(double, include_timestamps=True, language_code="de") as (talk, said):
        started = await said.get()
        assert started["message_type"] == "session_started"
        assert started["config"]["sample_rate"] == 16000
        assert started["config"]["language_code"] == "de"
        await talk.send(chunk(speech(250), previous_text="Hello."))
        assert (await said.get())["text"] == "two"
        await talk.send(chunk(speech(250)))
        assert (await said.get())["text"] == "two words"
        await talk.commit()
        assert (await said.get()) == {"message_type": "committed_transcript", "text": "two words"}
        timed = await said.get()
        assert [w["text"] for w in timed["words"]] == ["two", " ", "words"]
        assert [w["start"] for w in timed["words"]] == [0.0, 0.25, 0.25]
        await talk.commit()
        assert (await said.get())["message_type"] == "commit_throttled"
    assert double.sessions[0].previous_text == "Hello."


@pytest.mark.asyncio
async def test_the_stand_in_commits_by_itself_if_it_is_to(double):
    options = {"commit_strategy": CommitStrategy.VAD, "vad_silence_threshold_secs": 0.5}
    double.hears += [Hear("One.", partials=(" ",)), Hear("Two.", partials=(" ",))]
    async with conversation(double, **options) as (talk, said):
        for level, ms in ((0, 500), (5, 400), (0, 400), (5, 100), (0, 500), (6, 400), (0, 600)):
            await talk.send(chunk(speech(ms, level)))
        finals = []
        while len(finals) < 2:
            message = await said.get()
            if message["message_type"] == "committed_transcript":
                finals.append(message["text"])
    assert finals == ["One.", "Two."]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("options", "pcm", "more", "kind"),
    [
        ({"sample_rate": 8000}, speech(100), {}, "input_error"),
        ({}, b"odd", {}, "input_error"),
        ({}, bytes(300_000), {}, "chunk_size_exceeded"),
        ({"vad_threshold": 2.0}, b"", {}, "invalid_request"),
        ({"model_id": "scribe_v2"}, b"", {}, "invalid_request"),
        ({"keyterms": ["x" * 21]}, b"", {}, "invalid_request"),
    ],
)
async def test_the_stand_in_insists_on_the_rules(double, options, pcm, more, kind):
    async with conversation(double, **options) as (talk, said):
        if kind != "invalid_request":
            await said.get()
            await talk.send(chunk(pcm, **more))
        assert (await said.get())["message_type"] == kind


@pytest.mark.asyncio
async def test_the_stand_in_takes_previous_text_once(double):
    async with conversation(double) as (talk, said):
        await said.get()
        for _ in range(2):
            await talk.send(chunk(speech(50), previous_text="Hello."))
        assert (await said.get())["message_type"] == "input_error"


@pytest.mark.asyncio
async def test_the_stand_in_takes_a_token_once_and_hears_by_itself(double):
    double.tokens.add("once")
    double.transcribe = lambda pcm: f"{len(pcm)} bytes"
    async with conversation(double, token="once") as (talk, said):
        await said.get()
        await talk.send(chunk(speech(500)))
        await talk.commit()
        assert (await said.get())["text"] == "16000 bytes"
    with pytest.raises(InvalidStatus, match="401"):
        async with conversation(double, token="once"):
            pass
