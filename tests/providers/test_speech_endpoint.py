"""Voices behind OpenAI's speech endpoint, by the real SDK against a real socket."""

import asyncio

import numpy as np
import pytest
import pytest_asyncio

from calls.audio.pcm_stream import wav_bytes
from calls.audio.resample import Resampler
from calls.domain.events import Stage
from calls.ports.errors import ProviderError, ProviderFault
from calls.ports.usage import metered
from calls.providers.openai.address import Server
from calls.providers.openai.client import clients_close
from calls.providers.openai.speech import HANDLED_EVENTS, LONGEST_CHARS, SpeechEndpoint, pieces
from tests.doubles.providers.base import Fault, serving
from tests.doubles.providers.openai_audio import Habits, OpenAIAudioDouble, tone_of
from tests.providers.endpoints import HEAD_FAULTS, ID, SAID, WAITS, error, nothing_left, until

TEXT = SAID


@pytest_asyncio.fixture
async def double():
    found = OpenAIAudioDouble()
    async with serving(found):
        yield found
        await clients_close()
        await nothing_left(found)


def voice(double, profile="generic", model="kokoro", key="test-key", **options):
    provider = "openai" if profile == "openai" else "compatible"
    server = Server(double.base_url, key, provider, profile)
    return SpeechEndpoint(server, model, **options)


async def sound_of(endpoint, text=TEXT, *, name="", speed=1.0):
    async with endpoint.speak(text, language="en", voice=name, speed=speed) as chunks:
        made = [chunk async for chunk in chunks]
    assert not any(chunk.marks for chunk in made)
    assert not any(len(chunk.pcm) % 2 for chunk in made)
    return b"".join(chunk.pcm for chunk in made)


def resampled(sound, rate_hz):
    resampler = Resampler(rate_hz, 24_000)
    return resampler.feed(sound) + resampler.flush()


@pytest.mark.asyncio
async def test_a_text_is_spoken_and_odd_pieces_make_no_noise(double):
    with metered() as meter:
        sound = await sound_of(voice(double), name="af_bella")

    assert sound == tone_of(TEXT)
    assert len(sound) > 2 * 4_801, "more than one odd piece came"
    [asked] = double.requests("/speech")
    assert asked.body == {
        "model": "kokoro",
        "voice": "af_bella",
        "input": TEXT,
        "response_format": "pcm",
    }
    assert (meter.model, meter.request_id) == ("kokoro", "req_1")
    assert meter.usage == {"characters": len(TEXT), "spoken_ms": 60 * len(TEXT)}


@pytest.mark.asyncio
async def test_events_are_read_where_they_are_known_and_tell_what_it_costs(double):
    with metered() as meter:
        sound = await sound_of(voice(double, "openai", "gpt-4o-mini-tts"))

    assert sound == tone_of(TEXT)
    assert double.asked[0].body["stream_format"] == "sse"
    assert meter.usage["input_tokens"] == len(TEXT)
    assert meter.usage["output_tokens"] == 40
    assert {"speech.audio.delta", "speech.audio.done"} == HANDLED_EVENTS


@pytest.mark.asyncio
async def test_models_without_events_are_not_asked_for_them(double):
    assert await sound_of(voice(double, "openai", "tts-1-hd")) == tone_of(TEXT)


VOICES = [
    ("openai", "alloy"),
    ("kokoro", "af_heart"),
    ("speaches", "af_heart"),
    ("generic", "alloy"),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(("profile", "name"), VOICES)
async def test_who_names_no_voice_gets_one_that_the_server_has(double, profile, name):
    double.voices = frozenset({name})

    assert await sound_of(voice(double, profile))


SPEEDS = [(1.0, None), (1.5, 1.5), (0.1, 0.25), (9.0, 4.0)]


@pytest.mark.asyncio
@pytest.mark.parametrize(("wished", "asked"), SPEEDS)
async def test_the_pace_keeps_within_what_the_endpoint_takes(double, wished, asked):
    sound = await sound_of(voice(double), speed=wished)

    assert double.asked[0].body.get("speed") == asked
    assert sound == tone_of(TEXT, speed=asked or 1.0)


RATES = [
    # id                                     what the server does                                      our setting
    ("it says so in a header", Habits(rate_hz=16_000, rate_in="X-Sample-Rate"), None),
    ("in another header", Habits(rate_hz=22_050, rate_in="X-Audio-Sample-Rate"), None),
    ("in the type of its content", Habits(rate_hz=16_000, rate_in="content-type"), None),
    ("it says nothing, we know", Habits(rate_hz=22_050), 22_050),
]  # fmt: skip


@pytest.mark.asyncio
@pytest.mark.parametrize(("habits", "rate_hz"), [pytest.param(*r[1:], id=r[0]) for r in RATES])
async def test_a_voice_of_another_rate_keeps_its_pitch(double, habits, rate_hz):
    double.habits = habits

    sound = await sound_of(voice(double, rate_hz=rate_hz))

    assert sound == resampled(tone_of(TEXT, habits.rate_hz), habits.rate_hz)


@pytest.mark.asyncio
async def test_our_setting_counts_more_than_what_the_server_says(double):
    double.habits = Habits(rate_in="X-Sample-Rate")

    sound = await sound_of(voice(double, rate_hz=16_000))

    assert sound == resampled(tone_of(TEXT), 16_000)


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", ["whole", "streamed"])
@pytest.mark.parametrize("rate_hz", [24_000, 16_000])
@pytest.mark.parametrize("setting", [None, 8_000])
async def test_of_a_wav_file_the_samples_are_played_at_its_own_rate(double, kind, rate_hz, setting):
    double.habits = Habits(wav=kind, rate_hz=rate_hz)

    sound = await sound_of(voice(double, response_format="wav", rate_hz=setting))

    assert sound == resampled(tone_of(TEXT, rate_hz), rate_hz)
    assert double.asked[0].body["response_format"] == "wav"


@pytest.mark.asyncio
async def test_a_server_that_sends_a_file_unasked_is_understood(double):
    double.habits = Habits(sound=wav_bytes(tone_of(TEXT), 24_000))

    assert await sound_of(voice(double)) == tone_of(TEXT)


@pytest.mark.asyncio
async def test_a_long_text_is_spoken_in_several_requests(double):
    double.synthesize = lambda text: np.full(len(text), 7, "<i2").tobytes()
    text = " ".join(["word"] * 1_700)

    with metered() as meter:
        sound = await sound_of(voice(double, "openai", "gpt-4o-mini-tts"), text)

    inputs = [asked.body["input"] for asked in double.asked]
    assert " ".join(inputs) == text
    assert len(inputs) == 3
    assert sound == np.full(sum(map(len, inputs)), 7, "<i2").tobytes()
    assert meter.usage["characters"] == meter.usage["input_tokens"] == sum(map(len, inputs))
    assert meter.usage["output_tokens"] == 3 * 40


TEXTS = [
    ("", []),
    ("  ", []),
    ("a" * LONGEST_CHARS, [LONGEST_CHARS]),
    ("a" * (LONGEST_CHARS + 1), [LONGEST_CHARS, 1]),
    ("a" * LONGEST_CHARS + " b", [LONGEST_CHARS, 1]),
    ("a " + "b" * LONGEST_CHARS, [1, LONGEST_CHARS]),
]


@pytest.mark.parametrize(("text", "lengths"), TEXTS)
def test_texts_are_cut_at_spaces(text, lengths):
    assert [len(piece) for piece in pieces(text)] == lengths


@pytest.mark.asyncio
async def test_for_no_text_nothing_is_asked(double):
    assert await sound_of(voice(double), "   ") == b""
    assert double.asked == []


FAULTS = [
    *HEAD_FAULTS,
    # id                     what happens                                                kind                   again
    ("an object for a sound", Fault(status=200, headers=ID, body={"audio": "AAAA"}), ProviderFault.INVALID, True),
    ("a page for a sound", Fault(status=200, headers=ID, body="<html>Log in</html>"), ProviderFault.INVALID, True),
    ("cut before the sound", Fault(after=0, drop=True), ProviderFault.UNAVAILABLE, True),
    ("over before the sound", Fault(after=0, clean_eof=True), ProviderFault.TRUNCATED, True),
    ("cut in the middle", Fault(after=2, drop=True), ProviderFault.UNAVAILABLE, True),
    ("silent in the middle", Fault(after=2, stall=True), ProviderFault.TIMEOUT, True),
]  # fmt: skip


async def failure_of(endpoint, double):
    with pytest.raises(ProviderError) as caught:
        await sound_of(endpoint)
    assert len(double.asked) == 1, "trying again is not the adapter's to decide"
    assert TEXT not in str(caught.value)
    assert "test-key" not in str(caught.value)
    assert caught.value.stage is Stage.TTS
    assert caught.value.provider == endpoint.name.partition(":")[0]
    return caught.value


@pytest.mark.asyncio
@pytest.mark.parametrize("profile", ["generic", "openai"])
@pytest.mark.parametrize(
    ("fault", "kind", "again"), [pytest.param(*f[1:], id=f[0]) for f in FAULTS]
)
async def test_every_fault_is_one_error_and_is_not_tried_again(double, profile, fault, kind, again):
    double.fail("/speech", fault)

    # Long enough for a busy machine to ask at all.
    timeout_s = 1 if fault.stall or fault.stall_headers else 10
    found = await failure_of(voice(double, profile, timeout_s=timeout_s), double)

    assert (found.kind, found.retryable) == (kind, again)
    if fault.headers:
        assert found.request_id == "req_9"
    if fault.after > 0:
        assert found.request_id == "req_1"


@pytest.mark.asyncio
@pytest.mark.parametrize(("header", "value", "wait_ms"), WAITS)
async def test_when_to_come_again_is_told(double, header, value, wait_ms):
    double.fail("/speech", Fault(status=429, headers={header: value}, body=error(None)))

    assert (await failure_of(voice(double), double)).retry_after_ms == wait_ms


@pytest.mark.asyncio
async def test_our_key_is_needed(double):
    found = await failure_of(voice(double, key="another"), double)

    assert (found.kind, found.request_id) == (ProviderFault.AUTH, "req_1")


@pytest.mark.asyncio
async def test_a_voice_that_is_not_there(double):
    double.voices = frozenset({"nova"})

    assert (await failure_of(voice(double), double)).kind is ProviderFault.NOT_FOUND


@pytest.mark.asyncio
async def test_a_server_that_is_not_there():
    endpoint = SpeechEndpoint(Server("http://127.0.0.1:9/v1"), "kokoro")

    with pytest.raises(ProviderError) as caught:
        await sound_of(endpoint)

    assert (caught.value.kind, caught.value.retryable) == (ProviderFault.UNAVAILABLE, True)
    await clients_close()


@pytest.mark.asyncio
async def test_raw_sound_that_ends_early_but_properly_cannot_be_told_from_a_short_text(double):
    double.fail("/speech", Fault(after=2, clean_eof=True))

    assert await sound_of(voice(double)) == tone_of(TEXT)[: 2 * 4_801 // 2 * 2]


EARLY = [
    ("by the length that was announced", "generic", "pcm", Habits(overstated_bytes=100), None),
    ("by what the file says", "generic", "wav", Habits(), Fault(after=2, clean_eof=True)),
    ("by the event that is missing", "openai", "pcm", Habits(), Fault(after=2, clean_eof=True)),
    ("no sound at all", "generic", "pcm", Habits(sound=b""), None),
    ("a file without sound", "generic", "wav", Habits(sound=wav_bytes(b"", 24_000)), None),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("profile", "kind", "habits", "fault"), [pytest.param(*e[1:], id=e[0]) for e in EARLY]
)
async def test_sound_that_ends_early_is_told_where_it_can_be(double, profile, kind, habits, fault):
    double.habits = habits
    if fault:
        double.fail("/speech", fault)

    found = await failure_of(voice(double, profile, response_format=kind), double)

    assert (found.kind, found.retryable) == (ProviderFault.TRUNCATED, True)
    assert found.request_id == "req_1"


@pytest.mark.asyncio
async def test_a_length_that_is_right_is_no_fault(double):
    double.habits = Habits(overstated_bytes=0)

    assert await sound_of(voice(double)) == tone_of(TEXT)


GARBLED = [
    ("an event that is no JSON", Fault(after=1, garbage="data: {oops\n\n")),
    ("an empty event", Fault(after=1, garbage="event: ping\ndata:\n\n")),
    ("an event that is no object", Fault(after=1, garbage="data: [1]\n\n")),
    ("sound that is no base64", Fault(after=1, event={"type": "speech.audio.delta", "audio": "%"})),
]


@pytest.mark.asyncio
@pytest.mark.parametrize("fault", [pytest.param(g[1], id=g[0]) for g in GARBLED])
async def test_garbled_events_are_no_answer(double, fault):
    double.fail("/speech", fault)

    found = await failure_of(voice(double, "openai"), double)

    assert (found.kind, found.request_id) == (ProviderFault.INVALID, "req_1")


@pytest.mark.asyncio
async def test_an_error_among_the_events_is_told_by_its_code(double):
    double.fail("/speech", Fault(after=1, event=error("insufficient_quota")))

    found = await failure_of(voice(double, "openai"), double)

    assert (found.kind, found.request_id) == (ProviderFault.QUOTA, "req_1")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault(after=1, garbage=": still here\n\n"), id="a comment"),
        pytest.param(Fault(after=1, event={"type": "speech.audio.news"}), id="an unknown event"),
        pytest.param(Fault(after=6, drop=True), id="a cut after everything was said"),
        pytest.param(Fault(after=6, stall=True), id="an end that does not come"),
    ],
)
async def test_what_changes_nothing_is_passed_over(double, fault):
    double.synthesize = lambda text: bytes(2) + b"\1\0" * (5 * 4_801 // 2 - 1)
    double.fail("/speech", fault)

    assert len(await sound_of(voice(double, "openai"))) == 5 * 4_801 // 2 * 2
    assert double.asked[0].sent == 6


@pytest.mark.asyncio
async def test_a_sound_of_another_kind_is_not_played(double):
    double.habits = Habits(sound=b"OggS" + bytes(5_000))

    assert (await failure_of(voice(double), double)).kind is ProviderFault.INVALID


STAGES = [
    ("before the head", Fault(stall_headers=True), 0),
    ("before the sound", Fault(after=0, stall=True), 0),
    ("in the middle", Fault(after=2, stall=True), 1),
]


@pytest.mark.asyncio
@pytest.mark.parametrize("profile", ["generic", "openai"])
@pytest.mark.parametrize(("fault", "chunks"), [pytest.param(*s[1:], id=s[0]) for s in STAGES])
async def test_cancelling_frees_the_connection_at_once(double, profile, fault, chunks):
    double.fail("/speech", fault)
    heard = asyncio.Event()

    async def listen():
        async with voice(double, profile).speak(TEXT, language="en", voice="", speed=1) as sound:
            async for _ in sound:
                heard.set()

    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        listening = tasks.create_task(listen())
        await until(lambda: double.asked and double.asked[0].sent >= fault.after)
        if chunks:
            await heard.wait()
        listening.cancel()
    assert heard.is_set() == bool(chunks)
    async with asyncio.timeout(1):
        await double.asked[0].left_early.wait()


@pytest.mark.asyncio
@pytest.mark.parametrize("profile", ["generic", "openai"])
async def test_leaving_frees_the_connection_at_once(double, profile):
    double.fail("/speech", Fault(after=2, stall=True))

    async with asyncio.timeout(10):
        async with voice(double, profile).speak(TEXT, language="en", voice="", speed=1) as sound:
            assert (await anext(sound)).pcm
        await double.asked[0].left_early.wait()


@pytest.mark.asyncio
async def test_leaving_without_listening_asks_for_nothing(double):
    async with voice(double).speak(TEXT, language="en", voice="", speed=1):
        pass

    assert double.asked == []


@pytest.mark.asyncio
async def test_a_connection_is_used_again(double):
    for profile in ("generic", "generic", "openai", "openai"):
        await sound_of(voice(double, profile))

    assert len(double.asked) == 4
    assert len(double.peers) == 2, "one for each account"


@pytest.mark.parametrize("options", [{"response_format": "mp3"}, {"rate_hz": 4_000}])
def test_what_cannot_be_played_is_refused_beforehand(options):
    with pytest.raises(ValueError, match=r"pcm or wav|resample"):
        SpeechEndpoint(Server("http://127.0.0.1:9/v1"), "kokoro", **options)


def test_its_name_is_its_provider_and_its_model():
    assert SpeechEndpoint(Server("http://h/v1"), "kokoro").name == "compatible:kokoro"
