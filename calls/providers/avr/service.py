"""Requests to services beside the telephone system: one try, bounded in time and size."""

import asyncio
import json
import ssl
from collections.abc import Mapping
from functools import cache
from typing import Any

import httpx

ANSWER_BYTES = 65_536
"""The longest answer that is read."""


class ServiceError(Exception):
    """It did not work; `reason` is a word for the log.

    Attributes:
        status: what the service answered; None: no answer, or none that is JSON.
    """

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


async def request(
    method: str,
    url: str,
    *,
    within_ms: int,
    headers: Mapping[str, str] | None = None,
    body: Mapping[str, Any] | None = None,
) -> Any:
    """Ask once, follow nothing, and return the answer's JSON.

    Args:
        within_ms: for all of it: looking up the name, connecting, the last byte.

    Raises:
        ServiceError: no answer in time, not the status 2xx, too large, or no JSON.
    """
    try:
        async with asyncio.timeout(within_ms / 1000):
            answer = await _answer(method, url, headers or {}, body)
        return json.loads(answer)
    except TimeoutError:
        raise ServiceError("timeout") from None
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError):
        raise ServiceError("unavailable") from None
    except (ValueError, RecursionError):
        raise ServiceError("invalid") from None


async def _answer(
    method: str, url: str, headers: Mapping[str, str], body: Mapping[str, Any] | None
) -> bytes:
    certificates = await asyncio.to_thread(_certificates)
    # The services stand beside the telephone system: what the environment says of proxies is
    # meant for the world outside.
    async with (
        httpx.AsyncClient(verify=certificates, timeout=None, trust_env=False) as client,  # noqa: S113 - the caller's deadline holds for all of it
        client.stream(
            method, url, headers={**headers, "Accept-Encoding": "identity"}, json=body
        ) as response,
    ):
        if not response.is_success:
            raise ServiceError("refused", response.status_code)
        answer = bytearray()
        async for piece in response.aiter_raw():
            answer += piece
            if len(answer) > ANSWER_BYTES:
                raise ServiceError("too_large", response.status_code)
        return bytes(answer)


@cache
def _certificates() -> ssl.SSLContext:
    """Blocks: it reads the system's certificates."""
    return httpx.create_ssl_context()
