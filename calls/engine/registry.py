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

from calls.domain.errors import CallError, EndReason, ErrorCode
from calls.domain.events import EndAsked
from calls.engine.intake import Intake
from calls.engine.runner import CallRunner

logger = logging.getLogger(__name__)

DRAIN_MS = 8_000


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
        home.create_task(self._run(call), name=f"call {call.call_id}")
        for work in call.beside:
            home.create_task(self._guard(work, "beside a call"))

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

    async def keep_once(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run background work beside the calls, until it returns or the registry closes.

        Work of a name that was given before is not begun again.
        """
        home = await self._open()
        if name not in self._kept:
            self._kept.add(name)
            home.create_task(self._guard(work, name), name=name)

    async def drain(self, *, deadline_ms: int = DRAIN_MS) -> None:
        """Refuse new calls, end the running ones, wait until all is stored."""
        self._draining = True
        for call in self:
            call.runner.post(EndAsked(reason=EndReason.RESTARTED))
        try:
            async with asyncio.timeout(deadline_ms / 1000):
                await self._empty.wait()
        except TimeoutError:
            logger.warning("calls cut at shutdown", extra={"count": len(self._calls)})

    async def close(self) -> None:
        """Cancel what still runs; idempotent."""
        if self._root is not None:
            self._root.cancel()
            await asyncio.gather(self._root, return_exceptions=True)

    async def _run(self, call: LiveCall) -> None:
        try:
            reason = await call.runner.run()
            logger.info("call ended", extra={"call_id": call.call_id, "reason": reason})
        except Exception as error:  # noqa: BLE001 - one call must not end the others
            extra = {"call_id": call.call_id, "error": type(error).__name__}
            logger.error("call could not be closed", extra=extra)  # noqa: TRY400 - no payloads
        finally:
            call.intake.close()
            del self._calls[call.call_id]
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
