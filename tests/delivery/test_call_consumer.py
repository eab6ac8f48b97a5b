"""The socket's end of a call: through the real routes, with calls of doubles behind it."""

import json
import struct
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import pytest_asyncio
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.testing import WebsocketCommunicator
from django.db.backends.utils import CursorWrapper

from calls.consumers.client import SocketClient
from calls.domain import effects as do
from calls.domain import events as ev
from calls.domain.errors import CallError, EndReason, ErrorCode
from calls.wire import browser
from calls.wire.base import CLOSE_CODES
from calls.wire.browser import Browser
from tests.delivery.composition import START, Composition, Socket
from tests.doubles.voice import Words, milliseconds
from tests.engine.bench import caller_milliseconds, caller_sound

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def composition(monkeypatch):
    made = Composition()
    made.install(monkeypatch)
    yield made
    await made.close()


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(browser, "START_MS", 20)


def fatal(socket):
    return [error["code"] for error in socket.of("error") if error["fatal"]]


# The beginning


async def test_a_call_begins_with_its_first_message(composition):
    socket = Socket()
    ready = await socket.start(language="de", metadata={"page": "/pricing"})
    assert (ready["v"], ready["resumed"], ready["microphone_position"]) == (1, False, 0)
    assert ready["agent"] == {"slug": "demo", "name": "Demo agent"}
    assert ready["providers"] == {
        "stt": "scripted-stt",
        "llm": "scripted-llm",
        "tts": "scripted-tts",
    }
    (hello,), (client,) = composition.hellos, composition.clients
    assert (hello.language, hello.metadata) == ("de", {"page": "/pricing"})
    assert client == {"user_agent": "tests", "protocol": "browser"}
    await socket.gone()


@pytest.mark.parametrize("path", ["/ws/call/", "/ws/call/demo/"])
async def test_the_agent_is_named_by_address_or_message(composition, path):
    socket = Socket(path)
    fields = {} if path == "/ws/call/" else {"agent": ""}
    assert (await socket.start(**fields))["agent"]["slug"] == "demo"
    await socket.gone()


async def test_a_call_begins_the_way_its_first_message_says(composition):
    socket = Socket()
    ready = await socket.start(turns="push_to_talk", microphone={"rate_hz": 48_000})
    (bench,) = composition.calls
    assert ready["turns"] == "push_to_talk"
    await socket.microphone(0, bytes(2 * 4_080))
    await socket.hear()
    taken = b"".join(piece.pcm for piece in bench.recording.pieces["caller"])
    assert len(taken) // 2 == pytest.approx(4_080 // 3, abs=40)
    await socket.gone()


async def refusal(socket, *frames):
    """Open, send, and see what comes of it."""
    await socket.open()
    for frame in frames:
        if isinstance(frame, bytes):
            await socket.send_to(bytes_data=frame)
        else:
            await socket.say(frame)
    code = await socket.closed()
    assert [error["fatal"] for error in socket.of("error")] == [True]
    return code, fatal(socket)


async def test_nothing_is_said_in_time(composition, impatient):
    assert await refusal(Socket()) == (4408, ["start_timeout"])


@pytest.mark.parametrize(
    ("frame", "code", "error"),
    [
        pytest.param("hello", 4400, "bad_message", id="no JSON"),
        pytest.param(b"\x00\x00\x00\x00", 4400, "bad_message", id="sound"),
        pytest.param({"type": "ping", "t": 1}, 4400, "bad_message", id="no start"),
        pytest.param(START | {"v": 2}, 4400, "bad_message", id="another version"),
        pytest.param(START | {"agent": "other"}, 4400, "bad_message", id="two agents"),
        pytest.param(START | {"pad": "x" * 8_192}, 4413, "too_large", id="too large"),
    ],
)
async def test_a_bad_first_message_is_explained(composition, frame, code, error):
    assert await refusal(Socket(), frame) == (code, [error])
    assert composition.calls == []


async def test_an_unknown_agent(composition):
    socket = Socket("/ws/call/nobody/")
    assert await refusal(socket, START | {"agent": "nobody"}) == (4404, ["no_such_agent"])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ErrorCode.BUSY, 4503),
        (ErrorCode.DRAINING, 4503),
        (ErrorCode.UNAUTHORIZED, 4401),
        (ErrorCode.INTERNAL, 4502),
    ],
)
async def test_a_call_that_is_refused_says_why(composition, error, code):
    composition.refuses = CallError(error, "Not now.")
    assert await refusal(Socket(), START) == (code, [error])


async def test_a_defect_at_the_beginning_is_told_and_not_explained(composition, caplog):
    composition.refuses = ZeroDivisionError("geheim")
    assert await refusal(Socket(), START) == (4502, ["internal"])
    assert "geheim" not in caplog.text


async def test_every_code_of_a_refusal_is_on_the_page():
    for error in ErrorCode:
        assert 4400 <= CLOSE_CODES.get(error, 4400) < 5000


async def test_a_client_that_leaves_before_it_speaks(composition):
    socket = Socket()
    await socket.open()
    await socket.gone()
    assert composition.calls == []


# The call


async def test_text_and_sound_go_both_ways(composition):
    socket = Socket()
    await socket.start()
    (bench,) = composition.calls
    bench.voice.hears.append("Hello")
    bench.voice.answers.append([Words("Hello yourself.", 300)])
    sound = caller_sound(0, 640) + bytes(32 * 1_000)
    for at in range(0, len(sound), 640):
        await socket.microphone(at // 2, sound[at : at + 640])
        await bench.clock.advance(20)
    await bench.clock.advance(1_000)
    await socket.hear()
    said = [ms for ms in caller_milliseconds(bench.voice.utterances[0]) if ms >= 0]
    assert said == list(range(640))
    assert socket.of("transcript")[-1]["text"] == "Hello"
    assert socket.of("item")[0]["item"]["text"] == "Hello"
    heads = [struct.unpack_from("<II", frame) for frame in socket.sound]
    assert {response_id for response_id, _ in heads} == {1}
    assert [ms for frame in socket.sound for ms in milliseconds(frame[8:])] == list(range(300))
    await socket.gone()


async def test_a_ping_is_answered(composition):
    socket = Socket()
    await socket.start()
    await socket.say({"type": "ping", "t": 77})
    assert (await socket.until("pong"))["t"] == 77
    await socket.gone()


@pytest.mark.parametrize(
    "frame",
    ["{", '{"type": "dance"}', '{"type": "text", "text": ""}', b"\x00", START],
    ids=["no JSON", "unknown", "empty", "half a position", "a second start"],
)
async def test_a_bad_message_is_answered_and_the_call_goes_on(composition, frame):
    socket = Socket()
    await socket.start()
    if isinstance(frame, bytes):
        await socket.send_to(bytes_data=frame)
    else:
        await socket.say(frame)
    error = await socket.until("error")
    assert (error["code"], error["fatal"]) == ("bad_message", False)
    await socket.say({"type": "ping", "t": 1})
    await socket.until("pong")
    await socket.gone()


async def test_every_order_of_the_page_reaches_the_call(composition):
    socket = Socket()
    await socket.start()
    (bench,) = composition.calls
    await socket.say({"type": "turns", "mode": "push_to_talk"})
    await socket.say({"type": "talk", "pressed": True})
    await socket.hear()
    assert bench.intake.push_to_talk
    assert bench.runner.listens
    await socket.microphone(0, caller_sound(0, 100))
    await socket.say({"type": "mute", "muted": True})
    await socket.microphone(1_600, caller_sound(100, 100))
    await socket.say({"type": "mute", "muted": False})
    await socket.say({"type": "talk", "pressed": False})
    await socket.hear()
    assert caller_milliseconds(bench.voice.utterances[0]) == list(range(100))
    await socket.say({"type": "text", "text": " typed "})
    await socket.until("item")
    assert socket.messages[-1]["item"]["text"] == "typed"
    await socket.hear()
    await bench.clock.advance(100)
    await socket.say({"type": "played", "response_id": 1, "played_ms": 50, "buffered_ms": 10})
    await socket.hear()
    assert bench.runner.state.response.played_ms == 50
    await socket.say({"type": "hang_up"})
    assert (await socket.until("end"))["reason"] == "caller_hung_up"
    assert await socket.closed() == 1000


async def test_a_cut_tells_what_was_heard(composition):
    socket = Socket()
    await socket.start()
    (bench,) = composition.calls
    bench.voice.answers.append([Words("One two three four.", 4_000)])
    await socket.say({"type": "text", "text": "Count"})
    await socket.hear()
    await socket.say({"type": "played", "response_id": 1, "played_ms": 300, "buffered_ms": 100})
    await socket.hear()
    bench.runner.post(ev.SpeechStarted())
    await socket.until("clear")
    await socket.say({"type": "cut", "response_id": 1, "played_ms": 333})
    await socket.hear()
    settled = [effect for effect in bench.effects if isinstance(effect, do.SettleHeard)]
    assert settled == [do.SettleHeard(1, 333)]
    await socket.gone()


# Bounds


async def test_sound_that_comes_too_fast_closes_the_socket_and_not_the_call(composition):
    socket = Socket()
    await socket.start()
    (bench,) = composition.calls
    frame = bytes(8_188)
    for number in range(70):
        await socket.microphone(number * 4_094, frame)
    assert await socket.closed() == 4429
    assert fatal(socket) == ["too_fast"]
    taken_ms = bench.intake.position / 16
    assert 14_500 <= taken_ms <= 15_500
    await socket.gone()
    assert not bench.runner.over


async def test_many_small_frames_are_too_fast_as_well(composition):
    socket = Socket()
    await socket.start()
    for _ in range(1_600):
        await socket.send_to(bytes_data=b"\x00\x00\x00\x00")
    assert await socket.closed() == 4429
    await socket.gone()


async def test_what_a_page_kept_for_ten_seconds_is_not_too_fast(composition):
    socket = Socket()
    await socket.start(microphone={"rate_hz": 48_000})
    (bench,) = composition.calls
    for number in range(320):
        await socket.microphone(number * 1_536, bytes(3_072))
    await socket.say({"type": "ping", "t": 1})
    await socket.until("pong")
    assert bench.intake.position == 320 * 1_536
    await socket.gone()


async def test_text_that_comes_too_fast(composition):
    socket = Socket()
    await socket.start()
    for number in range(45):
        await socket.say({"type": "ping", "t": number})
    assert await socket.closed() == 4429
    assert 40 <= len(socket.of("pong")) <= 42
    await socket.gone()


@pytest.mark.parametrize("frame", ["x" * 16_385, bytes(8_194)], ids=["text", "sound"])
async def test_a_message_that_is_too_large(composition, frame):
    socket = Socket()
    await socket.start()
    if isinstance(frame, bytes):
        await socket.send_to(bytes_data=frame)
    else:
        await socket.say(frame)
    assert await socket.closed() == 4413
    assert fatal(socket) == ["too_large"]
    await socket.gone()
    assert not composition.calls[0].runner.over


# Coming back


def resume(ready, played=None, secret=None):
    return {
        "call_id": ready["call_id"],
        "secret": secret or ready["resume_secret"],
        "played": played,
    }


async def test_a_client_comes_back_into_its_call(composition):
    socket = Socket()
    ready = await socket.start()
    (bench,) = composition.calls
    bench.voice.answers.append([Words("A long answer.", 3_000)])
    await socket.say({"type": "text", "text": "Go on"})
    await socket.microphone(0, bytes(3_200))
    await socket.hear()
    await socket.gone()
    assert bench.runner.client is None

    again = Socket()
    played = {"response_id": 1, "played_ms": 240}
    back = await again.start(resume=resume(ready, played))
    await again.hear()
    assert (back["resumed"], back["call_id"]) == (True, ready["call_id"])
    assert back["resume_secret"] != ready["resume_secret"]
    assert back["microphone_position"] == 1_600
    kinds = [message["type"] for message in again.messages]
    assert kinds[0] == "ready"
    assert again.of("item")[0]["item"]["text"] == "Go on"
    assert struct.unpack_from("<II", again.sound[0]) == (1, 240)
    await again.gone()


@pytest.mark.parametrize("wrong", ["secret", "call", "old secret"])
async def test_a_wrong_key_opens_no_call(composition, wrong):
    socket = Socket()
    ready = await socket.start()
    key = resume(ready)
    if wrong == "old secret":
        second = Socket()
        await second.start(resume=resume(ready))
    elif wrong == "secret":
        key["secret"] = "guess"
    else:
        key["call_id"] = "c2"
    assert await refusal(Socket(), START | {"resume": key}) == (4410, ["ended"])
    if wrong == "old secret":
        await second.gone()
    else:
        assert composition.calls[0].runner.client is not None, "and disturbs none"
    await socket.gone()


async def test_a_call_that_is_over_is_not_come_back_into(composition):
    socket = Socket()
    ready = await socket.start()
    await socket.say({"type": "hang_up"})
    await socket.closed()
    assert await refusal(Socket(), START | {"resume": resume(ready)}) == (4410, ["ended"])
    await socket.gone()


async def test_a_second_socket_takes_over_and_the_first_one_is_not_listened_to(composition):
    first = Socket()
    ready = await first.start()
    (bench,) = composition.calls
    second = Socket()
    await second.start(resume=resume(ready))
    assert await first.closed() == 4409
    assert [error["code"] for error in first.of("error")] == ["taken_over"]
    await first.say({"type": "hang_up"})
    await first.microphone(0, bytes(3_200))
    await first.hear()
    assert not bench.runner.over
    assert bench.intake.position == 0
    await first.gone()
    await second.say({"type": "ping", "t": 1})
    await second.until("pong")
    await second.gone()


async def test_a_socket_that_drops_does_not_end_the_call(composition):
    socket = Socket()
    await socket.start()
    (bench,) = composition.calls
    await socket.gone()
    await bench.clock.advance(29_000)
    assert not bench.runner.over
    await bench.clock.advance(2_000)
    assert bench.records.reason is EndReason.ABANDONED


async def test_a_socket_that_has_gone_takes_everything_and_says_nothing():
    """Servers differ in what they raise for one."""
    tried = []

    async def send(message):
        tried.append(message)
        raise RuntimeError("closed")

    client = SocketClient(send, Browser())
    await client.send(do.SendPhase(do.Phase.LISTENING))
    await client.send(do.SendPhase(do.Phase.SPEAKING))
    await client.close(1000)
    assert len(tried) == 1


# Threads and queries


class Hops:
    """Counts what leaves the event loop's thread, and what asks the database."""

    def __init__(self, monkeypatch):
        self.counts = Counter()
        submit, execute = ThreadPoolExecutor.submit, CursorWrapper.execute

        def counted_submit(executor, *args, **kwargs):
            self.counts["hops"] += 1
            return submit(executor, *args, **kwargs)

        def counted_execute(cursor, *args, **kwargs):
            self.counts["queries"] += 1
            return execute(cursor, *args, **kwargs)

        monkeypatch.setattr(ThreadPoolExecutor, "submit", counted_submit)
        monkeypatch.setattr(CursorWrapper, "execute", counted_execute)


async def test_a_hundred_frames_cost_no_thread_and_no_query(composition, monkeypatch):
    socket = Socket()
    await socket.start()
    (bench,) = composition.calls
    hops = Hops(monkeypatch)
    for number in range(100):
        await socket.microphone(number * 320, caller_sound(number * 20, 20))
        await socket.hear()
    assert bench.intake.position == 32_000
    assert bench.runner.listens, "they were heard"
    assert hops.counts == Counter()
    await socket.gone()


@pytest.mark.django_db(transaction=True)  # it looks after connections
async def test_the_same_frames_cost_the_usual_consumer_a_thread_each(monkeypatch):
    """That this is what is counted."""

    class Usual(AsyncWebsocketConsumer):
        async def receive(self, text_data=None, bytes_data=None):
            pass

    communicator = WebsocketCommunicator(Usual.as_asgi(), "/")
    await communicator.connect()
    hops = Hops(monkeypatch)
    for _ in range(100):
        await communicator.send_to(bytes_data=bytes(644))
    await communicator.disconnect()
    assert hops.counts["hops"] >= 100


async def test_nothing_that_was_said_is_in_the_log(composition, caplog):
    caplog.set_level("DEBUG", logger="calls")
    socket = Socket()
    await socket.start(metadata={"page": "geheim"})
    await socket.say({"type": "text", "text": "geheim"})
    await socket.say(json.dumps({"type": "geheim"}))
    await socket.until("error")
    await socket.say({"type": "hang_up"})
    await socket.closed()
    await socket.gone()
    ours = [record for record in caplog.records if record.name.startswith("calls")]
    assert ours
    assert not [record for record in ours if "geheim" in f"{record.__dict__}"]
