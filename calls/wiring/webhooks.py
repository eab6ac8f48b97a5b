"""Deliveries of webhooks sent, and tools that other servers answer made for a call."""

import asyncio
import logging
from collections import Counter

from calls.conf import calls_settings
from calls.models import WebhookDelivery
from calls.ports.tools import Tool
from calls.providers.webhooks.posting import Message, PostError, post
from calls.providers.webhooks.tools import AnsweredElsewhere
from calls.store.database import AWAY, in_database
from calls.store.keeping import lease_kept
from calls.store.wakers import waker
from calls.store.webhooks import (
    Outgoing,
    ToolTerms,
    delivery_note,
    delivery_take,
)

logger = logging.getLogger(__name__)

MOST_AT_ONCE = 16
MOST_PER_WEBHOOK = 2
"""A receiver that is slow holds up nobody else."""

WITHIN_MS = 15_000
ANSWER_BYTES = 4_096
LOOK_AGAIN_S = 1.0


async def deliveries_run_due() -> int:
    """Send all deliveries that are due, also those that become so meanwhile.

    Returns:
        How many were taken on.

    Raises:
        AWAY: the database is away.
    """
    return await _Round().run()


class _Round:
    """Sends side by side until nothing is due and nothing is on its way."""

    def __init__(self) -> None:
        self._on_the_way: Counter[int] = Counter()
        self._taken = 0
        self._away: Exception | None = None

    async def run(self) -> int:
        with waker("webhooks") as changed:
            async with asyncio.TaskGroup() as sending:
                await self._begin(sending, changed)
                while self._away is None and (self._on_the_way or changed.is_set()):
                    await _woken(changed)
                    await self._begin(sending, changed)
        if self._away is not None:
            raise self._away
        return self._taken

    async def _begin(self, sending: asyncio.TaskGroup, changed: asyncio.Event) -> None:
        changed.clear()
        while self._away is None and self._on_the_way.total() < MOST_AT_ONCE:
            busy = [hook for hook, n in self._on_the_way.items() if n >= MOST_PER_WEBHOOK]
            try:
                outgoing = await in_database(delivery_take, busy)
            except AWAY as error:
                self._away = error
                return
            if outgoing is None:
                return
            self._taken += 1
            self._on_the_way[outgoing.webhook_id] += 1
            sending.create_task(self._send(outgoing, changed))

    async def _send(self, outgoing: Outgoing, changed: asyncio.Event) -> None:
        try:
            async with lease_kept(WebhookDelivery, outgoing.lease):
                await delivery_send(outgoing)
        except AWAY as error:
            self._away = error
        finally:
            self._on_the_way[outgoing.webhook_id] -= 1
            self._on_the_way = +self._on_the_way
            changed.set()


async def delivery_send(outgoing: Outgoing) -> None:
    """Send one, and put down what came of it.

    Raises:
        AWAY: that could not be put down; it will be sent once more, under the same id.
    """
    message = Message(outgoing.event_id, outgoing.body, outgoing.secrets)
    status, error = None, ""
    try:
        answer = await post(
            outgoing.url,
            message,
            within_ms=WITHIN_MS,
            most_bytes=ANSWER_BYTES,
            private=calls_settings().webhooks_to_private,
        )
        status = answer.status
    except PostError as failed:
        error = failed.reason
    extra = {"webhook": outgoing.webhook_id, "event": outgoing.event_id, "status": status}
    logger.info("a webhook was sent", extra=extra | {"error": error})
    await in_database(delivery_note, outgoing, status, error)


async def _woken(changed: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(LOOK_AGAIN_S):
            await changed.wait()
    except TimeoutError:
        return


def tools(terms: tuple[ToolTerms, ...], *, site: str, caller: str) -> tuple[Tool, ...]:
    """The tools of a call that other servers answer."""
    private = calls_settings().webhooks_to_private
    return tuple(AnsweredElsewhere(entry, site, caller, private=private) for entry in terms)
