"""A server without a proxy before it: what smugglers and slow clients get of it."""

import asyncio
import re
import resource
import socket
from contextlib import ExitStack, suppress
from http.client import HTTPConnection
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidMessage

from tests.server.callers import Caller, kept_server

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(240)]

DRIPS = 200
FILES = 200


@pytest.fixture(scope="module")
def server(installation, tmp_path_factory):
    with kept_server(installation, tmp_path_factory.mktemp("alone") / "var") as started:
        yield started


def handshake(server, *headers):
    """The status that a handshake with these raw header lines gets."""
    lines = [
        b"GET /ws/call/demo/ HTTP/1.1",
        b"Host: 127.0.0.1:%d" % server.port,
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        *headers,
    ]
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
        raw.sendall(b"\r\n".join(lines) + b"\r\n\r\n")
        return int(raw.recv(4096).split()[1])


async def test_an_origin_hidden_in_another_header_is_refused(server):
    own = b"http://127.0.0.1:%d" % server.port
    assert handshake(server, b"Origin: " + own) == 101
    for hider in (b"\x0b", b"\x0c", b"\x1c", b"\x85"):
        assert handshake(server, b"Origin: http://evil.example" + hider + b"Origin: " + own) == 400
    for first, second in ((b"http://evil.example", own), (own, b"http://evil.example")):
        refused = handshake(server, b"Origin: " + first, b"Origin: " + second)
        assert refused in (400, 403)


async def test_nobody_says_where_the_application_lies(server):
    def page(**headers):
        connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.request("GET", "/admin/login/", headers=headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, re.sub(r'value="[^"]*"', "", text)

    moved = {"Daphne-Root-Path": "/evil"}
    assert page(**moved) == page()
    async with connect(
        f"{server.ws_url}/ws/call/demo/", additional_headers=moved, origin=server.url
    ) as opened:
        assert opened.response.status_code == 101


async def test_a_forwarded_address_of_a_stranger_counts_for_nothing(server):
    """Without TRUSTED_PROXIES; behind a proxy: test_deployed_calls.py."""
    keys = {await key_of(server, {"X-Forwarded-For": f"192.0.2.{n}"}) for n in range(2)}
    assert len(keys) == 1
    assert keys != {""}


async def key_of(server, headers):
    from tests.server.stored import Stored

    async with Claiming(server.ws_url, headers) as caller:
        ready = await caller.start()
        await caller.hangs_up()
    return Stored(server.var_dir).conversation(ready["call_id"])["address_key"]


class Claiming(Caller):
    """A caller whose handshake carries headers of its own."""

    def __init__(self, url, headers):
        super().__init__(url)
        self._headers = headers

    async def _open(self):
        self.close_code = None
        self._socket = await connect(
            self.url, compression=None, max_queue=None, additional_headers=self._headers
        )


async def test_a_call_goes_on_beside_clients_that_drip(server):
    with ExitStack() as opened:
        drips = []
        for number in range(DRIPS):
            drip = opened.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            kind = b"GET" if number % 2 else b"POST"
            drip.sendall(kind + b" / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nX-Slow: ")
            drips.append(drip)

        async def dripping():
            while True:
                for drip in drips:
                    with suppress(OSError):
                        drip.sendall(b"a")
                await asyncio.sleep(0.2)

        loop = asyncio.get_running_loop()
        slowly = loop.create_task(dripping())
        try:
            async with Caller(server.ws_url) as caller:
                await caller.start()
                answer = await caller.asks("What are your opening hours?")
                assert answer["text"]
                assert await caller.hangs_up() == "caller_hung_up"
        finally:
            slowly.cancel()


def engines_of(server) -> int:
    """How many processes it has started: those of its speech engines."""
    pid = server.process.pid
    return len(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


async def is_let_in(server) -> bool:
    """Have a call, if the server takes it."""
    try:
        async with Caller(server.ws_url) as caller:
            await caller.start()
            return await caller.hangs_up() == "caller_hung_up"
    except (OSError, InvalidMessage, ConnectionClosed):
        return False


async def test_a_process_without_files_left_recovers(server):
    async with asyncio.timeout(30):
        while engines_of(server) < 2:  # noqa: ASYNC110 - one that hears, one that speaks
            await asyncio.sleep(0.1)
    limits = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (FILES, limits[1]))
    try:
        with ExitStack() as opened:
            for _ in range(FILES + 50):
                opened.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            await asyncio.sleep(0.5)
            assert server.process.poll() is None
        async with asyncio.timeout(20):
            while not await is_let_in(server):  # noqa: ASYNC110
                await asyncio.sleep(0.2)
    finally:
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, limits)
