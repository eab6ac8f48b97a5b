"""Clients of every protocol that mean no good, or know no better, and a call that hears none of it."""

import asyncio
import json
import random
import socket as socket_module
import sqlite3
import time
from contextlib import closing, suppress

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from calls.conf import PROTOCOLS as NAMES
from tests.interop.calls import Records
from tests.server.callers import kept_server
from tests.server.keys import api_key
from tests.server.protocols import PROTOCOLS, Beside, Line, Protocol, unhurt
from tests.server.protocols_anything import anything_whatever
from tests.server.test_calls_hostile import busy_s

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(120)]

MEGABYTES = 1_000_000
REASONS = {"caller_hung_up", "abandoned", "agent_ended"}


@pytest.fixture(scope="module")
def server(installation, tmp_path_factory):
    with kept_server(installation, tmp_path_factory.mktemp("hostile") / "var") as started:
        wait_briefly(started)
        yield started
        unhurt(started)


def wait_briefly(server):
    """For pages that dropped their socket: tests wait for the end of such calls."""
    with closing(sqlite3.connect(server.var_dir / "db.sqlite3", timeout=10)) as database:
        database.execute("UPDATE calls_agent SET resume_ms = 500")
        database.commit()


@pytest.fixture(scope="module")
def key(server):
    return api_key(server)


@pytest.fixture(autouse=True)
def all_is_well_afterwards(server):
    """Every call that a test made is over, and says why."""
    records = Records(server)
    before = len(server.log())
    yield
    unhurt(server, before)
    for call_id in records.new():
        assert records.ended(call_id).conversation["end_reason"] in REASONS


async def test_messages_that_are_too_long_cost_the_socket_and_nothing_else(server, key):
    async with Beside(server):
        before_bytes = server.rss_bytes()
        for protocol in PROTOCOLS.values():
            async with Line(server, protocol, key) as line:
                await line.begin()
                await line.send(protocol.too_long)
                assert await line.closed() in protocol.too_large, protocol.name
        assert server.rss_bytes() - before_bytes < 40 * MEGABYTES


async def test_messages_far_too_long_are_not_even_kept(server, key):
    async with Beside(server):
        before_bytes = server.rss_bytes()
        for protocol in PROTOCOLS.values():
            async with Line(server, protocol, key) as line:
                await line.send(bytes(30 * MEGABYTES))
                code = await line.closed()
                assert code in protocol.too_large | {1006, 1009}, (protocol.name, code)
        assert server.rss_bytes() - before_bytes < 20 * MEGABYTES


async def flood(line: Line, frame) -> int:
    """Send as fast as it goes, until the server has had enough; the close code."""
    with suppress(ConnectionClosed):
        async with asyncio.timeout(20):
            while line.close_code is None:
                for _ in range(50):
                    await line.send(frame)
                await asyncio.sleep(0)
    return await line.closed()


@pytest.mark.parametrize("kind", ["sound", "word"])
async def test_floods_are_stopped_and_not_heard_elsewhere(server, key, kind):
    async with Beside(server):
        for protocol in PROTOCOLS.values():
            async with Line(server, protocol, key) as line:
                await line.begin()
                before_s, before_bytes = busy_s(server), server.rss_bytes()
                code = await flood(line, getattr(protocol, kind))
                assert code in FLOODED[protocol.name], (protocol.name, code)
                assert busy_s(server) - before_s < 5, protocol.name
                assert server.rss_bytes() - before_bytes < 25 * MEGABYTES, protocol.name


FLOODED = {name: {1006, 4429} for name in NAMES} | {
    "socketio": {1000, 1005, 1006, 1009},
    "micdrop": {1006, 4400, 4429},
}
"""1006: what the client has sent too much of keeps it from reading the code."""


async def test_anything_whatever_is_answered_or_refused(server, key):
    """In as many calls as it takes: a protocol's limits end one now and then."""
    # Making them up takes seconds, in which the other caller would not say what it hears.
    frames = {name: whatever(name) for name in PROTOCOLS}
    async with Beside(server), asyncio.TaskGroup() as group:
        for name, protocol in PROTOCOLS.items():
            group.create_task(say_all(server, protocol, key, frames[name]))


def whatever(name):
    sounds = [random.Random(7).randbytes(size) for size in (1, 2, 3, 999, 8_000)]
    return anything_whatever(name, 150) + sounds


async def say_all(server, protocol, key, frames):
    while frames:
        async with Line(server, protocol, key) as line:
            await line.begin()
            while frames and line.close_code is None:
                await line.send(frames.pop())
                await asyncio.sleep(0.004)
            code = line.close_code
            assert code in (None, 1000, 1005, 1006) or code >= 4000, (protocol.name, code)


async def test_anything_whatever_may_come_first(server, key):
    frames = {name: anything_whatever(name, 25) for name in PROTOCOLS}
    async with Beside(server):
        for name, protocol in PROTOCOLS.items():
            for frame in frames[name]:
                async with Line(server, protocol, key) as line:
                    await line.send(frame)


PHASES = ("connected", "begun", "spoken", "cut")


async def test_who_leaves_without_a_word_ends_the_call(server, key):
    """In every phase: the network is lost, and nothing of the call stays."""
    async with Beside(server):
        for phase in PHASES:
            async with asyncio.TaskGroup() as group:
                for protocol in PROTOCOLS.values():
                    group.create_task(leave(server, protocol, key, phase))


async def leave(server, protocol: Protocol, key, phase):
    async with Line(server, protocol, key) as line:
        if phase != "connected":
            await line.begin()
        if phase in ("spoken", "cut"):
            for _ in range(5):
                await line.send(protocol.sound)
        if phase == "cut":
            # In the middle of a message, by hand: its head promises more than comes.
            line.socket.transport.write(b"\x82\xfe\x10\x00\x00\x00\x00\x00abc")
            await asyncio.sleep(0.05)
        line.drop()


async def test_who_never_says_anything_is_let_go(server, key):
    """Protocols whose clients speak first; the others have begun a call by then."""
    silent = [PROTOCOLS[name] for name in ("browser", "avr", "twilio")]
    records = Records(server)
    async with Beside(server), asyncio.TaskGroup() as group:
        waits = [group.create_task(wait_out(server, protocol, key)) for protocol in silent]
    assert [wait.result() for wait in waits] == [4408] * len(silent)
    assert len(records.new()) == 1, "the neighbour's"


async def wait_out(server, protocol, key):
    async with Line(server, protocol, key) as line:
        return await line.closed(15)


SLOW_S = 5


async def deaf(server, protocol, key):
    """A client that speaks on and on, asks for more and more, and never reads."""
    small = socket_module.socket()
    small.setsockopt(socket_module.SOL_SOCKET, socket_module.SO_RCVBUF, 4_096)
    small.setblocking(False)
    await asyncio.get_running_loop().sock_connect(small, ("127.0.0.1", server.port))
    line = Line(server, protocol, key, sock=small, max_queue=1, ping_interval=None)
    async with line:
        await line.stop_reading()
        for frame in protocol.opens:
            await line.send(frame)
        until_s = time.monotonic() + SLOW_S
        while time.monotonic() < until_s:
            with suppress(ConnectionClosed, TimeoutError):
                async with asyncio.timeout(0.2):
                    await line.send(protocol.sound)
            if protocol.name == "realtime":
                with suppress(ConnectionClosed, TimeoutError):
                    async with asyncio.timeout(0.2):
                        await line.send(json.dumps({"type": "response.create"}))
            await asyncio.sleep(0.1)
        line.drop()


async def test_clients_that_never_read_cost_no_memory(server, key):
    async with Beside(server), asyncio.TaskGroup() as group:
        reads_nothing = [
            group.create_task(deaf(server, protocol, key))
            for protocol in PROTOCOLS.values()
            if protocol.name != "browser"
        ]
        await asyncio.sleep(1.5)
        before_bytes = server.rss_bytes()
        await asyncio.wait(reads_nothing)
        assert server.rss_bytes() - before_bytes < 30 * MEGABYTES


# HTTP

ENDPOINTS = [
    "/v1/realtime/client_secrets", "/v1/realtime/sessions", "/api/realtime/session", "/v1/realtime",
    "/socket.io/?EIO=4&transport=polling", "/socket.io/?EIO=4&transport=polling&sid=none",
]  # fmt: skip


async def test_bodies_of_any_kind_are_answered(server, key):
    """Nothing is an error of the server's."""
    bodies = [
        frame.encode() if isinstance(frame, str) else frame
        for frame in anything_whatever("realtime", 40)
    ]
    bodies += [b"", b"[" * 50_000, b"\xff" * 100, bytes(3 * MEGABYTES)]
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    async with Beside(server), httpx.AsyncClient(base_url=server.url, trust_env=False) as client:
        for path in ENDPOINTS:
            for body in bodies:
                with suppress(httpx.TransportError):  # it would not take all of the body
                    answer = await client.post(path, content=body, headers=headers)
                    assert answer.status_code in (200, 400, 401, 403, 404, 413, 415, 422, 426, 429)
