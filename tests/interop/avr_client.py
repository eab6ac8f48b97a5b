"""AVR's core on one side of a call, written from AVR's public description and from our page alone.

It sends 20 ms of sound without pause, silence included, from the moment the socket opens. What it
gets waits in a buffer of 20 ms chunks that is played at even pace and emptied by `interruption`.
It hangs up by closing, and takes a closed socket for a hang-up.
"""

import asyncio
import base64
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.interop.calls import pieces, silence, speech

RATE_HZ = 8_000
FRAME_MS = 20
FRAME_BYTES = RATE_HZ * FRAME_MS // 1000 * 2
TICK_S = 0.01


@dataclass(frozen=True, slots=True)
class Told:
    """One message that came, in order; `at_s` is when."""

    at_s: float
    message: dict[str, Any]


class AvrCore:
    """One call.

    Args:
        url: of the socket, query included.
        uuid: of `init`; None: none is sent.
        background: what the line carries while nobody speaks; silence by default. Called for each
            frame with its number.
        frame_bytes: how much sound goes into a message.
        tick_ms: how often it sends and plays; more than 20 spares the machine.
    """

    def __init__(
        self,
        url: str,
        *,
        uuid: str | None = "0f7c2a44-0b6e-4a5c-8f1e-1d2c3b4a5968",
        background: Callable[[int], bytes] | None = None,
        frame_bytes: int = FRAME_BYTES,
        tick_ms: int = FRAME_MS,
    ) -> None:
        self.url = url
        self.uuid = uuid
        self.told: list[Told] = []
        """Everything but sound."""
        self.frames: list[tuple[float, bytes]] = []
        """Sound as it came, with the time."""
        self.played = bytearray()
        """What came out of the buffer: the caller's ear."""
        self.dropped_bytes = 0
        """What `interruption` took out of it."""
        self.close_code: int | None = None
        self.closed_with_ms = 0
        """How much was in the buffer when the socket closed: what a caller would not hear."""
        self._background = background or (lambda _number: silence(FRAME_MS, RATE_HZ))
        self._frame_bytes = frame_bytes
        self._tick_ms = tick_ms
        self._buffer: deque[bytes] = deque()
        self._say: deque[bytes] = deque()
        self._tasks: list[asyncio.Task[None]] = []
        self._socket: ClientConnection | None = None

    async def __aenter__(self) -> "AvrCore":
        self._socket = await connect(self.url, compression=None, max_queue=None, open_timeout=60)
        loop = asyncio.get_running_loop()
        if self.uuid is not None:
            await self.tell({"type": "init", "uuid": self.uuid})
        self._tasks = [loop.create_task(work()) for work in (self._read, self._play, self._listen)]
        return self

    async def __aexit__(self, *exc: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._socket is not None:
            await self._socket.close()

    # What the caller does

    async def speaks(self, name: str) -> None:
        """Say an utterance of the fixtures; returns when it is said."""
        self._say += pieces(speech(name, RATE_HZ), FRAME_BYTES)
        await self.until(lambda: not self._say, 30)

    async def presses(self, digits: str) -> None:
        for digit in digits:
            await self.tell({"type": "dtmf_digit", "digit": digit})
            await asyncio.sleep(0.1)

    async def hangs_up(self) -> None:
        assert self._socket is not None
        await self._socket.close()

    async def tell(self, message: dict[str, Any] | str | bytes) -> None:
        """Send a message; what is no dictionary goes as it is."""
        assert self._socket is not None
        await self._socket.send(json.dumps(message) if isinstance(message, dict) else message)

    # What was told

    def transcripts(self, role: str) -> list[str]:
        said = (told.message for told in self.told if told.message["type"] == "transcript")
        return [message["text"] for message in said if message["role"] == role]

    def interruptions(self) -> list[float]:
        return [told.at_s for told in self.told if told.message["type"] == "interruption"]

    def errors(self) -> list[str]:
        return [t.message["message"] for t in self.told if t.message["type"] == "error"]

    # What it waits for

    async def hears(self, ms: int, timeout_s: float = 20) -> None:
        """Wait until so much more was played."""
        until = len(self.played) + ms * RATE_HZ // 1000 * 2
        await self.until(lambda: len(self.played) >= until, timeout_s)

    async def hears_out(
        self, timeout_s: float = 30, quiet_s: float = 1, *, before: int | None = None
    ) -> None:
        """Wait until something was played and nothing is left, for a while.

        Args:
            before: so many bytes do not count as something; None: what was played so far.
        """
        before, since_s = len(self.played) if before is None else before, time.monotonic()

        def quiet() -> bool:
            nonlocal since_s
            if self._buffer or len(self.played) == before:
                since_s = time.monotonic()
            return time.monotonic() - since_s > quiet_s or self.close_code is not None

        await self.until(quiet, timeout_s)

    async def closed(self, timeout_s: float = 30) -> int:
        """Wait until the server closes the socket; the code."""
        await self.until(lambda: self.close_code is not None, timeout_s)
        assert self.close_code is not None
        return self.close_code

    async def until(self, condition: Callable[[], bool], timeout_s: float = 20) -> None:
        give_up_s = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < give_up_s, (
                f"waited in vain; closed: {self.close_code}, "
                f"heard {len(self.played) / RATE_HZ / 2:.1f} s, "
                f"told: {[told.message for told in self.told[-5:]]}"
            )
            await asyncio.sleep(max(TICK_S, self._tick_ms / 1000 / 2))

    # The core's part

    async def _read(self) -> None:
        assert self._socket is not None
        with suppress(ConnectionClosed):
            async for frame in self._socket:
                assert isinstance(frame, str), "text messages only"
                self._take(json.loads(frame))
        self.closed_with_ms = len(self._buffer) * FRAME_MS
        self.close_code = self._socket.close_code or 1006

    def _take(self, message: dict[str, Any]) -> None:
        now_s = time.monotonic()
        if message["type"] == "audio":
            pcm = base64.b64decode(message["audio"], validate=True)
            self.frames.append((now_s, pcm))
            self._buffer += pieces(pcm, FRAME_BYTES)
            return
        self.told.append(Told(now_s, message))
        match message:
            case {"type": "interruption"} if len(message) == 1:
                self.dropped_bytes += sum(map(len, self._buffer))
                self._buffer.clear()
            case {"type": "transcript", "role": "user" | "agent", "text": str()}:
                pass
            case {"type": "error", "message": str()}:
                pass
            case _:
                raise AssertionError(f"AVR's core knows no {message}")

    async def _play(self) -> None:
        """Play a chunk every 20 ms."""
        async for _ in self._ticks():
            if self._buffer:
                self.played += self._buffer.popleft()

    async def _listen(self) -> None:
        """Send what the line carries, 20 ms at a time, always."""
        number, waiting = 0, b""
        with suppress(ConnectionClosed):
            async for _ in self._ticks():
                waiting += self._say.popleft() if self._say else self._background(number)
                number += 1
                while len(waiting) >= self._frame_bytes:
                    await self._sound(waiting[: self._frame_bytes])
                    waiting = waiting[self._frame_bytes :]

    async def _ticks(self) -> AsyncIterator[None]:
        """One for every 20 ms that pass."""
        due_s = time.monotonic()
        while True:
            due_s += self._tick_ms / 1000
            await asyncio.sleep(max(0, due_s - time.monotonic()))
            for _ in range(self._tick_ms // FRAME_MS):
                yield

    async def _sound(self, pcm: bytes) -> None:
        await self.tell({"type": "audio", "audio": base64.b64encode(pcm).decode()})
