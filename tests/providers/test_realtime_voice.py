"""A voice by out-of-band responses, against a stand-in for OpenAI's Realtime API."""

import asyncio
from contextlib import asynccontextmanager
from functools import partial

import pytest
import pytest_asyncio
from openai.types.realtime import RealtimeServerEvent

from calls import sockets
from calls.domain.audio import AGENT
from calls.domain.events import Stage
from calls.domain.items import Mark
from calls.engine.clock import MonotonicClock
from calls.ports.errors import ProviderError, ProviderFault
from calls.ports.speech import CallScoped
from calls.ports.usage import metered
from calls.providers.openai.address import Server
from calls.providers.openai.realtime_voice import HANDLED_EVENTS, IGNORED_EVENTS, RealtimeVoice
from tests.doubles.clock import FakeClock
from tests.doubles.providers.base import Fault, serving
from tests.doubles.providers.openai_realtime import (
    Fails,
    OpenAIRealtimeDouble,
    Says,
    Stalls,
    Stops,
    session_expired,
)

TEXT = "Your table is booked for four."


@pytest_asyncio.fixture
async def double():
    double = OpenAIRealtimeDouble()
    async with serving(double):
        yield double


@asynccontextmanager
async def service(double, clock=None, key="test-key"):
    """The service during a call; afterwards nothing of it may be left."""
    server = Server(double.base_url, key, "openai", "openai")
    before = asyncio.all_tasks()
    try:
        async with RealtimeVoice(server, "gpt-mini", clock=clock or MonotonicClock()) as voice:
            yield voice
        own = {t for t in asyncio.all_tasks() - before if "calls/" in str(t.get_coro())}
        assert own == set()
    finally:
        for asked in double.asked:
            await asyncio.wait_for(asked.over.wait(), 2)
        assert double.busy == 0


def speaking(tts, text=TEXT, voice="", speed=1.0):
    return tts.speak(text, language="en", voice=voice, speed=speed)


async def spoken(tts, text=TEXT, **manner):
    async with speaking(tts, text, **manner) as chunks:
        return [chunk async for chunk in chunks]


def length_ms(chunks):
    return AGENT.ms(b"".join(chunk.pcm for chunk in chunks))


def marks(chunks):
    return [mark for chunk in chunks for mark in chunk.marks]


def failure(raised):
    error = raised.value
    return error.kind, error.retryable, error.provider, error.stage


async def fails(double, **manner):
    async with service(double) as tts:
        with pytest.raises(ProviderError) as raised:
            await spoken(tts, **manner)
    return failure(raised)


async def until(reached):
    async with asyncio.timeout(5):
        while not reached():  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.002)


def received(double, kind, index=-1):
    return [event for event in double.sessions[index].received if event["type"] == kind]


@pytest.mark.asyncio
async def test_a_text_is_read_beside_any_conversation(double):
    async with service(double) as tts:
        assert isinstance(tts, CallScoped)
        assert tts.name == "openai:gpt-mini"
        chunks = await spoken(tts, voice="cedar", speed=1.25)

    assert length_ms(chunks) == pytest.approx(len(TEXT) * 60 / 1.25, abs=len(TEXT))
    [asked] = double.asked
    assert asked.query == {"model": "gpt-mini"}
    assert asked.headers["Authorization"] == "Bearer test-key"
    [session] = double.sessions
    output = session.session["audio"]["output"]
    assert (output["voice"], output["speed"]) == ("cedar", 1.25)
    assert session.session["audio"]["input"]["turn_detection"] is None
    [create] = received(double, "response.create")
    assert create["response"]["conversation"] == "none"
    assert "language with the tag en" in create["response"]["instructions"]
    assert create["response"]["input"][0]["content"] == [{"type": "input_text", "text": TEXT}]
    assert session.items == []


@pytest.mark.asyncio
async def test_sound_comes_while_the_rest_is_made(double):
    double.readings.append(Says("Your table ", "is booked.", held_after=1))
    async with service(double) as tts, speaking(tts, "Your table is booked.") as chunks:
        first = await anext(chunks)
        assert first.pcm
        double.go_on.set()
        rest = [chunk async for chunk in chunks]
    assert length_ms([first, *rest]) == 21 * 60


@pytest.mark.asyncio
async def test_words_are_marked_where_their_sound_ends(double):
    double.readings.append(Says("Your table ", "is booked ", "for four."))
    async with service(double) as tts:
        chunks = await spoken(tts)
    assert marks(chunks) == [Mark(10, 11 * 60), Mark(20, 21 * 60)]


@pytest.mark.asyncio
async def test_words_are_not_marked_before_their_sound(double):
    double.readings.append(Says("Your ", "table ", "is ", "booked ", "for four."))
    double.synthesize = lambda piece: b"" if piece in ("Your ", "is ") else bytes(4800)
    async with service(double) as tts:
        chunks = await spoken(tts)
    assert marks(chunks) == [Mark(10, 100), Mark(20, 200)]


@pytest.mark.asyncio
async def test_other_words_are_not_marked_and_much_of_them_is_noted(double):
    double.readings.append(Says("Your table ", "will be ", "waiting ", "from five onwards."))
    async with service(double) as tts:
        with metered() as meter:
            chunks = await spoken(tts)
    assert marks(chunks) == [Mark(10, 11 * 60)]
    assert meter.usage["reworded"] == 1


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "said", [TEXT, "YOUR table is booked – for four", "The table is booked for four."]
)
async def test_small_differences_are_none(double, said):
    double.readings.append(Says(said))
    async with service(double) as tts:
        with metered() as meter:
            await spoken(tts)
    assert "reworded" not in meter.usage


@pytest.mark.asyncio
async def test_texts_are_read_in_parallel_on_one_socket(double):
    double.readings += [Says("one. ", "more", held_after=1), Says("two")]
    async with (
        service(double) as tts,
        speaking(tts, "one. more") as first,
        speaking(tts, "two") as second,
    ):
        begun = await anext(first)
        assert length_ms([chunk async for chunk in second]) == 3 * 60
        double.go_on.set()
        assert length_ms([begun] + [chunk async for chunk in first]) == 9 * 60
    assert len(double.sessions) == 1


@pytest.mark.asyncio
async def test_a_socket_that_was_opened_beforehand_takes_the_voice_that_is_asked_for(double):
    async with service(double) as tts:
        tts.warm()
        await until(lambda: double.sessions and received(double, "session.update"))
        await spoken(tts, voice="cedar")
        await spoken(tts, voice="cedar")
    assert len(double.sessions) == 1
    assert double.sessions[0].session["audio"]["output"]["voice"] == "cedar"


@pytest.mark.asyncio
async def test_another_voice_has_a_socket_of_its_own(double):
    double.readings.append(Says("one. ", "more", held_after=1))
    async with service(double) as tts:
        async with speaking(tts, "one. more", voice="cedar") as first:
            begun = await anext(first)
            assert length_ms(await spoken(tts, "two", voice="marin")) == 3 * 60
            assert double.sessions[0].open
            double.go_on.set()
            assert length_ms([begun] + [chunk async for chunk in first]) == 9 * 60
        await double.asked[0].over.wait()
        assert double.sessions[1].open
    voices = [session.session["audio"]["output"]["voice"] for session in double.sessions]
    assert voices == ["cedar", "marin"]


@pytest.mark.asyncio
@pytest.mark.parametrize(("speed", "asked"), [(0.1, 0.25), (2.0, 1.5)])
async def test_a_pace_that_it_does_not_know_is_clamped(double, speed, asked):
    async with service(double) as tts:
        await spoken(tts, "Hi", speed=speed)
    assert double.sessions[0].session["audio"]["output"]["speed"] == asked


@pytest.mark.asyncio
async def test_older_names_of_events_are_understood(double):
    double.old_names = True
    double.readings.append(Says("Your table ", "is booked."))
    async with service(double) as tts:
        chunks = await spoken(tts, "Your table is booked.")
    assert length_ms(chunks) == 21 * 60
    assert marks(chunks) == [Mark(10, 11 * 60)]


@pytest.mark.asyncio
async def test_what_is_paid_for_is_noted(double):
    async with service(double) as tts:
        with metered() as meter:
            await spoken(tts)
    assert meter.usage["output_audio_tokens"] == len(TEXT) * 60 // 50
    assert meter.usage["output_tokens"] == meter.usage["output_audio_tokens"] + 6
    assert meter.usage["input_tokens"] > 6
    assert meter.model == "gpt-mini"
    assert meter.request_id.startswith("resp_")


@pytest.mark.asyncio
async def test_leaving_early_stops_the_server_and_notes_what_it_cost(double):
    double.readings.append(Says("Your table ", "is booked.", held_after=1))
    async with service(double) as tts:
        with metered() as meter:
            async with speaking(tts, "Your table is booked.") as chunks:
                await anext(chunks)
        [session] = double.sessions
        assert session.responses.running == {}
        [cancel] = received(double, "response.cancel")
        assert cancel["response_id"] == meter.request_id
        assert meter.usage["output_audio_tokens"] > 0
        assert length_ms(await spoken(tts, "next")) == 4 * 60
    assert len(double.sessions) == 1


@pytest.mark.asyncio
async def test_who_is_interrupted_leaves_just_so(double):
    double.readings.append(Stalls())
    async with service(double) as tts:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(spoken(tts), 0.05)
        assert double.sessions[0].responses.running == {}


@pytest.mark.asyncio
async def test_leaving_before_the_server_has_begun_stops_it_too(double):
    async with service(double) as tts:
        tts.warm()
        await until(lambda: double.sessions and received(double, "session.update"))
        double.readings.append(Stalls())
        async with speaking(tts):
            pass
        await until(lambda: received(double, "response.cancel"))
        await until(lambda: not double.sessions[0].responses.running)


@pytest.mark.asyncio
async def test_leaving_does_not_wait_for_a_server_that_hangs(double):
    double.fail("/realtime", Fault(after=5, stall=True))
    began = asyncio.get_running_loop().time()
    async with service(double) as tts, speaking(tts):
        await until(lambda: double.sessions[0].sent)
    assert asyncio.get_running_loop().time() - began < 1.5


@pytest.mark.asyncio
@pytest.mark.parametrize("sent", [3, 8])
async def test_a_session_that_falls_silent_is_replaced_for_the_next_text(double, sent):
    clock = FakeClock()
    double.fail("/realtime", Fault(after=sent, stall=True))
    async with service(double, clock) as tts:
        async with speaking(tts):
            await until(lambda: double.asked[0].sent == sent)
            await until(lambda: len(double.sessions[0].sent) > sent)
            await clock.advance(1_000)
        assert await spoken(tts)
        await double.asked[0].over.wait()
    assert len(double.sessions) == 2


@pytest.mark.asyncio
async def test_a_session_that_falls_silent_is_replaced_though_nobody_waits_for_its_end(double):
    clock = FakeClock()
    double.fail("/realtime", Fault(after=8, stall=True))
    async with service(double, clock) as tts, asyncio.TaskGroup() as group:
        speech = speaking(tts)
        await speech.__aenter__()
        await until(lambda: double.asked[0].sent == 8)
        await clock.advance(1_000)
        leaving = group.create_task(speech.__aexit__(None, None, None))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.wait([leaving])
        assert await spoken(tts)
    assert len(double.sessions) == 2


@pytest.mark.asyncio
async def test_a_session_that_is_slow_to_stop_is_kept(double):
    clock = FakeClock()
    double.fail("/realtime", Fault(after=8, stall=True))
    async with service(double, clock) as tts:
        async with speaking(tts):
            await until(lambda: double.asked[0].sent == 8)
            await clock.advance(900)
        async with speaking(tts):
            pass
    assert len(double.sessions) == 1


@pytest.mark.asyncio
async def test_a_cancellation_that_comes_too_late_is_no_error(double):
    async with service(double) as tts:
        async with speaking(tts) as chunks:
            await anext(chunks)
        late = {
            "type": "error",
            "error": {"code": "response_cancel_not_active", "event_id": "cancel-piece-1"},
        }
        double.sessions[0].emit_raw(late)
        assert await spoken(tts)
    assert len(double.sessions) == 1


# What goes wrong

HANDSHAKES = [
    # kind                       retry    fault
    (ProviderFault.AUTH,         False,   Fault(status=401, body={"error": {"code": "invalid_api_key"}})),
    (ProviderFault.QUOTA,        False,   Fault(status=429, body={"error": {"code": "insufficient_quota"}})),
    (ProviderFault.BUSY,         True,    Fault(status=429, body={})),
    (ProviderFault.UNAVAILABLE,  True,    Fault(status=500, body="<h1>Oh</h1>")),
    (ProviderFault.BUSY,         True,    Fault(status=503, body={})),
    (ProviderFault.UNAVAILABLE,  True,    Fault(drop_before_headers=True)),
]  # fmt: skip


@pytest.mark.asyncio
@pytest.mark.parametrize(("kind", "retryable", "fault"), HANDSHAKES)
async def test_a_handshake_may_be_refused(double, kind, retryable, fault):
    double.fail("/realtime", fault)
    async with service(double) as tts:
        with pytest.raises(ProviderError) as raised:
            await spoken(tts)
        assert failure(raised) == (kind, retryable, "openai", Stage.TTS)
        assert await spoken(tts)


@pytest.mark.asyncio
async def test_a_wrong_key_is_told_without_the_key(double):
    async with service(double, key="sk-secret") as tts:
        with pytest.raises(ProviderError) as raised:
            await spoken(tts)
    assert raised.value.kind is ProviderFault.AUTH
    assert "sk-secret" not in str(raised.value) + repr(tts.__dict__)


@pytest.mark.asyncio
async def test_a_handshake_that_hangs_is_left(double):
    double.fail("/realtime", Fault(stall_headers=True))
    async with service(double) as tts:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(spoken(tts), 0.05)


@pytest.mark.asyncio
async def test_a_voice_that_is_not_there_is_refused(double):
    assert (await fails(double, voice="nobody"))[:2] == (ProviderFault.REFUSED, False)


ENDS = [
    # kind                       answer
    (ProviderFault.UNAVAILABLE,  Fails("server_error")),
    (ProviderFault.BUSY,         Fails("rate_limit_exceeded")),
    (ProviderFault.QUOTA,        Fails("insufficient_quota")),
    (ProviderFault.TRUNCATED,    Stops("max_output_tokens")),
    (ProviderFault.REFUSED,      Stops("content_filter")),
    (ProviderFault.TRUNCATED,    Says("")),
]  # fmt: skip


@pytest.mark.asyncio
@pytest.mark.parametrize(("kind", "answer"), ENDS)
async def test_a_text_may_end_badly_and_the_next_well(double, kind, answer):
    double.readings.append(answer)
    async with service(double) as tts:
        with pytest.raises(ProviderError) as raised:
            await spoken(tts)
        assert failure(raised)[0] is kind
        assert await spoken(tts)
    assert len(double.sessions) == 1


@pytest.mark.asyncio
async def test_what_was_made_comes_before_the_failure(double):
    double.readings.append([Says("Your table"), Fails("server_error")])
    async with service(double) as tts, speaking(tts) as chunks:
        heard = [await anext(chunks) for _ in range(6)]
        with pytest.raises(ProviderError):
            await anext(chunks)
    assert length_ms(heard) == 10 * 60


LOSSES = [
    pytest.param({"code": 1000}, id="a proper close"),
    pytest.param({"code": 1001}, id="going away"),
    pytest.param({"code": 1006}, id="cut"),
    pytest.param({"code": 1011, "reason": "oh"}, id="a failure"),
    pytest.param({"code": 4000, "reason": "no"}, id="a code of its own"),
    pytest.param({"code": 1001, "event": session_expired()}, id="told first that its hour is over"),
]


@pytest.mark.asyncio
@pytest.mark.parametrize("loss", LOSSES)
async def test_a_text_whose_socket_is_lost_is_cut_off_and_the_next_has_another(double, loss):
    double.readings.append(Says("Your table ", "is booked.", held_after=1))
    async with service(double) as tts:
        async with speaking(tts) as chunks:
            heard = [await anext(chunks)]
            double.cut_session(**loss)
            with pytest.raises(ProviderError) as raised:
                heard.extend([chunk async for chunk in chunks])
        assert failure(raised)[:2] == (ProviderFault.TRUNCATED, True)
        assert await spoken(tts)
    assert len(double.sessions) == 2


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        (ProviderFault.UNAVAILABLE, Fault(after=2, ws_close=(1000, ""))),
        (ProviderFault.UNAVAILABLE, Fault(after=2, drop=True)),
        (ProviderFault.INVALID, Fault(after=2, ws_garbage="{")),
        (ProviderFault.INVALID, Fault(after=3, event={"type": "response.output_audio.delta"})),
        (ProviderFault.QUOTA, Fault(after=3, event={"type": "error", "error": {"code": "insufficient_quota"}})),
    ],
)  # fmt: skip
async def test_a_socket_lost_before_any_sound(double, kind, fault):
    double.fail("/realtime", fault)
    assert (await fails(double))[0] is kind


@pytest.mark.asyncio
async def test_a_request_that_is_refused_concerns_its_text_alone(double):
    refused = {"type": "invalid_request_error", "code": "invalid_value", "event_id": "piece-2"}
    double.readings += [Says("one. ", "more", held_after=1), Stalls()]
    async with service(double) as tts, speaking(tts, "one. more") as first:
        begun = await anext(first)
        async with speaking(tts, "two") as second:
            await until(lambda: len(double.sessions[0].responses.running) == 2)
            double.sessions[0].emit_raw({"type": "error", "error": refused})
            with pytest.raises(ProviderError) as raised:
                await anext(second)
        double.go_on.set()
        assert length_ms([begun] + [chunk async for chunk in first]) == 9 * 60
    assert raised.value.kind is ProviderFault.REFUSED


@pytest.mark.asyncio
async def test_events_that_nobody_knows_harm_nothing(double):
    double.fail("/realtime", Fault(after=4, event={"type": "session.sneezed"}))
    async with service(double) as tts:
        assert length_ms(await spoken(tts)) == len(TEXT) * 60


@pytest.mark.asyncio
async def test_who_listens_slowly_keeps_the_socket(double, monkeypatch):
    hasty = partial(sockets.SocketLimits, ping_interval_s=0.1, ping_timeout_s=0.1)
    monkeypatch.setattr(sockets, "SocketLimits", hasty)
    double.ms_per_char = 400
    async with service(double) as tts:
        async with speaking(tts) as chunks:
            heard = [await anext(chunks)]
            await asyncio.sleep(0.5)  # a socket that nobody reads would be taken for dead by now
            heard += [chunk async for chunk in chunks]
        assert length_ms(heard) == len(TEXT) * 400
        assert await spoken(tts, "Hi")
    assert len(double.sessions) == 1


@pytest.mark.asyncio
async def test_a_session_is_replaced_before_its_hour_is_over(double):
    clock = FakeClock()
    double.readings.append(Says("one. ", "more", held_after=1))
    async with service(double, clock) as tts:
        async with speaking(tts, "one. more") as chunks:
            begun = await anext(chunks)
            await clock.advance(49 * 60_000)
            assert len(double.sessions) == 1
            await clock.advance(60_000)
            await until(lambda: len(double.sessions) == 2)
            assert await spoken(tts, "two")
            assert double.sessions[0].open
            double.go_on.set()
            assert length_ms([begun] + [chunk async for chunk in chunks]) == 9 * 60
        await double.asked[0].over.wait()
        assert double.asked[0].close_code == 1000
    assert len(received(double, "response.create")) == 1


@pytest.mark.asyncio
async def test_the_call_may_end_at_any_moment(double):
    began = asyncio.get_running_loop().time()
    async with service(double) as tts:
        tts.warm()
    double.readings.append(Stalls())
    async with service(double) as tts, speaking(tts) as chunks:
        await until(lambda: double.sessions and double.sessions[-1].responses.running)
        await tts.__aexit__(None, None, None)
        with pytest.raises(ProviderError):
            await anext(chunks)
    double.fail("/realtime", Fault(stall_headers=True))
    async with service(double) as tts:
        tts.warm()
        await until(lambda: double.busy)
    assert asyncio.get_running_loop().time() - began < 2


@pytest.mark.asyncio
async def test_it_serves_only_a_call(double):
    tts = RealtimeVoice(Server(double.base_url), "gpt-mini", clock=MonotonicClock())
    tts.warm()
    with pytest.raises(RuntimeError):
        await spoken(tts)
    assert double.asked == []


def test_every_event_of_the_sdk_is_handled_or_ignored_on_purpose():
    known = {
        kind.model_fields["type"].annotation.__args__[0]
        for kind in RealtimeServerEvent.__origin__.__args__
    }
    older = {"response.audio.delta", "response.audio_transcript.delta"}
    assert known - HANDLED_EVENTS - IGNORED_EVENTS == set()
    assert (HANDLED_EVENTS | IGNORED_EVENTS) - known == older
    assert set() == HANDLED_EVENTS & IGNORED_EVENTS
