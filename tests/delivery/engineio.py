"""Engine.IO and Socket.IO by hand, against an ASGI application: also what no library would send."""

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from channels.testing import WebsocketCommunicator

PATIENCE_S = 10

HEADERS = [(b"host", b"localhost"), (b"user-agent", b"tests")]
SEPARATOR = "\x1e"

OPENED: "list[Socket]" = []
"""WebSockets that somebody has to close."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    text: str


@dataclass
class Request:
    """One HTTP request; `gone` is set when the client hangs up."""

    application: Any
    query: dict[str, str]
    method: str = "GET"
    body: bytes = b""
    headers: list[tuple[bytes, bytes]] = field(default_factory=lambda: list(HEADERS))
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._taken = False
        self._sent: list[dict[str, Any]] = []

    async def run(self) -> Answer:
        length = [(b"content-length", str(len(self.body)).encode())]
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": self.method,
            "path": "/socket.io/",
            "query_string": urlencode(self.query).encode(),
            "headers": [*self.headers, *length],
        }
        await self.application(scope, self._receive, self._send)
        return self.answer()

    def answer(self) -> Answer:
        start, *rest = self._sent
        headers = {name.decode().lower(): value.decode() for name, value in start["headers"]}
        return Answer(start["status"], headers, b"".join(m["body"] for m in rest).decode())

    async def _receive(self) -> dict[str, Any]:
        if not self._taken:
            self._taken = True
            return {"type": "http.request", "body": self.body, "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        self._sent.append(message)


class Client:
    """What polling and WebSocket have in common: packets in, events out."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []
        self.disconnected = False
        self.connected: dict[str, Any] = {}
        self.refused: Any = None

    def of(self, name: str) -> list[Any]:
        return [payload for event, payload in self.events if event == name]

    def names(self) -> list[str]:
        return [event for event, _ in self.events]

    def take(self, packet: str) -> None:
        if packet.startswith("42"):
            event, *payload = json.loads(packet[2:])
            self.events.append((event, payload[0] if payload else None))
        elif packet.startswith("40"):
            self.connected = json.loads(packet[2:])
        elif packet.startswith("44{"):
            self.refused = json.loads(packet[2:])
        elif packet.startswith("41"):
            self.disconnected = True


def event_packet(event: str, *payload: Any) -> str:
    return "42" + json.dumps([event, *payload])


class Polling(Client):
    """A client that polls."""

    def __init__(self, application: Any, **query: str) -> None:
        super().__init__()
        self.application = application
        self.query = {"EIO": "4", "transport": "polling"} | query
        self.handshake: dict[str, Any] = {}

    def request(self, **about: Any) -> Request:
        return Request(self.application, dict(self.query), **about)

    async def open(self, auth: Any = None) -> None:
        answer = await self.request().run()
        assert answer.status == 200, answer
        self.handshake = json.loads(answer.text.removeprefix("0"))
        self.query["sid"] = self.handshake["sid"]
        await self.post("40" + ("" if auth is None else json.dumps(auth)))
        await self.until(lambda: bool(self.connected))

    async def post(self, *packets: str) -> Answer:
        return await self.request(method="POST", body=SEPARATOR.join(packets).encode()).run()

    async def emit(self, event: str, *payload: Any) -> None:
        assert (await self.post(event_packet(event, *payload))).status == 200

    async def poll(self) -> None:
        """Take what waits; wait for something."""
        async with asyncio.timeout(2):
            answer = await self.request().run()
        assert answer.status == 200, answer
        for packet in answer.text.split(SEPARATOR):
            self.take(packet)

    async def until(self, condition: Any) -> None:
        while not condition():
            await self.poll()

    async def event(self, name: str) -> Any:
        """Wait for an event of that name; the payload of the last one."""
        await self.until(lambda: name in self.names())
        return self.of(name)[-1]

    async def leave(self) -> None:
        await self.post("41", "1")


class Socket(Client):
    """A client by WebSocket; with a `sid` it upgrades a polling one."""

    def __init__(self, application: Any, sid: str = "", headers: Any = None, **query: str) -> None:
        super().__init__()
        fields = {"EIO": "4", "transport": "websocket"} | query | ({"sid": sid} if sid else {})
        upgrade = [(b"upgrade", b"websocket"), (b"connection", b"Upgrade")]
        self.wire = WebsocketCommunicator(
            application,
            f"/socket.io/?{urlencode(fields)}",
            headers=[*(HEADERS if headers is None else headers), *upgrade],
        )
        self.closed = False
        OPENED.append(self)

    async def open(self, auth: Any = None) -> None:
        assert (await self.wire.connect())[0]
        await self.send("40" + ("" if auth is None else json.dumps(auth)))
        await self.until(lambda: bool(self.connected))

    async def send(self, packet: str | bytes) -> None:
        kind = "bytes" if isinstance(packet, bytes) else "text"
        await self.wire.send_input({"type": "websocket.receive", kind: packet})

    async def emit(self, event: str, *payload: Any) -> None:
        await self.send(event_packet(event, *payload))

    async def next(self) -> str:
        """The next packet, as it is."""
        message = await self.wire.receive_output(PATIENCE_S)
        if message["type"] != "websocket.send":
            self.closed = True
            return "1"
        packet: str = message["text"]
        self.take(packet)
        return packet

    async def until(self, condition: Any) -> None:
        while not condition():
            assert not self.closed
            await self.next()

    async def event(self, name: str) -> Any:
        """Wait for an event of that name; the payload of the last one."""
        await self.until(lambda: name in self.names())
        return self.of(name)[-1]

    async def hear(self) -> None:
        """Take everything that has been sent so far."""
        for _ in range(60):
            await asyncio.sleep(0)
        while not self.wire.output_queue.empty():
            await self.next()

    async def gone(self) -> None:
        """The network is gone; once is enough."""
        if self not in OPENED:
            return
        OPENED.remove(self)
        await self.wire.send_input({"type": "websocket.disconnect", "code": 1006})
        with suppress(TimeoutError):
            await self.wire.wait(2)
