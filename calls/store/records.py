"""The record of one call: opened before it starts, written item by item, closed at its end."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from typing_extensions import override

from calls.domain.errors import EndReason
from calls.domain.items import Item
from calls.domain.timings import Turn
from calls.domain.usage import ServiceUse
from calls.models import Conversation, Heard
from calls.models.text import clean_json, clean_text
from calls.ports.records import CallRecords
from calls.store.agents import AgentSettings
from calls.store.database import AWAY, in_database
from calls.store.gateway import Gateway, gateway
from calls.store.owner import owner
from calls.store.summaries import summaries_wake
from calls.store.units import unit_finish, unit_item, unit_turn, unit_use

OPEN_TIMEOUT_S = 3


class RecordsUnavailableError(Exception):
    """The database cannot be reached: no call can begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What is known of a call when it begins.

    Attributes:
        call_id: random, at most 64 characters; names the call everywhere.
        caller: what the client or its token says of who calls.
        user_id: of the person who is logged in; None for anybody.
        metadata: from the client; any JSON object.
        heard: where the knowledge of what was heard will come from.
    """

    call_id: str
    agent: AgentSettings
    protocol: str
    language: str
    caller: str = ""
    user_id: Any = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    user_agent: str = ""
    heard: Heard = Heard.REPORTED


async def conversation_open(opening: Opening) -> "OrmCallRecords":
    """Put the conversation on the record, as a call of this process.

    Raises:
        RecordsUnavailableError: the database is away or does not answer in time.
    """
    try:
        async with asyncio.timeout(OPEN_TIMEOUT_S):
            await in_database(_insert, opening)
    except (*AWAY, TimeoutError) as error:
        raise RecordsUnavailableError from error
    return OrmCallRecords(opening.call_id, gateway())


def heartbeat(call_ids: Collection[str]) -> None:
    """Say that these calls live; every 5 seconds, all calls of the process at once. Never waits."""
    if call_ids:
        gateway().heartbeat(call_ids)


class OrmCallRecords(CallRecords):
    """The record of one call, by way of the process's gateway."""

    def __init__(self, call_id: str, through: Gateway) -> None:
        self._call_id = call_id
        self._gateway = through

    @override
    async def store_item(self, item: Item) -> None:
        await self._gateway.write(unit_item(self._call_id, item))

    @override
    async def store_turn(self, turn: Turn) -> None:
        await self._gateway.write(unit_turn(self._call_id, turn))

    @override
    async def store_use(self, use: ServiceUse) -> None:
        await self._gateway.write(unit_use(self._call_id, use))

    @override
    async def finish(self, reason: EndReason, *, duration_ms: int) -> None:
        await self._gateway.write(unit_finish(self._call_id, reason, duration_ms=duration_ms))
        summaries_wake()


def _insert(opening: Opening) -> None:
    Conversation.objects.create(
        call_id=opening.call_id,
        agent_id=opening.agent.agent_id,
        agent_slug=opening.agent.slug,
        agent_snapshot=clean_json(opening.agent.snapshot()),
        protocol=opening.protocol,
        language=clean_text(opening.language, 35),
        caller=clean_text(opening.caller, 200),
        user_id=opening.user_id,
        metadata=clean_json(opening.metadata),
        user_agent=clean_text(opening.user_agent, 300),
        heard=opening.heard,
        owner=owner(),
    )
