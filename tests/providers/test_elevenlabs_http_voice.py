"""ElevenLabs' voice by HTTP, by the real SDK against a server of the same shape."""

import asyncio
import json

import pytest
import pytest_asyncio

from calls.domain.audio import AGENT
from calls.domain.items import Mark
from calls.ports.errors import ProviderError, ProviderFault
from calls.ports.usage import metered
from calls.providers.elevenlabs.address import ElevenLabs
from calls.providers.elevenlabs.client import client, clients_close
from calls.providers.elevenlabs.http_voice import HttpVoice
from calls.providers.elevenlabs.request import DEFAULT_VOICE, Timbre
from tests.doubles.providers.base import Fault, serving
from tests.doubles.providers.elevenlabs_tts import ElevenLabsSpeechDouble, error_body

TEXT = "Your order is on its way."
MARKS = [Mark(end, end * 60) for end in (4, 10, 13, 16, 20, 25)]
TIMED, PLAIN = "/stream/with-timestamps", "/stream"
MODELS = [("eleven_flash_v2_5", TIMED), ("eleven_v3", PLAIN)]


@pytest_asyncio.fixture
async def double(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    double = ElevenLabsSpeechDouble()
    async with serving(double):
        yield double
        await until(lambda: not double.busy)
        await clients_close()
        await until(lambda: len(asyncio.all_tasks()) == 1)


async def until(holds):
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 - a stand-in's counters set no event
            await asyncio.sleep(0)


def voice_of(double, model="eleven_flash_v2_5", key="test-key", **options):
    return HttpVoice(ElevenLabs(key, double.origin), model, **options)


def asked(voice, text=TEXT, *, language="en-GB", voice_id="", speed=1.0):
    return voice.speak(text, language=language, voice=voice_id, speed=speed)


async def said(voice, text=TEXT, **options):
    async with asked(voice, text, **options) as sound:
        made = [chunk async for chunk in sound]
    assert all(len(chunk.pcm) % 2 == 0 for chunk in made)
    return b"".join(chunk.pcm for chunk in made), [mark for chunk in made for mark in chunk.marks]


async def refused(voice, **options):
    with pytest.raises(ProviderError) as caught:
        await said(voice, **options)
    return caught.value


@pytest.mark.asyncio
async def test_a_sentence_becomes_sound_with_marks_and_its_cost_is_noted(double):
    voice = voice_of(double)
    with metered() as meter:
        pcm, marks = await said(voice)

    assert voice.name == "elevenlabs:eleven_flash_v2_5"
    assert pcm == await double.sound(TEXT)
    assert marks == MARKS
    assert (meter.model, meter.request_id) == ("eleven_flash_v2_5", "request-1")
    assert meter.usage == {"characters": len(TEXT), "character_cost": len(TEXT)}
    [request] = double.asked
    assert request.path == f"/v1/text-to-speech/{DEFAULT_VOICE}{TIMED}"
    assert request.query == {"output_format": "pcm_24000"}
    assert request.body == {
        "text": TEXT,
        "model_id": "eleven_flash_v2_5",
        "language_code": "en",
        "apply_text_normalization": "auto",
    }


@pytest.mark.asyncio
async def test_models_of_the_newer_kind_give_sound_without_marks(double):
    pcm, marks = await said(voice_of(double, "eleven_v3"))

    assert pcm == await double.sound(TEXT)
    assert marks == []
    assert double.asked[0].path.endswith(PLAIN)


@pytest.mark.asyncio
@pytest.mark.parametrize("model", [model for model, _ in MODELS])
async def test_settings_and_speed_are_sent_and_clamped(double, model):
    voice = voice_of(double, model, timbre=Timbre(stability=0.4, use_speaker_boost=False))
    pcm, _ = await said(voice, speed=9)
    await said(voice)

    settings = {"stability": 0.4, "use_speaker_boost": False}
    sent = [request.body["voice_settings"] for request in double.asked]
    assert sent == [{**settings, "speed": 1.2}, settings]
    assert AGENT.ms(pcm) == round(len(TEXT) * 60 / 1.2)


@pytest.mark.asyncio
async def test_lines_without_an_alignment_are_bridged(double):
    double.rules.alignment = "null"
    pcm, marks = await said(voice_of(double))

    assert AGENT.ms(pcm) == len(TEXT) * 60
    known = {mark.end_char: mark.at_ms for mark in MARKS}
    assert [mark.end_char for mark in marks] == list(known)
    assert all(abs(mark.at_ms - known[mark.end_char]) <= 120 for mark in marks)


@pytest.mark.asyncio
async def test_many_pieces_are_made_at_once(double):
    voice = voice_of(double)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(said(voice, f"Number {number}.")) for number in range(12)]

    for number, task in enumerate(tasks):
        assert AGENT.ms(task.result()[0]) == len(f"Number {number}.") * 60


REFUSALS = [
    # id                     status, code                                       kind                        again
    ("a wrong key", 401, "invalid_api_key", ProviderFault.AUTH, False),
    ("no credit left", 401, "quota_exceeded", ProviderFault.QUOTA, False),
    ("no credit, by another status", 400, "quota_exceeded", ProviderFault.QUOTA, False),
    ("no such voice", 404, "voice_not_found", ProviderFault.NOT_FOUND, False),
    ("no such model", 400, "model_not_found", ProviderFault.NOT_FOUND, False),
    ("too long", 400, "max_character_limit_exceeded", ProviderFault.REFUSED, False),
    ("too many at once", 429, "too_many_concurrent_requests", ProviderFault.BUSY, True),
    ("overloaded", 429, "system_busy", ProviderFault.BUSY, True),
    ("overloaded, by another status", 503, "system_busy", ProviderFault.BUSY, True),
    ("a failure", 500, "internal_server_error", ProviderFault.UNAVAILABLE, True),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(("model", "path"), MODELS)
@pytest.mark.parametrize(
    ("status", "code", "kind", "again"), [pytest.param(*row[1:], id=row[0]) for row in REFUSALS]
)
async def test_a_refusal_is_told_at_once_and_only_once(
    double, model, path, status, code, kind, again
):
    headers = {"request-id": "of-the-header", "retry-after": "90"}
    double.fail(path, Fault(status=status, body=error_body(code), headers=headers))

    error = await refused(voice_of(double, model))

    assert (error.kind, error.retryable) == (kind, again)
    assert (error.request_id, error.retry_after_ms) == ("of-the-header", 90_000)
    assert "words" not in str(error)
    assert len(double.asked) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize(("model", "path"), MODELS)
async def test_a_list_of_wrong_fields_is_a_refusal(double, model, path):
    double.fail(path, Fault(status=422, body={"detail": [{"loc": ["body"], "msg": TEXT}]}))

    error = await refused(voice_of(double, model))

    assert error.kind is ProviderFault.REFUSED
    assert TEXT not in str(error)


@pytest.mark.asyncio
@pytest.mark.parametrize(("model", "path"), MODELS)
async def test_a_page_in_place_of_an_answer_is_a_failure(double, model, path):
    double.fail(path, Fault(status=502, body="<html>Bad gateway</html>"))

    assert (await refused(voice_of(double, model))).kind is ProviderFault.UNAVAILABLE


@pytest.mark.asyncio
async def test_a_wrong_key_and_an_unknown_voice_are_told_by_the_service_itself(double):
    assert (await refused(voice_of(double, key="wrong"))).kind is ProviderFault.AUTH
    unknown = await refused(voice_of(double), voice_id="../nobody")
    assert unknown.kind is ProviderFault.NOT_FOUND
    assert double.asked[1].path == f"/v1/text-to-speech/../nobody{TIMED}"


@pytest.mark.asyncio
@pytest.mark.parametrize(("model", "path"), MODELS)
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(drop_before_headers=True), ProviderFault.UNAVAILABLE),
        (Fault(after=0, drop=True), ProviderFault.UNAVAILABLE),
        (Fault(after=1, drop=True), ProviderFault.UNAVAILABLE),
        (Fault(stall_headers=True), ProviderFault.TIMEOUT),
        (Fault(after=0, stall=True), ProviderFault.TIMEOUT),
        (Fault(after=1, stall=True), ProviderFault.TIMEOUT),
        (Fault(after=0, clean_eof=True), ProviderFault.TRUNCATED),
    ],
)
async def test_a_connection_that_breaks_or_falls_silent_is_told(double, model, path, fault, kind):
    double.fail(path, fault)

    error = await refused(voice_of(double, model, silence_s=0.2))

    assert error.kind is kind
    assert len(double.asked) == 1


@pytest.mark.asyncio
async def test_nobody_there_is_told():
    voice = HttpVoice(ElevenLabs("test-key", "http://127.0.0.1:9"))

    error = await refused(voice)
    await clients_close()

    assert error.kind is ProviderFault.UNAVAILABLE


@pytest.mark.asyncio
async def test_an_end_that_comes_too_early_is_noticed_by_the_words(double):
    double.fail(TIMED, Fault(after=1, clean_eof=True))

    with metered() as meter:
        error = await refused(voice_of(double))

    assert error.kind is ProviderFault.TRUNCATED
    assert meter.request_id == "request-1"


@pytest.mark.asyncio
async def test_an_end_that_comes_too_early_goes_unnoticed_without_words(double):
    double.fail(PLAIN, Fault(after=2, clean_eof=True))

    pcm, _ = await said(voice_of(double, "eleven_v3"))

    assert 0 < AGENT.ms(pcm) < len(TEXT) * 60


GARBAGE = [
    ('{"audio_base64": "AAAA"', ProviderFault.INVALID),
    ("[]", ProviderFault.INVALID),
    ("17", ProviderFault.INVALID),
    ('{"alignment": null}', ProviderFault.INVALID),
    ('{"audio_base64": "not base64"}', ProviderFault.INVALID),
    ('{"audio_base64": 7}', ProviderFault.INVALID),
    ("[" * 100_000, ProviderFault.INVALID),
    (json.dumps(error_body("quota_exceeded")), ProviderFault.QUOTA),
    (json.dumps(error_body("internal_server_error")), ProviderFault.UNAVAILABLE),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(("line", "kind"), GARBAGE)
async def test_a_line_that_cannot_be_read_is_a_failure_and_not_a_hole(double, line, kind):
    double.fail(TIMED, Fault(after=1, garbage=line + "\n"))

    error = await refused(voice_of(double))

    assert error.kind is kind
    assert error.request_id.startswith("request-")


@pytest.mark.asyncio
async def test_empty_lines_and_empty_sound_mean_nothing(double):
    double.fail(TIMED, Fault(after=1, garbage='\n\r\n{"audio_base64": "", "alignment": {}}\n'))

    pcm, marks = await said(voice_of(double))

    assert pcm == await double.sound(TEXT)
    assert marks == MARKS


@pytest.mark.asyncio
@pytest.mark.parametrize(("model", "path"), MODELS)
async def test_leaving_early_ends_the_request_at_once(double, model, path):
    double.fail(path, Fault(after=2, stall=True))

    async with asked(voice_of(double, model)) as sound:
        await anext(sound)

    async with asyncio.timeout(1):
        await double.asked[0].over.wait()
    assert double.asked[0].left_early.is_set()


@pytest.mark.asyncio
@pytest.mark.parametrize("fault", [Fault(stall_headers=True), Fault(after=1, stall=True)])
async def test_cancelling_ends_the_request_at_once(double, fault):
    double.fail(TIMED, fault)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(said(voice_of(double)))
        await until(lambda: double.asked and double.asked[0].sent == max(0, fault.after))
        task.cancel()

    async with asyncio.timeout(1):
        await double.asked[0].over.wait()
    assert double.asked[0].left_early.is_set()


@pytest.mark.asyncio
async def test_what_is_listed_can_be_read_by_the_sdk(double):
    speech = await client(ElevenLabs("test-key", double.origin))

    models = await speech.models.list()
    voices = await speech.voices.get_all()

    assert "eleven_flash_v2_5" in [model.model_id for model in models]
    assert [voice.voice_id for voice in voices.voices] == [DEFAULT_VOICE]


@pytest.mark.asyncio
async def test_a_loop_has_one_client_for_each_account(double):
    address = ElevenLabs("test-key", double.origin)

    one, other, third = await asyncio.gather(
        client(address), client(ElevenLabs("test-key", double.origin)), client(ElevenLabs("other"))
    )

    assert one is other
    assert third is not one
    await clients_close()
    assert await client(address) is not one


def test_a_client_of_one_loop_is_not_given_to_another():
    address = ElevenLabs("test-key")
    found = []

    async def find():
        found.append(await client(address))
        await clients_close()

    asyncio.run(find())
    asyncio.run(find())

    assert found[0] is not found[1]
