"""Scribe for whole recordings, by the real SDK against a real socket."""

import asyncio

import pytest
import pytest_asyncio
from elevenlabs.errors import UnprocessableEntityError

from calls.domain.audio import CALLER
from calls.ports.errors import FATAL_FAULTS, ProviderError, ProviderFault
from calls.ports.speech import SpeechToText
from calls.ports.usage import metered
from calls.providers.elevenlabs.address import ElevenLabs
from calls.providers.elevenlabs.batch import LONGEST_BYTES, ScribeBatch
from calls.providers.elevenlabs.client import client, clients_close
from tests.doubles.providers.base import Fault, serving
from tests.doubles.providers.elevenlabs_stt import BATCH, ElevenLabsHearingDouble, Hear

F = ProviderFault
SECOND = b"\x05\x00" * CALLER.samples(1000)


@pytest_asyncio.fixture
async def double():
    """Whatever a test does, no request is left at its end, and no task."""
    before = asyncio.all_tasks()
    double = ElevenLabsHearingDouble()
    async with serving(double):
        yield double
        async with asyncio.timeout(3):
            for asked in double.asked:
                await asked.over.wait()
        assert double.busy == 0
        await clients_close()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() - before == {asyncio.current_task()}


def scribe(double, **options):
    return ScribeBatch(ElevenLabs(double.key, double.origin), **options)


async def hear(stt, *chunks, language="en-GB"):
    async with stt.utterance(language=language, context="Hello?") as said:
        for chunk in chunks or (SECOND,):
            await said.feed(chunk)
        assert [text async for text in said.partials()] == []
        return await said.finish()


@pytest.mark.asyncio
async def test_an_utterance_is_one_request(double):
    double.hears.append(" What time is it?\n")
    stt: SpeechToText = scribe(double)
    with metered() as meter:
        assert await hear(stt, SECOND, SECOND[:320]) == "What time is it?"

    [asked] = double.requests(BATCH)
    assert asked.headers["xi-api-key"] == "test-key"
    assert asked.body == {
        "model_id": "scribe_v2",
        "language_code": "en",
        "tag_audio_events": "false",
        "timestamps_granularity": "none",
        "file_format": "pcm_s16le_16",
        "file": SECOND + SECOND[:320],
    }
    assert stt.name == "elevenlabs:scribe_v2"
    assert (meter.model, meter.usage) == ("scribe_v2", {"audio_ms": 1010})
    assert meter.request_id.startswith("req_")


@pytest.mark.asyncio
async def test_it_hears_for_many_at_once_and_takes_models_and_any_language(double):
    double.transcribe = lambda pcm: str(len(pcm))
    stt = scribe(double, model="scribe_v3")
    texts = await asyncio.gather(*(hear(stt, SECOND * n, language="") for n in (1, 2, 3)))
    assert texts == ["32000", "64000", "96000"]
    assert all("language_code" not in asked.body for asked in double.asked)
    assert {asked.body["model_id"] for asked in double.asked} == {"scribe_v3"}


@pytest.mark.asyncio
@pytest.mark.parametrize(("ms", "requests"), [(0, 0), (99, 0), (100, 1)])
async def test_what_is_too_short_for_words_is_not_sent(double, ms, requests):
    assert await hear(scribe(double), SECOND[: CALLER.bytes(ms)]) == (
        double.default if requests else ""
    )
    assert len(double.asked) == requests


@pytest.mark.asyncio
async def test_what_is_too_long_is_cut(double):
    async with scribe(double).utterance(language="en") as said:
        for _ in range(301):
            await said.feed(SECOND)
        await said.finish()
    assert len(double.asked[0].body["file"]) == LONGEST_BYTES


@pytest.mark.asyncio
async def test_nothing_understood_is_an_empty_text(double):
    double.hears.append("")
    assert await hear(scribe(double)) == ""


FAULTS = [
    # what happens                                                              kind
    (Fault(status=400, body={"detail": {"code": "quota_exceeded"}}), F.QUOTA),
    (Fault(status=400, body={"detail": {"code": "invalid_audio"}}), F.REFUSED),
    (Fault(status=401, body={"detail": {"status": "invalid_api_key"}}), F.AUTH),
    (Fault(status=401, body={"detail": {"status": "quota_exceeded"}}), F.QUOTA),
    (Fault(status=403), F.AUTH),
    (Fault(status=404), F.NOT_FOUND),
    (Fault(status=422, body={"detail": [{"loc": ["body"], "msg": "secret"}]}), F.REFUSED),
    (Fault(status=429, headers={"retry-after": "90"}), F.BUSY),
    (Fault(status=429, body={"detail": {"code": "too_many_concurrent_requests"}}), F.BUSY),
    (Fault(status=500, body={"detail": {"code": "internal_server_error"}}), F.UNAVAILABLE),
    (Fault(status=502, body="<html>Bad gateway, secret</html>"), F.UNAVAILABLE),
    (Fault(status=503, body={"detail": {"code": "system_busy"}}), F.BUSY),
    (Fault(status=200, body="<html>secret</html>"), F.UNAVAILABLE),
    (Fault(status=200, body={"words": []}), F.INVALID),
    (Fault(status=200, body=["secret"]), F.INVALID),
    (Fault(drop_before_headers=True), F.UNAVAILABLE),
    (Fault(stall_headers=True), F.TIMEOUT),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(("fault", "kind"), FAULTS)
async def test_a_failure_is_told_once_and_at_once(double, fault, kind):
    double.fail(BATCH, fault)
    stt = scribe(double, timeout_s=0.3 if fault.stall_headers else 5)
    async with asyncio.timeout(2):
        with metered() as meter, pytest.raises(ProviderError) as raised:
            await hear(stt)
    error = raised.value
    assert error.kind is kind
    assert (error.provider, error.stage.value) == ("elevenlabs", "stt")
    assert error.retryable is (kind not in FATAL_FAULTS)
    assert error.retry_after_ms == (90_000 if fault.headers else None)
    assert "secret" not in error.message
    assert len(double.asked) == 1
    assert meter.usage == {"audio_ms": 1000}
    assert await hear(stt) == double.default


@pytest.mark.asyncio
async def test_a_wrong_key_is_never_shown(double, caplog):
    stt = ScribeBatch(ElevenLabs("my-wrong-key", double.origin))
    with pytest.raises(ProviderError) as raised:
        await hear(stt)
    assert raised.value.kind is F.AUTH
    assert raised.value.request_id.startswith("req_")
    assert "my-wrong-key" not in f"{raised.value!r} {raised.value.message} {caplog.text}"


@pytest.mark.asyncio
async def test_an_unknown_model_is_refused(double):
    with pytest.raises(ProviderError) as raised:
        await hear(scribe(double, model="scribe_v99"))
    assert raised.value.kind is F.REFUSED


@pytest.mark.asyncio
@pytest.mark.parametrize("hang", [Fault(stall_headers=True), None])
async def test_stopping_frees_the_connection_at_once(double, hang):
    if hang is not None:
        double.fail(BATCH, hang)
    double.hears.append(Hear("Never.", when=asyncio.Event()))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(hear(scribe(double)))
        while not double.busy:  # noqa: ASYNC110 - a stand-in's counters set no event
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.02)
        task.cancel()
    async with asyncio.timeout(0.5):
        await double.asked[0].left_early.wait()


@pytest.mark.asyncio
async def test_an_utterance_nobody_wants_asks_for_nothing(double):
    async with scribe(double).utterance(language="en") as said:
        await said.feed(SECOND)
    assert double.asked == []


# The stand-in, by the SDK itself.


async def convert(double, **options):
    sdk = await client(ElevenLabs(double.key, double.origin))
    asked = {"model_id": "scribe_v2", "file": ("t.pcm", SECOND, "audio/wav")}
    return await sdk.speech_to_text.convert(**asked | options, request_options={"max_retries": 0})


@pytest.mark.asyncio
async def test_the_sdk_reads_what_the_stand_in_answers(double):
    double.hears.append("two words")
    answer = await convert(double, file_format="pcm_s16le_16", timestamps_granularity="word")
    assert (answer.text, answer.language_code, answer.audio_duration_secs) == ("two words", "en", 1)
    assert [(w.text, w.start, w.type) for w in answer.words] == [
        ("two", 0.0, "word"),
        (" ", 0.5, "spacing"),
        ("words", 0.5, "word"),
    ]
    assert answer.transcription_id


@pytest.mark.asyncio
async def test_without_a_file_the_stand_in_lists_what_is_missing(double):
    with pytest.raises(UnprocessableEntityError) as raised:
        await convert(double, file=None)
    assert raised.value.headers["request-id"].startswith("req_")
    assert [wrong["loc"] for wrong in raised.value.body["detail"]] == [["body", "file"]]


@pytest.mark.asyncio
async def test_the_sdks_own_second_try_loses_the_form(double):
    """Why it gets none; once this fails, the SDK can be trusted with it."""
    double.fail(BATCH, Fault(status=429, headers={"retry-after": "0"}))
    sdk = await client(ElevenLabs(double.key, double.origin))
    with pytest.raises(UnprocessableEntityError):
        await sdk.speech_to_text.convert(
            model_id="scribe_v2", file=SECOND, request_options={"max_retries": 1}
        )
    assert set(double.asked[1].body) == {"file"}
