"""The application's side of ASGI's lifespan protocol."""

import asyncio
import logging
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
