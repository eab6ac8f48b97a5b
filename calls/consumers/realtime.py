"""Sockets of OpenAI Realtime clients: who they are is settled by a key or a secret alone.

A page of any origin may connect with a secret: no cookie is looked at, so that no page can make
a visitor's browser do what the page could not do itself.
"""

import secrets
import time
from dataclasses import replace

from django.db import DatabaseError
from typing_extensions import override

from calls.addresses import address_key
from calls.consumers.base import SocketConsumer
from calls.domain.errors import CallError, ErrorCode
from calls.engine.registry import LiveCall
from calls.models import OWN_SITE
from calls.models.text import clean_text
from calls.store.agents import AgentNotFoundError
from calls.store.database import in_database_soon
from calls.store.keys import Grant, agent_asked, token_check
from calls.store.visits import Visit
from calls.wire.base import Codec, Hello, Knock, WireError
from calls.wire.realtime import (
    SUBPROTOCOL,
    Dialect,
    Realtime,
    Refusal,
    Settings,
    dialect_of,
    read_session,
    token_of,
)
from calls.wire.realtime import Grant as WireGrant
from calls.wire.realtime.dialect import dialect_of_session

LONGEST_MODEL = 200
_ELSEWHERE = {
    "intent": "Sessions that only transcribe are not served here.",
    "call_id": "Calls by WebRTC and SIP are not served here.",
}


class RealtimeConsumer(SocketConsumer):
    """One socket of OpenAI's Realtime protocol, GA or beta."""

    @override
    async def knocked(self, knock: Knock) -> None:
        """Programs with a wrong key are refused by HTTP, as they expect.

        Browsers would not show why: they are let in and told. So is everybody who comes while
        the database is away.
        """
        self._knock = knock
        self._grant: Grant | None = None
        if "authorization" not in knock.headers:
            return
        try:
            self._grant = await _granted(token_of(knock))
        except CallError as error:
            if error.code is ErrorCode.UNAUTHORIZED:
                raise

    @override
    def codec(self, knock: Knock) -> Codec:
        ref = secrets.token_hex(8)
        self._codec = Realtime(knock, call_ref=ref, dialect=dialect_of(knock))
        return self._codec

    @override
    def subprotocol(self, knock: Knock) -> str | None:
        return SUBPROTOCOL if SUBPROTOCOL in knock.subprotocols else None

    @override
    async def admitted(self, hello: Hello) -> Hello:
        grant = self._grant = self._grant or await _granted(hello.token)
        query = self._knock.query
        for name, message in _ELSEWHERE.items():
            if query.get(name):
                raise WireError(ErrorCode.BAD_MESSAGE, message, 4400)
        model = clean_text(query.get("model", ""), LONGEST_MODEL)
        agent = await _agent(grant, model)
        metadata = {"model": model, "api_key": grant.label}
        told = {name: text for name, text in metadata.items() if text}
        return replace(hello, agent=agent, token="", metadata=told)

    @override
    async def visit(self, hello: Hello) -> Visit:
        assert self._grant is not None, "it was admitted"
        return Visit(
            site=self._grant.site or OWN_SITE,
            address=address_key(self.scope),
            consented=hello.consented,
            trusted=self._grant.key_id is not None,
        )

    @override
    async def begun(self, call: LiveCall) -> None:
        assert self._grant is not None, "it was admitted"
        policy = call.runner.setup.policy
        self._codec.policy = policy
        self._codec.allow(
            WireGrant(
                configures=self._grant.configures,
                settings=_settings(self._grant),
                expires_at=int(time.time()) + policy.max_call_ms // 1000,
            )
        )


async def _granted(token: str) -> Grant:
    try:
        grant = await in_database_soon(token_check, token)
    except DatabaseError:
        raise CallError(ErrorCode.BUSY, "The key cannot be looked at just now.") from None
    if grant is None:
        message = "A key or secret is needed, and this is none, or is no longer good."
        raise CallError(ErrorCode.UNAUTHORIZED, message)
    return grant


async def _agent(grant: Grant, model: str) -> str:
    try:
        return await in_database_soon(agent_asked, grant, model)
    except AgentNotFoundError:
        message = "There is no such model, or the key is not for it."
        raise CallError(ErrorCode.NO_SUCH_AGENT, message) from None
    except DatabaseError:
        raise CallError(ErrorCode.BUSY, "The agent cannot be looked at just now.") from None


def _settings(grant: Grant) -> Settings:
    """What the maker of the secret configured; it was read once already, when it was made."""
    session = grant.session or {}
    try:
        return read_session(session, dialect_of_session(session) or Dialect.BETA)
    except Refusal:
        return Settings()
