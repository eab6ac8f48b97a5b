"""The start and the end of a server process: the server's side of ASGI's lifespan protocol."""

import asyncio
import logging
from typing import Any

from voiceapp.asgi_types import Application, Message

logger = logging.getLogger(__name__)


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

    async def cut(self, within_s: float) -> None:
        """The application has no more time: what it still does for its end is cancelled."""
        if self._running is not None and not self._running.done():
            self._running.cancel()
            await asyncio.wait([self._running], timeout=within_s)

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
