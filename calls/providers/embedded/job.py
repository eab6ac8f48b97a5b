"""A piece of work for a speech worker, as the one who waits for it sees it."""

import asyncio
from collections import deque
from dataclasses import dataclass, field

from calls.ports.errors import ProviderError


@dataclass(eq=False, slots=True)
class Job:
    """What was asked for, and what has come of it so far.

    Attributes:
        killable: its engine cannot be asked to stop: if nobody wants the result any more, the
            worker is killed and replaced.
        unwanted: nobody waits for it any more.
        news: set whenever anything here changed, or a worker died.
    """

    number: int
    payload: bytes
    killable: bool
    result: bytes | None = None
    error: ProviderError | None = None
    began: bool = False
    retried: bool = False
    unwanted: bool = False
    chunks: deque[bytes] = field(default_factory=deque)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def over(self) -> bool:
        return self.result is not None or self.error is not None

    def add(self, chunk: bytes) -> None:
        """A part of the result has come."""
        self.began = True
        if not self.unwanted:
            self.chunks.append(chunk)
            self.news.set()

    def succeed(self, result: bytes) -> None:
        if not self.over:
            self.result = result
        self.news.set()

    def fail(self, error: ProviderError) -> None:
        if not self.over:
            self.error = error
        self.news.set()
