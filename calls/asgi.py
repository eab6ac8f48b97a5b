"""What a project's ASGI application is made of: its sockets, and the start and end of a server.

`docs/install.md` shows how.
"""

from typing import Any

from channels.routing import URLRouter
from django.urls import re_path

from calls.consumers import socketio_entry
from calls.lifespan import Application, LifespanHooks, Receive, Scope, Send, drained_first
from calls.routing import (
    SPEECH_BYTES,
    http_streams,
    own_pages,
    refuse,
    routes,
    websocket_urlpatterns,
)
from calls.wiring import background


def websockets() -> Application:
    """The calls' WebSockets and no others: origin first, then the protocol's consumer."""
    nowhere = re_path(r"", refuse)  # type: ignore[arg-type]  # an application, not a view
    return URLRouter([*websocket_urlpatterns, nowhere])  # type: ignore[no-any-return]


def http(pages: Any) -> Application:
    """Django's pages, and beside them what a page cannot be: requests that last as long as a call.

    Args:
        pages: Django's own application.
    """

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        stream = http_streams(scope["path"])
        await (pages if stream is None else stream)(scope, receive, send)

    return serve


def lifespan() -> Application:
    """Makes the calls ready when the server starts, and ends them well when it ends."""
    ends = [background.shutdown, socketio_entry.shutdown]
    begins = [background.startup, drained_first(background.drain)]
    return LifespanHooks(startup=begins, shutdown=ends)


def message_bytes(path: str) -> int:
    """The longest WebSocket message that a server has to take at this path."""
    return next((route.message_bytes for route in routes() if route.matches(path)), SPEECH_BYTES)


class OwnOriginOnly:
    """Lets a browser in only from a page of this server, scheme and port included.

    For sockets of a project's own; the calls' have it in their routes.
    """

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the connection on or refuse it."""
        await (self._application if own_pages(scope) else refuse)(scope, receive, send)
