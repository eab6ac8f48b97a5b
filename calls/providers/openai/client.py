"""Connections to servers that speak OpenAI's protocol."""

import asyncio
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from openai import AsyncOpenAI, Timeout

from calls.providers.openai.address import Server
from calls.providers.openai.rehearsal import rehearse

NO_KEY = "none"
"""The SDK insists on a key; servers of one's own ignore it."""

LIVE_TIMEOUT = Timeout(connect=3, read=5, write=5, pool=2)
"""Seconds. Reading is timed from one piece to the next: the wait for the first, and a stall."""


@dataclass(slots=True)
class _Kept:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    sdk: AsyncOpenAI | None = None


_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Server, _Kept]]
_clients = WeakKeyDictionary()


async def client(server: Server) -> AsyncOpenAI:
    """This loop's client of that server: a pool of connections belongs to one loop.

    Callers who come together get the same. It never tries again by itself: the call decides that,
    which knows who is listening. Every request may bring its own `timeout`.
    """
    kept = _clients.setdefault(asyncio.get_running_loop(), {}).setdefault(server, _Kept())
    if kept.sdk is not None:
        return kept.sdk
    async with kept.lock:
        if kept.sdk is None:
            kept.sdk = await asyncio.to_thread(_built, server)
    return kept.sdk


async def warm(server: Server) -> None:
    """Pay beforehand for what the first request would; connects nothing."""
    await asyncio.to_thread(rehearse)
    await client(server)


async def clients_close() -> None:
    """Close the clients of this loop; idempotent."""
    for kept in _clients.pop(asyncio.get_running_loop(), {}).values():
        if kept.sdk is not None:
            await kept.sdk.close()


def _built(server: Server) -> AsyncOpenAI:
    """Reads certificates and loads the SDK's modules: too long for an event loop."""
    sdk = AsyncOpenAI(
        base_url=server.base_url,
        api_key=server.api_key or NO_KEY,
        max_retries=0,
        timeout=LIVE_TIMEOUT,
    )
    # The SDK reads these from the environment, and would name the account to any server.
    sdk.organization = sdk.project = None
    # Each of these loads its module when it is first touched.
    _ = (sdk.chat.completions, sdk.responses, sdk.audio.speech, sdk.audio.transcriptions)
    return sdk
