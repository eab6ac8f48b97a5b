"""The HTTP side of OpenAI's Realtime protocol: secrets that a browser may know, bought with a key.

No cookie is looked at: whoever may have a secret says so with a key, or is a page of an allowed
origin where `CALLS["REALTIME_OPEN"]` lets those in. `docs/api-keys.md` has the addresses.
"""

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any, ParamSpec, TypeVar

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from calls.conf import calls_settings
from calls.engine.clock import MonotonicClock
from calls.engine.limits import TokenBucket
from calls.origins import allowed_origin, scope_of
from calls.realtime_api.web import (
    Fields,
    RefusedError,
    body_of,
    endpoint,
    object_in,
    refusal,
)
from calls.store.agents import AgentNotFoundError
from calls.store.database import in_database
from calls.store.keys import (
    WITHOUT_KEY,
    Grant,
    Minted,
    agent_asked,
    key_check,
    secret_mint,
)
from calls.wire.realtime.dialect import Dialect
from calls.wire.realtime.refusal import NOT_ALLOWED, Refusal
from calls.wire.realtime.settings import Settings, read_session
from calls.wire.realtime.showing import session_object

logger = logging.getLogger(__name__)

SECONDS, LEAST_SECONDS, MOST_SECONDS = 600, 10, 7_200
SECRETS_PER_S, SECRETS_AT_ONCE = 2, 60
"""For all pages without a key together, in one process."""
PAGE_FIELDS = ("model", "voice", "instructions", "tools")
CONFIGURES = frozenset({"instructions", "tools"})
"""What a grant may withhold."""
LONGEST_MODEL = 200

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A secret to be made.

    Attributes:
        model: as the client named it; empty: it did not.
        agent: the one it stands for.
        session: as the client wrote it, for the call; `settings` is how it was understood.
    """

    grant: Grant = field(repr=False)
    model: str
    agent: str
    session: Fields = field(repr=False)
    settings: Settings = field(repr=False)
    dialect: Dialect
    seconds: int


# Addresses


@endpoint
async def client_secrets(request: HttpRequest) -> Fields:
    """GA: `{expires_after?, session?}` to a secret and the session that it begins."""
    grant = await _keyed(request)
    body = body_of(request)
    session = object_in(body, "session") or {}
    seconds = _seconds(object_in(body, "expires_after"), "expires_after")
    asked = await _asked(grant, {**session, "type": _kind(session)}, Dialect.GA, seconds)
    minted = await _minted(asked)
    return {"value": minted.value, "expires_at": minted.expires_at, "session": _shown(asked)}


@endpoint
async def sessions(request: HttpRequest) -> Fields:
    """Beta: the session's own fields to the same with a `client_secret`."""
    grant = await _keyed(request)
    session = dict(body_of(request))
    wanted = object_in(session, "client_secret") or {}
    session.pop("client_secret", None)
    after = object_in(wanted, "expires_after")
    seconds = _seconds(after, "client_secret.expires_after")
    asked = await _asked(grant, session, Dialect.BETA, seconds)
    minted = await _minted(asked)
    return {**_shown(asked), "client_secret": _in_beta(minted)}


@endpoint
async def transcription_sessions(request: HttpRequest) -> Fields:
    """Sessions that only write down: there are none here.

    Raises:
        RefusedError: always.
    """
    await _keyed(request)
    raise _transcription()


@endpoint
async def page_session(request: HttpRequest) -> Fields:
    """For pages: no body, or what the page wants of the session, to a secret in a form of its own.

    A page's words are not OpenAI's fields alone: what is unknown here is left out.
    """
    if "Authorization" in request.headers:
        grant = await _keyed(request)
    else:
        grant = _without_key(request)
    body = body_of(request)
    known = PAGE_FIELDS if grant.configures else set(PAGE_FIELDS) - CONFIGURES
    session = {key: value for key, value in body.items() if key in known}
    asked = await _asked(grant, session, Dialect.BETA, SECONDS)
    minted = await _minted(asked)
    until = datetime.fromtimestamp(minted.expires_at, UTC).isoformat().replace("+00:00", "Z")
    return {
        "client_secret": {"value": minted.value, "expires_at": until},
        "session_id": _session_id(),
        "model": asked.model or asked.agent,
    }


@csrf_exempt
async def socket_only(_request: HttpRequest) -> HttpResponse:
    """The socket's own address, asked without an upgrade."""
    message = "This address is a WebSocket."
    response = refusal(RefusedError(426, "websocket_required", message))
    response["Upgrade"] = "websocket"
    return response


@csrf_exempt
async def nothing(_request: HttpRequest, **_: Any) -> HttpResponse:
    """Whatever else OpenAI has below `/v1/realtime/`."""
    return refusal(RefusedError(404, "not_found", "There is nothing at this address."))


# Who asks


async def _keyed(request: HttpRequest) -> Grant:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        message = "Send an API key: Authorization: Bearer sk-voice-..."
        raise RefusedError(401, "invalid_api_key", message)
    grant = await _stored(key_check, key.strip())
    if grant is None:
        raise RefusedError(401, "invalid_api_key", "The API key is unknown or no longer good.")
    return grant


def _without_key(request: HttpRequest) -> Grant:
    if not calls_settings().realtime_open:
        raise RefusedError(401, "invalid_api_key", "An API key is needed.")
    if not allowed_origin(scope_of(request)):
        raise RefusedError(403, "origin_not_allowed", "Pages of this origin need an API key.")
    if not _pages().take(1, MonotonicClock().now_ms()):
        raise RefusedError(429, "rate_limit_exceeded", "Too many pages ask at once: try again.")
    return Grant(configures=False, label=WITHOUT_KEY)


@cache
def _pages() -> TokenBucket:
    now_ms = MonotonicClock().now_ms()
    return TokenBucket(rate=SECRETS_PER_S, burst=SECRETS_AT_ONCE, now_ms=now_ms)


# What is asked for


def _seconds(after: Fields | None, param: str) -> int:
    """How long a secret is good for."""
    if after is None:
        return SECONDS
    if after.get("anchor", "created_at") != "created_at":
        raise RefusedError(400, "invalid_value", "`anchor` must be created_at.", f"{param}.anchor")
    seconds = after.get("seconds", SECONDS)
    whole = isinstance(seconds, int) and not isinstance(seconds, bool)
    if not whole or not LEAST_SECONDS <= seconds <= MOST_SECONDS:
        message = f"`seconds` must be a whole number from {LEAST_SECONDS} to {MOST_SECONDS}."
        raise RefusedError(400, "invalid_value", message, f"{param}.seconds")
    return int(seconds)


def _kind(session: Fields) -> str:
    """The only one there is.

    Raises:
        RefusedError: the client wants another.
    """
    if session.get("type", "realtime") != "realtime":
        raise _transcription()
    return "realtime"


async def _asked(grant: Grant, session: Fields, dialect: Dialect, seconds: int) -> Asked:
    try:
        settings = read_session(session, dialect)
    except Refusal as wrong:
        raise RefusedError(400, wrong.code, wrong.message, wrong.param) from None
    if not grant.configures and (wanted := CONFIGURES & session.keys()):
        message = "The key may not replace the agent's instructions and tools."
        raise RefusedError(403, NOT_ALLOWED, message, f"session.{min(wanted)}")
    model = session.get("model") or ""
    if not isinstance(model, str) or len(model) > LONGEST_MODEL:
        raise RefusedError(400, "invalid_value", "`model` must be a name.", "session.model")
    return Asked(
        grant=grant,
        model=model,
        agent=await _agent(grant, model),
        session=session,
        settings=settings,
        dialect=dialect,
        seconds=seconds,
    )


async def _agent(grant: Grant, model: str) -> str:
    try:
        return await _stored(agent_asked, grant, model)
    except AgentNotFoundError:
        message = "There is no such model, or the key is not for it."
        raise RefusedError(404, "model_not_found", message, "session.model") from None


async def _minted(asked: Asked) -> Minted:
    minted = await _stored(secret_mint, asked.grant, asked.session, asked.agent, asked.seconds)
    logger.info("a secret was made", extra={"agent": asked.agent, "key": asked.grant.key_id})
    return minted


async def _stored(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        return await in_database(function, *args, **kwargs)
    except DatabaseError:
        raise RefusedError(503, "unavailable", "The database is away: try again.") from None


# What is answered


def _session_id() -> str:
    return f"sess_{secrets.token_hex(12)}"


def _shown(asked: Asked) -> Fields:
    """The session as it will begin."""
    return session_object(
        asked.settings, asked.dialect, session_id=_session_id(), model=asked.model
    )


def _in_beta(minted: Minted) -> Fields:
    return {"value": minted.value, "expires_at": minted.expires_at}


def _transcription() -> RefusedError:
    message = "Sessions that only transcribe are not served here; a `realtime` one transcribes too."
    return RefusedError(400, "transcription_not_supported", message, "session.type")
