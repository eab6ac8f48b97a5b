"""A time limit on the call's own clock, for parts of what one task does."""

import asyncio
from collections.abc import Callable
from typing import Self

from calls.ports.clock import Clock


class Deadline:
    """Breaks off the block that it surrounds once its time is up.

    Nothing limits the block until `start`, which may be called from outside, even before the block
    is entered. A block that is broken off raises `TimeoutError`.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._limit = asyncio.timeout(None)
        self._forget: Callable[[], None] = lambda: None
        self._entered = False
        self._expired = False

    async def __aenter__(self) -> Self:
        await self._limit.__aenter__()
        self._entered = True
        if self._expired:
            self._expire()
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.stop()
        self._entered = False
        await self._limit.__aexit__(*exc)  # type: ignore[arg-type] # as they were given

    def start(self, ms: int) -> None:
        """So much time is left from now on; replaces what was started before."""
        self.stop()
        self._forget = self._clock.call_at(self._clock.now_ms() + ms, self._expire)

    def stop(self) -> None:
        """Nothing is limited any more."""
        self._forget()
        self._forget = lambda: None

    def _expire(self) -> None:
        self._expired = True
        if self._entered and not self._limit.expired():
            self._limit.reschedule(asyncio.get_running_loop().time())
