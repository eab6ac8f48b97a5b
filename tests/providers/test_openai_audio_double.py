"""The stand-in for OpenAI's audio endpoints keeps their rules, as the real SDK meets them."""

import asyncio
import io
import wave

import openai
import pytest
import pytest_asyncio

from calls.audio.pcm_stream import wav_bytes
from tests.audio.sounds import pcm, tone
from tests.doubles.providers.base import serving
from tests.doubles.providers.openai_audio import Habits, OpenAIAudioDouble, tone_of

SOUND = pcm(tone(440, 500))
WAV = ("turn.wav", wav_bytes(SOUND, 16_000), "audio/wav")


@pytest_asyncio.fixture
async def double():
    found = OpenAIAudioDouble()
    async with serving(found):
        yield found


@pytest_asyncio.fixture
async def sdk(double):
    sdk = await asyncio.to_thread(
        openai.AsyncOpenAI, base_url=double.base_url, api_key="test-key", max_retries=0
    )
    async with sdk:
        yield sdk


def transcribe(sdk, **fields):
    return sdk.audio.transcriptions.create(**{"file": WAV, "model": "gpt-transcribe"} | fields)


def speak(sdk, **fields):
    asked = {"model": "gpt-4o-mini-tts", "voice": "nova", "input": "Hello."}
    return sdk.audio.speech.create(**asked | fields)


REFUSED = [
    # id                             fields                                                            error
    ("a file without a name", transcribe, {"file": WAV[1]}, openai.BadRequestError),
    ("a file of another kind", transcribe, {"file": ("turn.pcm", SOUND)}, openai.BadRequestError),
    ("a file that is no WAV file", transcribe, {"file": ("turn.wav", SOUND)}, openai.BadRequestError),
    ("no model", transcribe, {"model": ""}, openai.BadRequestError),
    ("an unknown model", transcribe, {"model": "tiny"}, openai.NotFoundError),
    ("one language", transcribe, {"language": "en"}, openai.BadRequestError),
    ("subtitles", transcribe, {"response_format": "srt"}, openai.BadRequestError),
    ("times of words", transcribe, {"timestamp_granularities": ["word"]}, openai.BadRequestError),
    ("a keyword with a mark", transcribe, {"keywords": ["<b>"]}, openai.BadRequestError),
    ("languages, of an old model", transcribe, {"model": "whisper-1", "languages": ["en"]}, openai.BadRequestError),
    ("keywords, of an old model", transcribe, {"model": "whisper-1", "keywords": ["x"]}, openai.BadRequestError),
    ("what it never heard of", transcribe, {"prompt": "x"}, openai.UnprocessableEntityError),
    ("no text", speak, {"input": ""}, openai.BadRequestError),
    ("too much text", speak, {"input": "a" * 4_097}, openai.BadRequestError),
    ("no voice", speak, {"voice": ""}, openai.BadRequestError),
    ("an unknown voice", speak, {"voice": "bella"}, openai.NotFoundError),
    ("too fast", speak, {"speed": 4.1}, openai.BadRequestError),
    ("an unknown format", speak, {"response_format": "ogg"}, openai.BadRequestError),
    ("events, of an old model", speak, {"model": "tts-1", "stream_format": "sse"}, openai.BadRequestError),
]  # fmt: skip


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("ask", "fields", "refusal"), [pytest.param(*r[1:], id=r[0]) for r in REFUSED]
)
async def test_what_openai_refuses_is_refused(double, sdk, ask, fields, refusal):
    double.models = frozenset({"gpt-transcribe", "whisper-1", "gpt-4o-mini-tts", "tts-1"})
    double.voices = frozenset({"nova"})
    double.habits = Habits(refused=frozenset({"prompt"}))

    with pytest.raises(refusal) as caught:
        await ask(sdk, **fields)

    assert caught.value.request_id == "req_1"


@pytest.mark.asyncio
async def test_a_stranger_is_told_so(double, sdk):
    with pytest.raises(openai.AuthenticationError) as caught:
        await speak(sdk.with_options(api_key="another"))

    assert caught.value.code == "invalid_api_key"


@pytest.mark.asyncio
async def test_what_is_scripted_is_heard_in_order_and_then_the_default(double, sdk):
    double.hears += ["one", "two"]

    assert [(await transcribe(sdk)).text for _ in range(3)] == ["one", "two", double.default]


@pytest.mark.asyncio
async def test_a_transcript_comes_in_the_formats_of_old_models(double, sdk):
    text = await transcribe(sdk, model="whisper-1", response_format="text")
    verbose = await transcribe(sdk, model="whisper-1", response_format="verbose_json")

    assert text == "what time is it\n"
    assert [word.word for word in verbose.words] == ["what", "time", "is", "it"]
    assert verbose.duration == 0.5


@pytest.mark.asyncio
async def test_a_streamed_transcript_is_what_the_sdk_knows(double, sdk):
    events = [event async for event in await transcribe(sdk, stream=True)]

    *deltas, done = events
    assert "".join(event.delta for event in deltas) == done.text == double.default
    assert done.usage.input_token_details.audio_tokens == 14
    assert [language.code for language in done.languages] == ["en"]


@pytest.mark.asyncio
async def test_sound_is_a_tone_as_long_as_its_text(double, sdk):
    raw = await speak(sdk, response_format="pcm")
    file = await speak(sdk, response_format="wav")

    assert raw.content == tone_of("Hello.")
    assert len(raw.content) == 6 * 60 * 48
    with wave.open(io.BytesIO(file.content)) as wav:
        assert wav.readframes(wav.getnframes()) == raw.content


@pytest.mark.asyncio
async def test_real_ears_and_voices_can_be_put_in(double, sdk):
    double.transcribe = lambda sound: f"{len(sound)} bytes"
    double.synthesize = lambda text: text.encode() * 2

    assert (await transcribe(sdk)).text == "16000 bytes"
    assert (await speak(sdk, response_format="pcm")).content == b"Hello.Hello."


@pytest.mark.asyncio
async def test_ears_hear_16_khz_whatever_comes(double, sdk):
    double.transcribe = lambda sound: f"{len(sound)} bytes"
    file = ("turn.wav", wav_bytes(pcm(tone(440, 500, rate_hz=48_000)), 48_000))

    assert (await transcribe(sdk, file=file)).text == "16000 bytes"
