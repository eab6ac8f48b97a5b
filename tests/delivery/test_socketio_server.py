"""Socket.IO connections, by polling and by WebSocket, with calls of doubles behind them."""

import asyncio
import base64
import json
import logging
from dataclasses import replace

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calls import wiring
from calls.conf import calls_settings
from calls.consumers import engineio as door
from calls.consumers import socketio
from calls.consumers.socketio import SocketIO
from calls.domain import events as ev
from calls.domain.errors import CallError, EndReason, ErrorCode
from calls.ports.client import AudioFrame
from tests.delivery.composition import Composition
from tests.delivery.engineio import HEADERS, OPENED, Polling, Request, Socket, event_packet
from tests.doubles.voice import Wait, Words, milliseconds
from tests.engine import bench
from tests.engine.bench import caller_sound
from tests.servers import ROOT

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(30)]


class Calls(Composition):
    """Calls with ids of their own: several of them end in one test."""

    async def open_call(self, hello, *, client, visit):
        bench.INFO = replace(bench.INFO, call_id=f"c{len(self.hellos)}")
        return await super().open_call(hello, client=client, visit=visit)


@pytest_asyncio.fixture
async def composition(monkeypatch):
    monkeypatch.setattr(bench, "INFO", bench.INFO)
    made = Calls()
    made.install(monkeypatch)
    yield made
    for socket in tuple(OPENED):
        await socket.gone()
    await made.close()


@pytest.fixture
def served():
    """The application under test: a fresh one, with nobody connected."""
    return SocketIO()


PAGE = (ROOT / "docs/protocols/socketio.md").read_text()
TRANSPORTS = [pytest.param(Polling, id="polling"), pytest.param(Socket, id="websocket")]


def encoded(pcm):
    return base64.b64encode(pcm).decode()


def decoded(deltas):
    return b"".join(base64.b64decode(delta) for delta in deltas)


async def started(client, auth=None):
    await client.open(auth)
    await client.emit("start")
    return await client.event("backend_ready")


async def until(condition):
    """Wait for something that the library does in tasks of its own."""
    async with asyncio.timeout(2):
        while not condition():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.001)


async def freed(served):
    """Wait until nothing of any connection is left."""
    server = served.server
    await until(lambda: not (len(served) or server.manager.rooms or server.environ))


# The beginning


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_call_begins_with_start(composition, served, transport):
    client = transport(served, campaign="spring")
    assert await started(client) == {"message": "Demo agent is ready."}
    (hello,), (about,) = composition.hellos, composition.clients
    assert (hello.agent, hello.metadata) == ("demo", {"campaign": "spring"})
    assert about == {"protocol": "socketio", "user_agent": "tests"}
    (live,) = composition.calls
    assert live.runner.client is not None


@pytest.mark.parametrize(
    ("query", "auth"), [({"agent": "other"}, None), ({"agent": "demo"}, {"agent": "other"})]
)
async def test_the_agent_is_named_in_the_handshake(composition, served, query, auth):
    client = Socket(served, **query)
    await client.open(auth)
    await client.emit("start")
    error = await client.event("openai_error")
    assert error["error"]["code"] == "no_such_agent"
    assert composition.hellos[0].agent == "other"


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_second_start_is_harmless(composition, served, transport):
    client = transport(served)
    await started(client)
    await client.emit("start")
    await client.emit("stop")
    assert len(composition.calls) == 1
    assert client.of("openai_error") == []


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_connection_without_start_is_no_call(composition, served, transport):
    client = transport(served)
    await client.open()
    await client.emit("audio_chunk", encoded(bytes(100)))
    await client.emit("stop")
    assert composition.hellos == []
    assert len(served) == 1


@pytest.mark.parametrize(
    ("error", "code", "kind"),
    [
        (CallError(ErrorCode.BUSY, "Not now."), "busy", "invalid_request_error"),
        (CallError(ErrorCode.DRAINING, "Not now."), "draining", "invalid_request_error"),
        (ZeroDivisionError("geheim"), "internal", "server_error"),
    ],
)
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_call_that_cannot_begin_is_told_and_disconnected(
    composition, served, caplog, transport, error, code, kind
):
    composition.refuses = error
    client = transport(served)
    await client.open()
    await client.emit("start")
    told = await client.event("openai_error")
    assert (told["type"], told["error"]["type"], told["error"]["code"]) == ("error", kind, code)
    await client.until(lambda: client.disconnected)
    assert "geheim" not in caplog.text
    assert len(served) == 0


async def test_sound_that_comes_while_the_call_begins_is_kept(composition, served, monkeypatch):
    go = asyncio.Event()

    async def slowly(hello, *, client, visit):
        await go.wait()
        return await composition.open_call(hello, client=client, visit=visit)

    monkeypatch.setattr(wiring, "open_call", slowly)
    client = Polling(served)
    await client.open()
    async with asyncio.TaskGroup() as group:
        group.create_task(client.emit("start"))
        await asyncio.sleep(0)
        for number in range(10):
            await client.emit("audio_chunk", encoded(bytes([number, 0]) * 480))
        go.set()
    await client.event("backend_ready")
    (live,) = composition.calls
    assert live.intake.position == 10 * 480


async def test_a_client_that_leaves_while_its_call_begins_ends_it(composition, served, monkeypatch):
    go = asyncio.Event()

    async def slowly(hello, *, client, visit):
        await go.wait()
        return await composition.open_call(hello, client=client, visit=visit)

    monkeypatch.setattr(wiring, "open_call", slowly)
    client = Polling(served)
    await client.open()
    async with asyncio.TaskGroup() as group:
        group.create_task(client.emit("start"))
        await asyncio.sleep(0)
        await client.leave()
        go.set()
    (live,) = composition.calls
    await live.clock.settle()
    assert live.records.reason is EndReason.CALLER_HUNG_UP
    await freed(served)


# The call


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_text_and_sound_go_both_ways(composition, served, transport):
    client = transport(served)
    await started(client)
    (live,) = composition.calls
    live.voice.hears.append("Hello")
    live.voice.answers.append([Words("Hello ", 300), Words("yourself.", 250)])
    sound = caller_sound(0, 640) + bytes(32 * 1_000)
    # The microphone's double is at 16 kHz, the client's at 24: every second sample comes twice.
    for at in range(0, len(sound), 2_720):
        await client.emit("audio_chunk", encoded(faster(sound[at : at + 2_720])))
        if transport is Socket:
            await client.hear()
        await live.clock.advance(85)
    await live.clock.advance(1_000)
    assert await client.event("transcription_final") == "Hello"
    assert await client.event("response_transcript_final") == "Hello yourself."
    partials = client.of("response_transcript_partial")
    assert [partial["delta"] for partial in partials] == ["Hello ", "yourself."]
    deltas = client.of("response_audio_delta")
    assert client.of("response_audio") == [deltas]
    assert milliseconds(decoded(deltas)) == [*range(550)]
    assert max(len(decoded([delta])) for delta in deltas) <= 200 * 48


def faster(pcm):
    """The same at 24 kHz."""
    samples = memoryview(pcm).cast("h")
    out = []
    for at in range(0, len(samples), 2):
        pair = samples[at : at + 2]
        out += [pair[0], pair[0], pair[-1]]
    return memoryview(bytearray(2 * len(out))).cast("h").tobytes() if not out else _packed(out)


def _packed(samples):
    return b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples)


async def test_an_interruption_is_told_by_backend_ready(composition, served):
    client = Socket(served)
    await started(client)
    (live,) = composition.calls
    live.voice.answers.append([Words("One two three four.", 4_000), Wait()])
    live.runner.post(ev.TextTyped(text="Count"))
    await client.event("response_audio_delta")
    await client.hear()
    await live.clock.advance(300)
    live.runner.post(ev.SpeechStarted())
    await client.event("response_transcript_final")
    names = client.names()
    assert names[-3:] == ["backend_ready", "response_audio", "response_transcript_final"]
    assert client.of("response_audio") == [client.of("response_audio_delta")]
    await client.gone()


async def test_stop_ends_the_turn_at_once(composition, served):
    client = Socket(served)
    await started(client)
    (live,) = composition.calls
    live.voice.hears.append("Hello")
    for at in range(0, 1_000, 100):
        await client.emit("audio_chunk", encoded(faster(caller_sound(at, 100))))
        await client.hear()
        await live.clock.advance(100)
    await client.emit("stop")
    assert await client.event("transcription_final") == "Hello"
    assert len(live.voice.utterances[0]) > 32 * 900
    await client.emit("stop")
    await client.hear()
    assert client.of("openai_error") == []
    assert live.voice.whats().count("commit") == 1
    await client.gone()


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_hundred_chunks_keep_their_order(composition, served, transport):
    client = transport(served)
    await started(client)
    (live,) = composition.calls
    taken = []
    real = live.intake.take_next
    live.intake.take_next = lambda pcm: (taken.append(pcm), real(pcm))
    chunks = [number.to_bytes(2, "little") * 480 for number in range(100)]
    packets = [event_packet("audio_chunk", encoded(chunk)) for chunk in chunks]
    if transport is Polling:
        await client.post(*packets)
    else:
        for packet in packets:
            await client.send(packet)
        await until(lambda: len(taken) >= 100)
    assert taken == chunks


async def test_two_clients_are_two_calls(composition, served):
    first, second = Socket(served), Polling(served)
    await started(first)
    await started(second)
    one, other = composition.calls
    one.voice.answers.append([Words("For the first.", 100)])
    one.runner.post(ev.TextTyped(text="Hello"))
    assert await first.event("response_transcript_final") == "For the first."
    await second.emit("audio_chunk", encoded(bytes(960)))
    assert (one.intake.position, other.intake.position) == (0, 480)
    await first.gone()
    assert one.runner.client is None
    assert other.runner.client is not None
    assert second.names() == ["backend_ready"]


# The end


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_client_that_leaves_has_hung_up_and_nothing_is_left(composition, served, transport):
    client = transport(served)
    await started(client)
    (live,) = composition.calls
    if transport is Polling:
        await client.leave()
    else:
        await client.gone()
    await live.clock.settle()
    assert live.records.reason is EndReason.CALLER_HUNG_UP
    await freed(served)


async def test_a_client_that_breaks_off_its_poll_has_hung_up(composition, served):
    client = Polling(served)
    await started(client)
    (live,) = composition.calls
    request = client.request()
    async with asyncio.TaskGroup() as group:
        group.create_task(request.run())
        await asyncio.sleep(0.01)
        request.gone.set()
    await live.clock.settle()
    assert live.records.reason is EndReason.CALLER_HUNG_UP
    await freed(served)
    assert served.server.eio.sockets == {}


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_the_end_of_the_call_disconnects_its_client(composition, served, transport):
    client = transport(served)
    await started(client)
    (live,) = composition.calls
    live.runner.post(ev.EndAsked(reason=EndReason.STAFF_ENDED))
    await client.until(lambda: client.disconnected)
    assert client.of("openai_error") == []
    await until(lambda: not len(served))


async def test_a_failed_call_is_told_before_the_end(composition, served):
    client = Socket(served)
    await started(client)
    (live,) = composition.calls
    live.voice.emit(ev.VoiceFailed(stage=ev.Stage.VOICE, message="gone", fatal=True))
    await live.clock.advance(5_000)
    await client.until(lambda: client.disconnected or client.of("openai_error"))
    assert client.of("openai_error")[0]["error"]["type"] == "server_error"
    assert len(client.of("openai_error")) == 1


async def test_who_connects_again_begins_a_new_call(composition, served):
    client = Socket(served)
    await started(client)
    await client.gone()
    again = Socket(served)
    await started(again)
    first, second = composition.calls
    assert first.runner is not second.runner
    assert again.connected["sid"] != client.connected["sid"]


async def test_at_the_end_of_the_server_idle_clients_are_let_go(composition, served):
    idle, calling = Socket(served), Socket(served)
    await idle.open()
    await started(calling)
    await served.shutdown()
    await idle.until(lambda: idle.disconnected)
    await calling.hear()
    assert not calling.disconnected, "its call ends by itself, and says goodbye"
    await wiring.registry().drain()
    await calling.until(lambda: calling.disconnected)


# Bounds


async def test_sound_that_comes_too_fast_disconnects(composition, served):
    client = Socket(served)
    await started(client)
    (live,) = composition.calls
    for _ in range(20):
        await client.emit("audio_chunk", encoded(bytes(48_000)))
        await client.hear()
    await client.until(lambda: client.disconnected)
    assert client.of("openai_error")[0]["error"]["code"] == "too_fast"
    assert 14 <= live.intake.position / 24_000 <= 16


async def test_events_that_come_too_fast_disconnect(composition, served):
    client = Polling(served)
    await started(client)
    await client.post(*[event_packet("stop")] * 45)
    await client.until(lambda: client.disconnected)
    assert client.of("openai_error")[0]["error"]["code"] == "too_fast"


async def test_packets_of_no_meaning_that_come_too_fast_close_the_socket(composition, served):
    client = Socket(served)
    await started(client)
    (live,) = composition.calls
    for _ in range(door.PACKETS_RESERVE + 20):
        await client.send("3")
    await live.clock.settle()
    await until(lambda: live.runner.over)
    await freed(served)


async def test_a_client_that_takes_nothing_is_let_go(composition, served):
    client = Polling(served)
    await started(client)
    (live,) = composition.calls
    connection = live.runner.client
    for number in range(socketio.MOST_WAITING + 2):
        await connection.send(AudioFrame(1, number, bytes(96)))
    assert live.runner.client is None
    await until(lambda: not len(served))
    (socket,) = served.server.eio.sockets.values()
    assert socket.queue.qsize() <= 2


async def test_what_is_too_large_ends_the_connection(composition, served):
    client = Socket(served)
    await started(client)
    (live,) = composition.calls
    await client.emit("audio_chunk", "A" * 1_000_000)
    await until(lambda: live.runner.over)


async def test_a_body_that_is_too_large_ends_the_connection(composition, served):
    client = Polling(served)
    await started(client)
    (live,) = composition.calls
    answer = await client.post(event_packet("audio_chunk", "A" * 1_000_000))
    assert answer.status == 413
    await live.clock.settle()
    assert live.runner.over


async def test_a_body_of_too_many_packets_ends_the_connection(composition, served):
    client = Polling(served)
    await started(client)
    (live,) = composition.calls
    assert (await client.post(*["3"] * (door.PACKETS_IN_A_POST + 1))).status == 413
    await live.clock.settle()
    assert live.runner.over


async def test_more_connections_than_there_are_places_are_refused(composition, served, monkeypatch):
    monkeypatch.setattr(door, "MOST_CONNECTIONS", 1)
    await Polling(served).open()
    answer = await Polling(served).request().run()
    assert answer.status == 503
    connected, _ = await Socket(served).wire.connect()
    assert not connected


async def test_the_limits_of_the_page_are_those_of_the_code():
    for figure in (
        f"| {door.PACKETS_IN_A_POST} |",
        f"| {door.PACKETS_PER_S} a second, with a reserve of {door.PACKETS_RESERVE};",
        f"| {door.MOST_CONNECTIONS:,} in a process;",
        f"| {socketio.MOST_WAITING};",
        f"pings every {socketio.PING_INTERVAL_S} s, answered within {socketio.PING_TIMEOUT_S} s;",
    ):
        assert figure in PAGE


# Who may in


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 200),
        ([(b"origin", b"http://localhost")], 200),
        ([(b"origin", b"http://page.example:5173")], 200),
        ([(b"origin", b"http://page.example")], 403),
        ([(b"origin", b"https://localhost")], 403),
        ([(b"origin", b"http://evil.example")], 403),
        ([(b"origin", b"null")], 403),
        ([(b"origin", b"http://[")], 403),
        ([(b"origin", b"http://localhost"), (b"origin", b"http://evil.example")], 403),
    ],
)
async def test_pages_may_in_by_their_origin(composition, served, settings, headers, status):
    settings.CALLS = settings.CALLS | {"ALLOWED_ORIGINS": ["http://page.example:5173"]}
    assert calls_settings().allowed_origins
    request = Polling(served).request(headers=[*HEADERS, *headers])
    answer = await request.run()
    assert answer.status == status
    allowed = answer.headers.get("access-control-allow-origin", "").encode()
    assert allowed == (dict(headers).get(b"origin", b"") if status == 200 else b"")
    connected, _ = await Socket(served, headers=[*HEADERS, *headers]).wire.connect()
    assert connected == (status == 200)


async def test_another_name_for_this_server_is_no_origin(served):
    headers = [(b"host", b"evil.example"), (b"user-agent", b"tests")]
    assert (await Polling(served).request(headers=headers).run()).status == 403


@pytest.mark.parametrize(
    ("query", "method", "status"),
    [
        ({"EIO": "3"}, "GET", 400),
        ({"transport": "telepathy"}, "GET", 400),
        ({"transport": "websocket"}, "GET", 400),
        ({"j": "0"}, "GET", 400),
        ({"sid": "nobody"}, "GET", 400),
        ({"sid": "nobody"}, "POST", 400),
        ({}, "POST", 400),
        ({}, "DELETE", 405),
        ({}, "OPTIONS", 200),
    ],
)
async def test_requests_that_mean_nothing_are_answered(served, query, method, status):
    about = {"EIO": "4", "transport": "polling"} | query
    answer = await Request(served, about, method=method).run()
    assert answer.status == status
    assert served.server.eio.sockets == {}


# What no client would send


ODD_PACKETS = [
    "",
    "9",
    "x",
    "2",
    "2probe",
    "3",
    "5",
    "6",
    "4",
    "4[",
    "4" + "[" * 100_000,
    "40",
    "40{",
    "40/admin,",
    "41/admin,",
    "42",
    "42{",
    "42[]",
    "42[[]]",
    "42[null]",
    "42{}",
    '42"start"',
    "42" + "[" * 100_000,
    '42["audio_chunk",NaN]',
    '42["audio_chunk",1e999]',
    '42["audio_chunk",' + "9" * 200 + "]",
    '42["audio_chunk","\\ud800"]',
    '42["*","start"]',
    '42["connect",{},{"agent":"other"}]',
    '42["connect"]',
    '42["message","x"]',
    "42" + "7" * 150 + '["start"]',
    '421["start"]',
    "43",
    "431[]",
    '43999["x"]',
    "44",
    '451-["audio_chunk",{"_placeholder":true,"num":0}]',
    "459999999999-[]",
    "46",
    "47",
    "４２[]",
    b"\x00\x01",
    b"",
]


@pytest.mark.parametrize("packet", ODD_PACKETS, ids=range(len(ODD_PACKETS)))
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_the_call_goes_on_after_an_odd_packet(composition, served, caplog, transport, packet):
    client = transport(served)
    await started(client)
    (live,) = composition.calls
    if transport is Socket:
        await client.send(packet)
    else:
        text = packet if isinstance(packet, str) else "b" + encoded(packet)
        assert (await client.post(text)).status == 200
    await client.emit("audio_chunk", encoded(bytes(960)))
    if transport is Socket:
        await client.hear()
    assert live.intake.position == 480
    assert not live.runner.over
    assert client.of("openai_error") == []
    assert len(composition.calls) == 1
    assert not any(record.exc_info or record.levelno >= logging.ERROR for record in caplog.records)


@pytest.mark.parametrize("packet", ["1", "41", '42["disconnect","x"]'])
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_client_may_leave_in_many_ways(composition, served, transport, packet):
    client = transport(served)
    await started(client)
    (live,) = composition.calls
    if transport is Socket:
        await client.send(packet)
        for _ in range(60):
            await asyncio.sleep(0)
    else:
        await client.post(packet)
    await live.clock.settle()
    assert live.records.reason is EndReason.CALLER_HUNG_UP
    await until(lambda: not len(served))


PACKETS = st.one_of(
    st.text(max_size=50),
    st.text(max_size=50).map("42".__add__),
    st.lists(st.text(max_size=9) | st.integers() | st.none(), max_size=4).map(
        lambda value: "42" + json.dumps(value)
    ),
    st.binary(max_size=20),
    st.sampled_from(ODD_PACKETS),
    st.sampled_from(["1", "41", "40", event_packet("start"), event_packet("stop")]),
)


@pytest.mark.timeout(120)
@given(packets=st.lists(PACKETS, max_size=12))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
async def test_whatever_is_sent_other_calls_are_unharmed(composition, caplog, packets):
    served = SocketIO()
    other, client = Socket(served), Socket(served)
    await started(other)
    await client.open()
    for packet in packets:
        await client.send(packet)
    await other.hear()
    await client.gone()
    await other.emit("audio_chunk", encoded(bytes(960)))
    await other.hear()
    assert other.names() == ["backend_ready"]
    assert len(served) == 1
    assert not any(record.exc_info or record.levelno >= logging.ERROR for record in caplog.records)
    await other.gone()
    await freed(served)


@given(packets=st.lists(PACKETS, max_size=12))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
async def test_whatever_is_posted_is_answered(composition, caplog, packets):
    served = SocketIO()
    client = Polling(served)
    await started(client)
    body = "\x1e".join(str(packet) for packet in packets).encode(errors="replace")
    answer = await client.request(method="POST", body=body).run()
    assert answer.status == 200
    await client.post("41", "1")
    assert not any(record.exc_info or record.levelno >= logging.ERROR for record in caplog.records)
    await freed(served)


# Upgrades


async def test_an_upgrade_keeps_the_call(composition, served):
    client = Polling(served)
    await started(client)
    (live,) = composition.calls
    upgrade = Socket(served, client.query["sid"])
    assert (await upgrade.wire.connect())[0]
    await upgrade.send("2probe")
    assert await upgrade.next() == "3probe"
    await client.poll()
    await upgrade.send("5")
    await upgrade.emit("audio_chunk", encoded(bytes(960)))
    await upgrade.hear()
    assert live.intake.position == 480
    live.runner.post(ev.TextTyped(text="Hello"))
    assert await upgrade.event("response_transcript_final") == "Yes."
    await upgrade.gone()
    await live.clock.settle()
    assert live.records.reason is EndReason.CALLER_HUNG_UP


@pytest.mark.parametrize("packets", [[], ["2probe"], ["41"], ["5"], ["2probe", "41"]])
async def test_an_upgrade_that_comes_to_nothing_leaves_polling(composition, served, packets):
    client = Polling(served)
    await started(client)
    (live,) = composition.calls
    upgrade = Socket(served, client.query["sid"])
    assert (await upgrade.wire.connect())[0]
    for packet in packets:
        await upgrade.send(packet)
    await upgrade.gone()
    live.runner.post(ev.TextTyped(text="Hello"))
    assert await client.event("response_transcript_final") == "Yes."
    assert not live.runner.over
