"""Ordered work of a call that the decisions do not wait for."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Job = TypeVar("Job")


class Lane(Generic[Job]):
    """A bounded queue with one worker: jobs are done one at a time, in order.

    Args:
        work: does one job. What it raises ends `drain`, and with it the call.
        limit: how many jobs may wait.
        overflow: called instead of queueing when the lane is full; may make room.
    """

    def __init__(
        self,
        work: Callable[[Job], Awaitable[None]],
        *,
        limit: int,
        overflow: Callable[["Lane[Job]", Job], None],
    ) -> None:
        self._work = work
        self._limit = limit
        self._overflow = overflow
        self._jobs: deque[Job] = deque()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        return len(self._jobs)

    def put(self, job: Job) -> None:
        """Queue a job; never waits."""
        if len(self._jobs) >= self._limit:
            self._overflow(self, job)
            return
        self.force(job)

    def force(self, job: Job) -> None:
        """Queue a job whatever the limit says."""
        self._jobs.append(job)
        self._idle.clear()
        self._wake.set()

    def remove(self, unwanted: Callable[[Job], bool], *, most: int | None = None) -> int:
        """Drop waiting jobs, oldest first; returns how many."""
        kept: deque[Job] = deque()
        removed = 0
        for job in self._jobs:
            if unwanted(job) and (most is None or removed < most):
                removed += 1
            else:
                kept.append(job)
        self._jobs = kept
        return removed

    def take(self) -> list[Job]:
        """Take all waiting jobs out, oldest first."""
        jobs, self._jobs = list(self._jobs), deque()
        return jobs

    async def drain(self) -> None:
        """Do the jobs, for ever."""
        while True:
            while self._jobs:
                await self._work(self._jobs.popleft())
            self._idle.set()
            self._wake.clear()
            await self._wake.wait()

    async def idle(self) -> None:
        """Wait until everything queued so far is done."""
        await self._idle.wait()
