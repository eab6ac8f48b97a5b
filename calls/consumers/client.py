"""A socket and its codec, as the runner sees them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from calls.domain.errors import ErrorCode
from calls.engine.line import RESTART_CODE
from calls.ports.client import Outgoing, Pace
from calls.wire.base import Codec, Frame
from calls.wiring.metrics import metrics

Send = Callable[[dict[str, Any]], Awaitable[None]]


class SocketClient:
    """One WebSocket. What it cannot send any more it drops, and says nothing.

    Attributes:
        patience: of the task that reads the socket: when it ends, the socket is closed.
        read: whether that task is within it.
    """

    def __init__(self, send: Send, codec: Codec) -> None:
        self.codec = codec
        self.pace = Pace()
        self.patience = asyncio.timeout(None)
        self.read = False
        self._send = send
        self._closed = False
        self._close_code = 1000

    async def send(self, message: Outgoing) -> None:
        await self.frames(self.codec.send(message))

    async def frames(self, frames: tuple[Frame, ...]) -> None:
        """Send frames as they are, in order."""
        for frame in frames:
            kind = "bytes" if isinstance(frame, bytes) else "text"
            await self._emit({"type": "websocket.send", kind: frame})

    async def close(self, code: int) -> None:
        """Close it; a client whose protocol has it close first gets its time for that.

        Codes of ours mean something to clients that can come back, and to no others.
        """
        code = self._understood(code)
        grace_ms = self.codec.terms.close_grace_ms
        if not grace_ms or code != 1000 or not self.read:
            await self.close_now(code)
        elif self.patience.when() is None:
            self.patience.reschedule(asyncio.get_running_loop().time() + grace_ms / 1000)

    def _understood(self, code: int) -> int:
        terms = self.codec.terms
        if code == RESTART_CODE:
            return terms.restart_code
        return code if terms.resumes else 1000

    async def close_now(self, code: int) -> None:
        await self._emit({"type": "websocket.close", "code": code})
        self._closed = True

    async def refuse(self, code: ErrorCode, message: str) -> None:
        """Say what is wrong in the protocol's words, then close."""
        metrics().refused(code)
        await self.frames(self.codec.error(code, message, fatal=True))
        await self.close_now(self.codec.close_code(code))

    def gone(self) -> None:
        self._closed = True

    async def _emit(self, message: dict[str, Any]) -> None:
        if self._closed:
            return
        try:
            await self._send(message)
        except Exception:  # noqa: BLE001 - servers differ in what they raise for a closed socket
            self._closed = True
