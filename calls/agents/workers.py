"""Threads for code that may block, so that the event loop never does."""

import asyncio
import queue
import threading
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar, cast

from django.db import DatabaseError, close_old_connections

from calls.conf import calls_settings

T = TypeVar("T")

WAITING_PER_THREAD = 8
"""So many jobs for each thread may wait; one more is refused rather than done too late."""

PARTS_AHEAD = 16
"""So many parts of an iterator may wait to be taken before its thread pauses."""


class WorkersBusyError(Exception):
    """All threads are busy and too many jobs wait already."""


class LeftError(Exception):
    """Code in a thread raised something like `SystemExit`, which is the cause."""


@dataclass(frozen=True, slots=True)
class _Outcome(Generic[T]):
    value: T | None = None
    error: BaseException | None = None

    @classmethod
    def of(cls, function: Callable[[], T]) -> "_Outcome[T]":
        try:
            return cls(value=function())
        except BaseException as error:  # noqa: BLE001 - foreign code; it must not end the thread
            return cls(error=error)

    def result(self) -> T:
        if self.error is None:
            return cast("T", self.value)
        if isinstance(self.error, Exception) and not isinstance(self.error, StopIteration):
            raise self.error
        # SystemExit and its like would end the event loop, StopIteration the wrong iteration.
        raise LeftError(type(self.error).__name__) from self.error


class Workers:
    """A bounded pool of daemon threads: a job that never returns does not hold up the shutdown.

    Django's connections are a thread's own; they are tidied up before and after every job, as
    they are around a request.

    Args:
        threads: how many jobs run at once; started as they are needed.
        waiting: how many more may wait.
    """

    def __init__(self, *, threads: int, waiting: int) -> None:
        self._most_threads = threads
        self._most_jobs = threads + waiting
        self._lock = threading.Lock()
        self._jobs: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._threads = 0
        self._unfinished = 0

    def submit(self, job: Callable[[], object]) -> None:
        """Have a thread do this; nobody hears of what it returns or raises.

        Raises:
            WorkersBusyError: too many jobs wait.
        """
        with self._lock:
            if self._unfinished >= self._most_jobs:
                raise WorkersBusyError
            self._unfinished += 1
            more = self._unfinished > self._threads and self._threads < self._most_threads
            self._threads += more
        self._jobs.put(job)
        if more:
            threading.Thread(target=self._work, name="calls-agent", daemon=True).start()

    async def run(self, function: Callable[[], T]) -> T:
        """What the function returns or raises, done in a thread.

        Cancelling stops the waiting, not the function.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[_Outcome[T]] = loop.create_future()
        within = copy_context()

        def job() -> None:
            if not done.cancelled():
                _tell(loop, _settle, done, _Outcome.of(lambda: within.run(function)))

        self.submit(job)
        return (await done).result()

    async def iterate(self, produce: Callable[[], Iterable[T]]) -> AsyncGenerator[T, None]:
        """What the function's iterator gives, one and the same thread doing all of it.

        A consumer that leaves closes the iterator once it has given its next part.
        """
        channel: _Channel[T] = _Channel(asyncio.get_running_loop())
        within = copy_context()
        self.submit(lambda: within.run(channel.pump, produce))
        try:
            while (outcome := await channel.take()) is not None:
                yield outcome.result()
        finally:
            channel.stop()

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            _tidy()
            _Outcome.of(job)
            del job
            _tidy()
            with self._lock:
                self._unfinished -= 1


class _Channel(Generic[T]):
    """Parts on their way from a thread to the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._parts: asyncio.Queue[_Outcome[T] | None] = asyncio.Queue()
        self._room = threading.Semaphore(PARTS_AHEAD)
        self._stopped = False

    async def take(self) -> _Outcome[T] | None:
        """The next part; None when there are no more."""
        part = await self._parts.get()
        self._room.release()
        return part

    def stop(self) -> None:
        self._stopped = True
        self._room.release()

    def pump(self, produce: Callable[[], Iterable[T]]) -> None:
        """Give out everything; runs in the thread."""
        outcome = _Outcome.of(lambda: self._give(produce))
        if outcome.error is not None:
            self._put(_Outcome(error=outcome.error))
        self._put(None)

    def _give(self, produce: Callable[[], Iterable[T]]) -> None:
        parts = iter(produce())
        try:
            for part in parts:
                self._room.acquire()
                if self._stopped:
                    return
                self._put(_Outcome(value=part))
        finally:
            close: Callable[[], object] | None = getattr(parts, "close", None)
            if close is not None:
                close()

    def _put(self, part: _Outcome[T] | None) -> None:
        _tell(self._loop, self._parts.put_nowait, part)


@cache
def workers() -> Workers:
    """The threads that all agents in code of this process share."""
    threads = calls_settings().agent_threads
    return Workers(threads=threads, waiting=threads * WAITING_PER_THREAD)


def _tell(loop: asyncio.AbstractEventLoop, callback: Callable[..., object], *args: Any) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(callback, *args)


def _settle(done: "asyncio.Future[_Outcome[T]]", outcome: _Outcome[T]) -> None:
    if not done.done():
        done.set_result(outcome)


def _tidy() -> None:
    with suppress(DatabaseError):
        close_old_connections()
