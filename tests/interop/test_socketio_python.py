"""`python-socketio`'s own client against the real server."""

import asyncio

import pytest
import socketio
from engineio.payload import Payload

from tests.interop.calls import Seen, agree

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(60)]


@pytest.mark.parametrize("transports", [["polling"], ["websocket"], ["polling", "websocket"]])
async def test_the_beginning_of_a_call(server, records, monkeypatch, transports):
    # By default this client takes no more than 16 events from one poll.
    monkeypatch.setattr(Payload, "max_decode_packets", 500)
    client = socketio.AsyncClient(reconnection=False)
    events, final = [], asyncio.Event()

    @client.on("*")
    async def came(event, *payload):
        events.append((event, payload))
        if event == "response_transcript_final":
            final.set()

    await client.connect(f"{server.url}?agent=demo&campaign=spring", transports=transports)
    await client.emit("start")
    async with asyncio.timeout(20):
        await final.wait()
    await client.disconnect()

    deltas = [payload[0] for event, payload in events if event == "response_audio_delta"]
    assert dict(events)["response_audio"] == (deltas,)
    record = records.only()
    assert record.metadata == {"campaign": "spring"}
    agree(Seen(greeting=dict(events)["response_transcript_final"][0]), record)
