"""HTTP requests whose bodies are bounded: Daphne reads a body whole before anybody sees it."""

from typing import Any

from daphne.http_protocol import HTTPFactory, WebRequest
from twisted.internet import reactor as installed_reactor
from typing_extensions import override

from calls.conf import calls_settings

reactor: Any = installed_reactor

STREAMED_PATH = b"/speech-to-text-stream"
"""Its body lasts as long as a call, and is answered meanwhile."""

STREAMED_BYTES = 256 * 1024 * 1024
"""More than four hours of a telephone line."""

STREAMED_PIECES = 200
"""So many pieces of a body wait for an application at most; one that is behind so far is stuck."""

_TOO_LARGE = (
    b"HTTP/1.1 413 Content Too Large\r\n"
    b"Connection: close\r\n"
    b"Content-Type: text/plain\r\n"
    b"Content-Length: 27\r\n"
    b"\r\n"
    b"The request is too large.\r\n"
)
_HEARD_OUT_S = 5


class CappedRequest(WebRequest):
    """Answers 413 as soon as the body is known to be too large, and keeps none of the rest."""

    body_bytes_limit: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._body_bytes = 0
        self._refused = False

    def gotLength(self, length: int | None) -> None:  # noqa: N802 - Twisted's name
        """The headers are in; `length` is nothing for a chunked body."""
        too_large = length is not None and length > self.body_bytes_limit
        super().gotLength(0 if too_large else length)
        if too_large:
            self._refuse()

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        """Keep a piece of the body unless there have been too many."""
        self._body_bytes += len(data)
        if self._refused:
            return
        if self._body_bytes > self.body_bytes_limit:
            self._refuse()
        else:
            super().handleContentChunk(data)

    def process(self) -> Any:
        """Hand a whole request on, WebSocket handshakes too; one that was refused has its answer.

        Daphne lets any client say below which path the application lies; ours lies at the root.
        """
        self.requestHeaders.removeHeader(b"daphne-root-path")
        return None if self._refused else super().process()

    def _refuse(self) -> None:
        """Answer, and hear the client out for a moment."""
        self._refused = True
        self.channel.transport.write(_TOO_LARGE)
        self._let_go()

    def _let_go(self) -> None:
        """End the connection; what still comes is not kept.

        Closing at once would reset the connection, and the answer would be lost with it.
        """
        transport = self.channel.transport
        transport.loseWriteConnection()
        reactor.callLater(_HEARD_OUT_S, transport.abortConnection)


class StreamedRequest(CappedRequest):
    """Where the path is that of a stream, the application begins when the headers are in.

    It gets the body as it comes, and may answer meanwhile; the connection ends with the answer.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._feed: _Feed | None = None

    @override
    def gotLength(self, length: int | None) -> None:
        if not _is_streamed(self.channel._command, self.channel._path):
            super().gotLength(length)
            return
        self._feed = _Feed(self)
        super().gotLength(0)
        self.method, self.uri = self.channel._command, self.channel._path
        self.path = self.uri.partition(b"?")[0]
        self.clientproto = self.channel._version
        self.channel.persistent = False
        self.responseHeaders.setRawHeaders(b"Connection", [b"close"])
        self.process()

    @property
    def application_queue(self) -> Any:
        """Where Daphne puts what the application receives."""
        return self._queue if self._feed is None or self._queue is None else self._feed

    @application_queue.setter
    def application_queue(self, queue: Any) -> None:
        self._queue = queue

    def put(self, message: dict[str, Any]) -> None:
        """Give the application something; one that takes nothing any more is left."""
        if self._queue.qsize() > STREAMED_PIECES:
            self.channel.transport.abortConnection()
        else:
            self._queue.put_nowait(message)

    @override
    def handleContentChunk(self, data: bytes) -> None:
        if self._feed is None:
            super().handleContentChunk(data)
            return
        self._body_bytes += len(data)
        if self._body_bytes > STREAMED_BYTES:
            self.channel.transport.abortConnection()
        elif not self._refused and self._queue is not None:
            self._feed.take(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:  # noqa: N802 - Twisted's name
        """The body is complete."""
        if self._feed is None:
            super().requestReceived(command, path, version)
        elif not self._refused:
            self._feed.complete()

    def finish(self) -> None:
        """The answer is complete, perhaps before the body is."""
        if self._feed is None or self._feed.whole:
            super().finish()
            return
        if not self.startedWriting:
            self.write(b"")
        if self.chunked:
            self.channel.write(b"0\r\n\r\n")
        self.send_disconnect()
        self.finished = 1
        self._refused = True
        self.server.protocol_disconnected(self)
        self._let_go()

    def check_timeouts(self) -> None:
        """A stream lasts as long as its application wants; a silent connection ends by itself."""
        if self._feed is None:
            super().check_timeouts()


class _Feed:
    """The body of a streamed request, in the place of the queue that Daphne fills.

    Daphne takes the request for one with an empty body: the end that it tells of is no end.
    Pieces that come together are handed on together: a client may cut them as it likes.
    """

    def __init__(self, request: StreamedRequest) -> None:
        self.whole = False
        self._request = request
        self._pieces = bytearray()

    def put_nowait(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.request":
            message = {**message, "more_body": not self.whole}
        self._request.put(message)

    def take(self, data: bytes) -> None:
        if not self._pieces:
            reactor.callLater(0, self._hand_on)
        self._pieces += data

    def complete(self) -> None:
        self.whole = True
        if self._request.application_queue is self:
            self._hand_on(last=True)

    def _hand_on(self, *, last: bool = False) -> None:
        if self._pieces or last:
            body = bytes(self._pieces)
            self._pieces.clear()
            self.put_nowait({"type": "http.request", "body": body})


def _is_streamed(method: bytes, uri: bytes) -> bool:
    path = uri.partition(b"?")[0].rstrip(b"/")
    return method == b"POST" and path == STREAMED_PATH and calls_settings().avr_http


class CappedHTTPFactory(HTTPFactory):
    """Daphne's factory, with requests of limited size."""

    def __init__(self, server: Any, body_bytes_limit: int) -> None:
        super().__init__(server)
        self._request_class = type(
            "Request", (StreamedRequest,), {"body_bytes_limit": body_bytes_limit}
        )

    def buildProtocol(self, addr: Any) -> Any:  # noqa: N802 - Twisted's name
        """The protocol of a new connection."""
        protocol = super().buildProtocol(addr)
        protocol.requestFactory = self._request_class
        return protocol
