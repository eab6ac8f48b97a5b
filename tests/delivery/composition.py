"""The consumer behind the real routes, and calls made of doubles behind the consumer."""

import asyncio
import json
import struct
from typing import Any

from channels.testing import WebsocketCommunicator

from calls import wiring
from calls.domain.errors import CallError, ErrorCode
from calls.engine.registry import LiveCall, Registry
from calls.store.visits import Visit
from calls.wire.base import Hello
from tests.engine.bench import Call, policy
from voiceapp.asgi import application

HEADERS = [(b"host", b"localhost"), (b"origin", b"http://localhost"), (b"user-agent", b"tests")]
START = {
    "type": "start",
    "v": 1,
    "agent": "demo",
    "microphone": {"rate_hz": 16_000},
    "turns": "auto",
    "capabilities": ["playback"],
    "resume": None,
}


class Composition:
    """What `calls.wiring` is to the consumer: it opens calls of doubles."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.clients: list[dict[str, str]] = []
        self.hellos: list[Hello] = []
        self.visits: list[Visit] = []
        self.asked = asyncio.Event()
        self.refuses: Exception | None = None
        self.policy = policy()
        self._registry = Registry(max_calls=10)

    def install(self, monkeypatch) -> None:
        monkeypatch.setattr(wiring, "registry", lambda: self._registry)
        monkeypatch.setattr(wiring, "open_call", self.open_call)

    async def open_call(
        self, hello: Hello, *, client: dict[str, str], tools=(), visit: Visit
    ) -> LiveCall:
        self.hellos.append(hello)
        self.visits.append(visit)
        self.asked.set()
        self.clients.append(client)
        if self.refuses is not None:
            raise self.refuses
        if hello.agent != "demo":
            raise CallError(ErrorCode.NO_SUCH_AGENT, "There is no such agent.")
        bench = Call(self.policy, ())
        self.calls.append(bench)
        await self._registry.start(bench.live)
        return bench.live

    async def close(self) -> None:
        await self._registry.close()


class Socket(WebsocketCommunicator):
    """A page's socket. Messages are dictionaries; sound is bytes."""

    def __init__(self, path: str = "/ws/call/demo/") -> None:
        super().__init__(application, path, headers=HEADERS)
        self.sound: list[bytes] = []
        self.messages: list[dict[str, Any]] = []
        self.close_code: int | None = None

    async def open(self) -> None:
        connected, _ = await self.connect()
        assert connected

    async def say(self, message: object) -> None:
        await self.send_to(text_data=message if isinstance(message, str) else json.dumps(message))

    async def microphone(self, position: int, pcm: bytes) -> None:
        await self.send_to(bytes_data=struct.pack("<I", position) + pcm)

    async def hear(self) -> None:
        """Take everything that has been sent so far."""
        for _ in range(50):
            await asyncio.sleep(0)
        while not self.output_queue.empty():
            self._take(self.output_queue.get_nowait())

    async def until(self, kind: str) -> dict[str, Any]:
        """Take what comes until a message of that type; it."""
        while True:
            self._take(await self.receive_output(2))
            if self.messages and self.messages[-1]["type"] == kind:
                return self.messages[-1]

    async def closed(self) -> int:
        """Take what comes until the socket is closed; its code."""
        while self.close_code is None:
            self._take(await self.receive_output(2))
        return self.close_code

    async def start(self, **fields: Any) -> dict[str, Any]:
        """Open the socket and begin, or come back into, a call; what `ready` says."""
        await self.open()
        await self.say(START | fields)
        return await self.until("ready")

    async def gone(self) -> None:
        """The network is gone."""
        await self.send_input({"type": "websocket.disconnect", "code": 1006})
        await self.wait(2)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["type"] == kind]

    def _take(self, output: dict[str, Any]) -> None:
        if output["type"] == "websocket.close":
            self.close_code = output["code"]
        elif output.get("bytes") is not None:
            self.sound.append(output["bytes"])
        else:
            self.messages.append(json.loads(output["text"]))
