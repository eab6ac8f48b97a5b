"""Connections to a server that speaks OpenAI's chat completions."""

import asyncio
from weakref import WeakKeyDictionary

from openai import AsyncOpenAI, Timeout

from calls.providers.openai.address import ChatServer

NO_KEY = "none"
"""The SDK insists on a key; servers of one's own ignore it."""


_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[ChatServer, AsyncOpenAI]]
_clients = WeakKeyDictionary()


def client(server: ChatServer) -> AsyncOpenAI:
    """This loop's client of that server: a pool of connections belongs to one loop."""
    of_loop = _clients.setdefault(asyncio.get_running_loop(), {})
    if server not in of_loop:
        of_loop[server] = AsyncOpenAI(
            base_url=server.base_url,
            api_key=server.api_key or NO_KEY,
            # Waiting and trying again is decided by the call, which knows who is listening.
            max_retries=0,
            timeout=Timeout(connect=3, read=15, write=5, pool=2),
        )
    return of_loop[server]


async def clients_close() -> None:
    """Close the clients of this loop; idempotent."""
    for open_client in _clients.pop(asyncio.get_running_loop(), {}).values():
        await open_client.close()
