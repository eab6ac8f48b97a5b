"""WebSockets whose longest message depends on the address: a protocol gets what it needs."""

from collections.abc import Callable
from typing import Any

from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol


class CappedProtocol(WebSocketProtocol):
    """Takes messages up to its address's limit; what the application sends is not limited.

    Autobahn has one limit for both directions, and drops the connection where it is passed.
    """

    bytes_limit: Callable[[str], int]

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
