"""What all stand-ins for providers share: a real server on loopback, a log, and faults on request."""

import asyncio
import json
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(kw_only=True)
class Fault:
    """How one request or handshake goes wrong. What is not named goes right.

    `after` counts what was sent (events of a stream, chunks of a body, messages of a socket) before
    the fault strikes; 0 strikes before the first. Without one of the strikes it means nothing.

    Attributes:
        status: answer with it, `headers` and `body` (an object as JSON, a text as it is).
        drop_before_headers: cut the connection instead of answering.
        stall_headers: answer nothing until the client goes.
        drop: cut the connection.
        clean_eof: end the body properly, but early.
        stall: say nothing more until the client goes.
        garbage: send this raw text in between, and go on.
        event: send this event in between, and go on.
        ws_close: close the socket with this code and reason.
        ws_garbage: send this raw text as a message, and go on.
    """

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    drop_before_headers: bool = False
    stall_headers: bool = False
    after: int = 0
    drop: bool = False
    clean_eof: bool = False
    stall: bool = False
    garbage: str = ""
    event: Mapping[str, Any] | None = None
    ws_close: tuple[int, str] | None = None
    ws_garbage: str = ""


@dataclass
class Asked:
    """One request or handshake, as it came, and what became of it.

    Attributes:
        body: parsed JSON; form fields and files for multipart; messages of a socket, in order.
        sent: how much of the stream was sent.
        left_early: set once the client went before the end.
        close_code: with which the client closed its socket.
        over: set once the request is answered or its socket closed.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any = None
    sent: int = 0
    left_early: asyncio.Event = field(default_factory=asyncio.Event)
    close_code: int | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)


class EndedEarlyError(Exception):
    """The fault has struck: the handler has nothing more to do."""


class Stream:
    """The body of one answer, or one socket, on which a fault may strike."""

    def __init__(self, request: web.Request, asked: Asked, fault: Fault) -> None:
        self.request = request
        self.asked = asked
        self.fault = fault
        self.response: web.StreamResponse | None = None
        self.socket: web.WebSocketResponse | None = None

    async def begin(self, headers: Mapping[str, str], status: int = 200) -> None:
        """Send the head of a streamed body."""
        self.response = web.StreamResponse(status=status, headers=dict(headers))
        await self.response.prepare(self.request)

    async def write(self, data: bytes) -> None:
        """Send one chunk, unless the fault strikes first.

        Raises:
            EndedEarlyError: it did, and the stream is over.
        """
        assert self.response is not None
        if self.asked.sent == self.fault.after:
            await self._strike()
        await self.response.write(data)
        self.asked.sent += 1

    async def end(self) -> None:
        assert self.response is not None
        if self.asked.sent == self.fault.after:
            await self._strike()
        await self.response.write_eof()

    async def send(self, message: Mapping[str, Any]) -> None:
        """Send one message on the socket, unless the fault strikes first; see `write`."""
        assert self.socket is not None
        if self.asked.sent == self.fault.after:
            await self._strike_socket()
        if self.socket.closed:
            raise EndedEarlyError
        await self.socket.send_str(json.dumps(message))
        self.asked.sent += 1

    def abort(self) -> None:
        """Cut the connection."""
        if self.request.transport is not None:
            self.request.transport.abort()  # type: ignore[attr-defined] # a real one can

    async def _strike(self) -> None:
        assert self.response is not None
        fault = self.fault
        if fault.garbage:
            await self.response.write(fault.garbage.encode())
        if fault.event is not None:
            await self.response.write(f"data: {json.dumps(fault.event)}\n\n".encode())
        if fault.drop:
            self.abort()
            raise EndedEarlyError
        if fault.clean_eof:
            await self.response.write_eof()
            raise EndedEarlyError
        if fault.stall:
            await until_gone()
            raise EndedEarlyError

    async def _strike_socket(self) -> None:
        assert self.socket is not None
        fault, self.fault = self.fault, Fault(after=-1)
        if fault.ws_garbage:
            await self.socket.send_str(fault.ws_garbage)
        if fault.event is not None:
            await self.socket.send_str(json.dumps(fault.event))
        if fault.drop:
            self.abort()
            raise EndedEarlyError
        if fault.ws_close is not None:
            code, reason = fault.ws_close
            await self.socket.close(code=code, message=reason.encode())
            raise EndedEarlyError
        if fault.stall:
            await until_gone()
            raise EndedEarlyError


async def until_gone() -> None:
    """Wait until the client has closed the connection: the server then cancels the handler."""
    await asyncio.Event().wait()


Handler = Callable[[Stream], Awaitable[web.StreamResponse | None]]


class ProviderDouble:
    """A server that speaks a provider's protocol. Subclasses add their routes in `routes`.

    Attributes:
        asked: every request and handshake, in order.
        busy: so many of them are being answered now; sockets count while they are open.
        key: what a client has to know; empty: nothing is asked for.
    """

    def __init__(self, key: str = "test-key") -> None:
        self.key = key
        self.asked: list[Asked] = []
        self.busy = 0
        self.origin = ""
        self._faults: dict[str, deque[Fault]] = {}

    def fail(self, path: str, *faults: Fault) -> None:
        """The next requests whose path ends with `path` go wrong so, one after the other."""
        self._faults.setdefault(path, deque()).extend(faults)

    def works_again(self) -> None:
        """No request goes wrong any more."""
        self._faults.clear()

    def requests(self, path: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.path.endswith(path)]

    def routes(self) -> list[web.RouteDef]:
        raise NotImplementedError

    def authorized(self, request: web.Request) -> bool:
        """Whether the request holds the key."""
        raise NotImplementedError

    def unauthorized(self) -> web.Response:
        """The provider's own answer to a wrong key."""
        raise NotImplementedError

    def answering(self, handle: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """A route's handler: logs, asks for the key, lets faults strike, then hands on."""

        async def answer(request: web.Request) -> web.StreamResponse:
            asked = Asked(request.method, request.path, dict(request.query), dict(request.headers))
            self.asked.append(asked)
            self.busy += 1
            try:
                return await self._answered(request, asked, handle)
            except (asyncio.CancelledError, ConnectionError):
                asked.left_early.set()
                raise
            finally:
                self.busy -= 1
                asked.over.set()

        return answer

    async def _answered(
        self, request: web.Request, asked: Asked, handle: Handler
    ) -> web.StreamResponse:
        fault = self._fault(request.path)
        if fault.stall_headers:
            await until_gone()
        if fault.drop_before_headers:
            Stream(request, asked, fault).abort()
            return web.Response()
        if fault.status:
            await request.read()  # an answer to half a request ends the connection
            return whole(fault.status, fault.body, fault.headers)
        if self.key and not self.authorized(request):
            await request.read()
            return self.unauthorized()
        stream = Stream(request, asked, fault)
        try:
            answer = await handle(stream)
        except EndedEarlyError:
            answer = None
            if request.transport is None or request.transport.is_closing():
                asked.left_early.set()
        return answer or stream.socket or stream.response or web.Response()

    def _fault(self, path: str) -> Fault:
        for suffix, faults in self._faults.items():
            if path.endswith(suffix) and faults:
                return faults.popleft()
        return Fault(after=-1)


def whole(status: int, body: Any, headers: Mapping[str, str] | None = None) -> web.Response:
    """An answer in one piece: an object as JSON, a text as HTML."""
    if isinstance(body, str):
        return web.Response(
            status=status, text=body, content_type="text/html", headers=dict(headers or {})
        )
    return web.json_response(body, status=status, headers=dict(headers or {}))


@asynccontextmanager
async def serving(*doubles: ProviderDouble, port: int = 0) -> AsyncIterator[str]:
    """Serve these doubles from one port of loopback; gives the origin, `http://127.0.0.1:…`."""
    app = web.Application(client_max_size=32 * 1024 * 1024)
    for double in doubles:
        app.add_routes(double.routes())
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.2)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
    for double in doubles:
        double.origin = origin
    try:
        yield origin
    finally:
        await runner.cleanup()


@contextmanager
def serving_in_thread(*doubles: ProviderDouble, port: int = 0) -> Iterator[str]:
    """Serve these doubles from a thread, for tests that have no event loop or another one.

    `asked` and `fail` may be used from outside; what is awaited (`left_early`, `over`) may not.
    """
    begun = threading.Event()
    found: list[str] = []
    stop: list[Callable[[], None]] = []

    async def serve() -> None:
        over = asyncio.Event()
        loop = asyncio.get_running_loop()
        stop.append(lambda: loop.call_soon_threadsafe(over.set))
        async with serving(*doubles, port=port) as origin:
            found.append(origin)
            begun.set()
            await over.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert begun.wait(10), "the double did not start"
    try:
        yield found[0]
    finally:
        stop[0]()
        thread.join(10)
