"""WebSockets whose longest message depends on the address: a protocol gets what it needs."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from autobahn.websocket.types import ConnectionDeny
from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol

UNREAD_BYTES = 8 * 1024 * 1024
"""So much may wait for an application that is busy with what came before."""


NAMES_KEPT = 10_000
"""So many calls are remembered by the names in their addresses."""

NAME_CHARS = 64

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
    turned_away = False
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
        """The handshake is in, and nothing of what follows it has been looked at.

        Raises:
            ConnectionDeny: a new call, and the server is about to leave. A proxy may ask another.
        """
        self.turned_away = not self.factory.takes(_name_of(request))
        if self.turned_away:
            raise ConnectionDeny(404, "This server is about to leave")  # type: ignore[no-untyped-call]
        limit = self.bytes_limit(request.path)
        self.maxMessagePayloadSize = self.maxFramePayloadSize = limit
        return super().onConnect(request)

    def onClose(self, *args: Any) -> None:  # noqa: N802 - Autobahn's name
        """The connection has gone; of one that was turned away nobody knows."""
        if not self.turned_away:
            super().onClose(*args)

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
        self._names: OrderedDict[str, None] = OrderedDict()

    def takes(self, name: str) -> bool:
        """Whether a socket of the call with this name may come in.

        A server that is about to leave takes those that it knows, for they may belong to calls
        that it still runs, and those without a name.
        """
        if name and self.server_class.ending and name not in self._names:
            return False
        if name:
            self._names[name] = None
            self._names.move_to_end(name)
        if len(self._names) > NAMES_KEPT:
            self._names.popitem(last=False)
        return True


def _name_of(request: Any) -> str:
    """What the address calls the call: `?call=`; empty: nothing."""
    return str(request.params.get("call", [""])[0])[:NAME_CHARS]
