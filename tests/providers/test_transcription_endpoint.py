"""Transcripts by OpenAI's endpoint and its look-alikes, by the real SDK against a real socket."""

import asyncio
import io
import tracemalloc
import wave
from itertools import pairwise
from typing import get_args

import pytest
import pytest_asyncio
from openai.types.audio import TranscriptionStreamEvent

from calls.domain.audio import CALLER
from calls.domain.events import Stage
from calls.ports.errors import ProviderError, ProviderFault
from calls.ports.usage import metered
from calls.providers.openai.address import Server
from calls.providers.openai.client import clients_close
from calls.providers.openai.transcription import (
    HANDLED_EVENTS,
    IGNORED_EVENTS,
    TranscriptionEndpoint,
)
from tests.audio.sounds import pcm, tone
from tests.doubles.providers.base import Fault, serving
from tests.doubles.providers.openai_audio import Habits, OpenAIAudioDouble
from tests.providers.endpoints import HEAD_FAULTS, ID, SAID, WAITS, error, nothing_left, until

SOUND = pcm(tone(440, 400))


@pytest_asyncio.fixture
async def double():
    found = OpenAIAudioDouble()
    found.default = SAID
    async with serving(found):
        yield found
        await clients_close()
        await nothing_left(found)


MODELS = {"openai": "gpt-transcribe", "generic": "whisper-1"}


def ears(double, profile="openai", model="", key="test-key", **options):
    provider = "openai" if profile == "openai" else "compatible"
    model = model or MODELS[profile]
    server = Server(double.base_url, key, provider, profile)
    return TranscriptionEndpoint(server, model, **options)


def whisper(double, **options):
    return ears(double, "generic", **options)


def streaming(double, habits, **options):
    """A look-alike that has been told to stream."""
    double.habits = habits
    return ears(double, "openai", "whisper-1", **options)


async def heard(endpoint, sound=SOUND, *, language="en-GB", context=""):
    """The text, and the partials before it."""
    async with endpoint.utterance(language=language, context=context) as turn:
        for at in range(0, len(sound), 640):
            await turn.feed(sound[at : at + 640])
        async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
            partials = tasks.create_task(all_of(turn.partials()))
            finishing = tasks.create_task(turn.finish())
    return finishing.result(), partials.result()


async def all_of(partials):
    return [text async for text in partials]


async def text_of(endpoint, sound=SOUND, **options):
    async with endpoint.utterance(language="en", **options) as turn:
        await turn.feed(sound)
        return await turn.finish()


@pytest.mark.asyncio
async def test_an_utterance_is_one_file_and_openai_is_asked_as_it_wants(double):
    endpoint = ears(double, keywords=("Zugspitze", "<b>two\nlines</b>", " "))

    text, _ = await heard(endpoint, language="de-AT", context=" How may  I help? ")

    assert text == SAID
    [asked] = double.asked
    file = asked.body.pop("file")
    assert asked.body == {
        "model": "gpt-transcribe",
        "languages[]": ["de"],
        "keywords[]": ["Zugspitze", "b two lines /b"],
        "prompt": "How may I help?",
        "response_format": "json",
        "stream": "true",
    }
    assert (file.name, file.content_type) == ("turn.wav", "audio/wav")
    with wave.open(io.BytesIO(file.data)) as wav:
        assert (wav.getframerate(), wav.getnchannels(), wav.getsampwidth()) == (16_000, 1, 2)
        assert wav.readframes(wav.getnframes()) == SOUND


@pytest.mark.asyncio
async def test_a_look_alike_is_asked_for_what_every_server_knows(double):
    endpoint = whisper(double, keywords=("Zugspitze",))

    assert await heard(endpoint, language="de-AT", context="Hello?") == (SAID, [])

    [asked] = double.asked
    del asked.body["file"]
    assert asked.body == {
        "model": "whisper-1",
        "language": "de",
        "prompt": "Hello?",
        "response_format": "json",
    }


@pytest.mark.asyncio
async def test_an_older_model_of_openais_is_asked_as_it_wants(double):
    assert await heard(ears(double, model="gpt-4o-transcribe", keywords=("Zugspitze",)))

    assert double.asked[0].body["language"] == "en"


@pytest.mark.asyncio
@pytest.mark.parametrize("language", ["", "und", "mul"])
@pytest.mark.parametrize("profile", ["openai", "generic"])
async def test_a_language_that_is_none_is_not_named(double, profile, language):
    await heard(ears(double, profile), language=language)

    assert not {"language", "languages[]"} & double.asked[0].body.keys()


@pytest.mark.asyncio
async def test_of_a_long_context_the_end_is_told(double):
    await text_of(ears(double), context="word " * 1_000 + "end.")

    prompt = double.asked[0].body["prompt"]
    assert len(prompt) == 800
    assert prompt.endswith("word end.")


@pytest.mark.asyncio
async def test_text_shows_while_the_server_still_works_on_it(double):
    double.hears.append("what time is it")
    double.fail("/transcriptions", Fault(after=2, stall=True))
    seen = []

    async with ears(double).utterance(language="en") as turn:
        await turn.feed(SOUND)
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            finishing = tasks.create_task(turn.finish())
            async for text in turn.partials():
                seen.append(text)
                if text == "what time":
                    finishing.cancel()

    assert seen[-1] == "what time"
    await double.asked[0].left_early.wait()


@pytest.mark.asyncio
async def test_partials_grow_and_the_last_is_the_text(double):
    text, partials = await heard(ears(double))

    assert text == partials[-1] == SAID
    assert all(later.startswith(part) for part, later in pairwise(partials))


@pytest.mark.asyncio
@pytest.mark.parametrize("finished", [True, False])
async def test_partials_end_with_the_utterance(double, finished):
    async with ears(double).utterance(language="en") as turn:
        await turn.feed(SOUND)
        if finished:
            await turn.finish()

    async with asyncio.timeout(1):
        assert await all_of(turn.partials()) == ([SAID] if finished else [])


USAGES = [
    ("tokens", "openai", {"audio_ms": 400, "input_tokens": 16, "input_audio_tokens": 14, "output_tokens": 5}),
    ("tokens", "generic", {"audio_ms": 400, "input_tokens": 16, "input_audio_tokens": 14, "output_tokens": 5}),
    ("seconds", "openai", {"audio_ms": 1_000}),
    ("seconds", "generic", {"audio_ms": 1_000}),
    ("", "generic", {"audio_ms": 400}),
]  # fmt: skip


@pytest.mark.asyncio
@pytest.mark.parametrize(("said", "profile", "usage"), USAGES)
async def test_what_it_costs_is_noted_in_tokens_or_in_seconds(double, said, profile, usage):
    double.habits = Habits(usage=said)

    with metered() as meter:
        await text_of(ears(double, profile))

    assert meter.usage == usage
    assert (meter.model, meter.request_id) == (MODELS[profile], "req_1")


NOBODY = [
    ("nothing", b""),
    ("a click", pcm(tone(440, 99))),
    ("digital silence", bytes(32_000)),
    ("the last bits alone", b"\x08\x00\xf8\xff" * 8_000),
]


@pytest.mark.asyncio
@pytest.mark.parametrize("sound", [pytest.param(n[1], id=n[0]) for n in NOBODY])
async def test_where_nobody_spoke_nothing_is_asked(double, sound):
    with metered() as meter:
        assert await text_of(ears(double), sound) == ""

    assert double.asked == []
    assert meter.usage == {}


@pytest.mark.asyncio
async def test_a_whisper_is_sent(double):
    assert await text_of(ears(double), bytes(8_000) + b"\x09\x00" + bytes(8_000)) == SAID


@pytest.mark.asyncio
async def test_what_is_too_long_is_refused_and_not_kept(double):
    endpoint = ears(double)
    second = pcm(tone(440, 1_000))

    async with endpoint.utterance(language="en") as turn:
        tracemalloc.start()
        for _ in range(600):
            await turn.feed(second)
        kept_bytes, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        with pytest.raises(ProviderError, match="120 seconds") as caught:
            await turn.finish()

    assert (caught.value.kind, caught.value.retryable) == (ProviderFault.REFUSED, False)
    assert kept_bytes < 2 * CALLER.bytes(120_000)
    assert double.asked == []


@pytest.mark.asyncio
async def test_two_minutes_are_not_too_long(double):
    heard_ms = []
    double.transcribe = lambda sound: heard_ms.append(CALLER.ms(sound)) or "long"

    assert await text_of(ears(double), SOUND * 300) == "long"
    assert heard_ms == [120_000]


@pytest.mark.asyncio
async def test_text_is_stripped_and_may_be_empty(double):
    double.hears += ["  hello \n", "", "  hello \n", ""]

    assert [await text_of(ears(double)) for _ in range(2)] == ["hello", ""]
    assert [await text_of(whisper(double)) for _ in range(2)] == ["hello", ""]


STREAMS = [
    ("as vLLM", Habits(transcript_stream="vllm")),
    ("as vLLM, without a last mark", Habits(transcript_stream="vllm", done=False)),
    ("as speaches once did", Habits(transcript_stream="segments")),
    ("as speaches once did, without a last mark", Habits(transcript_stream="segments", done=False)),
]


@pytest.mark.asyncio
@pytest.mark.parametrize("habits", [pytest.param(s[1], id=s[0]) for s in STREAMS])
async def test_streams_of_other_shapes_are_read(double, habits):
    text, partials = await heard(streaming(double, habits))

    assert text == partials[-1] == SAID
    assert len(double.asked) == 1


@pytest.mark.asyncio
async def test_a_server_that_ignores_the_stream_has_answered_all_the_same(double):
    assert await heard(streaming(double, Habits(transcript_stream="json"))) == (SAID, [])
    assert len(double.asked) == 1


@pytest.mark.asyncio
async def test_a_server_whose_stream_is_empty_is_asked_for_the_whole_then_and_later(double):
    endpoint = streaming(double, Habits(transcript_stream="nothing"))

    assert [await text_of(endpoint) for _ in range(2)] == [SAID, SAID]

    assert ["stream" in asked.body for asked in double.asked] == [True, False, False]
    assert double.asked[0].body["file"] == double.asked[1].body["file"]


EARLY = [
    ("without its last event", Habits(done=False), None),
    ("after a word", Habits(), Fault(after=1, clean_eof=True)),
    ("in the middle, as vLLM", Habits(transcript_stream="vllm"), Fault(after=1, clean_eof=True)),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(("habits", "fault"), [pytest.param(*e[1:], id=e[0]) for e in EARLY])
async def test_a_stream_that_ends_early_is_no_transcript(double, habits, fault):
    if fault:
        double.fail("/transcriptions", fault)

    found = await failure_of(streaming(double, habits), double)

    assert (found.kind, found.retryable) == (ProviderFault.TRUNCATED, True)
    assert found.request_id == "req_1"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault(after=1, garbage=": still here\n\n"), id="a comment"),
        pytest.param(Fault(after=1, event={"type": "transcript.news"}), id="an unknown event"),
        pytest.param(Fault(after=1, event={"type": "transcript.text.segment", "text": "x"}), id="segments"),
        pytest.param(Fault(after=1, event={"usage": None, "choices": []}), id="a chunk without choices"),
        pytest.param(Fault(after=5, drop=True), id="a cut after everything was said"),
        pytest.param(Fault(after=5, stall=True), id="an end that does not come"),
        pytest.param(Fault(after=5, garbage="data: {oops\n\n"), id="garbage after everything was said"),
    ],
)  # fmt: skip
async def test_what_changes_nothing_is_passed_over(double, fault):
    double.fail("/transcriptions", fault)

    assert await text_of(ears(double)) == SAID
    assert double.asked[0].sent >= 5


FAULTS = [
    *HEAD_FAULTS,
    # id                      what happens                                                 kind                   again
    ("an object of another kind", Fault(status=200, headers=ID, body={"words": []}), ProviderFault.INVALID, True),
    ("no object", Fault(status=200, headers=ID, body=[1]), ProviderFault.INVALID, True),
    ("a page for a transcript", Fault(status=200, headers=ID, body="<html>Log in</html>"), ProviderFault.INVALID, True),
    ("cut after the head", Fault(after=0, drop=True), ProviderFault.UNAVAILABLE, True),
    ("cut in the middle", Fault(after=1, drop=True), ProviderFault.UNAVAILABLE, True),
    ("silent in the middle", Fault(after=1, stall=True), ProviderFault.TIMEOUT, True),
]  # fmt: skip


async def failure_of(endpoint, double):
    with pytest.raises(ProviderError) as caught:
        await text_of(endpoint)
    assert len(double.asked) == 1, "trying again is not the adapter's to decide"
    assert SAID not in str(caught.value)
    assert "test-key" not in str(caught.value)
    assert caught.value.stage is Stage.STT
    assert caught.value.provider == endpoint.name.partition(":")[0]
    return caught.value


@pytest.mark.asyncio
@pytest.mark.parametrize("profile", ["generic", "openai"])
@pytest.mark.parametrize(
    ("fault", "kind", "again"), [pytest.param(*f[1:], id=f[0]) for f in FAULTS]
)
async def test_every_fault_is_one_error_and_is_not_tried_again(double, profile, fault, kind, again):
    double.fail("/transcriptions", fault)

    # Long enough for a busy machine to ask at all.
    timeout_s = 1 if fault.stall or fault.stall_headers else 10
    found = await failure_of(ears(double, profile, timeout_s=timeout_s), double)

    assert (found.kind, found.retryable) == (kind, again)
    if fault.headers:
        assert found.request_id == "req_9"
    if fault.after > 0:
        assert found.request_id == "req_1"


@pytest.mark.asyncio
@pytest.mark.parametrize(("header", "value", "wait_ms"), WAITS)
async def test_when_to_come_again_is_told(double, header, value, wait_ms):
    double.fail("/transcriptions", Fault(status=429, headers={header: value}, body=error(None)))

    assert (await failure_of(ears(double), double)).retry_after_ms == wait_ms


@pytest.mark.asyncio
async def test_the_time_for_the_whole_is_bounded_though_the_server_keeps_talking(double):
    double.habits = Habits(patience_s=0.05)
    double.default = "and " * 1_000

    found = await failure_of(ears(double, timeout_s=1), double)

    assert (found.kind, found.retryable, found.request_id) == (ProviderFault.TIMEOUT, True, "req_1")
    assert double.asked[0].sent > 1


GARBLED = [
    ("an event that is no JSON", Fault(after=1, garbage="data: {oops\n\n")),
    ("an empty event", Fault(after=1, garbage="event: ping\ndata:\n\n")),
    ("an event that is no object", Fault(after=1, garbage="data: 7\n\n")),
]


@pytest.mark.asyncio
@pytest.mark.parametrize("fault", [pytest.param(g[1], id=g[0]) for g in GARBLED])
async def test_garbled_events_are_no_answer(double, fault):
    double.fail("/transcriptions", fault)

    found = await failure_of(ears(double), double)

    assert (found.kind, found.request_id) == (ProviderFault.INVALID, "req_1")


@pytest.mark.asyncio
async def test_an_error_among_the_events_is_told_by_its_code(double):
    double.fail("/transcriptions", Fault(after=1, event=error("insufficient_quota")))

    found = await failure_of(ears(double), double)

    assert (found.kind, found.request_id) == (ProviderFault.QUOTA, "req_1")


@pytest.mark.asyncio
async def test_our_key_is_needed(double):
    assert (await failure_of(ears(double, key="another"), double)).kind is ProviderFault.AUTH


@pytest.mark.asyncio
async def test_a_server_that_is_not_there():
    endpoint = TranscriptionEndpoint(Server("http://127.0.0.1:9/v1"), "whisper-1")

    with pytest.raises(ProviderError) as caught:
        await text_of(endpoint)

    assert (caught.value.kind, caught.value.retryable) == (ProviderFault.UNAVAILABLE, True)
    await clients_close()


STAGES = [
    ("before the head", Fault(stall_headers=True)),
    ("before the text", Fault(after=0, stall=True)),
    ("in the middle", Fault(after=1, stall=True)),
]


@pytest.mark.asyncio
@pytest.mark.parametrize("profile", ["generic", "openai"])
@pytest.mark.parametrize("fault", [pytest.param(s[1], id=s[0]) for s in STAGES])
async def test_cancelling_frees_the_connection_at_once(double, profile, fault):
    double.fail("/transcriptions", fault)

    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        hearing = tasks.create_task(text_of(ears(double, profile)))
        await until(lambda: double.asked and double.asked[0].sent >= fault.after)
        hearing.cancel()
    async with asyncio.timeout(1):
        await double.asked[0].left_early.wait()


@pytest.mark.asyncio
async def test_leaving_without_finishing_asks_for_nothing(double):
    async with ears(double).utterance(language="en") as turn:
        await turn.feed(SOUND)

    assert double.asked == []


@pytest.mark.asyncio
async def test_a_connection_is_used_again(double):
    for profile in ("generic", "generic", "openai", "openai"):
        await text_of(ears(double, profile))

    assert len(double.asked) == 4
    assert len(double.peers) == 2, "one for each account"


@pytest.mark.asyncio
async def test_one_endpoint_hears_many_at_once(double):
    double.transcribe = lambda sound: str(CALLER.ms(sound))
    endpoint = ears(double)

    async with asyncio.TaskGroup() as tasks:
        turns = [tasks.create_task(text_of(endpoint, pcm(tone(440, ms)))) for ms in (200, 300, 400)]

    assert [turn.result() for turn in turns] == ["200", "300", "400"]


def test_every_event_that_the_sdk_knows_is_handled_or_left_out_on_purpose():
    [union, *_] = get_args(TranscriptionStreamEvent)
    known = {get_args(event.model_fields["type"].annotation)[0] for event in get_args(union)}

    assert known == HANDLED_EVENTS | IGNORED_EVENTS
    assert not HANDLED_EVENTS & IGNORED_EVENTS


def test_its_name_is_its_provider_and_its_model():
    assert TranscriptionEndpoint(Server("http://h/v1"), "tiny").name == "compatible:tiny"
