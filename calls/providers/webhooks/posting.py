"""One POST to somebody's server: one try, bounded in time and size, to a checked address only."""

import asyncio
import ssl
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache

import httpx

from calls.providers.webhooks.addresses import ForbiddenAddressError, places
from calls.providers.webhooks.signing import signed_headers

CONNECT_S = 5.0
USER_AGENT = "voice-calls-webhooks/1"


class PostError(Exception):
    """There was no answer. `reason` is a word for the record.

    Reasons: timeout, refused, unreachable, forbidden, broken.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent, and what proves that it is ours."""

    message_id: str
    body: bytes = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)

    def headers(self) -> dict[str, str]:
        """Signed as of now."""
        signed = signed_headers(self.message_id, int(time.time()), self.body, self.secrets)
        return {
            **signed,
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
            "Connection": "close",
            "User-Agent": USER_AGENT,
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """`complete`: the body ended where it should, and within the bytes that are read."""

    status: int
    content_type: str
    body: bytes = field(repr=False)
    complete: bool


async def post(
    url: str, message: Message, *, within_ms: int, most_bytes: int, private: bool
) -> Answer:
    """Send the message once. Follows nothing, asks no proxy.

    Args:
        within_ms: for all of it: looking up the name, connecting, the last byte that is read.
        most_bytes: of the answer; the rest is never read.
        private: whether addresses of this network, and plain http, will do.

    Raises:
        PostError: there was no answer.
    """
    try:
        async with asyncio.timeout(within_ms / 1000):
            found = await places(url, private=private)
            return await _to_one_of(found, url, message, most_bytes)
    except TimeoutError:
        raise PostError("timeout") from None
    except ForbiddenAddressError:
        raise PostError("forbidden") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise PostError(_reason(error)) from None


async def _to_one_of(found: Iterable[str], url: str, message: Message, most_bytes: int) -> Answer:
    """The first address that takes a connection gets the message."""
    failure: httpx.HTTPError = httpx.ConnectError("no address")
    for address in found:
        try:
            return await _exchange(address, url, message, most_bytes)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            failure = error
    raise failure


async def _exchange(address: str, url: str, message: Message, most_bytes: int) -> Answer:
    """Connect to `address` and speak as if it were the URL's host, also in TLS."""
    named = httpx.URL(url)
    certificates = await asyncio.to_thread(_certificates)
    headers = {**message.headers(), "Host": named.netloc.decode("ascii")}
    timeout = httpx.Timeout(None, connect=CONNECT_S)
    async with (
        httpx.AsyncClient(verify=certificates, timeout=timeout, trust_env=False) as client,
        client.stream(
            "POST",
            named.copy_with(host=address),
            content=message.body,
            headers=headers,
            follow_redirects=False,
            extensions={"sni_hostname": named.raw_host.decode("ascii")},
        ) as response,
    ):
        body, complete = await _body(response, most_bytes)
        kind = response.headers.get("Content-Type", "")
        return Answer(response.status_code, kind, body, complete)


async def _body(response: httpx.Response, most_bytes: int) -> tuple[bytes, bool]:
    """Of a connection that breaks off, what came before; the status stands."""
    body = bytearray()
    try:
        async for piece in response.aiter_raw():
            body += piece
            if len(body) > most_bytes:
                return bytes(body[:most_bytes]), False
    except httpx.HTTPError:
        return bytes(body), False
    return bytes(body), True


def _reason(error: Exception) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "timeout"
    if isinstance(error, httpx.ConnectError) and _refused(error):
        return "refused"
    return "unreachable" if isinstance(error, httpx.ConnectError | OSError) else "broken"


def _refused(error: BaseException) -> bool:
    """Whether nobody listens there: the message has certainly not been read."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConnectionRefusedError):
            return True
        cause = cause.__cause__ or cause.__context__
    return "refused" in str(error).lower()


@cache
def _certificates() -> ssl.SSLContext:
    """Blocks: it reads the system's certificates."""
    return httpx.create_ssl_context()
