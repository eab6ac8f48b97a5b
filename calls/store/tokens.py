"""Tokens: each opens one call, soon after it was made. They are signed, and stored once used.

A token goes in a client's first message and nowhere else: not into an address, not into a log.
All of it asks the database but `token_mint`: from async code through `in_database`.
"""

import json
import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.signing import BadSignature, TimestampSigner, b62_decode
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from calls.conf import calls_settings
from calls.models import OWN_SITE, UsedToken
from calls.models.text import clean_json, clean_text
from calls.origins import allowed_origins, origin_of
from calls.store.agents import AgentNotFoundError, agent_get
from calls.store.sites import SiteNotFoundError, SiteTerms, site_get
from calls.store.visits import NO_CAPS, Caps

logger = logging.getLogger(__name__)

TOKEN_PREFIX = "vct_"  # noqa: S105 - what tokens are told by
TOKEN_CHARS = 4_096
METADATA_BYTES = 2_048
CALLER_CHARS = 200
MOST_SECONDS = 120
_SALT = "calls.token"
_ID_BYTES = 16
_PURGED_AT_ONCE = 200
_KEPT_LONGER = timedelta(minutes=10)
"""So far may the clocks of two processes differ before a used token is forgotten too early."""


class TokenRefusedError(Exception):
    """The token opens no call. Clients are not told why; the log is, in one word."""


@dataclass(frozen=True, slots=True)
class Minted:
    """A token for one call.

    Attributes:
        expires_at: in seconds since 1970.
        seconds: from when it was made until then.
    """

    value: str = field(repr=False)
    expires_at: int
    token_id: str
    seconds: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a token says.

    Attributes:
        origin: of the page that shows the call, as `calls.origins.origin_of` writes it; empty:
            any of the site's.
        seconds: how long it may wait to be used.
    """

    token_id: str
    site: str
    agent: str
    seconds: int
    origin: str = ""
    caller: str = ""
    user_id: Any = None
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)
    caps: Caps = NO_CAPS


def token_mint(
    *,
    site: str,
    agent: str,
    caller: str = "",
    metadata: Mapping[str, Any] | None = None,
    caps: Caps = NO_CAPS,
    user_id: Any = None,
    origin: str = "",
    seconds: int | None = None,
) -> Minted:
    """A token for one call with `agent`, on behalf of `site`. Nothing is stored, nobody asked.

    Args:
        site: slug.
        caller: who calls, in the site's words.
        user_id: of somebody who is logged in here; the call is theirs.
        origin: of the page that shows the call; empty: any of the site's.
        seconds: until it is used; None: as the settings say; 120 at most.

    Raises:
        ValueError: something is too long, or no origin; the message says what.
    """
    known = None if not origin else origin_of(origin)
    if origin and known is None:
        raise ValueError("The origin is none: https://host or https://host:port.")
    claims = Claims(
        token_id=secrets.token_urlsafe(_ID_BYTES),
        site=site,
        agent=agent,
        seconds=_seconds(seconds),
        origin=known or "",
        caller=_caller(caller),
        user_id=user_id if user_id is None or isinstance(user_id, int) else str(user_id),
        metadata=_metadata(metadata or {}),
        caps=caps,
    )
    signed = _signer().sign_object(_written(claims), serializer=_Json)
    value = TOKEN_PREFIX + signed
    if len(value) > TOKEN_CHARS:
        raise ValueError("The token would be too long.")
    expires_at = _made_at(signed) + claims.seconds
    return Minted(value, expires_at, claims.token_id, claims.seconds)


def token_take(text: str, *, agent: str, origin: str) -> Claims:
    """Use the token up: whoever comes second with it is refused. All or nothing.

    Args:
        agent: slug of the one that is called.
        origin: of the page that brings it, as `calls.origins.origin_of` writes it; empty: one of
            this server's, in a frame or not, or a program.

    Raises:
        TokenRefusedError: it is none, is too old, was used, or is for something else.
        DatabaseError: the database cannot be asked.
    """
    try:
        claims = _read(text)
        with transaction.atomic():
            _check(claims, agent, origin)
            _use(claims)
    except TokenRefusedError as refused:
        logger.info("a token was refused", extra={"agent": agent, "why": str(refused)})
        raise
    _purge()
    return claims


# Making


def _seconds(seconds: int | None) -> int:
    if seconds is None:
        return min(calls_settings().token_seconds, MOST_SECONDS)
    if not 1 <= seconds <= MOST_SECONDS:
        raise ValueError(f"A token waits 1 to {MOST_SECONDS} seconds.")
    return seconds


def _caller(caller: str) -> str:
    if len(caller) > CALLER_CHARS:
        raise ValueError(f"The caller has at most {CALLER_CHARS} characters.")
    return clean_text(caller)


def _metadata(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        text = json.dumps(dict(metadata), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise ValueError("The metadata are not plain JSON.") from None
    if len(text.encode(errors="replace")) > METADATA_BYTES:
        raise ValueError(f"The metadata have at most {METADATA_BYTES} bytes as JSON.")
    cleaned: Mapping[str, Any] = clean_json(metadata)
    return cleaned


def _written(claims: Claims) -> dict[str, Any]:
    """Short names, and only what is said: it travels in a message of bounded length."""
    fields = {
        "i": claims.token_id,
        "s": claims.site,
        "a": claims.agent,
        "n": claims.seconds,
        "o": claims.origin,
        "c": claims.caller,
        "u": claims.user_id,
        "m": dict(claims.metadata),
        "t": claims.caps.max_call_ms,
        "x": claims.caps.max_cost_micros,
    }
    return {name: value for name, value in fields.items() if value not in (None, "", {})}


class _Json:
    """As UTF-8: escaped letters would take three times the room."""

    def dumps(self, value: Any) -> bytes:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()

    def loads(self, data: bytes) -> Any:
        return json.loads(data)


def _signer() -> TimestampSigner:
    return TimestampSigner(salt=_SALT)


def _made_at(signed: str) -> int:
    """Seconds since 1970: it stands between the last two colons."""
    return b62_decode(signed.rsplit(":", 2)[1])


# Taking


def _read(text: str) -> Claims:
    if not text.startswith(TOKEN_PREFIX) or len(text) > TOKEN_CHARS or not text.isascii():
        raise TokenRefusedError("none")
    signer, signed = _signer(), text.removeprefix(TOKEN_PREFIX)
    try:
        fields = signer.unsign_object(signed, serializer=_Json)
        signer.unsign(signed, max_age=fields["n"])
    except BadSignature as error:  # too old is one of them
        raise TokenRefusedError(type(error).__name__) from None
    return Claims(
        token_id=fields["i"],
        site=fields["s"],
        agent=fields["a"],
        seconds=fields["n"],
        origin=fields.get("o", ""),
        caller=fields.get("c", ""),
        user_id=fields.get("u"),
        metadata=fields.get("m", {}),
        caps=Caps(max_call_ms=fields.get("t"), max_cost_micros=fields.get("x")),
    )


def _check(claims: Claims, agent: str, origin: str) -> None:
    if claims.agent != agent:
        raise TokenRefusedError("agent")
    try:
        site = site_get(claims.site)
        agent_get(agent)
    except (SiteNotFoundError, AgentNotFoundError) as error:
        raise TokenRefusedError(type(error).__name__) from None
    if not site.active or not site.allows(agent):
        raise TokenRefusedError("site")
    if origin and (origin not in _origins(site) or claims.origin not in ("", origin)):
        raise TokenRefusedError("origin")
    if claims.user_id is not None and not _may_still(claims.user_id):
        raise TokenRefusedError("user")


def _origins(site: SiteTerms) -> frozenset[str]:
    """Allowed origins of the settings are this server's, as far as its own site goes."""
    return site.origins | (allowed_origins() if site.slug == OWN_SITE else frozenset())


def _may_still(user_id: Any) -> bool:
    try:
        return bool(get_user_model()._default_manager.filter(pk=user_id, is_active=True).exists())
    except (ValueError, ValidationError):
        return False


def _use(claims: Claims) -> None:
    until = Now() + timedelta(seconds=claims.seconds) + _KEPT_LONGER
    try:
        with transaction.atomic():
            UsedToken.objects.create(token_id=claims.token_id, expires_at=until)
    except IntegrityError:
        raise TokenRefusedError("used") from None


def _purge() -> None:
    """Bounded, so that nobody waits long for what others left."""
    expired = UsedToken.objects.filter(expires_at__lt=Now()).values_list("pk", flat=True)
    if pks := list(expired[:_PURGED_AT_ONCE]):
        UsedToken.objects.filter(pk__in=pks).delete()
