"""The line between processes: small messages to all of them, over the project's channel layer.

It is lossy by design. Who has something to say that must not get lost puts it on a row first.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from secrets import token_hex
from typing import Any

from channels import DEFAULT_CHANNEL_LAYER
from channels.layers import InMemoryChannelLayer, channel_layers

logger = logging.getLogger(__name__)

GROUP = "calls.control"
SEND_S = 1.0
"""How long one message may take to leave."""

PROOF_S = 2.0
"""How often it is proved that what this process says comes back to it, and how long it may take."""

CONNECT_S = 5.0
FIRST_BACKOFF_S = 0.25
LONGEST_BACKOFF_S = 5.0
MOST_WAITING = 200

Message = Mapping[str, Any]


def shared_layer() -> Any | None:
    """A channel layer with connections of its own; None: the project's reaches no other process."""
    if DEFAULT_CHANNEL_LAYER not in channel_layers:
        return None
    layer = channel_layers.make_backend(DEFAULT_CHANNEL_LAYER)
    return None if isinstance(layer, InMemoryChannelLayer) else layer


class ControlLine:
    """One process's end of the line. To be used on one event loop.

    Args:
        layer: that nobody else uses.
        take: gets what other processes say; must not wait.
    """

    def __init__(self, layer: Any, take: Callable[[Message], None]) -> None:
        self._layer = layer
        self._take = take
        self._origin = token_hex(8)
        self._outbox: asyncio.Queue[Message] = asyncio.Queue(MOST_WAITING)
        self._came_back = asyncio.Event()
        self.connected = False

    def put(self, message: Message) -> None:
        """Say it to the others; it is dropped while the line is down."""
        if self.connected and not self._outbox.full():
            self._outbox.put_nowait(message)

    async def run(self) -> None:
        """Keep the line up until cancelled."""
        backoff_s = FIRST_BACKOFF_S
        while True:
            try:
                channel = await self._connect()
            except Exception as error:  # noqa: BLE001 - whatever a layer raises, it is tried again
                _say_down(error)
            else:
                backoff_s = FIRST_BACKOFF_S
                await self._serve(channel)
            await self._hang_up()
            await asyncio.sleep(backoff_s)
            backoff_s = min(2 * backoff_s, LONGEST_BACKOFF_S)

    async def _connect(self) -> str:
        async with asyncio.timeout(CONNECT_S):
            channel: str = await self._layer.new_channel()
            await self._layer.group_add(GROUP, channel)
            return channel

    async def _serve(self, channel: str) -> None:
        """Read and write until one of both fails. None of the tasks raises."""
        async with asyncio.TaskGroup() as group:
            parts = [
                group.create_task(part)
                for part in (self._read(channel), self._write(), self._prove())
            ]
            self.connected = True
            try:
                await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            finally:
                self.connected = False
                # Before the reader is cancelled: it would wait for a server that is away.
                await self._hang_up()
                for part in parts:
                    part.cancel()

    async def _read(self, channel: str) -> None:
        while True:
            try:
                self._heard(await self._layer.receive(channel))
            except Exception as error:  # noqa: BLE001 - what cannot be read is not for us
                extra = {"error": type(error).__name__}
                logger.warning("A control message could not be read", extra=extra)

    def _heard(self, message: Message) -> None:
        if message.get("from") != self._origin:
            self._take(message)
        elif message.get("tell") == "proof":
            self._came_back.set()

    async def _write(self) -> None:
        while True:
            message = await self._outbox.get()
            try:
                async with asyncio.timeout(SEND_S):
                    await say(self._layer, {**message, "from": self._origin})
            except Exception as error:  # noqa: BLE001 - whatever a layer raises, it is down
                _say_down(error)
                return

    async def _prove(self) -> None:
        """Return when what we say does not come back: a server may forget who listens."""
        while True:
            self._came_back.clear()
            self.put({"tell": "proof"})
            try:
                async with asyncio.timeout(PROOF_S):
                    await self._came_back.wait()
            except TimeoutError as error:
                _say_down(error)
                return
            await asyncio.sleep(PROOF_S)

    async def _hang_up(self) -> None:
        """Let go of the layer's connections; the next use opens others."""
        let_go = getattr(self._layer, _LET_GO.get(type(self._layer).__name__, ""), None)
        while not self._outbox.empty():
            self._outbox.get_nowait()
        if let_go is not None:
            with suppress(Exception):
                async with asyncio.timeout(SEND_S):
                    await let_go()


_LET_GO = {"RedisPubSubChannelLayer": "flush", "RedisChannelLayer": "close_pools"}
"""The other layer's `flush` would empty the server."""


async def say(layer: Any, message: Message) -> None:
    """Send it to all that listen.

    Raises:
        Exception: what the layer raises.
    """
    await layer.group_send(GROUP, {"type": "calls.control", **message})


async def say_once(layer: Any, message: Message) -> None:
    """Send it from a process that does not listen, and leave nothing open."""
    try:
        async with asyncio.timeout(SEND_S):
            await say(layer, message)
    except Exception as error:  # noqa: BLE001 - lossy by design
        _say_down(error)


def _say_down(error: BaseException) -> None:
    extra = {"error": type(error).__name__}
    logger.warning("Other processes cannot be reached just now", extra=extra)
