"""A caller: the browser protocol over a real socket, and an ear that plays what it gets."""

import asyncio
import json
import struct
import time
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.servers import Installation, RealServer

AUDIO = Path(__file__).resolve().parents[1] / "fixtures" / "audio"
FRAME_MS = 20
SAMPLE_BYTES = 2
MICROPHONE_HZ = 16_000
AGENT_HZ = 24_000
REPORT_S = 0.1


def pcm_of(name: str) -> bytes:
    """An utterance of the fixtures, 16 kHz s16le mono."""
    with wave.open(str(AUDIO / f"{name}.wav"), "rb") as wav:
        assert (wav.getframerate(), wav.getnchannels()) == (MICROPHONE_HZ, 1)
        return wav.readframes(wav.getnframes())


@contextmanager
def kept_server(
    installation: Installation,
    var_dir: Path,
    on: type[RealServer] = RealServer,
    **environment: str,
) -> Iterator[RealServer]:
    """A server for several tests: what one does must not matter to the next."""
    server = installation.start(var_dir, environment, on)
    try:
        yield server
    finally:
        server.kill()
    assert "Traceback" not in server.log(), server.log()


class Caller:
    """A page's part in a call. It may lose its socket and come back with another.

    Args:
        url: of the server, beginning with `ws`.
        hasty: its ear is several times as fast, so that a test need not listen to everything.
        ear: whether it reports playback at all.
    """

    def __init__(
        self, url: str, *, agent: str = "demo", hasty: bool = True, ear: bool = True
    ) -> None:
        self.url = f"{url}/ws/call/{agent}/"
        self.agent = agent
        self.hasty = hasty
        self.ear = ear
        self.messages: list[dict[str, Any]] = []
        self.frames: list[tuple[int, int, bytes]] = []
        """Response, start in milliseconds, sound; in the order of arrival, over all sockets."""
        self.played_ms: dict[int, float] = {}
        self.cleared: set[int] = set()
        self.ready: dict[str, Any] = {}
        self.position = 0
        self.close_code: int | None = None
        self._received_ms: dict[int, int] = {}
        self._moved = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._socket: ClientConnection | None = None

    # Sockets

    async def __aenter__(self) -> "Caller":
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stop()
        if self._socket is not None:
            await self._socket.close()

    async def start(self, **fields: Any) -> dict[str, Any]:
        """Begin a call; what `ready` says."""
        await self._open()
        message = {
            "type": "start",
            "v": 1,
            "agent": self.agent,
            "microphone": {"rate_hz": MICROPHONE_HZ},
            "turns": "auto",
            "capabilities": ["playback"] if self.ear else [],
            "resume": None,
        }
        await self.send(message | fields)
        self._listen()
        self.ready = await self.message("ready", since=len(self.messages))
        return self.ready

    async def come_back(self) -> dict[str, Any]:
        """Resume with what the last `ready` said."""
        played = None
        if self.played_ms:
            response_id = max(self.played_ms)
            played = {"response_id": response_id, "played_ms": int(self.played_ms[response_id])}
            self._received_ms[response_id] = int(self.played_ms[response_id])
        resume = {
            "call_id": self.ready["call_id"],
            "secret": self.ready["resume_secret"],
            "played": played,
        }
        return await self.start(resume=resume)

    async def drop(self) -> None:
        """Lose the network: the connection is aborted, nothing is said."""
        await self._stop()
        assert self._socket is not None
        self._socket.transport.abort()
        await self._socket.wait_closed()

    async def raw(self, data: bytes) -> None:
        """Put bytes on the connection as they are."""
        assert self._socket is not None
        self._socket.transport.write(data)

    async def closed(self, timeout_s: float = 10) -> int:
        """Wait until the server closes the socket; the code."""
        await self.until(lambda: self.close_code is not None, timeout_s)
        assert self.close_code is not None
        return self.close_code

    async def _open(self) -> None:
        self.close_code = None
        self._socket = await connect(self.url, compression=None, max_queue=None)

    def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._read())]
        if self.ear:
            self._tasks.append(loop.create_task(self._play()))

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    # What the caller does

    async def send(self, message: dict[str, Any]) -> None:
        assert self._socket is not None
        await self._socket.send(json.dumps(message))

    async def says(self, frame: str | bytes) -> None:
        """Send a message as it is, sound or text."""
        assert self._socket is not None
        await self._socket.send(frame)

    async def types(self, text: str) -> None:
        await self.send({"type": "text", "text": text})

    async def hears_out(self, timeout_s: float = 15) -> None:
        """Wait until it is the caller's turn, and what was said so far is stored."""
        await self.until(self._quiet, timeout_s)

    async def asks(self, text: str, timeout_s: float = 15) -> dict[str, Any]:
        """Type it and wait until the answer was heard; the agent's item."""
        since = len(self.messages)
        await self.types(text)
        await self.until(lambda: self._answer(since) is not None, timeout_s)
        answer = self._answer(since)
        assert answer is not None
        return answer

    async def speaks(self, pcm: bytes, *, pace: float = 1.0) -> None:
        """Send sound as a microphone does; `pace` 1 is real time."""
        size = MICROPHONE_HZ * FRAME_MS // 1000 * SAMPLE_BYTES
        began_s = time.monotonic()
        for number, at in enumerate(range(0, len(pcm), size)):
            await self.frame(pcm[at : at + size])
            due_s = began_s + (number + 1) * FRAME_MS / 1000 / pace
            await asyncio.sleep(max(0, due_s - time.monotonic()))

    async def is_silent(self, ms: int) -> None:
        await self.speaks(bytes(MICROPHONE_HZ * ms // 1000 * SAMPLE_BYTES))

    async def frame(self, pcm: bytes) -> None:
        assert self._socket is not None
        await self._socket.send(struct.pack("<I", self.position) + pcm)
        self.position += len(pcm) // SAMPLE_BYTES

    async def hangs_up(self) -> str:
        """End the call; the reason it gives."""
        await self.send({"type": "hang_up"})
        end = await self.message("end")
        assert await self.closed() == 1000
        return str(end["reason"])

    # What the caller gets

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["type"] == kind]

    def items(self) -> dict[int, dict[str, Any]]:
        """The conversation as the page shows it: the latest state of every entry."""
        return {message["item"]["id"]: message["item"] for message in self.of("item")}

    def codes(self) -> list[str]:
        return [error["code"] for error in self.of("error")]

    def sound(self, response_id: int) -> bytes:
        """All sound of a response, laid out by where it belongs."""
        track = bytearray()
        for number, start_ms, pcm in self.frames:
            if number == response_id:
                at = start_ms * AGENT_HZ // 1000 * SAMPLE_BYTES
                track[at : at + len(pcm)] = pcm
        return bytes(track)

    async def message(self, kind: str, *, since: int = 0, timeout_s: float = 15) -> dict[str, Any]:
        """The first message of that type, from `since` on."""

        def found() -> dict[str, Any] | None:
            wanted = (m for m in self.messages[since:] if m["type"] == kind)
            return next(wanted, None)

        await self.until(lambda: found() is not None, timeout_s)
        message = found()
        assert message is not None
        return message

    async def until(self, condition: Callable[[], bool], timeout_s: float = 15) -> None:
        """Wait for something to come true about what was received, and no longer than it can."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not condition() and self.close_code is None:
                    self._moved.clear()
                    await self._moved.wait()
        kinds = [message["type"] for message in self.messages][-15:]
        assert condition(), f"waited in vain; closed: {self.close_code}, last: {kinds}"

    def _quiet(self) -> bool:
        phases = self.of("phase")
        items = self.items().values()
        stored = items and not any(item["status"] == "in_progress" for item in items)
        return bool(stored and phases[-1]["phase"] == "listening")

    def _answer(self, since: int) -> dict[str, Any] | None:
        """What the agent said to what was asked after `since`, once it was heard."""
        items = [m["item"] for m in self.messages[since:] if m["type"] == "item"]
        turns = [item["turn"] for item in items if item["role"] == "user"]
        heard = (
            item
            for item in items
            if item["role"] == "agent" and item["status"] == "complete" and item["turn"] in turns
        )
        return next(heard, None)

    # The page's part

    async def _read(self) -> None:
        assert self._socket is not None
        try:
            async for frame in self._socket:
                await self._take(frame)
                self._moved.set()
        except ConnectionClosed:
            pass
        self.close_code = self._socket.close_code or 1006
        self._moved.set()

    async def _take(self, frame: str | bytes) -> None:
        if isinstance(frame, bytes):
            response_id, start_ms = struct.unpack_from("<II", frame)
            self.frames.append((response_id, start_ms, frame[8:]))
            end_ms = start_ms + (len(frame) - 8) * 1000 // (AGENT_HZ * SAMPLE_BYTES)
            self._received_ms[response_id] = end_ms
            return
        message = json.loads(frame)
        self.messages.append(message)
        if message["type"] == "clear":
            await self._cut(message["response_id"])

    async def _cut(self, response_id: int) -> None:
        self.cleared.add(response_id)
        self._received_ms.pop(response_id, None)
        played_ms = int(self.played_ms.get(response_id, 0))
        if self.ear:
            await self._tell({"type": "cut", "response_id": response_id, "played_ms": played_ms})

    async def _play(self) -> None:
        """Play in real time, and report."""
        then_s = time.monotonic()
        while True:
            await asyncio.sleep(REPORT_S)
            now_s = time.monotonic()
            passed_ms, then_s = (now_s - then_s) * 1000, now_s
            for response_id, received_ms in list(self._received_ms.items()):
                before_ms = self.played_ms.get(response_id, 0.0)
                if before_ms < received_ms:
                    reached_ms = received_ms if self.hasty else before_ms + passed_ms
                    await self._report(response_id, min(received_ms, reached_ms))

    async def _report(self, response_id: int, played_ms: float) -> None:
        self.played_ms[response_id] = played_ms
        buffered_ms = self._received_ms.get(response_id, 0) - played_ms
        await self._tell(
            {
                "type": "played",
                "response_id": response_id,
                "played_ms": int(played_ms),
                "buffered_ms": max(0, int(buffered_ms)),
            }
        )

    async def _tell(self, message: dict[str, Any]) -> None:
        """Report, though the server may have closed behind what is still to be read."""
        with suppress(ConnectionClosed):
            await self.send(message)
