"""What a project's ASGI application is made of: its sockets, and the start and end of a server.

`docs/install.md` shows how.
"""

from urllib.parse import urlsplit

from channels.routing import URLRouter
from django.conf import settings
from django.http.request import split_domain_port, validate_host
from django.urls import re_path

from calls import wiring
from calls.conf import calls_settings
from calls.lifespan import Application, LifespanHooks, Receive, Scope, Send
from calls.routing import websocket_urlpatterns

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LOCAL_HOSTS = [".localhost", "127.0.0.1", "[::1]"]
"""What Django itself allows while it is debugged and nothing else is said."""


def websockets() -> Application:
    """The calls' WebSockets and no others: origin first, then the app's routes."""
    nowhere = re_path(r"", refuse)  # type: ignore[arg-type]  # an application, not a view
    return OwnOriginOnly(URLRouter([*websocket_urlpatterns, nowhere]))


def lifespan() -> Application:
    """Makes the calls ready when the server starts, and ends them well when it ends."""
    return LifespanHooks(startup=[wiring.startup], shutdown=[wiring.shutdown])


async def refuse(_scope: Scope, receive: Receive, send: Send) -> None:
    """Turn a handshake down; the client sees HTTP 403."""
    await receive()
    await send({"type": "websocket.close", "code": 4404})


class OwnOriginOnly:
    """Lets a browser in only from a page of this server, scheme and port included.

    A browser always names the page's origin, so a request without one comes from a program, which
    no page can make do things in a visitor's name: whether those may in is a setting.
    """

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the connection on or refuse it."""
        if allowed_origin(scope):
            await self._application(scope, receive, send)
        else:
            await refuse(scope, receive, send)


def allowed_origin(scope: Scope) -> bool:
    """Whether the handshake comes from a page of this server, or from an allowed one."""
    headers = scope["headers"]
    host = _only(headers, b"host")
    if host is None or not _own_host(host):
        return False
    if not any(name == b"origin" for name, _ in headers):
        return calls_settings().allow_missing_origin
    origin = _origin(_only(headers, b"origin") or "")
    own = _origin(f"{_scheme(scope)}://{host}")
    allowed = {_origin(entry) for entry in calls_settings().allowed_origins}
    return origin is not None and origin in {own, *allowed}


def _only(headers: list[tuple[bytes, bytes]], wanted: bytes) -> str | None:
    """The value of a header that is there exactly once."""
    values = [value for name, value in headers if name == wanted]
    return values[0].decode("latin1") if len(values) == 1 else None


def _own_host(host: str) -> bool:
    """Without this a name that somebody else points at this address would be its own origin."""
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, _hosts())


def _hosts() -> list[str]:
    return settings.ALLOWED_HOSTS or (_LOCAL_HOSTS if settings.DEBUG else [])


def _scheme(scope: Scope) -> str:
    """Servers do not say whether a WebSocket came by TLS; a proxy or the settings do."""
    if scope.get("scheme") in ("wss", "https") or settings.SECURE_SSL_REDIRECT:
        return "https"
    proxy = settings.SECURE_PROXY_SSL_HEADER
    if proxy:
        name = proxy[0].removeprefix("HTTP_").replace("_", "-").lower().encode()
        return "https" if _only(scope["headers"], name) == proxy[1] else "http"
    return "http"


def _origin(text: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of an origin; nothing when it is none."""
    try:
        parts = urlsplit(text)
        port = parts.port or _DEFAULT_PORTS[parts.scheme]
    except (ValueError, KeyError):
        return None
    if not parts.hostname or parts.path.strip("/") or parts.query or parts.username:
        return None
    return parts.scheme, parts.hostname, port
