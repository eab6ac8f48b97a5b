"""Many who come and go: a call has one owner, and a connection leaves nothing behind."""

import asyncio
import json
import random
import sqlite3
from contextlib import closing, suppress

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.server.callers import Caller, kept_server
from tests.server.stored import Stored
from tests.server.test_protocols_hostile import wait_briefly

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(120)]

MEGABYTES = 1_000_000
CALLS, SOCKETS = 20, 10
STARTING = 4
"""So many begin at once: it is their coming back that is tried."""
JITTER_S = 0.5
QUESTION = "What are your opening hours?"

REFUSED = {4404, 4409, 4410, 1006}
"""1006: what the page sent meanwhile keeps it from reading the code."""


@pytest.fixture
def server(installation, tmp_path):
    with kept_server(installation, tmp_path / "var", SPEECH_WORKERS="2") as started:
        yield started


async def call_that_is_cut_off(caller: Caller, starting: asyncio.Semaphore) -> None:
    async with starting:
        await caller.start()
    await caller.hears_out(40)
    await caller.drop()


def twin(caller: Caller) -> Caller:
    """Another socket of the same page: it knows what the page knows."""
    other = Caller("")
    other.url = caller.url
    other.ready, other.played_ms = caller.ready, dict(caller.played_ms)
    return other


async def comes_back(caller: Caller, chance: random.Random) -> Caller | None:
    """Try, some time; None: it was refused."""
    await asyncio.sleep(chance.uniform(0, JITTER_S))
    try:
        ready = await caller.come_back()
    except ConnectionClosed:
        return None
    except AssertionError:
        assert caller.close_code in REFUSED, caller.close_code
        assert caller.of("ready") == []
        return None
    assert ready["resumed"] is True
    return caller


async def goes_on(caller: Caller) -> None:
    assert "nine to five" in (await caller.asks(QUESTION, 90))["text"]
    assert await caller.hangs_up() == "caller_hung_up"


async def test_of_many_who_come_back_at_once_one_has_the_call(server):
    """As after a moment without a network: ten windows, twenty calls, two hundred sockets."""
    chance = random.Random(3)
    cut, starting = [Caller(server.ws_url) for _ in range(CALLS)], asyncio.Semaphore(STARTING)
    everybody: list[Caller] = []
    try:
        async with asyncio.TaskGroup() as group:
            for caller in cut:
                group.create_task(call_that_is_cut_off(caller, starting))
        everybody = [twin(caller) for caller in cut for _ in range(SOCKETS)]
        chance.shuffle(everybody)
        async with asyncio.TaskGroup() as group:
            tries = [group.create_task(comes_back(caller, chance)) for caller in everybody]
        await one_each(server, cut, tries)
    finally:
        for caller in (*cut, *everybody):
            await caller.__aexit__()


async def one_each(server, cut, tries) -> None:
    owners = [caller for task in tries if (caller := task.result()) is not None]
    call_ids = sorted(caller.ready["call_id"] for caller in cut)
    assert sorted(owner.ready["call_id"] for owner in owners) == call_ids, "one each"
    async with asyncio.TaskGroup() as group:
        for owner in owners:
            group.create_task(goes_on(owner))
    stored = Stored(server.var_dir)
    for call_id in call_ids:
        assert stored.ended(call_id)["end_reason"] == "caller_hung_up"
        said = [row["text"] for row in stored.items(call_id).values() if row["role"] == "user"]
        assert said == [QUESTION], "nothing is taken twice"


START = {"type": "start", "v": 1, "agent": "demo", "microphone": {"rate_hz": 16_000}}
CYCLES, AT_ONCE, CALL_EACH = 1_500, 20, 20
GROWTH_BYTES = 8 * MEGABYTES


async def come_and_go(server, numbers) -> None:
    for number in numbers:
        async with connect(f"{server.ws_url}/ws/call/demo/", compression=None) as socket:
            if number % CALL_EACH:
                continue
            more = {"turns": "auto", "capabilities": ["playback"], "resume": None}
            await socket.send(json.dumps(START | more))
            with suppress(TimeoutError):
                async with asyncio.timeout(20):
                    while '"ready"' not in str(await socket.recv())[:40]:
                        pass


async def cycles(server) -> int:
    """So many connections, several at once; what the server holds in memory afterwards, in bytes.

    Returns once no call of them is left.
    """
    async with asyncio.TaskGroup() as group:
        for first in range(AT_ONCE):
            group.create_task(come_and_go(server, range(first, CYCLES, AT_ONCE)))
    async with asyncio.timeout(30):
        while live(server):  # noqa: ASYNC110 - another process sets no event
            await asyncio.sleep(0.2)
    return server.rss_bytes()


def live(server) -> int:
    with closing(sqlite3.connect(server.var_dir / "db.sqlite3", timeout=10)) as database:
        found = "SELECT count(*) FROM calls_conversation WHERE status = 'active'"
        return int(database.execute(found).fetchone()[0])


async def test_three_thousand_connections_leave_nothing_behind(server):
    """One in twenty begins a call. The first half fills what is filled once.

    What leaks does so each time; the allocator takes a little more now and then.
    """
    wait_briefly(server)
    held_bytes = [await cycles(server), await cycles(server)]
    if held_bytes[1] - held_bytes[0] >= GROWTH_BYTES:
        held_bytes.append(await cycles(server))
    assert held_bytes[-1] - held_bytes[-2] < GROWTH_BYTES, held_bytes
