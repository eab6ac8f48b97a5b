"""PostgreSQL and Redis taken away in the middle of calls, from real servers with real callers."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from channels_redis.pubsub import RedisPubSubChannelLayer

from calls.wiring.control_line import say_once
from tests.doubles.providers.openai_http import says
from tests.outages.conftest import Place
from tests.outages.listener import Listener, Processors
from tests.outages.staff import Staff
from tests.server.callers import Caller
from tests.server.programs import running
from tests.server.stories import typed_conversation
from tests.servers import RealServer

pytestmark = [
    pytest.mark.own_postgres,
    pytest.mark.own_redis,
    pytest.mark.asyncio,
    pytest.mark.timeout(180),
]

LONGEST_GAP_MS = 150
"""The ear has 400 ms in reserve, so nothing of it is heard."""

LONG = (
    "First you walk down the road until you see the old mill. ",
    "Then you turn left at the bridge, and you will find the house on your right.",
)


@pytest.fixture(scope="module")
def server(start_here: Callable[..., RealServer]) -> RealServer:
    return start_here("one", PYTHONPATH=str(Path(__file__).with_name("clock")))


@pytest.fixture(scope="module")
def other(start_here: Callable[..., RealServer]) -> RealServer:
    """Another process of the same installation."""
    return start_here("one")


@pytest.fixture(scope="module")
def staff(other: RealServer) -> Iterator[Staff]:
    """In the admin of the other process."""
    logged_in = Staff(other.url)
    yield logged_in
    logged_in.close()


@asynccontextmanager
async def in_mid_answer(place: Place, server: RealServer) -> AsyncIterator[Listener]:
    """A call whose agent has begun a long answer. Afterwards the record is compared with it."""
    processors = Processors(server.process.pid)
    async with Listener(server.ws_url, processors) as caller, asyncio.TaskGroup() as group:
        ready = await caller.start()
        await caller.hears_out()
        murmur = group.create_task(caller.murmurs())
        place.model.told["How do I find you?"] = says(*LONG)
        await caller.types("How do I find you?")
        await caller.until(lambda: len(caller.played_ms) == 2)
        await caller.until(lambda: caller.played_ms[max(caller.played_ms)] > 300)
        yield caller
        await answered(place, caller, "Is that all?")
        murmur.cancel()
        assert await caller.hangs_up() == "caller_hung_up"
        items = caller.items()
    stored = place.stored(server.var_dir)
    assert (await asyncio.to_thread(stored.ended, ready["call_id"]))["end_reason"]
    rows = stored.items(ready["call_id"])
    assert {number: (row["text"], row["status"]) for number, row in rows.items()} == {
        number: (item["text"], item["status"]) for number, item in items.items()
    }, "what was acknowledged is on the record, and nothing else"
    assert len(rows) >= 5
    assert caller.longest_gap_ms() < LONGEST_GAP_MS
    complete = lambda: stored.recording(ready["call_id"])["state"] == "complete"  # noqa: E731
    await asyncio.to_thread(stored.until, complete)
    assert caller.recorded_whole(stored.sound(ready["call_id"])[0]), "every frame arrived"


async def answered(place: Place, caller: Caller, question: str) -> None:
    """Wait for the answer that goes on, then ask something that is answered in a word."""
    await caller.until(caller._quiet, 40)
    place.model.told[question] = says("Certainly.")
    assert (await caller.asks(question, 20))["text"] == "Certainly."


async def refused(server: RealServer) -> float:
    """A new call is told that it cannot be just now; the seconds that it took."""
    began_s = time.monotonic()
    async with Caller(server.ws_url) as caller:
        with suppress(AssertionError):
            await caller.start()
        assert await caller.closed() == 4503
        assert caller.codes() == ["busy"]
        assert caller.of("error")[0]["message"], "for people"
    return time.monotonic() - began_s


async def accepted(server: RealServer) -> None:
    """A new call can be had again, soon."""
    async with asyncio.timeout(15):
        while True:
            async with Caller(server.ws_url) as caller:
                with suppress(AssertionError):
                    await caller.start()
                    await caller.hangs_up()
                    return
            await asyncio.sleep(0.2)


async def away(place: Place, server: RealServer, caller: Caller) -> None:
    """What holds while the database is away."""
    before = place.model.streamed
    assert await refused(server) < 5
    assert place.model.streamed == before, "a refused call asks no provider"
    await answered(place, caller, "Do I need good shoes?")


async def test_postgresql_is_stopped_in_mid_call(place, server):
    async with in_mid_answer(place, server) as caller:
        await asyncio.to_thread(place.postgres.stop, "immediate")
        try:
            await away(place, server, caller)
        finally:
            await asyncio.to_thread(place.postgres.start)
        await accepted(server)


async def test_postgresql_is_frozen_in_mid_call(place, server):
    async with in_mid_answer(place, server) as caller:
        place.postgres.freeze()
        try:
            await away(place, server, caller)
        finally:
            place.postgres.thaw()
        await accepted(server)


async def test_postgresql_is_restarted_in_mid_call(place, server):
    async with in_mid_answer(place, server) as caller:
        await asyncio.to_thread(place.postgres.restart)
        await accepted(server)
        await answered(place, caller, "Do I need good shoes?")


async def test_redis_is_killed_and_restarted_in_mid_call(place, server, staff):
    async with in_mid_answer(place, server) as caller:
        place.redis.kill()
        try:
            await accepted(server)
            await ended_elsewhere(server, staff)  # by the row alone, some seconds later
            await answered(place, caller, "Do I need good shoes?")
        finally:
            place.redis.start()
        await accepted(server)
    assert await quick(server, staff) or await quick(server, staff), (
        "processes hear each other again"
    )


async def test_a_call_is_ended_from_another_process_within_a_second(server, staff):
    assert await quick(server, staff)


async def quick(server: RealServer, staff: Staff) -> bool:
    """Whether calls are ended by a message; by the row alone half of them take longer."""
    taken_s = [await ended_elsewhere(server, staff) for _ in range(6)]
    return sum(seconds < 1 for seconds in taken_s) >= 5


async def ended_elsewhere(server: RealServer, staff: Staff) -> float:
    """Have a call ended in the admin of another process; the seconds that it took."""
    async with Caller(server.ws_url) as caller:
        ready = await caller.start()
        began_s = await asyncio.to_thread(staff.ends, ready["call_id"])
        assert (await caller.message("end"))["reason"] == "staff_ended"
        return time.monotonic() - began_s


async def test_what_a_killed_process_leaves_behind_is_closed_by_another(place, server, start_here):
    """Its journal as well: it lies where both find it."""
    doomed = await asyncio.to_thread(start_here, "one")
    async with Caller(doomed.ws_url) as caller:
        ready = await caller.start()
        await caller.hears_out()
        await asyncio.to_thread(place.postgres.stop, "immediate")
        try:
            place.model.told["Is that all?"] = says("Certainly.")
            await caller.asks("Is that all?")
            doomed.kill()
            items = caller.items()
        finally:
            await asyncio.to_thread(place.postgres.start)
    stored = place.stored(server.var_dir)
    assert len(stored.items(ready["call_id"])) < len(items), "it waited in the journal"
    async with asyncio.timeout(20):
        while stored.conversation(ready["call_id"])["status"] != "ended" or len(
            stored.items(ready["call_id"])
        ) < len(items):
            await woken(place, "reaper")
            await asyncio.sleep(0.3)
    assert stored.conversation(ready["call_id"])["end_reason"] == "interrupted"
    rows = stored.items(ready["call_id"])
    assert {n: row["text"] for n, row in rows.items()} == {n: it["text"] for n, it in items.items()}
    assert stored.recording(ready["call_id"])["state"] == "truncated"
    stored.sound(ready["call_id"])


async def woken(place: Place, kind: str) -> None:
    """Have all processes look for work at once, as another process would."""
    layer = RedisPubSubChannelLayer(hosts=[place.redis.url])
    await say_once(layer, {"v": 1, "tell": "wake", "kind": kind})
    await layer.flush()


async def test_the_whole_story_of_a_call_is_the_same_on_postgresql_and_redis(place, start_here):
    server = await asyncio.to_thread(start_here, "one", LLM_BASE_URL="", LLM_MODEL="")
    await typed_conversation(server.ws_url, place.stored(server.var_dir))


async def test_a_worker_waits_outages_out(place, tmp_path):
    alive = tmp_path / "alive"
    words = ("worker", "--alive-file", str(alive))
    environment = place.environment | {"BACKGROUND": "worker"}
    with running(tmp_path / "log", *words, var_dir=tmp_path, **environment) as worker:
        async with asyncio.timeout(40):
            while not alive.exists():  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        await asyncio.to_thread(place.postgres.stop, "immediate")
        try:
            place.redis.kill()
            await asyncio.to_thread(worker.says, "The database is away")
        finally:
            await asyncio.to_thread(place.postgres.start)
            place.redis.start()
        place.rows(TASK)
        async with asyncio.timeout(40):
            while place.rows(TASKS_WAITING):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        assert worker.process.poll() is None
        assert "Traceback" not in worker.log()
        worker.process.terminate()
        assert await asyncio.to_thread(worker.process.wait, 20) == 0


TASKS_WAITING = "SELECT id FROM django_tasks_database_dbtaskresult WHERE status = 'READY'"
TASK = """
INSERT INTO django_tasks_database_dbtaskresult (id, status, enqueued_at, args_kwargs, priority,
    task_path, worker_ids, queue_name, backend_name, run_after, exception_class_path, traceback)
VALUES (gen_random_uuid(), 'READY', now(), '{"args": ["summaries"], "kwargs": {}}', 0,
    'calls.store.tasks.work_due', '[]', 'default', 'default', '9999-01-01', '', '')
RETURNING id
"""


async def test_a_jump_of_the_clock_is_not_noticed(place, server, in_the_future):
    processors = Processors(server.process.pid)
    async with Listener(server.ws_url, processors) as caller, asyncio.TaskGroup() as group:
        await caller.start()
        await caller.hears_out()
        murmur = group.create_task(caller.murmurs())
        place.model.told["How do I find you?"] = says(*LONG)
        await caller.types("How do I find you?")
        await caller.until(lambda: len(caller.played_ms) == 2)
        for _ in range(2):  # there and back
            in_the_future()
            await answered(place, caller, "Is that all?")
        assert caller.longest_gap_ms() < LONGEST_GAP_MS
        murmur.cancel()
        assert await caller.hangs_up() == "caller_hung_up"


@pytest.fixture
def in_the_future(server: RealServer) -> Callable[[], None]:
    """Set the clock of the server's process forward by 25 hours, or back again."""
    return lambda: server.process.send_signal(signal.SIGUSR2)


async def test_who_is_gone_without_a_word_is_found_out(other):
    """A peer that answers no ping: its phone lost the network, and nothing closed the socket."""
    reader, writer = await asyncio.open_connection("127.0.0.1", other.port)
    writer.write(HANDSHAKE.format(port=other.port).encode())
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
    writer.write(bytes([0x81, 0x80 | len(START), 0, 0, 0, 0]) + START)  # one text frame
    assert b"ready" in await reader.readuntil(b"resume_secret")
    began_s = time.monotonic()
    async with asyncio.timeout(40):
        with suppress(ConnectionResetError):
            await reader.read()  # until the server has let go
    assert 9 < time.monotonic() - began_s < 25
    writer.close()


HANDSHAKE = (
    "GET /ws/call/demo/ HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Version: 13\r\n\r\n"
)
START = b'{"type": "start", "v": 1, "microphone": null, "turns": "auto", "capabilities": [], "resume": null}'
