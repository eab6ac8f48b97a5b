"""The record of one call: opened before it starts, written item by item, closed at its end."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from threading import Event
from typing import Any

from django.db import transaction
from typing_extensions import override

from calls.domain.errors import EndReason
from calls.domain.items import Item
from calls.domain.timings import Turn
from calls.domain.usage import ServiceUse
from calls.models import Conversation, Heard, WebhookEvent
from calls.models.text import clean_json, clean_text
from calls.ports.records import CallRecords
from calls.store.admission import Admission, admit, consent_columns
from calls.store.agents import AgentSettings
from calls.store.database import AWAY, in_database
from calls.store.gateway import Gateway, gateway
from calls.store.owner import owner
from calls.store.prices import Used, cost_micros, price_list
from calls.store.summaries import summaries_wake
from calls.store.units import unit_finish, unit_item, unit_turn, unit_use
from calls.store.visits import ANYBODY, NO_CAPS, Caps, Visit
from calls.store.webhooks import deliveries_add

OPEN_TIMEOUT_S = 3


class RecordsUnavailableError(Exception):
    """The database cannot be reached: no call can begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What is known of a call when it begins.

    Attributes:
        call_id: random, at most 64 characters; names the call everywhere.
        caller: what the client or its token says of who calls.
        metadata: from the client; any JSON object.
        heard: where the knowledge of what was heard will come from.
        visit: who calls, as far as the server knows.
    """

    call_id: str
    agent: AgentSettings
    protocol: str
    language: str
    caller: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    user_agent: str = ""
    heard: Heard = Heard.REPORTED
    visit: Visit = ANYBODY


async def conversation_open(opening: Opening) -> "OrmCallRecords":
    """Put the conversation on the record, as a call of this process, if it may begin at all.

    Raises:
        CallError: it may not; nothing is on the record. `calls.store.admission` says for what.
        RecordsUnavailableError: the database is away or does not answer in time.
    """
    unwanted = Event()
    try:
        async with asyncio.timeout(OPEN_TIMEOUT_S):
            admitted = await in_database(_open, opening, unwanted)
    except (*AWAY, TimeoutError) as error:
        raise RecordsUnavailableError from error
    finally:
        unwanted.set()
    return OrmCallRecords(opening.call_id, gateway(), caps=admitted.caps, day=admitted.day)


def heartbeat(call_ids: Collection[str]) -> None:
    """Say that these calls live; every 5 seconds, all calls of the process at once. Never waits."""
    if call_ids:
        gateway().heartbeat(call_ids)


class OrmCallRecords(CallRecords):
    """The record of one call, by way of the process's gateway.

    Attributes:
        caps: at what the call is ended.
    """

    def __init__(
        self, call_id: str, through: Gateway, *, caps: Caps = NO_CAPS, day: date = date.min
    ) -> None:
        self.caps = caps
        self._day = day
        self._call_id = call_id
        self._gateway = through

    def price(self, use: Used) -> int | None:
        """What a use of this call cost, by the prices of the day that it began on; never waits."""
        return cost_micros(use, price_list().prices, self._day)

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


class _UnwantedError(Exception):
    """Nobody waits for the call any longer."""


def _open(opening: Opening, unwanted: Event) -> Admission:
    """Admit the call and write it down, in one transaction.

    Args:
        unwanted: set when nobody waits any longer; then nothing is left behind.
    """
    price_list().ensure()
    with transaction.atomic():
        admitted = admit(opening.visit, opening.agent)
        _insert(opening, admitted)
        deliveries_add(WebhookEvent.CALL_STARTED, {opening.call_id: opening.visit.site})
        if unwanted.is_set():
            raise _UnwantedError
    return admitted


def _insert(opening: Opening, admitted: Admission) -> None:
    visit = opening.visit
    Conversation.objects.create(
        call_id=opening.call_id,
        agent_id=opening.agent.agent_id,
        agent_slug=opening.agent.slug,
        agent_snapshot=clean_json(opening.agent.snapshot()),
        protocol=opening.protocol,
        language=clean_text(opening.language, 35),
        site_id=admitted.site_id,
        site_slug=visit.site,
        token_id=visit.token_id,
        address_key=visit.address,
        caller=clean_text(visit.caller or opening.caller, 200),
        user_id=visit.user_id,
        metadata=clean_json({**opening.metadata, **visit.metadata}),
        user_agent=clean_text(opening.user_agent, 300),
        heard=opening.heard,
        owner=owner(),
        cap_ms=admitted.caps.max_call_ms,
        cap_micros=admitted.caps.max_cost_micros,
        **consent_columns(visit, opening.agent),
    )
