"""Time under the test's control."""

import asyncio
import heapq
import itertools
from collections.abc import Callable

PASSES = 30
"""So often the loop turns after every step, so that woken tasks have done what they can."""


class FakeClock:
    """A `Clock` that stands still until `advance` moves it."""

    def __init__(self, start_ms: int = 1_000_000) -> None:
        self._now_ms = start_ms
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._forgotten: set[int] = set()
        self._numbers = itertools.count()

    def now_ms(self) -> int:
        return self._now_ms

    def call_at(self, due_ms: int, callback: Callable[[], None]) -> Callable[[], None]:
        number = next(self._numbers)
        heapq.heappush(self._due, (due_ms, number, callback))
        return lambda: self._forgotten.add(number)

    async def sleep(self, ms: int) -> None:
        woken = asyncio.Event()
        forget = self.call_at(self._now_ms + ms, woken.set)
        try:
            await woken.wait()
        finally:
            forget()

    async def advance(self, ms: int) -> None:
        """Let `ms` pass: timers go off in order, each seeing its own time."""
        until_ms = self._now_ms + ms
        await self.settle()
        while self._due and self._due[0][0] <= until_ms:
            due_ms, number, callback = heapq.heappop(self._due)
            if number in self._forgotten:
                self._forgotten.discard(number)
                continue
            self._now_ms = max(self._now_ms, due_ms)
            callback()
            await self.settle()
        self._now_ms = until_ms
        await self.settle()

    async def settle(self) -> None:
        """Let every task that can go on do so, without time passing."""
        for _ in range(PASSES):
            await asyncio.sleep(0)
