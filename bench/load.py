"""Clients that stream sound at the pace of speech, as cheaply as Python can.

Raw sockets with frames masked beforehand: the generator must not be what is measured.
"""

import asyncio
import base64
import json
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

FRAME_MS = 20
RATE_HZ = 16_000
FRAME_BYTES = RATE_HZ * FRAME_MS // 1000 * 2


def client_frame(payload: bytes, *, opcode: int) -> bytes:
    """A masked WebSocket frame; the mask is zero, which RFC 6455 allows and costs nothing."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
    else:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
    return head + bytes(4) + payload


def sound_frames(pcm: bytes, count: int, *, positioned: bool) -> list[bytes]:
    """`count` ready frames of 20 ms, the sound repeated as needed."""
    frames = []
    for number in range(count):
        at = number * FRAME_BYTES % (len(pcm) - FRAME_BYTES)
        at -= at % 2
        head = struct.pack("<I", number * FRAME_BYTES // 2) if positioned else b""
        frames.append(client_frame(head + pcm[at : at + FRAME_BYTES], opcode=2))
    return frames


class Caller(asyncio.Protocol):
    """One connection; what comes back is counted and thrown away."""

    def __init__(self) -> None:
        self.received_bytes = 0
        self.closed = False
        self._head = bytearray()
        self._upgraded = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if not self._upgraded.is_set():
            self._head += data
            if b"\r\n\r\n" in self._head:
                self._upgraded.set()
            return
        self.received_bytes += len(data)

    def connection_lost(self, _exc: Exception | None) -> None:
        self.closed = True

    async def open(self, port: int, path: str, first: dict[str, object] | None) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        request = (
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            f"Origin: http://127.0.0.1:{port}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        self._transport.write(request.encode())
        async with asyncio.timeout(10):
            await self._upgraded.wait()
        if b" 101 " not in self._head.split(b"\r\n", 1)[0]:
            raise RuntimeError(f"no WebSocket: {bytes(self._head[:80])!r}")
        if first is not None:
            self.say(first)

    def say(self, message: dict[str, object]) -> None:
        self._transport.write(client_frame(json.dumps(message).encode(), opcode=1))

    def write(self, frame: bytes) -> None:
        self._transport.write(frame)

    def close(self) -> None:
        self._transport.abort()


@dataclass
class Load:
    """`count` callers, staggered over a frame's length."""

    port: int
    path: str
    count: int
    callers: list[Caller] = field(default_factory=list)

    async def connect(self, *openings: dict[str, object]) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(self.count):
            _, caller = await loop.create_connection(Caller, "127.0.0.1", self.port)
            await caller.open(self.port, self.path, openings[0] if openings else None)
            for message in openings[1:]:
                caller.say(message)
            self.callers.append(caller)

    async def stream(self, frames: Sequence[bytes]) -> None:
        """Send all frames to all, each caller at its own place within the 20 ms."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        slots = min(10, self.count)
        shares = [self.callers[slot::slots] for slot in range(slots)]
        for number, frame in enumerate(frames):
            for slot, share in enumerate(shares):
                due_s = began_s + (number + slot / slots) * FRAME_MS / 1000
                if (pause_s := due_s - loop.time()) > 0:
                    await asyncio.sleep(pause_s)
                for caller in share:
                    caller.write(frame)

    def close(self) -> None:
        for caller in self.callers:
            caller.close()


def cpu_ns(pid: int) -> int:
    """Processor time of a process, all its threads, by the kernel's own account; Linux only."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except FileNotFoundError:
            continue
    return total
