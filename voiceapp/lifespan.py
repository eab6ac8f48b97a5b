"""The start and the end of a server process, both sides of ASGI's lifespan protocol."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from voiceapp.asgi_types import Application, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)

Hook = Callable[[], Awaitable[None]]


class LifespanHooks:
    """The application's side: runs hooks when the server starts and when it ends.

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


class Lifespan:
    """The server's side. An application that does not know the protocol is left in peace."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._to_application: asyncio.Queue[Message] = asyncio.Queue(maxsize=1)
        self._answers: asyncio.Queue[Message] = asyncio.Queue(maxsize=2)
        self._running: asyncio.Task[None] | None = None

    async def startup(self) -> None:
        """Start the application.

        Raises:
            RuntimeError: a part of the application did not start.
        """
        loop = asyncio.get_running_loop()
        self._running = loop.create_task(self._speak(), name="lifespan")
        await self._tell("startup")

    async def shutdown(self) -> None:
        """End the application; returns when it has. Does nothing when it never started.

        Raises:
            RuntimeError: a part of the application did not end well.
        """
        if self._running is not None and not self._running.done():
            await self._tell("shutdown")

    async def _tell(self, phase: str) -> None:
        await self._to_application.put({"type": f"lifespan.{phase}"})
        answer = await self._answers.get()
        if answer["type"].endswith(".failed"):
            raise RuntimeError(f"{phase} failed: {answer.get('message', '')}")

    async def _speak(self) -> None:
        scope: dict[str, Any] = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        try:
            await self._application(scope, self._to_application.get, self._answers.put)
        except Exception:  # how an application says that it knows no lifespan
            logger.debug("The application knows no lifespan", exc_info=True)
            await self._answers.put({"type": "lifespan.unknown"})
