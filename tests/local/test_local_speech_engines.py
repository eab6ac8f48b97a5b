"""Whisper and Piper through their real libraries, with small made-up models, in real workers."""

import asyncio
import os
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calls.domain.audio import AGENT, CALLER
from calls.domain.events import Stage
from calls.engine.clock import MonotonicClock
from calls.ports.errors import ProviderError, ProviderFault
from calls.providers.local.speech import LocalSpeech, chosen_voice
from tests.doubles.local_models import HEARD, TONE_SAMPLES, make_piper_voice, make_whisper_model

SAID = "Hello world. This is a test."
NOISE = np.random.default_rng(1).normal(0, 3_000, CALLER.samples(2_000)).astype("<i2").tobytes()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    make_piper_voice(folder / "en_US-tone")
    make_piper_voice(folder / "de_DE-tone", "de-DE")
    make_whisper_model(folder / "whisper-made-up")
    return folder


@asynccontextmanager
async def local(folder: Path, workers: int = 1):
    speech = LocalSpeech.with_workers(folder, workers, MonotonicClock())
    try:
        yield speech
    finally:
        await speech.close()


async def spoken(speech: LocalSpeech, text: str = SAID, **wanted) -> bytes:
    asked = {"language": "en-US", "voice": "", "speed": 1.0} | wanted
    async with speech.tts.speak(text, **asked) as sound:
        return b"".join([chunk.pcm async for chunk in sound])


async def heard(speech: LocalSpeech, pcm: bytes = NOISE, language: str = "en") -> str:
    async with speech.stt.utterance(language=language) as utterance:
        for begin in range(0, len(pcm), 640):
            await utterance.feed(pcm[begin : begin + 640])
        return await utterance.finish()


@pytest.mark.asyncio
async def test_piper_speaks_at_the_rate_of_the_call(models: Path):
    async with local(models) as speech:
        sound = await spoken(speech)
    samples = np.frombuffer(sound, "<i2")
    assert np.abs(samples).max() > 10_000
    whole, rest = divmod(len(samples) * 22_050 / AGENT.rate_hz, TONE_SAMPLES)
    assert whole > 20
    assert min(rest, TONE_SAMPLES - rest) < TONE_SAMPLES / 10


@pytest.mark.asyncio
async def test_piper_speaks_as_fast_as_asked(models: Path):
    async with local(models) as speech:
        normal, fast = await spoken(speech), await spoken(speech, speed=2.0)
    assert len(fast) == pytest.approx(len(normal) / 2, rel=0.02)


@pytest.mark.asyncio
async def test_piper_that_is_left_leaves_its_worker_to_the_next(models: Path):
    async with local(models) as speech:
        async with speech.tts.speak(SAID * 60, language="en", voice="", speed=0.5) as sound:
            await anext(sound)
        pids = speech.piper.pool.pids
        assert await spoken(speech)
        assert speech.piper.pool.pids == pids
        assert speech.piper.pool.status.deaths == 0


@pytest.mark.asyncio
async def test_whisper_hears_and_its_worker_is_kept(models: Path):
    async with local(models) as speech:
        assert [await heard(speech) for _ in range(2)] == [HEARD, HEARD]
        assert len(speech.whisper.pool.pids) == 1


@pytest.mark.asyncio
async def test_whisper_takes_a_language_that_its_model_does_not_know(models: Path):
    async with local(models) as speech:
        assert await heard(speech, language="de-DE") == HEARD


@pytest.mark.asyncio
async def test_nearly_nothing_is_not_given_to_whisper(models: Path):
    async with local(models) as speech:
        assert await heard(speech, bytes(CALLER.bytes(60))) == ""
        assert speech.whisper.pool.pids == ()


@pytest.mark.asyncio
async def test_more_than_a_minute_is_not_heard(models: Path):
    async with (
        local(models) as speech,
        speech.stt.utterance(language="en") as utterance,
    ):
        for _ in range(32):
            await utterance.feed(NOISE)
        assert len(utterance._pcm) == CALLER.bytes(60_000)


@pytest.mark.asyncio
async def test_no_partials_are_promised(models: Path):
    async with local(models) as speech, speech.stt.utterance(language="en") as utterance:
        assert [text async for text in utterance.partials()] == []


@pytest.mark.asyncio
async def test_workers_end_with_their_owner(models: Path):
    async with local(models) as speech:
        await asyncio.gather(spoken(speech), heard(speech))
        pids = speech.piper.pool.pids + speech.whisper.pool.pids
    assert len(pids) == 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.asyncio
async def test_without_a_model_one_line_says_what_to_do(tmp_path: Path):
    async with local(tmp_path) as speech:
        for asked, stage in ((spoken, Stage.TTS), (heard, Stage.STT)):
            with pytest.raises(ProviderError, match=r"manage\.py local_speech install") as refused:
                await asked(speech)
            assert refused.value.kind is ProviderFault.UNAVAILABLE
            assert refused.value.stage is stage


@pytest.mark.asyncio
async def test_without_the_package_one_line_says_what_to_do(models: Path):
    async with local(models) as speech:
        bare = replace(speech, piper=replace(speech.piper, package="no_such_package"))
        with pytest.raises(ProviderError, match=r"piper-tts is not installed \(pip install\)"):
            await spoken(bare)


@pytest.mark.asyncio
async def test_a_language_without_a_voice_says_so(models: Path):
    async with local(models) as speech:
        with pytest.raises(ProviderError, match="No voice of this language"):
            await spoken(speech, language="fr-FR")


@pytest.mark.asyncio
async def test_a_text_too_long_is_refused(models: Path):
    async with local(models) as speech:
        with pytest.raises(ProviderError) as refused:
            await spoken(speech, "a" * 2_001)
    assert refused.value.kind is ProviderFault.REFUSED


@pytest.mark.asyncio
async def test_a_damaged_model_is_an_error_and_not_the_end(models: Path, tmp_path: Path):
    make_piper_voice(tmp_path / "damaged")
    (tmp_path / "damaged/voice.onnx").write_bytes(b"damaged")
    async with local(tmp_path) as speech:
        for _ in range(2):
            with pytest.raises(ProviderError) as failed:
                await spoken(speech)
            assert failed.value.kind is ProviderFault.INVALID


@pytest.mark.asyncio
async def test_a_damaged_note_is_an_error(tmp_path: Path):
    make_piper_voice(tmp_path / "tone")
    (tmp_path / "tone/installed.json").write_text("{")
    async with local(tmp_path) as speech:
        with pytest.raises(ProviderError, match="cannot be read"):
            await spoken(speech)


VOICES = {"a": ("en-GB",), "b": ("en-US",), "c": ("de-DE",)}


@pytest.mark.parametrize(
    ("voice", "language", "chosen"),
    [
        ("c", "en-US", "c"),
        ("", "en-US", "b"),
        ("en-us+klatt4", "en_us", "b"),
        ("", "en-AU", "a"),
        ("", "de", "c"),
        ("", "fr", None),
    ],
)
def test_the_voice_is_the_named_one_or_one_of_the_language(voice, language, chosen):
    assert chosen_voice(VOICES, voice, language) == chosen
