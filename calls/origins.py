"""From which pages a browser may come in.

A browser always names the page's origin, so a request without one comes from a program, which no
page can make do things in a visitor's name.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from calls.conf import calls_settings

Scope = Mapping[str, Any]

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LOCAL_HOSTS = [".localhost", "127.0.0.1", "[::1]"]
"""What Django itself allows while it is debugged and nothing else is said."""


def allowed_origin(scope: Scope, *, missing: bool | None = None) -> bool:
    """Whether a handshake or request comes from a page of this server, or from an allowed one.

    Args:
        missing: whether programs may in, which name no origin; None: as the settings say.
    """
    headers = scope["headers"]
    host = _only(headers, b"host")
    if host is None or not _own_host(host):
        return False
    if not any(name == b"origin" for name, _ in headers):
        return calls_settings().allow_missing_origin if missing is None else missing
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
