"""What an agent's code is told of its call while the call is written down."""

import asyncio
import logging
from typing import Any

from calls.agents import CallSummary, Message, VoiceAgent
from calls.agents.calling import call
from calls.agents.messages import message_of
from calls.domain.errors import EndReason
from calls.domain.items import Item, ItemStatus, Role
from calls.domain.timings import Turn
from calls.domain.usage import ServiceUse
from calls.ports.records import CallRecords
from calls.providers.code.faults import log_failure
from calls.providers.code.overriding import overrides

logger = logging.getLogger("calls.agents")

WAITING_MESSAGES = 200

HANDLER_MS = 30_000
"""How long `on_message` or `on_end` may take."""

LAST_WORDS_MS = 3_000
"""How long the end of a call waits for the agent's code, so that a restart does not cut it off."""


class Teller:
    """Tells the agent of messages and of the end: in order, one at a time, apart from the call."""

    def __init__(self, agent: VoiceAgent) -> None:
        self._agent = agent
        self._wants_messages = overrides(agent, "on_message")
        self._queue: asyncio.Queue[Message | CallSummary] = asyncio.Queue(WAITING_MESSAGES + 1)
        self._told: set[int] = set()
        self._ended = False
        self._running = False
        self._over = asyncio.Event()

    def message(self, item: Item) -> None:
        """Tell of an item, once, as soon as it is settled."""
        if not self._wants_messages or item.item_id in self._told or not _settled(item):
            return
        self._told.add(item.item_id)
        if self._queue.qsize() >= WAITING_MESSAGES:
            extra = {"call_id": self._agent.call.call_id}
            logger.warning("An agent's on_message is too slow; a message was dropped.", extra=extra)
            return
        self._queue.put_nowait(message_of(item))

    async def end(self, summary: CallSummary) -> None:
        """Tell of the end, once, after all messages; wait a moment for all of it to be told."""
        if not self._ended:
            self._ended = True
            self._queue.put_nowait(summary)
        if self._running:
            try:
                async with asyncio.timeout(LAST_WORDS_MS / 1000):
                    await self._over.wait()
            except TimeoutError:
                pass

    async def run(self) -> None:
        """Tell, until the end was told."""
        self._running = True
        try:
            ended = False
            while not ended:
                entry = await self._queue.get()
                ended = isinstance(entry, CallSummary)
                await self._tell("on_end" if ended else "on_message", entry)
        finally:
            self._running = False
            self._over.set()

    async def _tell(self, method: str, entry: Any) -> None:
        try:
            async with asyncio.timeout(HANDLER_MS / 1000):
                await call(getattr(self._agent, method), entry)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code
            log_failure(self._agent.call, method, error)


class AgentRecords:
    """A call's record that also tells the agent. `CallRecords` says what is promised.

    The record hears of everything that a call leaves behind, and of its end whatever the reason.
    """

    def __init__(self, inner: CallRecords, agent: VoiceAgent, teller: Teller) -> None:
        self._inner = inner
        self._agent = agent
        self._teller = teller
        self._unstored: dict[int, Item] = {}

    async def store_item(self, item: Item) -> None:
        self._unstored[item.item_id] = item
        await self._inner.store_item(item)
        self._unstored.pop(item.item_id, None)
        self._teller.message(item)

    async def store_turn(self, turn: Turn) -> None:
        if self._agent.debug_log:
            _log_turn(turn, self._agent.call.call_id)
        await self._inner.store_turn(turn)

    async def store_use(self, use: ServiceUse) -> None:
        await self._inner.store_use(use)

    async def finish(self, reason: EndReason, *, duration_ms: int) -> None:
        await self._inner.finish(reason, duration_ms=duration_ms)
        for item_id in sorted(self._unstored):
            self._teller.message(self._unstored[item_id])
        call_id = self._agent.call.call_id
        if self._agent.debug_log:
            extra = {"call_id": call_id}
            logger.info("Call %s ended after %d ms: %s.", call_id, duration_ms, reason, extra=extra)
        await self._teller.end(
            CallSummary(self._agent.call.conversation, duration_ms, reason, call_id)
        )


def _settled(item: Item) -> bool:
    """Nothing more will be added to it; of the agent's words, some were heard."""
    if item.status is ItemStatus.IN_PROGRESS:
        return False
    return item.role is not Role.AGENT or bool(item.text)


def _log_turn(turn: Turn, call_id: str) -> None:
    stages = turn.timings.stages()
    logger.info(
        "Call %s, turn %d: %s ms to the first sound (%s); %d of %d ms heard; %s.",
        call_id,
        turn.turn,
        turn.timings.latency_ms,
        ", ".join(f"{stage} {ms}" for stage, ms in stages.items()),
        turn.heard_ms,
        turn.spoken_ms,
        turn.error or "no error",
        extra={"call_id": call_id},
    )
