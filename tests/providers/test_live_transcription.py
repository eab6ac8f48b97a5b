"""Transcription while the caller speaks, against a stand-in for OpenAI's Realtime API."""

import asyncio
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from openai.types.realtime import RealtimeServerEvent

from calls.domain.audio import CALLER
from calls.domain.events import Stage
from calls.engine.clock import MonotonicClock
from calls.ports.errors import ProviderError, ProviderFault
from calls.ports.speech import CallScoped
from calls.ports.usage import metered
from calls.providers.openai.address import Server
from calls.providers.openai.live import HANDLED_EVENTS, IGNORED_EVENTS, LiveTranscription
from calls.providers.openai.live_line import LiveLine
from calls.providers.openai.realtime_events import realtime_address
from tests.doubles.clock import FakeClock
from tests.doubles.providers.base import Fault, serving
from tests.doubles.providers.openai_realtime import Hear, OpenAIRealtimeDouble, session_expired

FRAME = bytes([0, 16] * CALLER.samples(20))


@pytest_asyncio.fixture
async def double():
    double = OpenAIRealtimeDouble()
    async with serving(double):
        yield double


@asynccontextmanager
async def service(double, clock=None, key="test-key", **options):
    """The service during a call; afterwards nothing of it may be left."""
    server = Server(double.base_url, key, "openai", "openai")
    before = asyncio.all_tasks()
    try:
        async with LiveTranscription(server, clock=clock or MonotonicClock(), **options) as ears:
            yield ears
        own = {t for t in asyncio.all_tasks() - before if "calls/" in str(t.get_coro())}
        assert own == set()
    finally:
        for asked in double.asked:
            await asyncio.wait_for(asked.over.wait(), 2)
        assert double.busy == 0


async def until(reached):
    async with asyncio.timeout(5):
        while not reached():  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.002)


async def speak(said, ms):
    for _ in range(ms // 20):
        await said.feed(FRAME)


async def understood(ears, ms=400, language="en"):
    async with ears.utterance(language=language) as said:
        await speak(said, ms)
        return await said.finish()


def failure(raised):
    error = raised.value
    return error.kind, error.retryable, error.provider, error.stage


async def fails(double, **options):
    async with service(double, **options) as ears:
        with pytest.raises(ProviderError) as raised:
            await understood(ears)
    return failure(raised)


def session(double, index=-1):
    return double.sessions[index]


@pytest.mark.asyncio
async def test_an_utterance_is_heard_and_committed_by_us(double):
    double.hears.append(" What time is it? ")
    async with service(double, noise_reduction="near_field") as ears:
        assert isinstance(ears, CallScoped)
        assert ears.name == "openai:gpt-live-transcribe"
        assert await understood(ears, language="de-AT") == "What time is it?"

    [asked] = double.asked
    assert asked.query == {"intent": "transcription"}
    assert asked.headers["Authorization"] == "Bearer test-key"
    hears = session(double).session["audio"]["input"]
    assert hears["transcription"] == {"model": "gpt-live-transcribe", "languages": ["de"]}
    assert hears["turn_detection"] is None
    assert hears["noise_reduction"] == {"type": "near_field"}
    assert session(double).received_types()[-1] == "input_audio_buffer.commit"
    assert asked.close_code == 1000


@pytest.mark.asyncio
async def test_sound_arrives_whole_at_24_khz_in_small_batches(double):
    async with service(double) as ears:
        await understood(ears, ms=1000)

    [pcm] = session(double).appended_pcm.values()
    assert abs(len(pcm) - 48 * 1000) <= 4
    appended = [e for e in session(double).received if e["type"].endswith("append")]
    assert {len(e["audio"]) * 3 // 4 // 48 for e in appended[:-1]} <= set(range(40, 101))


@pytest.mark.asyncio
async def test_what_is_understood_is_told_while_the_caller_speaks(double):
    double.hears.append(Hear("What time is it?", partials=("What", " time", " is")))
    async with service(double) as ears, ears.utterance(language="en") as said:
        partials = said.partials()
        for heard in ("What", "What time"):
            await speak(said, 80)
            assert await anext(partials) == heard
        assert types(double) == ["session.update"] * 2
        assert await said.finish() == "What time is it?"
        assert [text async for text in partials] == []


@pytest.mark.asyncio
async def test_one_socket_serves_the_call_and_is_opened_beforehand(double):
    double.hears += ["one", "two", "drei"]
    async with service(double) as ears:
        ears.warm()
        await until(lambda: double.sessions and session(double).received)
        texts = [await understood(ears), await understood(ears)]
        texts.append(await understood(ears, language="de"))
        updates = [e for e in session(double).received if e["type"] == "session.update"]

    assert texts == ["one", "two", "drei"]
    assert len(double.sessions) == 1
    told = [u["session"]["audio"]["input"]["transcription"].get("languages") for u in updates]
    assert told == [None, ["en"], ["de"]]


@pytest.mark.asyncio
async def test_another_model_is_told_one_language(double):
    async with service(double, model="whisper-1") as ears:
        await understood(ears, language="en-GB")

    assert session(double).session["audio"]["input"]["transcription"] == {
        "model": "whisper-1",
        "language": "en",
    }


@pytest.mark.asyncio
async def test_texts_go_to_the_utterance_that_they_belong_to(double):
    late = asyncio.Event()
    double.hears += [Hear("first", partials=("fi", "rst"), after=late), "second"]
    async with service(double) as ears, ears.utterance(language="en") as first:
        await speak(first, 300)
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(first.finish())
            await until(lambda: "input_audio_buffer.commit" in types(double))
            assert await understood(ears) == "second"
            assert not waiting.done()
            late.set()
    assert waiting.result() == "first"


@pytest.mark.asyncio
async def test_utterances_that_overlap_do_not_mix(double):
    double.hears += ["first", "second"]
    async with (
        service(double) as ears,
        ears.utterance(language="en") as first,
        ears.utterance(language="en") as second,
    ):
        for _ in range(20):
            await first.feed(FRAME)
            await second.feed(FRAME)
        texts = await asyncio.gather(second.finish(), first.finish())
    assert texts == ["second", "first"]
    assert [len(pcm) // 4800 for pcm in session(double).appended_pcm.values()] == [4, 4]


class Told:
    """An utterance that writes down what it is told."""

    def __init__(self):
        self.told = []

    def delta(self, text):
        self.told.append(text)

    def final(self, text, usage):
        self.told.append((text, usage))

    def fail(self, error):
        self.told.append(error.kind)

    def changed(self):
        self.told.append("changed")


HEARD = "conversation.item.input_audio_transcription"


@pytest_asyncio.fixture
async def line():
    """What comes is told to it by the test; nothing is sent."""
    address = realtime_address(Server("http://127.0.0.1:1/v1"), {}, Stage.STT)
    line = LiveLine(address, "gpt-live-transcribe", "", FakeClock(), lambda: None)

    def using():
        told = Told()
        line.users.add(told)
        return told

    return line, using


@pytest.mark.asyncio
async def test_what_is_being_forgotten_is_told_to_nobody(line):
    line, using = line
    first, second = using(), using()
    await line.append(first, FRAME, "")
    await line.clear()
    line.release(first)
    await line.append(second, FRAME, "")

    line.take(f"{HEARD}.delta", {"item_id": "a", "delta": "old"})
    line.take("input_audio_buffer.cleared", {})
    line.take(f"{HEARD}.delta", {"item_id": "a", "delta": "older"})
    line.take(f"{HEARD}.delta", {"item_id": "b", "delta": "new"})

    assert (first.told, second.told) == ([], ["new"])


@pytest.mark.asyncio
async def test_who_has_left_is_told_nothing(line):
    line, using = line
    first, second = using(), using()
    await line.append(first, FRAME, "")
    await line.commit(first)
    line.release(first)
    await line.append(second, FRAME, "")
    await line.commit(second)

    for item in ("a", "b"):
        line.take("input_audio_buffer.committed", {"item_id": item})
        line.take(f"{HEARD}.completed", {"item_id": item, "transcript": item, "usage": {}})

    assert (first.told, second.told) == ([], [("b", {})])


@pytest.mark.asyncio
async def test_a_commit_that_the_server_finds_empty_says_nothing(line):
    line, using = line
    first, second = using(), using()
    for said in (first, second):
        await line.append(said, FRAME, "")
        await line.commit(said)

    empty = {"code": "input_audio_buffer_commit_empty", "event_id": "commit-1"}
    line.take("error", {"error": empty})
    line.take("error", {"error": {"code": "rate_limit_exceeded", "event_id": "commit-2"}})

    assert (first.told, second.told) == ([("", {})], [ProviderFault.BUSY])


def types(double):
    return session(double).received_types() if double.sessions else []


@pytest.mark.asyncio
async def test_less_than_a_tenth_of_a_second_says_nothing(double):
    double.hears.append("the next one")
    async with service(double) as ears:
        ears.warm()
        await until(lambda: double.sessions)
        async with ears.utterance(language="en") as said:
            await speak(said, 80)
            await until(lambda: len(session(double).received) > 1)
            assert await said.finish() == ""
        assert await understood(ears) == "the next one"
    assert types(double).count("input_audio_buffer.clear") == 1
    [pcm] = session(double).appended_pcm.values()
    assert len(pcm) < 48 * 410


@pytest.mark.asyncio
async def test_an_utterance_that_is_given_up_is_forgotten(double):
    double.hears.append(Hear("the next one", partials=("early",)))
    async with service(double) as ears:
        async with ears.utterance(language="en") as said:
            await speak(said, 400)
            await until(lambda: len(session(double).sent) > 2 if double.sessions else False)
        async with ears.utterance(language="en") as said:
            await speak(said, 400)
            assert await said.finish() == "the next one"
            assert [text async for text in said.partials()] == []
    assert types(double)[-2:] == ["input_audio_buffer.clear", "input_audio_buffer.commit"]


@pytest.mark.asyncio
async def test_leaving_frees_the_utterance_however_it_is_left(double):
    double.hears += [Hear("never", after=asyncio.Event())] * 3
    async with service(double) as ears:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(understood(ears), 0.05)
        await until(lambda: len(session(double).appended_pcm) == len(double.sessions[0].items))
        double.hears.clear()
        double.hears.append("well")
        assert await understood(ears) == "well"


@pytest.mark.asyncio
async def test_a_final_that_does_not_come_is_made_of_what_was_understood(double):
    double.hears.append(Hear("What time is it?", partials=("What", " time"), after=asyncio.Event()))
    async with service(double, final_wait_ms=20) as ears:
        assert await understood(ears) == "What time"


@pytest.mark.asyncio
async def test_a_final_that_does_not_come_and_nothing_before_is_a_timeout(double):
    double.hears.append(Hear("never", partials=("",), after=asyncio.Event()))
    assert await fails(double, final_wait_ms=20) == (
        ProviderFault.TIMEOUT,
        True,
        "openai",
        Stage.STT,
    )


@pytest.mark.asyncio
async def test_the_wait_for_the_final_is_on_the_clock_of_the_call(double):
    double.hears.append(Hear("What time is it?", partials=("What",), after=asyncio.Event()))
    clock = FakeClock()
    async with (
        service(double, clock, final_wait_ms=1500) as ears,
        ears.utterance(language="en") as said,
        asyncio.TaskGroup() as group,
    ):
        await speak(said, 400)
        waiting = group.create_task(said.finish())
        assert await anext(said.partials()) == "What"
        await until(lambda: session(double).appended_pcm)
        await clock.advance(1499)
        assert not waiting.done()
        await clock.advance(1)
        assert await waiting == "What"


@pytest.mark.asyncio
async def test_a_transcription_may_fail_and_the_next_succeed(double):
    double.hears += [Hear("", fails="audio_unintelligible"), "well"]
    async with service(double) as ears:
        with pytest.raises(ProviderError) as raised:
            await understood(ears)
        assert await understood(ears) == "well"
    assert failure(raised)[0] is ProviderFault.UNAVAILABLE
    assert len(double.sessions) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("by_duration", "paid"),
    [
        (False, {"input_tokens": 4, "input_audio_tokens": 4, "output_tokens": 2}),
        (True, {"billed_ms": 400}),
    ],
)
async def test_what_is_paid_for_is_noted(double, by_duration, paid):
    double.hears.append("two words")
    double.usage_by_duration = by_duration
    async with service(double) as ears:
        with metered() as meter:
            await understood(ears, ms=400)
    assert meter.usage == pytest.approx({**paid, "audio_ms": 400}, abs=1)
    assert (meter.model, meter.request_id) == ("gpt-live-transcribe", session(double).id)


# What goes wrong

HANDSHAKES = [
    # kind                       retry    fault
    (ProviderFault.AUTH,         False,   Fault(status=401, body={"error": {"code": "invalid_api_key"}})),
    (ProviderFault.AUTH,         False,   Fault(status=403, body={})),
    (ProviderFault.QUOTA,        False,   Fault(status=429, body={"error": {"code": "insufficient_quota"}})),
    (ProviderFault.BUSY,         True,    Fault(status=429, body={"error": {"code": "rate_limit_exceeded"}})),
    (ProviderFault.NOT_FOUND,    False,   Fault(status=404, body="<h1>Nothing here</h1>")),
    (ProviderFault.REFUSED,      False,   Fault(status=400, body={"error": {"code": "missing_required_parameter"}})),
    (ProviderFault.UNAVAILABLE,  True,    Fault(status=500, body="<h1>Oh</h1>")),
    (ProviderFault.BUSY,         True,    Fault(status=503, body={})),
    (ProviderFault.UNAVAILABLE,  True,    Fault(drop_before_headers=True)),
]  # fmt: skip


@pytest.mark.asyncio
@pytest.mark.parametrize(("kind", "retryable", "fault"), HANDSHAKES)
async def test_a_handshake_may_be_refused(double, kind, retryable, fault):
    double.fail("/realtime", fault)

    assert await fails(double) == (kind, retryable, "openai", Stage.STT)
    assert len(double.asked) == 1


@pytest.mark.asyncio
async def test_a_wrong_key_is_told_without_the_key(double):
    async with service(double, key="sk-secret") as ears:
        with pytest.raises(ProviderError) as raised:
            await understood(ears)
    assert raised.value.kind is ProviderFault.AUTH
    assert "sk-secret" not in str(raised.value) + repr(ears.__dict__)


@pytest.mark.asyncio
async def test_a_busy_server_says_when_to_come_again(double):
    double.fail("/realtime", Fault(status=429, headers={"retry-after": "7"}, body={}))
    async with service(double) as ears:
        with pytest.raises(ProviderError) as raised:
            await understood(ears)
        assert raised.value.retry_after_ms == 7000
        double.hears.append("well")
        assert await understood(ears) == "well"


@pytest.mark.asyncio
async def test_nobody_at_the_address(double):
    server = Server("http://127.0.0.1:1/v1", "test-key")
    async with LiveTranscription(server, clock=MonotonicClock()) as ears:
        with pytest.raises(ProviderError) as raised:
            await understood(ears)
    assert failure(raised) == (ProviderFault.UNAVAILABLE, True, "compatible", Stage.STT)


@pytest.mark.asyncio
async def test_a_handshake_that_hangs_is_given_up_with_the_utterance(double):
    double.fail("/realtime", Fault(stall_headers=True))
    async with service(double) as ears:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await understood(ears)


LOSSES = [
    pytest.param({"code": 1000}, id="a proper close"),
    pytest.param({"code": 1001}, id="going away"),
    pytest.param({"code": 1006}, id="cut"),
    pytest.param({"code": 1011, "reason": "oh"}, id="a failure"),
    pytest.param({"code": 4000, "reason": "no"}, id="a code of its own"),
    pytest.param({"code": 1001, "event": session_expired()}, id="told first that its hour is over"),
    pytest.param({"code": 1008, "reason": "invalid_request_error.session_expired"}, id="told as it closes"),
    pytest.param({"code": 1000, "event": {"type": "conversation.item.input_audio_transcription.delta"}}, id="an event without its item"),
    pytest.param({"code": 1000, "event": {"type": "error", "error": {"type": "server_error"}}}, id="a failure in an event"),
]  # fmt: skip


@pytest.mark.asyncio
@pytest.mark.parametrize("loss", LOSSES)
async def test_a_lost_socket_is_replaced_and_everything_said_again(double, loss):
    double.hears.append(Hear("What time is it?", partials=("What",)))
    async with service(double) as ears, ears.utterance(language="en") as said:
        with metered() as meter:
            await speak(said, 300)
            assert await anext(said.partials()) == "What"
            double.cut_session(**loss)
            await speak(said, 300)
            await until(lambda: len(double.sessions) == 2)
            await speak(said, 200)
            assert await said.finish() == "What time is it?"
    assert meter.usage == {}
    [pcm] = session(double).appended_pcm.values()
    assert abs(len(pcm) - 48 * 800) <= 4
    assert session(double, 0).appended_pcm == {}


@pytest.mark.asyncio
async def test_a_socket_that_is_lost_after_the_commit_is_replaced_too(double):
    double.hears += [Hear("never", partials=("",), after=asyncio.Event()), "well"]
    async with service(double) as ears, ears.utterance(language="en") as said:
        await speak(said, 300)
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(said.finish())
            await until(lambda: session(double).appended_pcm if double.sessions else False)
            double.cut_session(1006)
            assert await waiting == "well"
        assert said.sent_ms in range(598, 602)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        (ProviderFault.UNAVAILABLE, Fault(after=1, ws_close=(1000, ""))),
        (ProviderFault.UNAVAILABLE, Fault(after=1, ws_close=(1011, "keepalive ping timeout"))),
        (ProviderFault.UNAVAILABLE, Fault(after=1, drop=True)),
        (ProviderFault.INVALID, Fault(after=1, ws_garbage="{")),
        (ProviderFault.INVALID, Fault(after=1, ws_garbage="[]")),
    ],
)
async def test_a_second_loss_is_told(double, kind, fault):
    double.fail("/realtime", fault, fault)

    assert await fails(double) == (kind, True, "openai", Stage.STT)
    assert len(double.sessions) == 2


ERRORS = [
    (ProviderFault.AUTH,       {"type": "invalid_request_error", "code": "invalid_api_key"}),
    (ProviderFault.QUOTA,      {"type": "insufficient_quota", "code": "insufficient_quota"}),
    (ProviderFault.NOT_FOUND,  {"type": "invalid_request_error", "code": "model_not_found"}),
    (ProviderFault.REFUSED,    {"type": "invalid_request_error", "code": "unknown_parameter", "event_id": "session"}),
    (ProviderFault.BUSY,       {"type": "rate_limit_error", "code": "rate_limit_exceeded"}),
]  # fmt: skip


@pytest.mark.asyncio
@pytest.mark.parametrize(("kind", "error"), ERRORS)
async def test_an_error_of_the_session_is_told_at_once(double, kind, error):
    double.fail("/realtime", Fault(after=1, event={"type": "error", "error": error}))

    assert (await fails(double))[0] is kind
    assert len(double.sessions) == 1


@pytest.mark.asyncio
async def test_a_model_that_is_not_there_is_refused(double):
    assert (await fails(double, model="gpt-nothing"))[0] is ProviderFault.REFUSED


@pytest.mark.asyncio
async def test_events_that_nobody_knows_harm_nothing(double):
    double.hears.append("well")
    double.fail("/realtime", Fault(after=1, event={"type": "session.sneezed"}))
    async with service(double) as ears:
        assert await understood(ears) == "well"
    double.hears.append("well")
    double.fail("/realtime", Fault(after=2, event={"no": "type"}))
    async with service(double) as ears:
        assert await understood(ears) == "well"


@pytest.mark.asyncio
async def test_a_server_that_falls_silent_is_a_timeout(double):
    double.fail("/realtime", Fault(after=2, stall=True))
    assert (await fails(double, final_wait_ms=30))[0] is ProviderFault.TIMEOUT


@pytest.mark.asyncio
async def test_a_session_that_falls_silent_is_replaced_for_the_next_utterance(double):
    double.fail("/realtime", Fault(after=6, stall=True))
    double.hears += ["lost", "well"]
    async with service(double, final_wait_ms=20) as ears:
        async with ears.utterance(language="en") as said, asyncio.TaskGroup() as group:
            await speak(said, 400)
            waiting = group.create_task(said.finish())
            await until(lambda: len(double.sessions) == 2)
            waiting.cancel()
        assert await understood(ears) == "well"
        await double.asked[0].over.wait()
    assert len(double.sessions) == 2


@pytest.mark.asyncio
async def test_a_socket_that_was_lost_in_between_is_not_missed(double):
    double.hears += ["one", "two"]
    async with service(double) as ears:
        assert await understood(ears) == "one"
        double.cut_session(1001)
        await double.asked[0].over.wait()
        assert await understood(ears) == "two"
    assert len(double.sessions) == 2


@pytest.mark.asyncio
async def test_nobody_reading_partials_is_no_harm(double):
    double.hears.append(Hear("x" * 50, partials=("x",) * 50))
    async with service(double) as ears, ears.utterance(language="en") as said:
        for _ in range(50):
            await speak(said, 60)
            await asyncio.sleep(0)
        assert await said.finish() == "x" * 50
        assert [text async for text in said.partials()] == []


@pytest.mark.asyncio
async def test_a_session_is_replaced_before_its_hour_is_over(double):
    clock = FakeClock()
    double.hears += ["one", "two"]
    async with service(double, clock) as ears:
        ears.warm()
        await until(lambda: double.sessions and session(double).received)
        assert await understood(ears) == "one"
        await clock.advance(49 * 60_000)
        assert len(double.sessions) == 1
        await clock.advance(60_000)
        await until(lambda: len(double.sessions) == 2)
        await double.asked[0].over.wait()
        assert double.asked[0].close_code == 1000
        assert await understood(ears) == "two"
    assert len(double.sessions) == 2


@pytest.mark.asyncio
async def test_nobody_is_interrupted_to_replace_a_session(double):
    clock = FakeClock()
    late = asyncio.Event()
    double.hears += [Hear("one", after=late), "two"]
    async with service(double, clock, final_wait_ms=60_000) as ears:
        async with ears.utterance(language="en") as said:
            await speak(said, 200)
            await until(lambda: len(session(double).received) > 1 if double.sessions else False)
            await clock.advance(51 * 60_000)
            await speak(said, 200)
            async with asyncio.TaskGroup() as group:
                waiting = group.create_task(said.finish())
                await until(lambda: len(double.sessions) == 2)
                assert session(double, 0).open
                assert await understood(ears) == "two"
                late.set()
                assert await waiting == "one"
        await double.asked[0].over.wait()
    assert [len(s.appended_pcm) for s in double.sessions] == [1, 1]


@pytest.mark.asyncio
async def test_the_call_may_end_at_any_moment(double):
    double.hears.append(Hear("never", after=asyncio.Event()))
    began = asyncio.get_running_loop().time()
    async with service(double) as ears:
        ears.warm()
    async with service(double) as ears, ears.utterance(language="en") as said:
        await speak(said, 300)
        await until(lambda: session(double).received if double.sessions else False)
        await ears.__aexit__(None, None, None)
        with pytest.raises(ProviderError):
            await said.finish()
    double.fail("/realtime", Fault(stall_headers=True))
    async with service(double) as ears:
        ears.warm()
        await until(lambda: len(double.asked) == 3 or double.busy)
    assert asyncio.get_running_loop().time() - began < 2


@pytest.mark.asyncio
async def test_it_serves_only_a_call(double):
    ears = LiveTranscription(Server(double.base_url), clock=MonotonicClock())
    ears.warm()
    with pytest.raises(RuntimeError):
        await understood(ears)
    assert double.asked == []


def test_every_event_of_the_sdk_is_handled_or_ignored_on_purpose():
    known = {
        kind.model_fields["type"].annotation.__args__[0]
        for kind in RealtimeServerEvent.__origin__.__args__
    }
    assert known - HANDLED_EVENTS - IGNORED_EVENTS == set()
    assert (HANDLED_EVENTS | IGNORED_EVENTS) - known == set()
    assert set() == HANDLED_EVENTS & IGNORED_EVENTS
