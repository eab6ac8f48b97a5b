"""Who calls: by a token, by where the client comes from, or by what its protocol showed."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.db import DatabaseError

from calls import wiring
from calls.addresses import address_key
from calls.domain.errors import CallError, ErrorCode
from calls.origins import Page, page_of
from calls.store.database import in_database_soon
from calls.store.tokens import TOKEN_PREFIX, Claims, TokenRefusedError, token_take
from calls.store.visits import Visit
from calls.wire.base import Hello

Scope = Mapping[str, Any]

REFUSED = "The token is missing, or no longer good: this page needs a fresh one."


async def visit_of(scope: Scope, hello: Hello, *, trusted: bool = False) -> Visit:
    """The visit that a token stands for; without one that of this server's own site.

    Pages that only a site lists need a token. A token is used up even if the call does not begin
    after all, unless it is this process that has no place for it.

    Args:
        trusted: the client has shown something else that is as good as a token.

    Raises:
        CallError: UNAUTHORIZED, BUSY or DRAINING.
    """
    page = page_of(scope, missing=True)
    if page is not None and hello.token:
        return _visit(await _claims(hello, page), scope, hello)
    if page is None or not page.ours:
        raise CallError(ErrorCode.UNAUTHORIZED, REFUSED)
    return Visit(address=address_key(scope), consented=hello.consented, trusted=trusted)


def with_own_token(hello: Hello) -> Hello:
    """The same for protocols whose clients send tokens of all kinds: only ours count."""
    return hello if hello.token.startswith(TOKEN_PREFIX) else replace(hello, token="")


def told(hello: Hello, visit: Visit) -> Hello:
    """What the client says of itself, and before it what the token says."""
    return replace(hello, token="", metadata={**hello.metadata, **visit.metadata})


def origin_in(scope: Scope) -> str:
    """Of the page that the client is; empty: a program."""
    page = page_of(scope, missing=True)
    return "" if page is None else page.origin


async def _claims(hello: Hello, page: Page) -> Claims:
    origin = "" if page.own else page.origin
    with wiring.registry().place():
        try:
            return await in_database_soon(token_take, hello.token, agent=hello.agent, origin=origin)
        except TokenRefusedError:
            raise CallError(ErrorCode.UNAUTHORIZED, REFUSED) from None
        except DatabaseError:
            raise CallError(ErrorCode.BUSY, "The token cannot be looked at just now.") from None


def _visit(claims: Claims, scope: Scope, hello: Hello) -> Visit:
    return Visit(
        site=claims.site,
        address=address_key(scope),
        token_id=claims.token_id,
        caller=claims.caller,
        user_id=claims.user_id,
        metadata=claims.metadata,
        caps=claims.caps,
        consented=hello.consented,
    )
