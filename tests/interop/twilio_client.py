"""Twilio's side of a bidirectional Media Stream, written from Twilio's own description.

Sound that is sent to it waits in a buffer that is played at even pace. A mark comes back when all
sound before it has been played; `clear` empties the buffer, and every mark in it comes back at once.
"""

import asyncio
import base64
import json
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from calls.audio import ulaw
from tests.interop.calls import at_pace, silence, speech

RATE_HZ = 8_000
FRAME_MS = 20
TICK_S = 0.01


@dataclass(slots=True)
class Mark:
    """A mark as it came back: its name, when, and whether `clear` sent it."""

    name: str
    at_s: float
    cleared: bool


class TwilioStream:
    """One stream. The caller's microphone is silent unless `speaks` is on.

    Args:
        url: the stream's address, as TwiML has it.
        parameters: TwiML's `<Parameter>`s.
        headers: of the handshake, on top.
    """

    def __init__(
        self,
        url: str,
        *,
        parameters: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.url = url
        self.parameters = parameters or {}
        self.headers = headers or {}
        self.call_sid = f"CA{time.time_ns():032x}"
        self.stream_sid = f"MZ{time.time_ns():032x}"
        self.heard = bytearray()
        """Everything that was played, mu-law."""
        self.marks: list[Mark] = []
        self.clears: list[float] = []
        self.close_code: int | None = None
        self._buffer: deque[bytes | str] = deque()
        self._number = 0
        self._sent_ms = 0
        self._say: asyncio.Queue[bytes] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._socket: ClientConnection | None = None

    async def __aenter__(self) -> "TwilioStream":
        self._socket = await connect(self.url, additional_headers=self.headers)
        await self._send({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        await self._tell("start", start=self._start())
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(work()) for work in (self._read, self._play, self._listen)]
        return self

    async def __aexit__(self, *exc: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._socket is not None:
            await self._socket.close()

    def _start(self) -> dict[str, Any]:
        return {
            "accountSid": "AC00000000000000000000000000000001",
            "streamSid": self.stream_sid,
            "callSid": self.call_sid,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": RATE_HZ, "channels": 1},
            "customParameters": self.parameters,
        }

    # What the caller does

    async def speaks(self, name: str) -> None:
        """Say an utterance of the fixtures; returns when it is said, and a pause after it."""
        self._say.put_nowait(speech(name, RATE_HZ))
        await self._say.join()

    async def presses(self, digits: str) -> None:
        for digit in digits:
            await self._tell("dtmf", dtmf={"track": "inbound_track", "digit": digit})
            await asyncio.sleep(0.1)

    async def sends(self, frame: str | bytes) -> None:
        """Put a message on the wire that Twilio would not send."""
        assert self._socket is not None
        with suppress(ConnectionClosed):
            await self._socket.send(frame)

    async def hangs_up(self) -> None:
        stop = {"accountSid": self._start()["accountSid"], "callSid": self.call_sid}
        await self._tell("stop", stop=stop)
        assert self._socket is not None
        await self._socket.close()

    # What it waits for

    async def hears(self, ms: int, timeout_s: float = 15) -> None:
        """Wait until so much more was played."""
        until = len(self.heard) + ms * RATE_HZ // 1000
        await self._until(lambda: len(self.heard) >= until, timeout_s)

    async def hears_out(self, timeout_s: float = 20) -> None:
        """Wait until something was played and nothing is left, for a second."""
        before = len(self.heard)
        await self._until(lambda: len(self.heard) > before, timeout_s)
        quiet_s = time.monotonic()
        async with asyncio.timeout(timeout_s):
            while time.monotonic() - quiet_s < 1 and self.close_code is None:
                if self._buffer:
                    quiet_s = time.monotonic()
                await asyncio.sleep(TICK_S)

    async def cleared(self, timeout_s: float = 10) -> None:
        await self._until(lambda: bool(self.clears), timeout_s)

    async def closed(self, timeout_s: float = 30) -> int:
        """Wait until the server closes the stream; the code."""
        await self._until(lambda: self.close_code is not None, timeout_s)
        assert self.close_code is not None
        return self.close_code

    async def _until(self, condition: Any, timeout_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while True:
                    if condition():
                        return
                    await asyncio.sleep(TICK_S)
        assert condition(), (
            f"waited in vain; closed: {self.close_code}, heard {len(self.heard) / RATE_HZ:.1f} s, "
            f"marks: {self.marks[-5:]}"
        )

    # Twilio's part

    async def _read(self) -> None:
        assert self._socket is not None
        with suppress(ConnectionClosed):
            async for frame in self._socket:
                message = json.loads(frame)
                assert message["streamSid"] == self.stream_sid
                await self._take(message)
        self.close_code = self._socket.close_code or 1006

    async def _take(self, message: dict[str, Any]) -> None:
        match message["event"]:
            case "media":
                sound = base64.b64decode(message["media"]["payload"], validate=True)
                self._buffer.append(sound)
            case "mark":
                self._buffer.append(str(message["mark"]["name"]))
            case "clear":
                self.clears.append(time.monotonic())
                waiting, self._buffer = self._buffer, deque()
                for entry in waiting:
                    if isinstance(entry, str):
                        await self._return(entry, cleared=True)
            case event:
                raise AssertionError(f"Twilio knows no {event}")

    async def _play(self) -> None:
        """Play at the pace of the ear."""
        then_s = time.monotonic()
        while True:
            await asyncio.sleep(TICK_S)
            now_s = time.monotonic()
            room = int((now_s - then_s) * RATE_HZ)
            then_s += room / RATE_HZ
            await self._play_some(room)

    async def _play_some(self, room: int) -> None:
        while self._buffer:
            entry = self._buffer[0]
            if isinstance(entry, str):
                self._buffer.popleft()
                await self._return(entry, cleared=False)
                continue
            if not room:
                return
            self.heard += entry[:room]
            self._buffer[0] = entry[room:]
            room = max(0, room - len(entry))
            if not self._buffer[0]:
                self._buffer.popleft()

    async def _return(self, name: str, *, cleared: bool) -> None:
        self.marks.append(Mark(name, time.monotonic(), cleared))
        await self._tell("mark", mark={"name": name})

    async def _listen(self) -> None:
        """Send what the microphone hears, 20 ms at a time, always."""
        with suppress(ConnectionClosed):
            while True:
                said = not self._say.empty()
                pcm = self._say.get_nowait() if said else silence(FRAME_MS, RATE_HZ)
                async for frame in at_pace(pcm, RATE_HZ, FRAME_MS):
                    await self._media(ulaw.encode(frame))
                if said:
                    self._say.task_done()

    async def _media(self, sound: bytes) -> None:
        media = {
            "track": "inbound",
            "chunk": str(self._sent_ms // FRAME_MS + 1),
            "timestamp": str(self._sent_ms),
            "payload": base64.b64encode(sound).decode(),
        }
        self._sent_ms += len(sound) * 1000 // RATE_HZ
        await self._tell("media", media=media)

    async def _tell(self, event: str, **fields: Any) -> None:
        self._number += 1
        message = {
            "event": event,
            "sequenceNumber": str(self._number),
            "streamSid": self.stream_sid,
        }
        with suppress(ConnectionClosed):
            await self._send(message | fields)

    async def _send(self, message: dict[str, Any]) -> None:
        assert self._socket is not None
        await self._socket.send(json.dumps(message))
