"""The tasks of a session: all of them end with it, whatever they wait for."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from calls.ports.clock import Clock

INSIST_ROUNDS = 4
INSIST_MS = 200
"""A task that hangs in its own clean-up is cancelled again, so often and so far apart."""


@dataclass
class Tasks:
    """Owns tasks between `open` and `close`, which one and the same task has to call.

    Tasks that help another one are started here as well, not in a group of its own: a group that
    waits for its tasks passes no second cancellation on to them.
    """

    clock: Clock
    _group: asyncio.TaskGroup = field(default_factory=asyncio.TaskGroup)
    _running: set[asyncio.Task[None]] = field(default_factory=set)
    _closed: bool = False

    async def open(self) -> None:
        await self._group.__aenter__()

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._group.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def close(self) -> None:
        """Cancel all tasks and wait for them, within a second. Idempotent."""
        if self._closed:
            return
        self._closed = True
        now_ms = self.clock.now_ms()
        insisting = [
            self.clock.call_at(now_ms + n * INSIST_MS, self._cancel)
            for n in range(1, INSIST_ROUNDS + 1)
        ]
        self._cancel()
        try:
            await self._group.__aexit__(None, None, None)
        finally:
            for forget in insisting:
                forget()

    def _cancel(self) -> None:
        for task in tuple(self._running):
            task.cancel()
