"""The SDK's client for what goes by HTTP, and its failures. Importing this takes a second."""

import asyncio
import json
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import httpx
from elevenlabs.client import AsyncElevenLabs
from elevenlabs.core.api_error import ApiError
from elevenlabs.core.parse_error import ParsingError

from calls.domain.events import Stage
from calls.ports.errors import ProviderError, ProviderFault
from calls.providers.elevenlabs.address import ElevenLabs
from calls.providers.elevenlabs.faults import fault, refusal

CAUGHT = (ApiError, ParsingError, httpx.HTTPError, httpx.StreamError, json.JSONDecodeError)
"""What requests raise; the transport's own errors come through as they are."""

ONCE = {"max_retries": 0}
"""`request_options` of every request: the SDK's second try loses form fields and sleeps for up to
a minute. Trying again is decided by the call, which knows who is listening."""

_TIMEOUT = httpx.Timeout(connect=3, read=10, write=5, pool=2)


@dataclass(slots=True)
class _Clients:
    made: dict[ElevenLabs, AsyncElevenLabs] = field(default_factory=dict)
    making: asyncio.Lock = field(default_factory=asyncio.Lock)
    transports: list[httpx.AsyncClient] = field(default_factory=list)


_of_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _Clients] = WeakKeyDictionary()


async def client(address: ElevenLabs) -> AsyncElevenLabs:
    """This loop's client of that account: a pool of connections belongs to one loop.

    It gives up connecting after 3 s and reading after 10 s of silence, unless a request's own
    `timeout_in_seconds` says otherwise.
    """
    clients = _of_loops.setdefault(asyncio.get_running_loop(), _Clients())
    async with clients.making:
        if address not in clients.made:
            transport, made = await asyncio.to_thread(_build, address)
            clients.transports.append(transport)
            clients.made[address] = made
    return clients.made[address]


async def clients_close() -> None:
    """Close the clients of this loop; idempotent."""
    clients = _of_loops.pop(asyncio.get_running_loop(), None)
    for transport in clients.transports if clients else ():
        await transport.aclose()


def provider_error(error: Exception, *, stage: Stage, request_id: str = "") -> ProviderError:
    """Map an exception of `CAUGHT`.

    Args:
        request_id: what is known of it, for errors that name none.
    """
    if isinstance(error, ApiError) and error.status_code is not None:
        headers = error.headers or {}
        return refusal(error.status_code, headers, error.body, stage=stage, request_id=request_id)
    if isinstance(error, httpx.TimeoutException):
        return fault(ProviderFault.TIMEOUT, stage=stage, request_id=request_id)
    if isinstance(error, httpx.HTTPError | httpx.StreamError):
        return fault(ProviderFault.UNAVAILABLE, stage=stage, request_id=request_id)
    return fault(ProviderFault.INVALID, stage=stage, request_id=request_id)


def _build(address: ElevenLabs) -> tuple[httpx.AsyncClient, AsyncElevenLabs]:
    """Blocks for a tenth of a second: it reads the system's certificates."""
    transport = httpx.AsyncClient(timeout=_TIMEOUT)
    made = AsyncElevenLabs(
        base_url=address.base_url,
        # An empty key would be sent as an empty header.
        api_key=address.api_key or None,
        timeout=_TIMEOUT,  # type: ignore[arg-type] # handed to httpx as it is
        httpx_client=transport,
    )
    _ = made.text_to_speech, made.speech_to_text  # loaded on first use
    return transport, made
