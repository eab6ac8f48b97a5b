"""The sound of an utterance, kept for whoever has to hear it from the beginning."""

import asyncio
from collections import deque

from calls.domain.audio import CALLER

KEPT_MS = 120_000
"""Of a longer utterance the beginning is forgotten."""


class Kept:
    """Chunks of `audio.CALLER` in order, numbered from 0."""

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._forgotten = 0
        self._bytes = 0
        self._news = asyncio.Event()
        self.complete = False

    def add(self, pcm: bytes) -> None:
        self._chunks.append(pcm)
        self._bytes += len(pcm)
        while self._bytes > CALLER.bytes(KEPT_MS):
            self._bytes -= len(self._chunks.popleft())
            self._forgotten += 1
        self._news.set()

    def close(self) -> None:
        """Nothing more comes."""
        self.complete = True
        self._news.set()

    def forget(self) -> None:
        """Nobody needs it any more."""
        self._forgotten += len(self._chunks)
        self._chunks.clear()
        self._bytes = 0

    async def after(self, number: int) -> tuple[int, bytes] | None:
        """The first chunk from that number on that is still there; None: there are no more."""
        while True:
            first = max(number, self._forgotten)
            if first - self._forgotten < len(self._chunks):
                return first, self._chunks[first - self._forgotten]
            if self.complete:
                return None
            self._news.clear()
            await self._news.wait()
