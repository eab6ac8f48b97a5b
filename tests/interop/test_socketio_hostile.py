"""Socket.IO on the real server, with what no client sends: it answers, and logs no traceback."""

import json

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.delivery.engineio import SEPARATOR, event_packet
from tests.delivery.test_socketio_server import ODD_PACKETS

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(90)]

QUERY = "/socket.io/?EIO=4&transport="


async def packets_until(socket, wanted):
    """Take packets until one begins so; pings are answered."""
    while not (packet := await socket.recv()).startswith(wanted):
        if packet == "2":
            await socket.send("3")
    return packet


async def started(socket):
    await packets_until(socket, "0")
    await socket.send("40")
    await packets_until(socket, "40")
    await socket.send(event_packet("start"))
    return json.loads((await packets_until(socket, '42["backend_ready"'))[2:])


async def test_odd_packets_disturb_neither_the_call_nor_its_neighbour(server, records):
    url = f"{server.ws_url}{QUERY}websocket"
    async with connect(url, max_size=None) as neighbour, connect(url, max_size=None) as socket:
        await started(neighbour)
        await started(socket)
        for packet in ODD_PACKETS:
            await socket.send(packet)
        await packets_until(socket, '42["response_transcript_final"')
        await packets_until(neighbour, '42["response_transcript_final"')
        await socket.send("1")
        with pytest.raises(ConnectionClosed):
            await packets_until(socket, "never")
        await neighbour.send(event_packet("stop"))
    records.stored.until(lambda: len(records.new()) == 2)
    for call_id in records.new():
        assert records.ended(call_id).conversation["end_reason"] == "caller_hung_up"


async def test_an_event_that_is_too_large_ends_the_connection_and_no_other(server, records):
    url = f"{server.ws_url}{QUERY}websocket"
    async with connect(url, max_size=None) as socket:
        await started(socket)
        await socket.send(event_packet("audio_chunk", "A" * 2_000_000))
        with pytest.raises(ConnectionClosed):
            await packets_until(socket, "never")
    assert records.only().conversation["end_reason"] == "caller_hung_up"


@pytest.mark.parametrize(
    ("method", "query", "status"),
    [
        ("GET", "", 400),
        ("GET", "?EIO=3&transport=polling", 400),
        ("GET", "?EIO=4&transport=websocket", 400),
        ("GET", "?EIO=4&transport=polling&j=0", 400),
        ("GET", "?EIO=4&transport=polling&sid=%00%ff", 400),
        ("POST", "?EIO=4&transport=polling&sid=nobody", 400),
        ("PUT", "?EIO=4&transport=polling", 405),
        ("GET", "?EIO=4&transport=polling", 200),
    ],
)
async def test_requests_are_answered(server, method, query, status):
    async with httpx.AsyncClient() as client:
        answer = await client.request(method, f"{server.url}/socket.io/{query}", content=b"4")
    assert answer.status_code == status


async def test_bodies_of_any_kind_are_answered(server, records):
    address = f"{server.url}{QUERY}polling"
    async with httpx.AsyncClient(timeout=20) as client:
        opened = (await client.get(address)).text
        address += f"&sid={json.loads(opened[1:])['sid']}"
        await client.post(address, content=f"40{SEPARATOR}{event_packet('start')}")
        for body in (b"", b"\xff\xfe", b"\x1e" * 400, "\x1e".join(map(str, ODD_PACKETS)).encode()):
            assert (await client.post(address, content=body)).status_code == 200
        assert (await client.post(address, content=b"4" * 2_000_000)).status_code == 413
        assert (await client.get(address)).status_code == 400
    assert records.only().conversation["end_reason"] == "caller_hung_up"


async def test_a_page_that_is_closed_in_mid_poll_has_hung_up(server, records):
    address = f"{server.url}{QUERY}polling"
    async with httpx.AsyncClient(timeout=20) as client:
        opened = (await client.get(address)).text
        address += f"&sid={json.loads(opened[1:])['sid']}"
        await client.post(address, content=f"40{SEPARATOR}{event_packet('start')}")
        said = ""
        while "response_transcript_final" not in said:
            said = (await client.get(address)).text
        with pytest.raises(httpx.ReadTimeout):
            await client.get(address, timeout=0.5)
    assert records.only(timeout_s=5).conversation["end_reason"] == "caller_hung_up"
