"""A piece of text on its way to sound, between a socket and the one who listens."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from calls.domain.events import Stage
from calls.ports.clock import Clock
from calls.ports.errors import ProviderError, ProviderFault
from calls.providers.elevenlabs.faults import fault
from calls.providers.elevenlabs.sound import Chunk

WAITING_BYTES = 8 * 1024 * 1024
"""About three minutes of sound. Whoever is so far behind loses the piece, not the socket."""

STALL_MS = 10_000


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be said. `text` ends with a space, else it would run into what follows."""

    text: str
    settings: dict[str, float | bool]


class Piece:
    """One context of a socket.

    Attributes:
        sent: the service knows of it.
        abandoned: nobody listens any more.
    """

    def __init__(self, context_id: str, order: Order, clock: Clock) -> None:
        self.context_id = context_id
        self.order = order
        self.sent = False
        self.abandoned = False
        self._clock = clock
        self._waiting: deque[Chunk] = deque()
        self._waiting_bytes = 0
        self._began = False
        self._over = False
        self._error: ProviderError | None = None
        self._changed = asyncio.Event()

    def messages(self) -> list[dict[str, object]]:
        """What has to be sent for it, in order. Settings may only come first."""
        named: dict[str, object] = {"context_id": self.context_id}
        settings = {"voice_settings": self.order.settings} if self.order.settings else {}
        return [
            {"text": " ", **named, **settings},
            {"text": self.order.text, **named, "flush": True},
            {**named, "close_context": True},
        ]

    def put(self, chunk: Chunk) -> None:
        """Sound has come; never waits. After the end, a failure or `abandon` it is dropped."""
        if self._over:
            return
        self._began = self._began or bool(chunk.pcm)
        self._waiting.append(chunk)
        self._waiting_bytes += len(chunk.pcm)
        if self._waiting_bytes > WAITING_BYTES:
            self._waiting.clear()
            self._end(
                fault(
                    ProviderFault.UNAVAILABLE,
                    stage=Stage.TTS,
                    message="The sound came faster than it was taken.",
                )
            )
        self._changed.set()

    def finish(self) -> None:
        """All of it has come."""
        self._end(None)

    def fail(self, error: ProviderError) -> None:
        """No more will come; what has come is still given out."""
        if self._began and error.kind is ProviderFault.UNAVAILABLE:
            error = fault(ProviderFault.TRUNCATED, stage=Stage.TTS)
        self._end(error)

    def abandon(self) -> None:
        """Nobody listens any more: what has come is dropped, and so is what comes."""
        self.abandoned = True
        self._waiting.clear()
        self.finish()

    async def chunks(self) -> AsyncGenerator[Chunk, None]:
        """What comes, to the end.

        Raises:
            ProviderError: it never came to its end, or nothing came for `STALL_MS`.
        """
        while True:
            while self._waiting:
                chunk = self._waiting.popleft()
                self._waiting_bytes -= len(chunk.pcm)
                yield chunk
            if self._error is not None:
                raise self._error
            if self._over:
                return
            await self._more()

    async def _more(self) -> None:
        self._changed.clear()
        forget = self._clock.call_at(self._clock.now_ms() + STALL_MS, self._stalled)
        try:
            await self._changed.wait()
        finally:
            forget()

    def _stalled(self) -> None:
        self._end(fault(ProviderFault.TIMEOUT, stage=Stage.TTS))

    def _end(self, error: ProviderError | None) -> None:
        if not self._over:
            self._over = True
            self._error = error
        self._changed.set()
