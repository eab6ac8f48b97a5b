"""Where WebSockets go, and requests that are no pages. A project adds these to its own router."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.urls import re_path

from calls.conf import calls_settings
from calls.consumers import socketio_entry
from calls.consumers.avr import AvrConsumer
from calls.consumers.browser import CallConsumer
from calls.consumers.classic import classic
from calls.consumers.micdrop import MicdropConsumer
from calls.consumers.realtime import RealtimeConsumer
from calls.consumers.twilio import TwilioConsumer
from calls.origins import Scope, allowed_origin, page_of
from calls.store.sites import sites_origins

Application = Callable[[Any, Any, Any], Any]

SPEECH_BYTES = 65_536
"""Two seconds of 16 kHz sound: enough for every protocol that sends sound as it is spoken."""
FILE_BYTES = 1024 * 1024
"""A micdrop client's longest piece of a file; Socket.IO's longest packet."""
APPEND_BYTES = 2 * 1024 * 1024
"""Half a minute of 24 kHz sound in base64, in one `input_audio_buffer.append`."""


def own_pages(scope: Scope) -> bool:
    """Pages of this server and allowed ones; programs as the settings say."""
    return allowed_origin(scope)


def own_pages_and_programs(scope: Scope) -> bool:
    """The same, and whatever is no browser: most clients of the protocol are not."""
    return allowed_origin(scope, missing=True)


def anybody(_scope: Scope) -> bool:
    """Who comes in is settled by a key, whatever page it comes from."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """An address of a protocol.

    Attributes:
        pattern: of the path without its leading slash; `agent` is the slug in it.
        lets_in: asked of the handshake before anything else.
        by_token: pages of sites may in as well; they show a token in their first message.
        message_bytes: the longest message that the server takes there.
    """

    protocol: str
    pattern: str
    application: Application
    lets_in: Callable[[Scope], bool]
    message_bytes: int = SPEECH_BYTES
    by_token: bool = False

    def matches(self, path: str) -> bool:
        return re.match(self.pattern, path.lstrip("/")) is not None

    @property
    def served(self) -> bool:
        return self.protocol in calls_settings().protocols


_AGENT = r"(?P<agent>[-a-zA-Z0-9_]+)"


@cache
def routes() -> tuple[Route, ...]:
    """All addresses, the commonest first."""
    return (
        Route(
            protocol="browser",
            pattern=rf"^ws/call/(?:{_AGENT}/)?$",
            application=CallConsumer.as_asgi(),
            lets_in=own_pages,
            by_token=True,
        ),
        Route(
            protocol="micdrop",
            pattern=rf"^(?:ws/micdrop/(?:{_AGENT}/)?|call/?)$",
            application=MicdropConsumer.as_asgi(),
            lets_in=own_pages_and_programs,
            message_bytes=FILE_BYTES,
            by_token=True,
        ),
        Route(
            protocol="avr",
            pattern=rf"^(?:avr(?:/(?:{_AGENT}/?)?)?)?$",
            application=AvrConsumer.as_asgi(),
            lets_in=own_pages_and_programs,
        ),
        Route(
            protocol="twilio",
            pattern=rf"^ws/twilio/(?:{_AGENT}/)?$",
            application=TwilioConsumer.as_asgi(),
            lets_in=own_pages_and_programs,
        ),
        Route(
            protocol="realtime",
            pattern=r"^v1/realtime/?$",
            application=RealtimeConsumer.as_asgi(),
            lets_in=anybody,
            message_bytes=APPEND_BYTES,
        ),
        Route(
            protocol="socketio",
            pattern=r"^socket\.io/",
            application=_socketio,
            lets_in=own_pages_and_programs,
            message_bytes=FILE_BYTES,
        ),
    )


class _Socket:
    """Knows whether it is open: a server keeps one whose application has left, and all it gets."""

    def __init__(self, receive: Any, send: Any) -> None:
        self.open = False
        self._receive = receive
        self._send = send

    async def receive(self) -> Any:
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            self.open = False
        return message

    async def send(self, message: Any) -> None:
        if message["type"] in ("websocket.accept", "websocket.close"):
            self.open = message["type"] == "websocket.accept"
        await self._send(message)


async def _socketio(scope: Any, receive: Any, send: Any) -> None:
    """The library may leave a WebSocket without closing it."""
    serve = await socketio_entry.application()
    if scope["type"] != "websocket":
        await serve(scope, receive, send)
        return
    socket = _Socket(receive, send)
    await serve(scope, socket.receive, socket.send)
    if socket.open:
        await send({"type": "websocket.close", "code": 1000})


CLASSIC_PATHS = ("/speech-to-text-stream", "/prompt-stream", "/text-to-speech-stream")


def http_streams(path: str) -> Application | None:
    """What serves this path besides Django: requests that last as long as a call, or answer so."""
    if path.startswith("/socket.io/") and "socketio" in calls_settings().protocols:
        return _socketio
    if path.rstrip("/") in CLASSIC_PATHS and calls_settings().avr_http:
        return classic
    return None


async def page_of_a_site(scope: Scope) -> bool:
    """Whether one of the active sites lists the page's origin."""
    page = page_of(scope, missing=False)
    return page is not None and await sites_origins.hold(page.origin)


async def refuse(_scope: Any, receive: Any, send: Any) -> None:
    """Turn a handshake down; the client sees HTTP 403."""
    await receive()
    await send({"type": "websocket.close", "code": 4404})


def _guarded(route: Route) -> Application:
    async def serve(scope: Any, receive: Any, send: Any) -> None:
        open_to = route.served and (
            route.lets_in(scope) or (route.by_token and await page_of_a_site(scope))
        )
        await (route.application if open_to else refuse)(scope, receive, send)

    return serve


websocket_urlpatterns = [re_path(route.pattern, _guarded(route)) for route in routes()]
