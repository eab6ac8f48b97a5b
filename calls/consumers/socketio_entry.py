"""The way to Socket.IO. What serves it is loaded when the first client comes, and only then.

Its library brings HTTP clients and a Redis client with it: a third of a second of every start, for
a protocol that few installations are called by.
"""

import asyncio
from functools import cache
from types import ModuleType
from typing import Any


@cache
def _served() -> ModuleType:
    from calls.consumers import socketio

    return socketio


def _is_loaded() -> bool:
    return bool(_served.cache_info().currsize)


async def application() -> Any:
    """The ASGI application. It is loaded beside the event loop: calls go on meanwhile."""
    if not _is_loaded():
        await asyncio.to_thread(_served)
    return _served().application()


async def shutdown() -> None:
    """What the end of the server is told to; nothing where no client ever came."""
    if _is_loaded():
        await _served().shutdown()
