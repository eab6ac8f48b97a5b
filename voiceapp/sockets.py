"""WebSockets whose longest message depends on the address: a protocol gets what it needs."""

from collections.abc import Callable
from typing import Any

from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol

UNREAD_BYTES = 8 * 1024 * 1024
"""So much may wait for an application that is busy with what came before."""


_MESSAGE_BYTES = 500
"""What a message takes in memory besides what is in it."""


class CappedProtocol(WebSocketProtocol):
    """Takes messages up to its address's limit; what the application sends is not limited.

    Autobahn has one limit for both directions, and drops the connection where it is passed.
    Daphne keeps whatever comes until the application takes it; here a client that sends more
    than can wait has gone.
    """

    bytes_limit: Callable[[str], int]
    muted: bool
    unread_bytes = 0
    """Of the messages since the application had taken all."""

    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: N802, N803 - Autobahn's
        """A message is in."""
        if not self.muted and self.application_queue.empty():
            self.unread_bytes = 0
        self.unread_bytes += len(payload) + _MESSAGE_BYTES
        if self.unread_bytes > UNREAD_BYTES:
            self.muted = True
            self.application_queue.put_nowait({"type": "websocket.disconnect", "code": 1009})
            self.dropConnection(abort=True)
            return
        super().onMessage(payload, isBinary)

    def onConnect(self, request: Any) -> Any:  # noqa: N802 - Autobahn's name
        """The handshake is in, and nothing of what follows it has been looked at."""
        limit = self.bytes_limit(request.path)
        self.maxMessagePayloadSize = self.maxFramePayloadSize = limit
        return super().onConnect(request)

    def sendMessage(self, *args: Any, **kwargs: Any) -> Any:  # noqa: N802 - Autobahn's name
        """Send what the application made."""
        limit, self.maxMessagePayloadSize = self.maxMessagePayloadSize, 0
        try:
            return super().sendMessage(*args, **kwargs)
        finally:
            self.maxMessagePayloadSize = limit


class CappedFactory(WebSocketFactory):
    """Daphne's factory, with messages of limited size.

    Args:
        bytes_limit: the longest message at a path.
    """

    def __init__(self, server: Any, bytes_limit: Callable[[str], int]) -> None:
        super().__init__(server, server="")
        limit = staticmethod(bytes_limit)
        self.protocol = type("Protocol", (CappedProtocol,), {"bytes_limit": limit})
