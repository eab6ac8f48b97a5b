"""Requests that are answered in a stream, and what can become of them."""

import asyncio
import json
from collections.abc import Coroutine
from typing import Any

from calls.consumers.base import Receive
from calls.consumers.client import Send

BODY_S = 20
"""How long a client may take to send what is to be answered."""


class ClientGoneError(Exception):
    """Nobody waits for the answer any more."""


class RefusedError(Exception):
    """The request is not served.

    Args:
        status: of HTTP.
        message: one sentence; never repeats what the client sent.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Reply:
    """An answer on its way: begun once, written piece by piece, ended once."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._begun = False
        self._ended = False

    async def begin(self, content_type: str, status: int = 200) -> None:
        """Send the head, at once; a second time nothing happens."""
        if self._begun:
            return
        self._begun = True
        headers = [(b"content-type", content_type.encode()), (b"cache-control", b"no-store")]
        start = {"type": "http.response.start", "status": status, "headers": headers}
        await self._send(start)
        await self._body(b"", more=True)

    async def write(self, piece: bytes) -> None:
        await self._body(piece, more=True)

    async def end(self) -> None:
        if not self._ended:
            self._ended = True
            await self._body(b"", more=False)

    async def refuse(self, status: int, message: str) -> None:
        """Say what is wrong; where the answer has begun, it can only end."""
        if not self._begun:
            await self.begin("application/json", status)
            await self.write(json.dumps({"message": message}, separators=(",", ":")).encode())
        await self.end()

    async def _body(self, piece: bytes, *, more: bool) -> None:
        await self._send({"type": "http.response.body", "body": piece, "more_body": more})


async def json_body(receive: Receive, *, most_bytes: int) -> dict[str, Any]:
    """The JSON object that the client sends.

    Raises:
        RefusedError: too large, too slow, or none.
        ClientGoneError: it has gone.
    """
    try:
        async with asyncio.timeout(BODY_S):
            body = await _body(receive, most_bytes)
        value = json.loads(body)
    except TimeoutError:
        raise RefusedError(408, "The request took too long.") from None
    except (ValueError, RecursionError):
        raise RefusedError(400, "The body is not valid JSON.") from None
    if not isinstance(value, dict):
        raise RefusedError(400, "The body is not a JSON object.")
    return value


async def _body(receive: Receive, most_bytes: int) -> bytes:
    body = bytearray()
    while (message := await receive())["type"] == "http.request":
        body += message.get("body", b"")
        if len(body) > most_bytes:
            raise RefusedError(413, "The request is too large.")
        if not message.get("more_body", False):
            return bytes(body)
    raise ClientGoneError


async def while_there(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
    """Do the work, and stop at once when the client goes.

    Raises:
        Whatever the work raises.
    """
    failures: list[Exception] = []

    async def done() -> None:
        try:
            await work
        except Exception as failure:  # noqa: BLE001 - it is raised below, out of its group
            failures.append(failure)

    async def watched() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        working.cancel()

    async with asyncio.TaskGroup() as group:
        working = group.create_task(done())
        watching = group.create_task(watched())
        working.add_done_callback(lambda _: watching.cancel())
    if failures:
        raise failures[0]
