"""A time limit on the call's own clock for part of what one task does."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from calls.ports.clock import Clock

INSIST_MS = 200
"""Work that hangs in its own clean-up is broken off again, so far apart."""


class Limit:
    """Breaks off the block that it surrounds, with `TimeoutError`, once its time is up.

    Args:
        ms: None: nothing is limited until `start`, which may be called from outside.
    """

    def __init__(self, clock: Clock, ms: int | None = None) -> None:
        self._clock = clock
        self._ms = ms
        self._forget: Callable[[], None] = lambda: None
        self._task: asyncio.Task[object] | None = None
        self._cancelled_before = 0
        self._cancels = 0

    @property
    def expired(self) -> bool:
        return self._cancels > 0

    async def __aenter__(self) -> Self:
        self._task = asyncio.current_task()
        assert self._task is not None
        self._cancelled_before = self._task.cancelling()
        if self._ms is not None:
            self.start(self._ms)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        task, self._task = self._task, None
        assert task is not None
        self._forget()
        self._forget = lambda: None
        for _ in range(self._cancels):
            task.uncancel()
        only_ours = self.expired and task.cancelling() <= self._cancelled_before
        if only_ours and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise TimeoutError from error

    def start(self, ms: int) -> None:
        """So much time is left from now on, instead of what was left before.

        Means nothing outside the block.
        """
        self._forget()
        if self._task is not None:
            self._forget = self._clock.call_at(self._clock.now_ms() + max(0, ms), self._expire)

    def _expire(self) -> None:
        if self._task is not None:
            self._cancels += 1
            self._task.cancel()
            self.start(INSIST_MS)
