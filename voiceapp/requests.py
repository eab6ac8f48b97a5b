"""HTTP requests whose bodies are bounded: Daphne reads a body whole before anybody sees it."""

from typing import Any

from daphne.http_protocol import HTTPFactory, WebRequest
from twisted.internet import reactor as installed_reactor

reactor: Any = installed_reactor

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
        """Hand a whole request on; one that was refused has had its answer."""
        return None if self._refused else super().process()

    def _refuse(self) -> None:
        """Answer, and hear the client out for a moment.

        Closing at once would reset the connection, and the answer would be lost with it.
        """
        self._refused = True
        transport = self.channel.transport
        transport.write(_TOO_LARGE)
        transport.loseWriteConnection()
        reactor.callLater(_HEARD_OUT_S, transport.abortConnection)


class CappedHTTPFactory(HTTPFactory):
    """Daphne's factory, with requests of limited size."""

    def __init__(self, server: Any, body_bytes_limit: int) -> None:
        super().__init__(server)
        self._request_class = type(
            "Request", (CappedRequest,), {"body_bytes_limit": body_bytes_limit}
        )

    def buildProtocol(self, addr: Any) -> Any:  # noqa: N802 - Twisted's name
        """The protocol of a new connection."""
        protocol = super().buildProtocol(addr)
        protocol.requestFactory = self._request_class
        return protocol
