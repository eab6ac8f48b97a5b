"""The live calls of this process: started, found again, drained."""

import asyncio
import hashlib
import hmac
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from structlog.contextvars import bind_contextvars

from calls.domain.errors import CallError, EndReason, ErrorCode
from calls.engine.draining import REST_MS, end_all, tell_all
from calls.engine.intake import Intake
from calls.engine.runner import CallRunner

logger = logging.getLogger(__name__)

DRAIN_MS = 8_000

CLOSE_MS = 10_000
"""How long cancelled calls may take to be put away. Their recordings and records take less."""


@dataclass(slots=True)
class LiveCall:
    """A running call, and what its next client must know to come back into it."""

    runner: CallRunner
    intake: Intake
    agent_name: str
    beside: tuple[Callable[[], Awaitable[None]], ...] = ()
    """Work that belongs to the call and ends by itself, soon after it."""
    details: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The agent's settings, as they stand on the record."""
    cap_ms: int | None = None
    """The length and the cost, in millionths of the currency, at which it is ended; None: not."""
    cap_micros: int | None = None
    capped: bool = False
    """One of them was reached, and the call was told so."""
    door: str = ""
    """Through which its first socket came; only sockets through the same one come back."""
    _secret_hash: bytes = field(default=b"", repr=False)

    def __post_init__(self) -> None:
        self.intake.hand_to(lambda: self.runner.listens)

    @property
    def call_id(self) -> str:
        return self.runner.info.call_id

    def new_secret(self) -> str:
        """A fresh resume secret; the former one is worth nothing from now on."""
        secret = secrets.token_urlsafe(24)
        self._secret_hash = _hash(secret)
        return secret

    def opened_by(self, secret: str) -> bool:
        return hmac.compare_digest(_hash(secret), self._secret_hash)


class Registry:
    """Owns the tasks of all live calls.

    Args:
        max_calls: one more is refused as busy.
    """

    def __init__(self, *, max_calls: int) -> None:
        self._max_calls = max_calls
        self._calls: dict[str, LiveCall] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._places = 0
        self._kept: set[str] = set()
        self._draining = False
        self._home: asyncio.TaskGroup | None = None
        self._root: asyncio.Task[None] | None = None
        self._empty = asyncio.Event()
        self._empty.set()

    def __iter__(self) -> Iterator[LiveCall]:
        return iter(tuple(self._calls.values()))

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def draining(self) -> bool:
        return self._draining

    @contextmanager
    def place(self) -> Iterator[None]:
        """Keep a place for a call that is about to begin; asked for before anything is spent.

        Raises:
            CallError: BUSY or DRAINING.
        """
        if self._draining:
            raise CallError(ErrorCode.DRAINING, "The server is about to restart.")
        if len(self._calls) + self._places >= self._max_calls:
            raise CallError(ErrorCode.BUSY, "All lines are busy. Please try again in a moment.")
        self._places += 1
        try:
            yield
        finally:
            self._places -= 1

    async def start(self, call: LiveCall) -> None:
        """Run the call in a task of its own; it leaves the registry when it ends."""
        home = await self._open()
        self._calls[call.call_id] = call
        self._empty.clear()
        task = home.create_task(self._run(call), name=f"call {call.call_id}")
        self._tasks[call.call_id] = task
        for work in call.beside:
            home.create_task(self._guard(work, "beside a call"))
        if self._draining:
            tell_all((call,), once_free=False)

    def find(self, call_id: str, secret: str) -> LiveCall:
        """The call that this secret opens.

        Raises:
            CallError: ENDED: over, unknown here, or the wrong secret; which one is not said.
        """
        call = self._calls.get(call_id)
        if call is None or call.runner.over or not call.opened_by(secret):
            raise CallError(ErrorCode.ENDED, "That call is over.")
        return call

    def get(self, call_id: str) -> LiveCall | None:
        return self._calls.get(call_id)

    async def cut(self, call: LiveCall, reason: EndReason) -> None:
        """End a call in which nothing answers any more, and have its place free.

        Its task is cancelled. One that will not be is left to itself: client, recording and record
        of the call are closed without it.
        """
        task = self._tasks.get(call.call_id)
        if task is None:
            return
        try:
            await call.runner.cut(reason, task.cancel)
        finally:
            self._forget(call)

    async def keep_once(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run background work beside the calls, until it returns or the registry closes.

        Work of a name that was given before is not begun again.
        """
        home = await self._open()
        if name not in self._kept:
            self._kept.add(name)
            home.create_task(self._guard(work, name), name=name)

    async def drain(self, *, deadline_ms: int = DRAIN_MS, rest_ms: int = REST_MS) -> None:
        """Refuse new calls, end the running ones, wait until all is stored.

        Turns that go on may last until the deadline; what is left is told to end and has the rest.
        """
        self._draining = True
        await end_all(self, self._empty, deadline_ms, rest_ms=rest_ms)

    async def close(self, *, within_ms: int = CLOSE_MS) -> None:
        """Cancel what still runs; idempotent. What will not be cancelled is left to itself."""
        if self._root is None:
            return
        self._root.cancel()
        _, running = await asyncio.wait({self._root}, timeout=within_ms / 1000)
        if running:
            logger.warning("some tasks of calls would not be cancelled")

    async def _run(self, call: LiveCall) -> None:
        try:
            bind_contextvars(call_id=call.call_id)
            reason = await call.runner.run()
            logger.debug("a call is over", extra={"reason": reason})
        except Exception as error:  # noqa: BLE001 - one call must not end the others
            extra = {"call_id": call.call_id, "error": type(error).__name__}
            logger.error("call could not be closed", extra=extra)  # noqa: TRY400 - no payloads
        finally:
            self._forget(call)

    def _forget(self, call: LiveCall) -> None:
        call.intake.close()
        self._calls.pop(call.call_id, None)
        self._tasks.pop(call.call_id, None)
        if not self._calls:
            self._empty.set()

    async def _guard(self, work: Callable[[], Awaitable[None]], name: str) -> None:
        try:
            await work()
        except Exception:
            logger.exception("background work failed", extra={"work": name})

    async def _open(self) -> asyncio.TaskGroup:
        """The task group that everything of this process runs in; made on first use.

        It lives in a task of its own, because the sockets that calls begin in end before them.
        """
        if self._home is None:
            ready = asyncio.Event()
            loop = asyncio.get_running_loop()
            self._root = loop.create_task(self._serve(ready), name="calls")
            await ready.wait()
        assert self._home is not None
        return self._home

    async def _serve(self, ready: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as home:
            self._home = home
            ready.set()
            try:
                await asyncio.Event().wait()
            finally:
                self._home = None


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode(errors="replace")).digest()
