"""From which pages a browser may come in.

A browser always names the page's origin, so a request without one comes from a program, which no
page can make do things in a visitor's name.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest
from django.http.request import split_domain_port, validate_host

from calls.conf import calls_settings

Scope = Mapping[str, Any]

FILE_ORIGIN = "file://"
"""Pages that were opened from a disk."""

LONGEST_ORIGIN = 300
_WRITTEN = re.compile(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?")
"""Nothing else may stand in a header."""
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LOCAL_HOSTS = [".localhost", "127.0.0.1", "[::1]"]
"""What Django itself allows while it is debugged and nothing else is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What a handshake or request comes from.

    Attributes:
        origin: as `origin_of` writes it; empty: a program, which names none.
        own: it is a page of this server.
        ours: that, or a page of `CALLS["ALLOWED_ORIGINS"]`, or a program that may come in.
    """

    origin: str
    own: bool = False
    ours: bool = False


def page_of(scope: Scope, *, missing: bool | None = None) -> Page | None:
    """Where a handshake or request comes from; None: that cannot be told, or nobody may know.

    Args:
        missing: whether programs may in, which name no origin; None: as the settings say.
    """
    headers = scope["headers"]
    host = _only(headers, b"host")
    if host is None or not _own_host(host):
        return None
    if not any(name == b"origin" for name, _ in headers):
        may = calls_settings().allow_missing_origin if missing is None else missing
        return Page(origin="", ours=True) if may else None
    origin = origin_of(_only(headers, b"origin") or "")
    if origin is None:
        return None
    own = origin == origin_of(f"{_scheme(scope)}://{host}")
    return Page(origin=origin, own=own, ours=own or origin in allowed_origins())


def allowed_origin(scope: Scope, *, missing: bool | None = None) -> bool:
    """Whether a handshake or request comes from a page of this server, or from an allowed one.

    Args:
        missing: whether programs may in, which name no origin; None: as the settings say.
    """
    page = page_of(scope, missing=missing)
    return page is not None and page.ours


def allowed_origins() -> frozenset[str]:
    """Those of `CALLS["ALLOWED_ORIGINS"]`; files on a disk can be let in by a site alone."""
    named = (origin_of(entry) for entry in calls_settings().allowed_origins)
    return frozenset(origin for origin in named if origin and origin != FILE_ORIGIN)


def own_origin(request: HttpRequest) -> str:
    """The origin of this server's pages, as the browser that sent this request names it."""
    scope = scope_of(request)
    return origin_of(f"{_scheme(scope)}://{_only(scope['headers'], b'host') or ''}") or ""


def scope_of(request: HttpRequest) -> Scope:
    """What of the request tells where it came from."""
    headers = [(name.lower().encode(), value) for name, value in request.headers.items()]
    return {
        "scheme": request.scheme,
        "headers": [(name, value.encode("latin1", "replace")) for name, value in headers],
    }


def origin_of(text: str) -> str | None:
    """An origin in the one way it is written here; None when it is none.

    Small letters, no port where it is the scheme's own. Pages from a disk all say `null`, or
    `file://`, which is how it is written here.
    """
    if text in ("null", FILE_ORIGIN):
        return FILE_ORIGIN
    if len(text) > LONGEST_ORIGIN or not (text.isascii() and text.isprintable()):
        return None
    try:
        parts = urlsplit(text)
        default = _DEFAULT_PORTS[parts.scheme]
        port = parts.port or default
    except (ValueError, KeyError):
        return None
    extra = parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None
    if not parts.hostname or extra:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    shown = "" if port == default else f":{port}"
    written = f"{parts.scheme}://{host}{shown}"
    return written if _WRITTEN.fullmatch(written) else None


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
