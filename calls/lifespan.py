"""The application's side of ASGI's lifespan protocol."""

import asyncio
import logging
import signal
import threading
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Hook = Callable[[], Awaitable[None]]


class LifespanHooks:
    """Runs hooks when the server starts and when it ends.

    Args:
        startup: one after the other, before the first connection; one that raises stops the server.
        shutdown: side by side, while connections are still open.
    """

    def __init__(self, startup: Sequence[Hook], shutdown: Sequence[Hook]) -> None:
        self._startup = startup
        self._shutdown = shutdown

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Speak the protocol until the server says that it ends."""
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self._run("startup", send, self._start)
            else:
                await self._run("shutdown", send, self._end)
                return

    async def _run(self, phase: str, send: Send, step: Hook) -> None:
        try:
            await step()
        except Exception as error:
            logger.exception("A hook failed at %s", phase)
            await send({"type": f"lifespan.{phase}.failed", "message": repr(error)})
        else:
            await send({"type": f"lifespan.{phase}.complete"})

    async def _start(self) -> None:
        for hook in self._startup:
            await hook()

    async def _end(self) -> None:
        outcomes = await asyncio.gather(
            *(hook() for hook in self._shutdown), return_exceptions=True
        )
        failures = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        if failures:
            raise ExceptionGroup("shutdown", failures)


def drained_first(drain: Hook) -> Hook:
    """A hook for the start that has uvicorn drain before it closes every socket.

    uvicorn tells an application of its end only after it has closed the clients' sockets. So the
    signal is taken from it, and handed back when `drain` is over. A second signal cancels `drain`.
    On other servers, and outside the main thread, the hook does nothing.
    """

    async def install() -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        signals = _Signals(drain)
        for number in (signal.SIGINT, signal.SIGTERM):
            theirs = signal.getsignal(number)
            if callable(theirs) and _is_uvicorns(theirs):
                signal.signal(number, signals.before(theirs))

    return install


def _is_uvicorns(handler: Any) -> bool:
    return type(getattr(handler, "__self__", None)).__module__.startswith("uvicorn.")


class _Signals:
    def __init__(self, drain: Hook) -> None:
        self._drain = drain
        self._loop = asyncio.get_running_loop()
        self._draining: asyncio.Task[None] | None = None

    def before(self, theirs: Callable[..., Any]) -> Callable[..., Any]:
        """A handler in the place of theirs."""
        return lambda number, _frame: self._loop.call_soon_threadsafe(self._take, theirs, number)

    def _take(self, theirs: Callable[..., Any], number: int) -> None:
        if self._draining is None:
            self._draining = self._loop.create_task(self._end(theirs, number), name="drain")
        elif self._draining.done():
            theirs(number, None)
        else:
            self._draining.cancel()

    async def _end(self, theirs: Callable[..., Any], number: int) -> None:
        try:
            await self._drain()
        finally:
            theirs(number, None)
