"""Clients that mean no good, or know no better: none of them disturbs another one's call."""

import asyncio
import json
import os
import random
import socket as socket_module
import struct
import time
from contextlib import suppress
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.server.callers import Caller, kept_server

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(90)]


@pytest.fixture(scope="module")
def server(installation, tmp_path_factory):
    with kept_server(installation, tmp_path_factory.mktemp("calls") / "var") as started:
        yield started


class Undisturbed:
    """Another caller's call goes on while the block runs, and afterwards."""

    def __init__(self, server):
        self._caller = Caller(server.ws_url)

    async def __aenter__(self):
        await self._caller.start()
        await self._caller.hears_out()

    async def __aexit__(self, *exc):
        if exc[0] is None:
            answer = await self._caller.asks("What are your opening hours?", timeout_s=5)
            assert "nine to five" in answer["text"]
            await self._caller.hangs_up()
        await self._caller.__aexit__(*exc)


# Frames


def masked(first_byte, payload, *, length=None):
    """A client's frame by hand."""
    size = len(payload) if length is None else length
    if size < 126:
        head = struct.pack("!BB", first_byte, 0x80 | size)
    elif size < 65_536:
        head = struct.pack("!BBH", first_byte, 0xFE, size)
    else:
        head = struct.pack("!BBQ", first_byte, 0xFF, size)
    mask = b"\x12\x34\x56\x78"
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


BROKEN = {
    "text that is no UTF-8": masked(0x81, b"\xff\xfe\xfd"),
    "half a surrogate in UTF-8": masked(0x81, b"\xed\xa0\x80"),
    "UTF-8 that is cut off": masked(0x81, b"\xe2\x82"),
    "no mask": b"\x81\x05hello",
    "the first reserved bit": masked(0xC1, b"{}"),
    "all reserved bits": masked(0xF1, b"{}"),
    "a reserved opcode": masked(0x83, b"{}"),
    "a reserved control opcode": masked(0x8B, b""),
    "a ping in pieces": masked(0x09, b"x"),
    "a ping that is too long": masked(0x89, b"x" * 126),
    "the rest of nothing": masked(0x80, b"x"),
    "a new message within another": masked(0x01, b"a") + masked(0x81, b"b"),
    "a length beyond all bounds": masked(0x82, b"", length=2**62),
    "a message that is too long": masked(0x82, bytes(65_537)),
    "too long in pieces": masked(0x02, bytes(40_000)) + masked(0x80, bytes(40_000)),
    "a close with half a code": masked(0x88, b"\x03"),
    "a close with a forbidden code": masked(0x88, struct.pack("!H", 1005)),
    "a close whose reason is no UTF-8": masked(0x88, struct.pack("!H", 1000) + b"\xff"),
    "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "noise": random.Random(7).randbytes(4_000),
}


async def test_frames_that_break_the_rules_cost_the_socket_and_nothing_else(server):
    async with Undisturbed(server):
        for name, frames in BROKEN.items():
            async with Caller(server.ws_url) as rogue:
                ready = await rogue.start()
                await rogue.raw(frames)
                assert await rogue.closed(5) in (1000, 1002, 1006, 1007, 1009), name
                back = await rogue.come_back()
                assert (back["call_id"], back["resumed"]) == (ready["call_id"], True), name
                await rogue.hangs_up()


async def test_half_a_frame_holds_nobody_up(server):
    async with Caller(server.ws_url) as rogue:
        await rogue.start()
        await rogue.raw(masked(0x82, bytes(100), length=60_000))
        async with Undisturbed(server):
            pass
        await rogue.drop()


# Messages

NONSENSE = [
    "",
    " ",
    "{",
    "[]",
    "null",
    "NaN",
    '"text"',
    "[" * 15_000,
    '{"type": null}',
    '{"type": "text"}',
    '{"type": "text", "text": "\\u0000"}',
    '{"type": "text", "text": "\\ud800"}',
    '{"type": "played", "response_id": 1, "played_ms": NaN, "buffered_ms": 0}',
    '{"type": "played", "response_id": 4294967296, "played_ms": 0, "buffered_ms": 0}',
    '{"type": "ping", "t": ' + "9" * 6_000 + "}",
    '{"type": "__proto__"}',
    b"",
    b"\x00",
    b"\x00\x00\x00\x00\x01",
]


async def test_nonsense_is_answered_and_the_call_goes_on(server):
    async with Undisturbed(server), Caller(server.ws_url) as rogue:
        await rogue.start()
        await rogue.hears_out()
        before = len(rogue.codes())
        for message in NONSENSE:
            await rogue.says(message)
        await rogue.until(lambda: len(rogue.codes()) == before + len(NONSENSE))
        assert set(rogue.codes()[before:]) == {"bad_message"}
        assert not any(error["fatal"] for error in rogue.of("error"))
        await rogue.hangs_up()


async def test_reports_of_what_was_never_said_change_nothing(server):
    async with Caller(server.ws_url) as rogue:
        await rogue.start()
        for number in (0, 7, 2**32 - 1):
            where = {"response_id": number, "played_ms": 2**32 - 1}
            await rogue.send({"type": "played", "buffered_ms": 2**32 - 1} | where)
            await rogue.send({"type": "cut"} | where)
        await rogue.says(struct.pack("<I", 2**31 - 1) + bytes(640))
        await rogue.says(struct.pack("<I", 3) + bytes(640))
        await rogue.hears_out()
        assert "nine to five" in (await rogue.asks("What are your opening hours?"))["text"]
        await rogue.hangs_up()


@pytest.mark.parametrize("first", ["", "hello", '{"type": "text", "text": "hi"}', b"\x00" * 644])
async def test_who_does_not_begin_with_a_start_is_shown_out(server, first):
    async with connect(f"{server.ws_url}/ws/call/demo/", compression=None) as socket:
        await socket.send(first)
        error = json.loads(await socket.recv())
        assert (error["code"], error["fatal"]) == ("bad_message", True)
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert socket.close_code == 4400


# Too much


FLOODS = {
    "frames": bytes(644),
    "long frames": bytes(8_192),
    "empty frames": bytes(4),
    "words": json.dumps({"type": "text", "text": "x" * 2_000}),
    "nonsense": "{",
}


def busy_s(server):
    """How long the server has used a processor; unlike the wall clock it knows no neighbours."""
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def flood(rogue, frame):
    """Send as fast as it goes, until the server has had enough; the close code.

    What the client has sent too much of may keep it from reading the code: then it is 1006.
    """
    with suppress(ConnectionClosed):
        async with asyncio.timeout(10):
            while rogue.close_code is None:
                for _ in range(50):
                    await rogue.says(frame)
                await asyncio.sleep(0)
    return await rogue.closed(5)


@pytest.mark.parametrize("name", FLOODS)
async def test_a_flood_is_stopped_within_a_second(server, name):
    async with Caller(server.ws_url, ear=False) as rogue:
        ready = await rogue.start()
        codes = []
        while 4429 not in codes and len(codes) < 3:
            before_s, before_bytes = busy_s(server), server.rss_bytes()
            codes.append(await flood(rogue, FLOODS[name]))
            assert busy_s(server) - before_s < 1
            assert server.rss_bytes() - before_bytes < 20_000_000
            assert (await rogue.come_back())["call_id"] == ready["call_id"]
        assert set(codes) <= {1006, 4429}
        assert codes[-1] == 4429
        assert "too_fast" in rogue.codes()
        await rogue.hangs_up()


async def test_a_flood_is_not_heard_in_another_call(server):
    async with Undisturbed(server), Caller(server.ws_url, ear=False) as rogue:
        await rogue.start()
        await flood(rogue, bytes(644))


async def test_a_flood_before_the_first_word_is_stopped_as_well(server):
    before_s, before_bytes = busy_s(server), server.rss_bytes()
    async with connect(f"{server.ws_url}/ws/call/demo/", compression=None) as socket:
        with suppress(ConnectionClosed):
            async with asyncio.timeout(10):
                while True:
                    await socket.send(bytes(8_192))
        assert socket.close_code in (1006, 4400)
    assert busy_s(server) - before_s < 1
    assert server.rss_bytes() - before_bytes < 20_000_000


SLOW_S = 6


async def deaf(server, capabilities):
    """A client that asks for more and more, and never reads."""
    small = socket_module.socket()
    small.setsockopt(socket_module.SOL_SOCKET, socket_module.SO_RCVBUF, 4_096)
    small.setblocking(False)
    await asyncio.get_running_loop().sock_connect(small, ("127.0.0.1", server.port))
    address = f"{server.ws_url}/ws/call/demo/"
    socket = await connect(address, sock=small, compression=None, max_queue=1, ping_interval=None)
    start = {"type": "start", "v": 1, "microphone": None, "turns": "auto", "resume": None}
    await socket.send(json.dumps(start | {"capabilities": capabilities}))
    began_s = time.monotonic()
    with suppress(ConnectionClosed):
        while time.monotonic() - began_s < SLOW_S:
            await socket.send(json.dumps({"type": "text", "text": "How far is it by bus?"}))
            await asyncio.sleep(0.1)
    socket.transport.abort()


async def test_clients_that_never_read_cost_no_memory(server):
    """What they do not take must not pile up."""
    async with Undisturbed(server), asyncio.TaskGroup() as group:
        reads_nothing = [group.create_task(deaf(server, kind)) for kind in (["playback"], [])]
        await asyncio.sleep(1)
        before_bytes = server.rss_bytes()
        await asyncio.wait(reads_nothing)
        assert server.rss_bytes() - before_bytes < 5_000_000


# Origins


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        pytest.param("{own}", True, id="our own page"),
        pytest.param(None, True, id="a program on this machine"),
        pytest.param("http://evil.example", False, id="another site"),
        pytest.param("null", False, id="a sandboxed frame"),
        pytest.param("http://127.0.0.1.evil.example", False, id="a site that begins so"),
        pytest.param("https://127.0.0.1", False, id="another scheme and port"),
    ],
)
async def test_only_our_own_pages_open_sockets(server, origin, allowed):
    headers = {} if origin is None else {"Origin": origin.format(own=server.url)}
    address = f"{server.ws_url}/ws/call/demo/"
    if allowed:
        async with connect(address, compression=None, additional_headers=headers):
            return
    with pytest.raises(InvalidStatus) as refused:
        await connect(address, compression=None, additional_headers=headers)
    assert refused.value.response.status_code == 403


async def test_an_address_that_is_none(server):
    with pytest.raises(InvalidStatus):
        await connect(f"{server.ws_url}/ws/other/", compression=None)
