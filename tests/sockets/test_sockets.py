"""Sockets to providers, against a real server: what they carry, and how they fail."""

import asyncio
import json
from contextlib import asynccontextmanager
from http import HTTPStatus

import pytest
from websockets.asyncio.server import serve

from calls import sockets
from calls.sockets import (
    SocketError,
    SocketGarbageError,
    SocketLimits,
    SocketTimeoutError,
    json_socket,
)

pytestmark = pytest.mark.asyncio

IMPATIENT = SocketLimits(open_timeout_s=0.2, ping_interval_s=0.05, ping_timeout_s=0.1)


@asynccontextmanager
async def server(handle, **options):
    async with serve(handle, "127.0.0.1", 0, close_timeout=0.1, **options) as running:
        yield f"ws://127.0.0.1:{running.sockets[0].getsockname()[1]}/v1/realtime?model=m"


async def echo(connection):
    async for message in connection:
        await connection.send(message)


async def taken(socket, count):
    messages = []
    async for message in socket.messages():
        messages.append(message)
        if len(messages) == count:
            break
    return messages


async def put_into(received, socket):
    async for message in socket.messages():
        received.append(message)


async def test_objects_go_and_come_in_order_with_the_headers_that_were_asked_for():
    asked = {}

    async def handle(connection):
        asked["key"] = connection.request.headers["Authorization"]
        asked["path"] = connection.request.path
        await echo(connection)

    async with (
        server(handle) as url,
        json_socket(url, headers={"Authorization": "Bearer k"}) as socket,
    ):
        for n in range(5):
            await socket.send({"n": n, "text": "ü"})
        assert await taken(socket, 5) == [{"n": n, "text": "ü"} for n in range(5)]
        assert socket.usable
    assert asked == {"key": "Bearer k", "path": "/v1/realtime?model=m"}
    assert not socket.usable


async def test_leaving_ends_whoever_waits_for_messages():
    async with server(echo) as url, asyncio.TaskGroup() as group:
        async with json_socket(url) as socket:
            waiting = group.create_task(taken(socket, 1))
            await asyncio.sleep(0)
        assert await waiting == []


async def test_a_refused_handshake_says_with_what():
    def refuse(connection, _request):
        response = connection.respond(HTTPStatus.TOO_MANY_REQUESTS, '{"a": 1}')
        response.headers["Retry-After"] = "7"
        return response

    async with server(echo, process_request=refuse) as url:
        with pytest.raises(SocketError) as refused:
            async with json_socket(url):
                pass
    assert refused.value.status == 429
    assert refused.value.headers["retry-after"] == "7"
    assert json.loads(refused.value.body) == {"a": 1}


async def test_nobody_there():
    async with server(echo) as url:
        pass
    with pytest.raises(SocketError) as failed:
        async with json_socket(url):
            pass
    assert (failed.value.status, failed.value.code) == (None, 1006)


async def test_a_handshake_that_never_ends():
    hold, closed = asyncio.Event(), asyncio.Event()

    async def stall(_reader, writer):
        await hold.wait()
        writer.close()
        await writer.wait_closed()
        closed.set()

    listener = await asyncio.start_server(stall, "127.0.0.1", 0)
    url = f"ws://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"
    with pytest.raises(SocketTimeoutError):
        async with json_socket(url, limits=IMPATIENT):
            pass
    hold.set()
    await closed.wait()
    listener.close()


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 4000])
async def test_a_close_of_the_other_side_is_an_error_after_everything_before_it(code):
    async def handle(connection):
        await connection.send('{"last": true}')
        await connection.close(code, "because")

    async with server(handle) as url, json_socket(url) as socket:
        received: list[dict] = []
        with pytest.raises(SocketError) as closed:
            await put_into(received, socket)
        assert received == [{"last": True}]
        assert (closed.value.code, closed.value.reason) == (code, "because")
        assert not socket.usable
        with pytest.raises(SocketError):
            await socket.send({})


async def test_a_cut_connection_is_an_error():
    async def handle(connection):
        connection.transport.abort()

    async with server(handle) as url, json_socket(url) as socket:
        with pytest.raises(SocketError) as lost:
            await taken(socket, 1)
    assert lost.value.code == 1006


@pytest.mark.parametrize("raw", ["not json", "[1, 2]", '"text"', b"\xff\xfe", "[" * 100_000])
async def test_what_is_no_object_is_an_error_and_quotes_nothing(raw):
    async def handle(connection):
        await connection.send(raw)
        await connection.wait_closed()

    async with server(handle) as url, json_socket(url) as socket:
        with pytest.raises(SocketGarbageError) as garbage:
            await taken(socket, 1)
    assert str(garbage.value) == "What came is no JSON object."


async def test_a_peer_that_has_died_is_noticed():
    async def handle(connection):
        connection.transport.pause_reading()
        await connection.wait_closed()

    async with (
        server(handle, ping_interval=None) as url,
        json_socket(url, limits=IMPATIENT) as socket,
    ):
        with pytest.raises(SocketError) as dead:
            async with asyncio.timeout(5):
                await taken(socket, 1)
    assert dead.value.code in (1006, 1011)


async def test_a_socket_whose_messages_nobody_takes_stays_alive():
    pinged = asyncio.Event()

    async def handle(connection):
        for n in range(200):
            await connection.send(json.dumps({"n": n, "audio": "x" * 20_000}))
        for _ in range(3):
            pong = await connection.ping()
            await pong
        pinged.set()
        await connection.wait_closed()

    async with server(handle) as url, json_socket(url, limits=IMPATIENT) as socket:
        await asyncio.wait_for(pinged.wait(), 5)
        assert [message["n"] for message in await taken(socket, 200)] == list(range(200))


async def test_a_reader_who_is_too_far_behind_loses_the_socket_and_not_the_memory(monkeypatch):
    monkeypatch.setattr(sockets, "WAITING_BYTES", 100_000)

    gone = asyncio.Event()

    async def handle(connection):
        try:
            while True:
                await connection.send(json.dumps({"audio": "x" * 10_000}))
        finally:
            gone.set()

    async with server(handle) as url, json_socket(url) as socket:
        await asyncio.wait_for(gone.wait(), 5)
        received: list[dict] = []
        with pytest.raises(SocketError, match="More came than was taken"):
            await put_into(received, socket)
        assert 10 <= len(received) <= 12


async def test_closing_takes_no_time_whatever_the_other_side_does():
    let_go = asyncio.Event()

    async def handle(connection):
        connection.transport.pause_reading()
        await let_go.wait()
        connection.transport.abort()

    loop = asyncio.get_running_loop()
    async with server(handle, ping_interval=None) as url:
        async with json_socket(url):
            began_s = loop.time()
        assert loop.time() - began_s < 1
        let_go.set()


async def test_what_goes_wrong_within_comes_out_as_it_is():
    failure = KeyError("ours")
    async with server(echo) as url:
        with pytest.raises(KeyError) as raised:
            async with json_socket(url):
                raise failure
    assert raised.value is failure


async def test_one_who_is_cancelled_while_closing_leaves_no_connection():
    let_go, gone = asyncio.Event(), asyncio.Event()

    async def handle(connection):
        connection.transport.pause_reading()
        await let_go.wait()
        connection.transport.resume_reading()
        await connection.wait_closed()
        gone.set()

    async def call(url, closing):
        async with json_socket(url):
            closing.set()

    async with server(handle, ping_interval=None) as url, asyncio.TaskGroup() as group:
        closing = asyncio.Event()
        task = group.create_task(call(url, closing))
        await closing.wait()
        await asyncio.sleep(0)
        task.cancel()
        let_go.set()
        await asyncio.wait_for(gone.wait(), 5)
