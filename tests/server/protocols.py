"""Clients of all protocols that know just enough of them to have a call: for what all share."""

import asyncio
import base64
import json
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from calls.audio import ulaw
from tests.server.callers import Caller
from tests.servers import RealServer
from tests.wire.test_protocols_page import TERMS

Frame = str | bytes


def _json(**fields: Any) -> str:
    return json.dumps(fields)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """What is said to have a call.

    Attributes:
        opens: what is sent first; the agent's voice follows.
        sound: a message of silence, 100 ms of it.
        word: some other message that changes nothing.
        too_large: close codes of a message that is longer than the protocol has it.
        key: whether an API key is needed.
    """

    name: str
    address: str
    opens: tuple[Frame, ...]
    sound: Frame
    word: Frame
    too_large: frozenset[int]
    key: bool = False

    @property
    def longest(self) -> int:
        return TERMS[self.name].message_bytes

    @property
    def too_long(self) -> str:
        """A message that is longer than the protocol has it."""
        filling = "x" * (self.longest + 1)
        return f'42["stop", "{filling}"]' if self.name == "socketio" else filling

    @property
    def recorded(self) -> str:
        return TERMS[self.name].name


_START = {"accountSid": "AC1", "streamSid": "MZ1", "callSid": "CA1", "customParameters": {}}
PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="browser",
            address="/ws/call/demo/",
            opens=(
                _json(type="start", v=1, microphone={"rate_hz": 16_000}, turns="auto", resume=None,
                      capabilities=[]),
            ),
            sound=struct.pack("<I", 0) + bytes(3_200),
            word=_json(type="ping", t=1),
            too_large=frozenset({4413}),
        ),
        Protocol(
            name="micdrop",
            address="/ws/micdrop/demo/?v=2",
            opens=(),
            sound=bytes(3_200),
            word="Mute",
            too_large=frozenset({4400, 4413}),
        ),
        Protocol(
            name="avr",
            address="/avr?agent=demo",
            opens=(_json(type="init", uuid="0f7c2a44-0b6e-4a5c-8f1e-1d2c3b4a5968"),),
            sound=_json(type="audio", audio=_base64(bytes(1_600))),
            word=_json(type="weather"),
            # Our server takes no more than the protocol does: it drops the connection.
            too_large=frozenset({1006, 1009, 4413}),
        ),
        Protocol(
            name="socketio",
            address="/socket.io/?EIO=4&transport=websocket",
            opens=("40", '42["start"]'),
            sound="42" + json.dumps(["audio_chunk", _base64(bytes(4_800))]),
            word='42["stop"]',
            # Beyond Engine.IO's limit it says nothing, and leaves.
            too_large=frozenset({1000, 1005, 1006, 1009}),
        ),
        Protocol(
            name="realtime",
            address="/v1/realtime?model=demo",
            opens=(_json(type="response.create"),),
            sound=_json(type="input_audio_buffer.append", audio=_base64(bytes(4_800))),
            word=_json(type="weather"),
            too_large=frozenset({1009, 4413}),
            key=True,
        ),
        Protocol(
            name="twilio",
            address="/ws/twilio/demo/",
            opens=(
                _json(event="connected", protocol="Call", version="1.0.0"),
                _json(event="start", sequenceNumber="1", streamSid="MZ1", start=_START),
            ),
            sound=_json(event="media", streamSid="MZ1",
                        media={"track": "inbound", "payload": _base64(ulaw.encode(bytes(1_600)))}),
            word=_json(event="weather"),
            too_large=frozenset({4413}),
        ),
    )
}  # fmt: skip


class Line:
    """A call of any protocol.

    Args:
        key: an API key, where the protocol needs one.
        options: of the WebSocket.
    """

    def __init__(self, server: RealServer, protocol: Protocol, key: str = "", **options: Any):
        self.protocol = protocol
        self.received_bytes = 0
        self.last: list[Frame] = []
        """The latest messages, those with sound left out."""
        self.close_code: int | None = None
        self._url = server.ws_url + protocol.address
        self._options = {"compression": None, "max_queue": None, "max_size": None} | options
        if protocol.key:
            self._options["additional_headers"] = {"Authorization": f"Bearer {key}"}
        self._socket: ClientConnection | None = None
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Line":
        self._socket = await connect(self._url, **self._options)
        self._reading = asyncio.get_running_loop().create_task(self._read())
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop_reading()
        if self._socket is not None:
            await self._socket.close()

    @property
    def socket(self) -> ClientConnection:
        assert self._socket is not None
        return self._socket

    async def begin(self) -> None:
        """Have a call: the agent's voice comes, of some protocols as soon as they are connected."""
        before = self.received_bytes if self.protocol.opens else 0
        for frame in self.protocol.opens:
            await self.send(frame)
        await self.until(lambda: self.received_bytes > before + 3_500)

    async def send(self, frame: Frame) -> None:
        """Send a message, unless the server has closed."""
        with suppress(ConnectionClosed):
            await self.socket.send(frame)

    async def stop_reading(self) -> None:
        """Leave everything that comes where it is."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    def drop(self) -> None:
        """The network is gone."""
        self.socket.transport.abort()

    async def closed(self, timeout_s: float = 10) -> int:
        """Wait until the server closes the socket; the code."""
        await self.until(lambda: self.close_code is not None, timeout_s)
        assert self.close_code is not None
        return self.close_code

    async def until(self, condition: Callable[[], bool], timeout_s: float = 15) -> None:
        give_up_s = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < give_up_s, (
                f"{self.protocol.name} waited in vain; closed: {self.close_code}, "
                f"came: {self.received_bytes} bytes, {self.last[-5:]}"
            )
            await asyncio.sleep(0.02)

    async def _read(self) -> None:
        with suppress(ConnectionClosed):
            async for frame in self.socket:
                self.received_bytes += len(frame)
                if frame == "2":  # a ping of Engine.IO
                    await self.send("3")
                if len(frame) < 1_000:
                    self.last = [*self.last[-20:], frame]
        self.close_code = self.socket.close_code or 1006


class Beside:
    """Another caller's call, by our own page: while the block runs all of it is heard.

    It asks again and again, and no piece of an answer is missing.
    """

    QUESTION = "What are your opening hours?"

    def __init__(self, server: RealServer) -> None:
        self._caller = Caller(server.ws_url)
        self._over = False
        self._asking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Beside":
        await self._caller.start()
        await self._caller.hears_out()
        self._asking = asyncio.get_running_loop().create_task(self._ask())
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._asking is not None
        self._over = True
        try:
            await self._asking
            if exc[0] is None:
                assert await self._caller.hangs_up() == "caller_hung_up"
        finally:
            await self._caller.__aexit__(None, None, None)

    async def _ask(self) -> None:
        asked = 0
        while not self._over or not asked:
            answer = await self._caller.asks(self.QUESTION, timeout_s=20)
            assert "nine to five" in answer["text"]
            assert answer["unheard"] == ""
            self._whole(answer["response_id"])
            asked += 1

    def _whole(self, response_id: int) -> None:
        """All of its sound came, without a gap."""
        frames = [frame for frame in self._caller.frames if frame[0] == response_id]
        reached_ms = 0.0
        for _, start_ms, pcm in frames:
            assert abs(start_ms - reached_ms) < 2, "a piece of an answer did not come"
            reached_ms = start_ms + len(pcm) / 48
        (end,) = (end for end in self._caller.of("audio_end") if end["response_id"] == response_id)
        assert abs(end["length_ms"] - reached_ms) < 2, "the end of an answer did not come"


def unhurt(server: RealServer, log_before: int = 0) -> None:
    """The server lives and has found nothing wrong with itself."""
    assert server.process.poll() is None, server.log()
    log = server.log()[log_before:]
    assert "Traceback" not in log, log
    assert " ERROR " not in log, log
