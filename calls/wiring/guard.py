"""Ends calls that may not go on: outside their own tasks, so that nothing they do keeps them.

Caps of a call are looked at in memory, 20 times a second. What stands on rows (a site switched
off, budgets of the day, somebody's wish that a call ends) is read every few seconds, for all calls
of the process at once. While the database is away only the former is done.
"""

import asyncio
import logging
from contextlib import suppress
from functools import cache

from calls.domain.errors import EndReason
from calls.engine.watchdog import PATIENCE_MS, Watchdog
from calls.store.database import in_database
from calls.store.prices import REFRESH_S, price_list
from calls.store.standing import Standing, calls_standing
from calls.wiring.shared import CLOCK, registry

logger = logging.getLogger(__name__)

LOOK_MS = 2_000
"""How often the rows are read while there are calls."""

SOONEST_LOOK_MS = 250
"""As often as that, when a site's minutes are about to be used up."""

ASKED_PATIENCE_MS = 2_000
"""How long a call that somebody wants ended may take to store its last words."""


@cache
def watchdog() -> Watchdog:
    return Watchdog(registry(), CLOCK)


_wakes: set[asyncio.Event] = set()


async def watch() -> None:
    """Look after the calls of this process until cancelled."""
    async with asyncio.TaskGroup() as group:
        group.create_task(watchdog().run())
        group.create_task(_look_at_rows())


def end_call(call_id: str, reason: EndReason) -> bool:
    """End a call of this process: it may say its last words, then it is cut. On the event loop.

    Returns:
        False: it does not run here.
    """
    call = registry().get(call_id)
    if call is None:
        return False
    of_caps = reason in (EndReason.BUDGET, EndReason.MAX_LENGTH)
    patience_ms = PATIENCE_MS if of_caps else ASKED_PATIENCE_MS
    watchdog().end(call, reason, patience_ms=patience_ms)
    return True


def look_now() -> None:
    """Something on the rows has changed: read them at once. On the event loop; never waits."""
    for wake in _wakes:
        wake.set()


async def _look_at_rows() -> None:
    wake, prices_ms = asyncio.Event(), CLOCK.now_ms()
    _wakes.add(wake)
    try:
        while True:
            wait_ms = await _looked()
            if CLOCK.now_ms() - prices_ms >= REFRESH_S * 1000:
                prices_ms = CLOCK.now_ms()
                await _prices_read()
            await _woken(wake, wait_ms)
    finally:
        _wakes.discard(wake)


async def _looked() -> int:
    """Look, whatever comes of it: calls go on, and so does the watch."""
    try:
        return await _look()
    except Exception as error:  # noqa: BLE001 - a database that is away is not the worst of them
        extra = {"error": type(error).__name__}
        logger.warning("Limits on the rows cannot be looked at", extra=extra)
        return LOOK_MS


async def _prices_read() -> None:
    try:
        await in_database(price_list().refresh)
    except Exception as error:  # noqa: BLE001 - the former prices stay
        logger.warning("Prices cannot be read", extra={"error": type(error).__name__})


async def _look() -> int:
    """Read the rows once, and end what has to be; when to look again, in milliseconds."""
    call_ids = [call.call_id for call in registry()]
    found = await in_database(calls_standing, call_ids) if call_ids else Standing()
    for call_id, reason in found.ends.items():
        end_call(call_id, reason)
    return LOOK_MS if found.left_ms is None else min(LOOK_MS, max(SOONEST_LOOK_MS, found.left_ms))


async def _woken(wake: asyncio.Event, wait_ms: int) -> None:
    """Wait so long, or until somebody wants a look."""
    with suppress(TimeoutError):
        async with asyncio.timeout(wait_ms / 1000):
            await wake.wait()
    wake.clear()
