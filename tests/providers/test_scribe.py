"""Scribe on a real socket, against a stand-in that insists on its rules."""

import asyncio
import base64
import typing

import pytest
import pytest_asyncio
from elevenlabs.realtime.connection import RealtimeEvents
from elevenlabs.v_1_speech_to_text_realtime.types.receive_transcription import ReceiveTranscription

from calls.domain.audio import CALLER
from calls.ports.errors import ProviderError, ProviderFault
from calls.ports.speech import CallScoped, SpeechToText
from calls.ports.usage import metered
from calls.providers.elevenlabs.address import ElevenLabs
from calls.providers.elevenlabs.client import clients_close
from calls.providers.elevenlabs.scribe import ScribeLive
from calls.providers.elevenlabs.scribe_messages import (
    HANDLED_MESSAGES,
    IGNORED_MESSAGES,
    last_words,
)
from calls.providers.elevenlabs.scribe_socket import IDLE_MS
from tests.doubles.clock import FakeClock
from tests.doubles.providers.base import Fault, serving
from tests.doubles.providers.elevenlabs_stt import REALTIME, ElevenLabsHearingDouble, Hear

F = ProviderFault


def speech(ms, level=9):
    return bytes([level, 0]) * CALLER.samples(ms)


@pytest_asyncio.fixture
async def double():
    """Whatever a test does, all its sockets are gone at its end, and its tasks."""
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
    options.setdefault("clock", FakeClock())
    return ScribeLive(ElevenLabs(double.key, double.origin), **options)


async def hear(stt, *chunks, language="en-GB", context=""):
    """An utterance in one go."""
    async with stt.utterance(language=language, context=context) as said:
        for chunk in chunks or (speech(1000),):
            await said.feed(chunk)
        return await said.finish()


async def until(true):
    """What the server has seen can only be looked at: its sockets come and go."""
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def outcome(work):
    try:
        return await work
    except ProviderError as error:
        return error.kind


def sent(session):
    return b"".join(base64.b64decode(chunk["audio_base_64"]) for chunk in session.chunks)


# What is asked for, and what comes of it.


@pytest.mark.asyncio
async def test_an_utterance_becomes_text(double):
    double.hears.append(" What time is it? ")
    with metered() as meter:
        async with scribe(double, keyterms=("Kintsugi", "x" * 21)) as stt:
            assert isinstance(stt, CallScoped)
            service: SpeechToText = stt
            assert service.name == "elevenlabs:scribe_v2_realtime"
            assert await hear(stt, context="Hello, how can I help?") == "What time is it?"

    [asked] = double.requests(REALTIME)
    assert asked.query == {
        "model_id": "scribe_v2_realtime",
        "audio_format": "pcm_16000",
        "commit_strategy": "manual",
        "language_code": "en",
        "keyterms": "Kintsugi",
    }
    assert asked.headers["xi-api-key"] == "test-key"
    [session] = double.sessions
    assert session.previous_text == "Hello, how can I help?"
    assert double.commits == [speech(1000)]
    assert [len(c["audio_base_64"]) > 0 for c in session.chunks] == [True] * 10 + [False]
    assert asked.close_code == 1000
    assert (meter.model, meter.usage) == ("scribe_v2_realtime", {"audio_ms": 1000})
    assert meter.request_id == session.session_id


@pytest.mark.asyncio
async def test_audio_goes_out_while_the_caller_speaks_and_partials_come_back(double):
    double.hears.append(Hear("one two three", partials=("won", "one too", "one two three")))
    async with scribe(double) as stt, stt.utterance(language="en") as said:
        told = []
        partials = said.partials()
        for expected in ("won", "one too"):
            await said.feed(speech(200))
            told.append(await anext(partials))
            assert told[-1] == expected
        await said.feed(speech(30))
        assert await said.finish() == "one two three"
        assert [text async for text in partials] == []
    assert double.commits == [speech(430)]


@pytest.mark.asyncio
async def test_utterances_share_a_socket_and_context_is_sent_once(double):
    double.hears += ["One.", "Two.", "Three."]
    async with scribe(double) as stt:
        for n, text in enumerate(("One.", "Two.", "Three.")):
            assert await hear(stt, speech(500, n + 1), context=f"Question {n}?") == text

    [session] = double.sessions
    assert session.commits == [speech(500, n + 1) for n in range(3)]
    assert [c.get("previous_text") for c in session.chunks if "previous_text" in c] == [
        "Question 0?"
    ]


@pytest.mark.asyncio
async def test_entering_connects_nothing_and_warming_does(double):
    async with scribe(double, language="de") as stt:
        await asyncio.sleep(0.01)
        assert double.asked == []
        stt.warm()
        await until(lambda: double.sessions)
        stt.warm()
        assert await hear(stt, language="de-AT") == double.default
        assert len(double.asked) == 1, "warm for de, used for de-AT"


@pytest.mark.asyncio
async def test_without_a_language_warming_waits_for_the_first_utterance(double):
    async with scribe(double) as stt:
        stt.warm()
        await hear(stt, language="")
    assert "language_code" not in double.asked[0].query
    assert len(double.asked) == 1


@pytest.mark.asyncio
async def test_another_language_gets_another_socket(double):
    async with scribe(double) as stt:
        await hear(stt, language="en")
        await hear(stt, language="fr")
    assert [asked.query["language_code"] for asked in double.asked] == ["en", "fr"]
    assert double.most_sockets == 1


SHORT = [
    # ms, what the server gets
    (0, []),
    (99, []),
    (100, [350]),
    (299, [350]),
    (340, [350]),
    (350, [350]),
    (400, [400]),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(("ms", "committed"), SHORT)
async def test_what_is_too_short_to_commit_is_padded_or_left_out(double, ms, committed):
    with metered() as meter:
        async with scribe(double) as stt:
            assert await hear(stt, speech(ms)) == (double.default if committed else "")
    assert [CALLER.ms(audio) for audio in double.commits] == committed
    assert all(audio.startswith(speech(ms)) for audio in double.commits)
    assert meter.usage == {"audio_ms": sum(committed)}


@pytest.mark.asyncio
async def test_a_commit_of_the_servers_own_is_part_of_the_utterance(double):
    part = {"message_type": "committed_transcript", "text": "It all began"}
    double.fail(REALTIME, Fault(after=1, event=part))
    double.hears += [Hear("long ago.", partials=("long",)), "Next."]
    async with scribe(double) as stt:
        async with stt.utterance(language="en") as said:
            await said.feed(speech(200))
            partials = said.partials()
            assert "It all began" in await anext(partials)
            assert await said.finish() == "It all began long ago."
        assert await hear(stt) == "Next."
    assert len(double.sessions) == 2, "its count of commits is not to be trusted any more"


# Utterances that nobody wants any more, or that overlap.


@pytest.mark.asyncio
async def test_a_discarded_utterance_leaks_into_no_other(double):
    double.hears += [Hear("One."), Hear("A cough, perhaps", when=asyncio.Event()), Hear("Two.")]
    async with scribe(double) as stt:
        assert await hear(stt) == "One."
        async with stt.utterance(language="en") as said:
            await said.feed(speech(800, 3))
            await until(lambda: len(double.sessions[0].uncommitted) == 800 * 32)
        await until(lambda: len(double.sessions) == 2)
        double.hears.popleft()
        assert await hear(stt, speech(400, 5)) == "Two."

    assert double.sessions[1].commits == [speech(400, 5)]
    assert double.commits == [speech(1000), speech(400, 5)]
    assert double.most_sockets == 1


@pytest.mark.asyncio
async def test_an_utterance_discarded_before_anything_was_sent_costs_no_socket(double):
    async with scribe(double) as stt:
        await hear(stt)
        async with stt.utterance(language="en") as said:
            await said.feed(speech(50))
        assert await hear(stt) == double.default
    assert len(double.asked) == 1


@pytest.mark.asyncio
async def test_a_final_that_comes_too_late_leaks_into_no_other(double):
    clock, late = FakeClock(), asyncio.Event()
    double.hears += [Hear("Late.", when=late), "In time."]
    async with scribe(double, clock=clock, final_wait_ms=700) as stt:
        async with stt.utterance(language="en") as said:
            await said.feed(speech(500))
            partials = said.partials()
            assert await anext(partials) == "Late."
            async with asyncio.TaskGroup() as group:
                finish = group.create_task(said.finish())
                await until(lambda: double.commits)
                await clock.advance(699)
                assert not finish.done()
                await clock.advance(1)
            assert finish.result() == "Late.", "the last partial counts"
        late.set()
        assert await hear(stt) == "In time."


@pytest.mark.asyncio
async def test_without_any_partial_a_missing_final_is_a_timeout(double):
    clock = FakeClock()
    double.hears += [Hear("", silent=True), "Next."]
    async with scribe(double, clock=clock) as stt:
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(outcome(hear(stt)))
            await until(lambda: double.commits)
            await clock.advance(3_499)
            assert not asked.done(), "nothing has come yet: it is worth more time"
            await clock.advance(1)
        assert asked.result() is F.TIMEOUT
        assert await hear(stt) == "Next."


@pytest.mark.asyncio
async def test_overlapping_utterances_wait_for_each_other(double):
    first = asyncio.Event()
    double.hears += [Hear("One.", when=first), "Two."]
    async with scribe(double) as stt:
        async with asyncio.TaskGroup() as group:
            one = group.create_task(hear(stt, speech(500, 1)))
            await until(lambda: double.commits)
            two = group.create_task(hear(stt, speech(500, 2)))
            await asyncio.sleep(0.01)
            first.set()
        assert (one.result(), two.result()) == ("One.", "Two.")
    assert double.sessions[0].commits == [speech(500, 1), speech(500, 2)]


@pytest.mark.asyncio
async def test_a_socket_that_was_quiet_for_long_is_not_used_again(double):
    clock = FakeClock()
    async with scribe(double, clock=clock) as stt:
        await hear(stt)
        await clock.advance(IDLE_MS - 1)
        await hear(stt)
        assert len(double.sessions) == 1
        await clock.advance(IDLE_MS)
        assert await hear(stt, context="And now?") == double.default
    assert [s.previous_text for s in double.sessions] == [None, "And now?"]
    assert double.most_sockets == 1


@pytest.mark.asyncio
async def test_a_straggler_of_the_utterance_before_is_no_part_of_the_next(double):
    double.hears += ["One.", Hear("", silent=True)]
    clock = FakeClock()
    async with scribe(double, clock=clock) as stt:
        await hear(stt)
        async with stt.utterance(language="en") as said:
            line = stt._line
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            for kind in ("partial_transcript", "committed_transcript"):
                line._take({"message_type": kind, "text": "One."})
            assert line.listener is said
            await said.feed(speech(400))
            async with asyncio.TaskGroup() as group:
                finish = group.create_task(outcome(said.finish()))
                await until(lambda: len(double.commits) == 2)
                await clock.advance(3_500)
            assert finish.result() is F.TIMEOUT


# Sockets that are lost.


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "loss",
    [
        pytest.param(Fault(after=2, drop=True), id="cut"),
        pytest.param(Fault(after=2, ws_close=(1000, "")), id="closed as if all were well"),
        pytest.param(Fault(after=2, ws_close=(1011, "oops")), id="failed"),
        pytest.param(Fault(status=500), id="no handshake"),
        pytest.param(Fault(drop_before_headers=True), id="handshake cut"),
        pytest.param(
            Fault(after=2, event={"message_type": "session_time_limit_exceeded", "error": "."}),
            id="session at its end",
        ),
    ],
)
async def test_a_lost_socket_is_replaced_once_and_hears_everything_again(double, loss):
    double.fail(REALTIME, loss)
    double.hears.append("I was going to say that.")
    with metered() as meter:
        async with scribe(double) as stt, stt.utterance(language="en", context="Yes?") as said:
            await said.feed(speech(600, 1))
            await until(lambda: len(double.asked) == 2)
            await said.feed(speech(600, 2))
            assert await said.finish() == "I was going to say that."
    assert double.commits == [speech(600, 1) + speech(600, 2)]
    assert double.sessions[-1].previous_text == "Yes?"
    assert len(double.asked) == 2
    sent_twice_ms = meter.usage["audio_ms"] - 1200
    assert sent_twice_ms >= CALLER.ms_of(sum(len(sent(s)) for s in double.sessions[:-1]))


@pytest.mark.asyncio
async def test_a_second_loss_is_a_failure_and_the_next_utterance_begins_anew(double):
    double.fail(REALTIME, Fault(after=1, drop=True), Fault(after=1, drop=True))
    double.hears.append(Hear("Here I am.", partials=("Here",)))
    async with scribe(double) as stt:
        with pytest.raises(ProviderError) as raised:
            await hear(stt)
        assert (raised.value.kind, raised.value.retryable) == (F.UNAVAILABLE, True)
        assert await hear(stt) == "Here I am."
    assert len(double.asked) == 3


@pytest.mark.asyncio
async def test_a_socket_lost_while_idle_is_not_missed(double):
    async with scribe(double) as stt:
        await hear(stt)
        stt._line._socket._connection.transport.abort()
        await double.asked[0].over.wait()
        await until(lambda: stt._line.over)
        assert await hear(stt) == double.default
    assert len(double.asked) == 2


@pytest.mark.asyncio
async def test_of_a_very_long_utterance_the_last_two_minutes_are_kept(double):
    double.fail(REALTIME, Fault(after=1, drop=True))
    double.hears.append(Hear("The end.", partials=("The",)))
    async with scribe(double) as stt, stt.utterance(language="en") as said:
        for second in range(130):
            await said.feed(speech(1000, second + 1))
        assert await said.finish() == "The end."
    assert len(double.commits[-1]) == CALLER.bytes(120_000)
    assert double.commits[-1].endswith(speech(1000, 130))


# Failures, by what they are.


def problem(kind):
    return {"message_type": kind, "error": "Something about what was said."}


FAILURES = [
    ("auth_error", F.AUTH),
    ("quota_exceeded", F.QUOTA),
    ("rate_limited", F.BUSY),
    ("queue_overflow", F.BUSY),
    ("resource_exhausted", F.BUSY),
    ("transcriber_error", F.UNAVAILABLE),
    ("error", F.UNAVAILABLE),
    ("input_error", F.REFUSED),
    ("invalid_request", F.REFUSED),
    ("chunk_size_exceeded", F.REFUSED),
    ("unaccepted_terms", F.AUTH),
    ("an_error_of_tomorrow", F.UNAVAILABLE),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(("kind", "fault"), FAILURES)
@pytest.mark.parametrize("when", ["at once", "while the caller speaks", "instead of the text"])
async def test_an_error_message_ends_the_utterance_at_once(double, kind, fault, when):
    if when == "instead of the text":
        double.hears.append(Hear("", error=kind))
    else:
        after = {"at once": 0, "while the caller speaks": 2}[when]
        double.fail(REALTIME, Fault(after=after, event=problem(kind)))
    async with scribe(double) as stt:
        with pytest.raises(ProviderError) as raised:
            await hear(stt)
        assert raised.value.kind is fault
        assert raised.value.provider == "elevenlabs"
        assert "said" not in raised.value.message
        assert await hear(stt) == double.default, "the next one is heard"
    assert len(double.asked) == 2


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", ["insufficient_audio_activity", "commit_throttled"])
async def test_where_there_was_nothing_to_understand_the_text_is_empty(double, kind, caplog):
    double.hears += [Hear("Hm.", error=kind), "Next."]
    async with scribe(double) as stt:
        assert await hear(stt) == ""
        assert await hear(stt) == "Next."
    assert [record.kind for record in caplog.records if "understood" in record.message] == [kind]
    assert "test wanted" not in caplog.text


@pytest.mark.asyncio
async def test_messages_that_are_not_asked_for_do_no_harm(double, caplog):
    double.hears.append(
        Hear(
            "Fine.",
            before=(
                {"message_type": "warning", "warning": "quota low for my secret"},
                {"message_type": "diarized_transcript", "text": "x"},
                {"message_type": "of_tomorrow", "text": "x"},
                {"text": "x"},
                {"message_type": ["odd"]},
                {"message_type": "partial_transcript", "text": None},
            ),
        )
    )
    async with scribe(double) as stt:
        assert await hear(stt) == "Fine."
    assert "warning" in caplog.text
    assert "secret" not in caplog.text


REFUSALS = [
    (Fault(status=401, body={"detail": {"code": "invalid_api_key"}}), F.AUTH, 1),
    (Fault(status=401, body={"detail": {"status": "quota_exceeded"}}), F.QUOTA, 1),
    (Fault(status=404), F.NOT_FOUND, 1),
    (Fault(status=422, body={"detail": [{"msg": "x"}]}), F.REFUSED, 1),
    (Fault(status=429, headers={"retry-after": "2"}), F.BUSY, 1),
    (Fault(status=503, body={"detail": {"code": "system_busy"}}), F.BUSY, 1),
    (Fault(status=502, body="<html>"), F.UNAVAILABLE, 2),
    (Fault(drop_before_headers=True), F.UNAVAILABLE, 2),
    (Fault(after=1, drop=True), F.UNAVAILABLE, 2),
    (Fault(after=1, ws_close=(1008, "quota_exceeded")), F.QUOTA, 1),
    (Fault(after=1, ws_garbage="<html>"), F.INVALID, 1),
    (Fault(after=1, ws_garbage="[1]"), F.INVALID, 1),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(("fault", "kind", "attempts"), REFUSALS)
async def test_what_cannot_be_opened_or_is_closed_tells_why(double, fault, kind, attempts):
    double.default = "Next."
    double.fail(REALTIME, *[fault] * attempts)
    async with scribe(double) as stt:
        with pytest.raises(ProviderError) as raised:
            await hear(stt)
        assert raised.value.kind is kind
        assert raised.value.retryable is (kind in (F.BUSY, F.UNAVAILABLE, F.INVALID))
        assert raised.value.retry_after_ms == (2000 if fault.status == 429 else None)
        assert len(double.asked) == attempts
        assert await hear(stt) == "Next."


@pytest.mark.asyncio
async def test_a_wrong_key_is_never_shown(double, caplog):
    address = ElevenLabs("my-wrong-key", double.origin)
    async with ScribeLive(address, clock=FakeClock()) as stt:
        with pytest.raises(ProviderError) as raised:
            await hear(stt)
    assert raised.value.kind is F.AUTH
    assert "my-wrong-key" not in f"{raised.value!r} {raised.value.message} {caplog.text} {address}"


@pytest.mark.asyncio
async def test_nobody_there(double):
    async with ScribeLive(ElevenLabs("k", "http://127.0.0.1:9"), clock=FakeClock()) as stt:
        stt.warm()
        with pytest.raises(ProviderError) as raised:
            await hear(stt)
    assert raised.value.kind is F.UNAVAILABLE


@pytest.mark.asyncio
async def test_it_has_to_be_entered(double):
    with pytest.raises(RuntimeError):
        await hear(scribe(double))


# Stopping, wherever it is.


async def stopped(task):
    task.cancel()
    async with asyncio.timeout(1):
        await asyncio.wait([task])
    assert task.cancelled()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "stage",
    [
        "in the handshake",
        "while sending",
        "while waiting for the final",
        "reconnecting",
        "waiting for its turn",
    ],
)
async def test_it_stops_at_every_stage_and_the_next_utterance_is_heard(double, stage):
    busy = None
    async with asyncio.timeout(5), scribe(double) as stt, asyncio.TaskGroup() as group:
        match stage:
            case "in the handshake":
                double.fail(REALTIME, Fault(stall_headers=True))
            case "while sending":
                double.fail(REALTIME, Fault(after=2, stall=True))
            case "while waiting for the final":
                double.hears.append(Hear("", silent=True))
            case "reconnecting":
                double.fail(REALTIME, Fault(after=1, drop=True), Fault(stall_headers=True))
                double.hears.append(Hear("", partials=("x",)))
            case "waiting for its turn":
                double.hears.append(Hear("", silent=True))
                busy = group.create_task(hear(stt))
                await until(lambda: double.commits)
        task = group.create_task(hear(stt))
        reached = {
            "in the handshake": lambda: double.asked,
            "while sending": lambda: double.asked and double.asked[0].sent == 2,
            "while waiting for the final": lambda: double.commits,
            "reconnecting": lambda: len(double.asked) == 2,
            "waiting for its turn": lambda: True,
        }
        await until(reached[stage])
        await asyncio.sleep(0.01)
        await stopped(task)
        if busy is not None:
            await stopped(busy)
        double.hears.clear()
        if stage in ("in the handshake", "reconnecting"):
            # A socket that hangs while it opens is not given up by one utterance alone.
            return
        assert await hear(stt) == double.default
        assert double.most_sockets == 1, "one that hangs is cut before the next"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "hang", [Fault(stall_headers=True), Fault(after=0, stall=True), Fault(after=2, stall=True)]
)
async def test_leaving_takes_less_than_a_second_whatever_hangs(double, hang):
    double.fail(REALTIME, hang)
    stt = scribe(double)
    await stt.__aenter__()
    said = stt.utterance(language="en")
    transcriber = await said.__aenter__()
    await transcriber.feed(speech(1000))
    await until(lambda: double.asked)
    await asyncio.sleep(0.02)
    async with asyncio.timeout(1):
        await said.__aexit__(None, None, None)
        await stt.__aexit__(None, None, None)
    await stt.__aexit__(None, None, None)


@pytest.mark.asyncio
async def test_leaving_the_call_in_the_middle_of_an_utterance(double):
    stt = scribe(double)
    await stt.__aenter__()
    async with stt.utterance(language="en") as said:
        await said.feed(speech(1000))
        await until(lambda: double.sessions and double.sessions[0].chunks)
        async with asyncio.timeout(1):
            await stt.__aexit__(None, None, None)
    await double.asked[0].over.wait()


# What the SDK knows of.


def test_every_message_that_the_sdk_knows_of_is_handled_or_left_out_on_purpose():
    known = set()
    for payload in typing.get_args(ReceiveTranscription):
        hint = typing.get_type_hints(payload)["message_type"]
        literals = [
            a for a in (hint, *typing.get_args(hint)) if typing.get_origin(a) is typing.Literal
        ]
        known.update(value for literal in literals for value in typing.get_args(literal))
    # Not sent by any server: the helper's own, and a name of the past.
    own = {
        "open",
        "close",
        "final_transcript",
        "final_transcript_with_timestamps",
        "unaccepted_terms_error",
    }
    known |= {event.value for event in RealtimeEvents} - own

    assert len(known) >= 23
    assert known - HANDLED_MESSAGES - IGNORED_MESSAGES == set()
    assert not HANDLED_MESSAGES & IGNORED_MESSAGES


def test_the_context_is_the_end_of_what_was_said():
    assert last_words(" a\n b ") == "a b"
    assert last_words("word " * 100).split() == ["word"] * 40
    assert len(last_words("abcdefg " * 100)) <= 200
