"""The door of the Socket.IO server: what its library must not see, and what it leaves behind.

Engine.IO, the transport below Socket.IO, carries one connection over several HTTP requests and a
WebSocket. The library under it trusts what comes; strangers are sorted out here.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

from calls.engine.clock import MonotonicClock
from calls.engine.limits import TokenBucket
from calls.origins import allowed_origin

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MOST_CONNECTIONS = 1_000
"""One more is refused. Most of them are calls; the others are watched by pings alone."""

PACKETS_PER_S, PACKETS_RESERVE = 100, 400
"""WebSocket messages of any kind. Two hundred milliseconds of sound in one are usual."""

PACKETS_IN_A_POST = 500
"""Half a minute of sound that a polling client sends at once; the library takes 16 by default."""

_SEPARATOR = "\x1e"
_CLOSE = "1"
"""The client's last packet. The library would take others after it, and keep what comes of them."""

_POSTED = re.compile(r"1|3|4[0-4].*", re.DOTALL)
_PACKET = re.compile(r"1|2(probe)?|3(probe)?|5|4[0-4].*", re.DOTALL)
"""What a client of this protocol may send: Engine.IO's own packets, and Socket.IO's without
attachments, none of which an event here has."""


class RefusedError(Exception):
    """The request is answered with this status and these words."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.words = words


class Door:
    """An ASGI application before Engine.IO's server, for HTTP and WebSockets.

    Args:
        engine: `engineio.AsyncServer`.
    """

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or WebSocket, until it is over."""
        answer = _Answer(scope, send)
        try:
            query = self._admitted(scope)
            if scope["type"] == "websocket":
                await self._socket(scope, receive, answer, query.get("sid", ""))
            elif scope["method"] == "GET" and "sid" in query:
                await self._poll(scope, receive, answer)
            elif scope["method"] == "POST":
                posted = await self._posted(scope, receive, query.get("sid", ""))
                await self._engine.handle_request(*posted, answer)
            else:
                await self._engine.handle_request(scope, receive, answer)
        except RefusedError as refusal:
            await answer.refuse(refusal)
        except Exception as error:  # noqa: BLE001 - what the library makes of broken requests
            logger.info("a request was no Engine.IO", extra={"error": type(error).__name__})
            await answer.refuse(RefusedError(400, "Bad request."))

    def _admitted(self, scope: Scope) -> dict[str, str]:
        """The query's fields.

        Raises:
            RefusedError: its page may not come in, or there is no place.
        """
        if not allowed_origin(scope, missing=True):
            raise RefusedError(403, "This origin is not allowed.")
        fields = parse_qs(scope.get("query_string", b"").decode("latin1"))
        query = {name: values[0] for name, values in fields.items()}
        if "j" in query:
            # Answers as scripts: any page could read them, whatever its origin.
            raise RefusedError(400, "JSONP is not served.")
        if "sid" not in query and len(self._engine.sockets) >= MOST_CONNECTIONS:
            raise RefusedError(503, "There is no place for another connection.")
        return query

    async def _socket(self, scope: Scope, receive: Receive, send: Send, sid: str) -> None:
        try:
            await self._engine.handle_request(scope, _Packets(receive), send)
        finally:
            former = self._engine.sockets.get(sid)
            if former is not None and not former.upgraded:
                # The upgrade came to nothing: what waits goes by polling again.
                former.upgrading = False

    async def _posted(self, scope: Scope, receive: Receive, sid: str) -> tuple[Scope, Receive]:
        """The request with those packets alone that a client may post.

        Raises:
            RefusedError: too much at once; that is the end of the connection as well.
        """
        body = await _body(receive, self._engine.max_http_buffer_size)
        packets = None if body is None else body.decode(errors="replace").split(_SEPARATOR)
        if packets is None or len(packets) > PACKETS_IN_A_POST:
            if (socket := self._engine.sockets.get(sid)) is not None:
                await socket.close(wait=False, abort=True)
            raise RefusedError(413, "That is too much at once.")
        if _CLOSE in packets:
            packets = packets[: packets.index(_CLOSE) + 1]
        kept = _SEPARATOR.join(filter(_POSTED.fullmatch, packets)).encode()
        others = [field for field in scope["headers"] if field[0] != b"content-length"]
        length = (b"content-length", str(len(kept)).encode())

        async def receive_kept() -> Message:
            return {"type": "http.request", "body": kept}

        return {**scope, "headers": [*others, length]}, receive_kept

    async def _poll(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A client that hangs up in mid-poll has gone; a ping would tell much later."""
        first = await receive()

        async def body() -> Message:
            return first

        async with asyncio.TaskGroup() as group:
            poll = group.create_task(self._engine.handle_request(scope, body, send))
            gone = group.create_task(_until_gone(receive))
            try:
                await asyncio.wait({poll, gone}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                poll.cancel()
                gone.cancel()


async def _body(receive: Receive, most: int) -> bytes | None:
    """The whole body; None if it is too long, or its client has gone."""
    body, more = b"", True
    while more and len(body) <= most:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body if len(body) <= most else None


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class _Packets:
    """A WebSocket's messages, those that are packets; one that sends too many has gone."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._closed = False
        self._clock = MonotonicClock()
        self._allowed = TokenBucket(
            rate=PACKETS_PER_S, burst=PACKETS_RESERVE, now_ms=self._clock.now_ms()
        )

    async def __call__(self) -> Message:
        """The next one that may be looked at."""
        while not self._closed:
            message = await self._receive()
            if message["type"] != "websocket.receive":
                return message
            text = message.get("text") or ""
            self._closed = text == _CLOSE or not self._allowed.take(1, self._clock.now_ms())
            if _PACKET.fullmatch(text):
                return message
        return {"type": "websocket.disconnect", "code": 1000}


class _Answer:
    """Sends, and knows whether the answer has begun."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._http = scope["type"] == "http"
        self._send = send
        self._begun = False
        self._closed = False

    async def __call__(self, message: Message) -> None:
        """Send; what comes after the end is dropped."""
        self._begun = True
        if not self._closed:
            self._closed = message["type"] == "websocket.close"
            await self._send(message)

    async def refuse(self, refusal: RefusedError) -> None:
        """Answer so, unless it is too late for another answer."""
        if not self._http:
            await self({"type": "websocket.close", "code": 1000 if self._begun else 4403})
        elif not self._begun:
            headers = [(b"content-type", b"text/plain; charset=utf-8")]
            start = {"type": "http.response.start", "status": refusal.status, "headers": headers}
            await self(start)
            await self({"type": "http.response.body", "body": refusal.words.encode()})
